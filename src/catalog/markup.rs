//! Finds markup in texts: each `<` that starts an HTML tag, a comment or other markup, and the end of that markup.
//!
//! A title such as `List<String>` or `Learning the <style> tag` is text. An HTML parser would treat every `<name` as a
//! tag, and an unclosed element as extending to the end of the input. So this module has its own scanner. The scanner
//! reads every byte a bounded number of times: if it fails to read a tag, it continues at the position of the failure.

use std::collections::HashMap;

use super::elements::{element, is_bare_attribute, needs_end_tag};

const CDATA: &str = "<![CDATA[";
const CDATA_END: &str = "]]>";

/// Replaces each piece of markup by a space, because `one<br>two` is two words. Also removes the content of scripts,
/// styles and comments, which is not displayed. Keeps the content of CDATA sections.
pub(super) fn strip(text: &str) -> String {
    let scan = MarkupScan::new(text);
    let mut out = String::with_capacity(text.len());
    let (mut kept, mut at) = (0, 0);
    while let Some(found) = text[at..].find('<') {
        let open = at + found;
        if text[open..].starts_with(CDATA) && scan.last_cdata_end > Some(open) {
            let inner = open + CDATA.len();
            let end = inner + text[inner..].find(CDATA_END).unwrap_or_default();
            out += &text[kept..open];
            out += &strip(&text[inner..end]);
            (kept, at) = (end + CDATA_END.len(), end + CDATA_END.len());
            continue;
        }
        at = match scan.end(open) {
            Ok(end) => {
                out += &text[kept..open];
                out.push(' ');
                kept = end;
                end
            }
            Err(failed) => failed.max(open + 1),
        };
    }
    out + &text[kept..]
}

/// Whether a text seems to contain an HTML tag (closed or not), a comment or a CDATA section.
pub(super) fn has_traces(text: &str) -> bool {
    text.match_indices('<').any(|(open, _)| {
        let rest = &text[open + 1..];
        let name = name(rest.strip_prefix('/').unwrap_or(rest));
        rest.starts_with("!--") || text[open..].starts_with(CDATA) || name.is_some()
    })
}

/// The element whose name is at the start of `rest`, and the length of the name. White space, `/` or `>` must follow.
fn name(rest: &str) -> Option<(&'static str, usize)> {
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b':';
    let length = rest.bytes().take_while(is_name).count();
    let ends = rest.as_bytes().get(length).is_some_and(|b| b.is_ascii_whitespace() || matches!(b, b'/' | b'>'));
    element(&rest[..length]).filter(|_| ends).map(|element| (element, length))
}

/// A text, with the last positions of the closing marks. There is no search beyond the last one.
struct MarkupScan<'a> {
    text: &'a str,
    last_comment_end: Option<usize>,
    last_cdata_end: Option<usize>,
    last_quote: [Option<usize>; 2],
    /// Position of the last end tag of each element.
    last_end_tag: HashMap<&'static str, usize>,
}

impl<'a> MarkupScan<'a> {
    fn new(text: &'a str) -> Self {
        let end_tag = |(at, mark): (usize, &str)| Some((name(&text[at + mark.len()..])?.0, at));
        MarkupScan {
            text,
            last_comment_end: text.rfind("-->"),
            last_cdata_end: text.rfind(CDATA_END),
            last_quote: [text.rfind('"'), text.rfind('\'')],
            last_end_tag: text.match_indices("</").filter_map(end_tag).collect(),
        }
    }

