//! Cleaning of catalog texts: removes HTML tags and scripts, resolves entities and normalises white space.

use super::markup;

/// Cleans a text: removes HTML tags and resolves character references once. A `<` that does not start a tag remains, as
/// in `a < b` and `List<String>`.
pub(super) fn clean(text: &str) -> String {
    let without_tags = if text.contains('<') { markup::strip(text) } else { text.to_owned() };
    let resolved = if without_tags.contains('&') { resolve_entities(&without_tags) } else { without_tags };
    let visible = if resolved.contains(is_invisible) { resolved.replace(is_invisible, "") } else { resolved };
    let mut out = String::with_capacity(visible.len());
    for word in visible.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()) {
        if !out.is_empty() {
            out.push(' ');
        }
        out += word;
    }
    out
}

/// Whether a cleaned text still seems to contain tags or character references.
pub(super) fn has_markup(text: &str) -> bool {
    (text.contains('<') && markup::has_traces(text)) || (text.contains('&') && resolve_entities(text) != text)
}

/// Resolves character references that end in a semicolon. Without one, `&` usually means itself: `AT&T`, `p&notes`.
fn resolve_entities(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        out += &rest[..at];
        rest = &rest[at..];
        let name = rest[1..].split(|c: char| !(c.is_ascii_alphanumeric() || c == '#')).next().unwrap_or_default();
        let end = 1 + name.len();
        let reference = rest[end..].starts_with(';').then(|| &rest[..=end]);
        // Unknown references are returned unchanged.
        match reference.map(|reference| (reference, htmlize::unescape(reference))) {
            Some((reference, resolved)) => {
                out += &resolved;
                rest = &rest[reference.len()..];
            }
            None => {
                out.push('&');
                rest = &rest[1..];
            }
        }
    }
    out + rest
}

/// Invisible characters: soft hyphens, zero-width spaces, direction marks, byte order marks.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2060}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cleaned() {
        let cases = [
            ("Tom &amp; Jerry&#8217;s &#x2019;", "Tom & Jerry’s ’"),
            ("<p>one<br/>two</p>\n <B class='x'>three</B>", "one two three"),
            ("a < b and c > d, x<y", "a < b and c > d, x<y"),
            ("x<script type='a'>if (a<b) { alert('x') }</script>y<style>p{}</style>z", "x y z"),
            ("<!-- a > b -->kept", "kept"),
            ("AT&T &unknown; &", "AT&T &unknown; &"),
            ("  spaced\t\u{a0}out ", "spaced out"),
            ("<3 hearts", "<3 hearts"),
            ("&lt;b&gt; is a tag", "<b> is a tag"),
            ("10-1/2&Prime; x 8&Prime; r&eacute;sum&eacute; p&notes &NotEqualTilde;", "10-1/2″ x 8″ résumé p&notes ≂̸"),
            ("soft\u{ad}ware\u{200b} and\u{7} bells &#0;", "software and bells \u{fffd}"),
            ("Ünï <i>ça</i>", "Ünï ça"),
            ("&amp;lt;b&amp;gt; once", "&lt;b&gt; once"),
            ("<!DOCTYPE html><html><body>Hat</body></html>", "Hat"),
            ("<img alt='wide > tall' src=x>Vase <input checked>", "Vase"),
            ("<a href=\"x>link</a> and <b class=y>Bold", "link and Bold"),
            ("<![CDATA[<b>Red</b> hat]]> for men", "Red hat for men"),
            ("<?xml:namespace prefix = o /><o:p>&nbsp;</o:p>Pen", "Pen"),
            ("<div><b>Great pen. It wri", "Great pen. It wri"),
            ("<script src=x />Pen<SCRIPT>a</Script >cil", "Pen cil"),
        ];
        for (dirty, clean_text) in cases {
            assert_eq!(clean(dirty), clean_text);
        }
    }

    #[test]
    fn angle_brackets_outside_markup_are_text() {
        let texts = [
            "Understanding the <script> element in HTML",
            "Learning the <style> tag",
            "Use <div> and <span>, not <b>",
            "List<String> and Map<K,V> in Java",
            "Pokemon <Scarlet>",
            "<A Tale of Two Cities>",
            "The <Big Sale> starts",
            "x<y and z>w, x < y > z, a<b and c>d",
            "not <!-- closed, <b not closed",
            "<![CDATA[ and <!ELEMENT x>",
            "<my-element> <mailto:a@b.c> <https://a.b/c>",
            "<",
            "<<>>",
            "</>",
            "<é>",
            "<b",
            "a <b x='",
        ];
        for text in texts {
            assert_eq!(clean(text), text);
        }
        // Text after an unclosed tag or comment is still cleaned.
        assert_eq!(clean("the <style> tag, <!-- and <i>more</i> &amp; more"), "the <style> tag, <!-- and more & more");
    }

    #[test]
    fn malicious_texts_take_linear_time() {
        let start = std::time::Instant::now();
        let parts = [
            "<!--",
            "<a ",
            "&",
            "<",
            "</",
            "<a x=\"",
            "<a x='",
            "<b x='\" ",
            "<b y='\" z=\"<b y='\" z=\"",
            "<script>",
            "<style ",
            "<![CDATA[",
            "</script",
            "<!doctype ",
            "&a",
            "<p><",
            "<i>",
            "<a x=\"<a x='",
            "]]>",
            "<?xml",
        ];
        for part in parts {
            let text = part.repeat(100_000);
            assert!(clean(&text).len() <= text.len());
            // The same, with a closing mark far away.
            clean(&(text + "\">'>--></script></style>]]>"));
        }
        // With quadratic time, this would take minutes.
        assert!(start.elapsed().as_secs() < 60, "{:?}", start.elapsed());
    }
}
