//! Cleaning of catalog texts: removes HTML tags and scripts, resolves entities and normalises white space.

/// A cleaned copy. `<` starts a tag only if a letter, `/`, `!` or `?` follows and a `>` ends it: "a < b" is kept.
pub(super) fn clean(text: &str) -> String {
    // A tag becomes a space: "one<br>two" is two words.
    let without_tags = if text.contains('<') { strip_tags(text) } else { text.to_owned() };
    let resolved = if without_tags.contains('&') { resolve_entities(&without_tags) } else { without_tags };
    let visible = if resolved.contains(is_invisible) { resolved.replace(is_invisible, "") } else { resolved };
    visible.split(|c: char| c.is_whitespace() || c.is_control()).filter(|w| !w.is_empty()).collect::<Vec<_>>().join(" ")
}

fn strip_tags(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('<') {
        out += &rest[..at];
        rest = &rest[at..];
        match tag_end(rest) {
            Some(end) => {
                let tag = rest[1..end].to_ascii_lowercase();
                rest = &rest[end + 1..];
                out.push(' ');
                // The content of these elements is not displayed.
                for name in ["script", "style"] {
                    if tag.split(|c: char| !c.is_ascii_alphanumeric()).next() == Some(name) && !tag.ends_with('/') {
                        let close = format!("</{name}");
                        let end = rest.to_ascii_lowercase().find(&close);
                        rest = end.map_or("", |end| &rest[end..]);
                    }
                }
            }
            None => {
                out.push('<');
                rest = &rest[1..];
            }
        }
    }
    out + rest
}

/// Position of the `>` that ends the tag or comment at the start of the text.
fn tag_end(text: &str) -> Option<usize> {
    if text.starts_with("<!--") {
        return text.find("-->").map(|end| end + 2);
    }
    let after = text.as_bytes().get(1)?;
    if !(after.is_ascii_alphabetic() || matches!(after, b'/' | b'!' | b'?')) {
        return None;
    }
    let end = text.find('>')?;
    // If another "<" comes before the ">", this one does not start a tag.
    (!text[1..end].contains('<')).then_some(end)
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
    fn dirty_texts_come_out_clean() {
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
        ];
        for (dirty, clean_text) in cases {
            assert_eq!(clean(dirty), clean_text);
        }
    }
}