    /// The end of the markup that starts at `open`. The error is the position up to which there is no markup.
    fn end(&self, open: usize) -> Result<usize, usize> {
        let rest = &self.text[open..];
        if rest.starts_with("<!--") {
            // `<!-->` is a complete comment.
            let end = self.last_comment_end.filter(|&last| last >= open + 2).and_then(|_| rest[2..].find("-->"));
            return end.map(|end| open + 2 + end + 3).ok_or(open + 4);
        }
        let starts =
            |mark: &str| rest.as_bytes().get(..mark.len()).is_some_and(|b| b.eq_ignore_ascii_case(mark.as_bytes()));
        if ["<!doctype", "<?xml", "<![if", "<![endif"].into_iter().any(starts) {
            let stop = open + 1 + rest[1..].find(['<', '>']).unwrap_or(rest.len() - 1);
            return if self.byte(stop) == Some(b'>') { Ok(stop + 1) } else { Err(stop) };
        }
        let closes = rest.starts_with("</");
        let start = open + 1 + usize::from(closes);
        let (element, length) = name(&self.text[start..]).ok_or(open + 1)?;
        let tag = self.attributes(start + length)?;
        if tag.words && !tag.values {
            return Err(tag.end);
        }
        if closes {
            return Ok(tag.end);
        }
        let is_closed = self.last_end_tag.get(element).is_some_and(|&last| last >= tag.end);
        match element {
            "script" | "style" if self.byte(tag.end - 2) != Some(b'/') => {
                if is_closed {
                    Ok(self.end_tag(element, tag.end))
                } else {
                    Err(tag.end)
                }
            }
            _ if !is_closed && needs_end_tag(element) && !tag.any && self.stands_alone(open, tag.end) => Err(tag.end),
            _ => Ok(tag.end),
        }
    }

    /// Reads the attributes of a tag from the end of its name.
    fn attributes(&self, from: usize) -> Result<TagAttributes, usize> {
        let mut at = from;
        let mut found = TagAttributes::default();
        loop {
            at = self.skip(at, |byte| byte.is_ascii_whitespace() || byte == b'/');
            match self.byte(at) {
                None | Some(b'<') => return Err(at),
                Some(b'>') => return Ok(TagAttributes { end: at + 1, ..found }),
                Some(_) => found.any = true,
            }
            // A name can start with "=", as in browsers.
            let end = self.skip(at + 1, |byte| !byte.is_ascii_whitespace() && !b"/>=<".contains(&byte));
            let after = self.skip(end, |byte| byte.is_ascii_whitespace());
            if self.byte(after) != Some(b'=') {
                found.words |= !self.text.get(at..end).is_none_or(is_bare_attribute);
                at = end;
                continue;
            }
            found.values = true;
            at = self.value(self.skip(after + 1, |byte| byte.is_ascii_whitespace()));
        }
    }

    /// The end of an attribute's value. A quote that is not closed is part of the value.
    fn value(&self, from: usize) -> usize {
        let quote = self.byte(from).and_then(|byte| b"\"'".iter().position(|&quote| quote == byte));
        if let Some(quote) = quote
            && self.last_quote[quote] > Some(from)
        {
            return self.skip(from + 1, |byte| byte != b"\"'"[quote]) + 1;
        }
        self.skip(from, |byte| !byte.is_ascii_whitespace() && !b"<>".contains(&byte))
    }

    /// The first end tag of an element after a position. There must be one.
    fn end_tag(&self, element: &str, from: usize) -> usize {
        let is_it = |at: &usize| name(&self.text[at + 2..]).is_some_and(|(found, _)| found == element);
        self.text[from..].match_indices("</").map(|(at, _)| from + at).find(is_it).unwrap_or(self.text.len())
    }

    /// Whether a tag stands in a text like a word: text precedes it, and no word follows directly.
    fn stands_alone(&self, open: usize, end: usize) -> bool {
        let follows = self.text[end..].chars().next();
        !self.text[..open].trim_start().is_empty() && follows.is_none_or(|c| c != '<' && !c.is_alphanumeric())
    }

    fn byte(&self, at: usize) -> Option<u8> {
        self.text.as_bytes().get(at).copied()
    }

    fn skip(&self, from: usize, passes: impl Fn(u8) -> bool) -> usize {
        let rest = self.text.as_bytes().get(from..).unwrap_or_default();
        from + rest.iter().take_while(|&&byte| passes(byte)).count()
    }
}

/// The attributes of a tag.
#[derive(Default)]
struct TagAttributes {
    /// Position after the tag.
    end: usize,
    any: bool,
    /// Whether some have values.
    values: bool,
    /// Whether some words are not attributes.
    words: bool,
}
