//! Cleaning of texts as shops have them: tags and scripts out, entities resolved, white space evened.

/// A cleaned copy. `<` begins a tag only where a letter, `/` or `!` follows and a `>` ends it: "a < b" stays.
pub(super) fn clean(text: &str) -> String {
    // A tag's place becomes a space, so that "one<br>two" stays two words.
    let without_tags = if text.contains('<') { strip_tags(text) } else { text.to_owned() };
    let resolved = if without_tags.contains('&') { resolve_entities(&without_tags) } else { without_tags };
    resolved.split_whitespace().collect::<Vec<_>>().join(" ")
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
                // What stands inside these is not for readers.
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

/// Place of the `>` of the tag or comment that the text begins with.
fn tag_end(text: &str) -> Option<usize> {
    if text.starts_with("<!--") {
        return text.find("-->").map(|end| end + 2);
    }
    let after = text.as_bytes().get(1)?;
    if !(after.is_ascii_alphabetic() || matches!(after, b'/' | b'!' | b'?')) {
        return None;
    }
    let end = text.find('>')?;
    // Another "<" before the ">" tells that this one was no tag.
    (!text[1..end].contains('<')).then_some(end)
}

/// The entities that product texts hold; all others by number.
const ENTITIES: [(&str, char); 24] = [
    ("amp", '&'),
    ("lt", '<'),
    ("gt", '>'),
    ("quot", '"'),
    ("apos", '\''),
    ("nbsp", ' '),
    ("copy", '©'),
    ("reg", '®'),
    ("trade", '™'),
    ("deg", '°'),
    ("hellip", '…'),
    ("ndash", '–'),
    ("mdash", '—'),
    ("lsquo", '‘'),
    ("rsquo", '’'),
    ("ldquo", '“'),
    ("rdquo", '”'),
    ("bull", '•'),
    ("middot", '·'),
    ("times", '×'),
    ("frac12", '½'),
    ("eacute", 'é'),
    ("euro", '€'),
    ("pound", '£'),
];

fn resolve_entities(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        out += &rest[..at];
        rest = &rest[at + 1..];
        let name = rest.split(|c: char| !(c.is_ascii_alphanumeric() || c == '#')).next().unwrap_or_default();
        let resolved = rest[name.len()..].starts_with(';').then(|| entity(name)).flatten();
        match resolved {
            Some(c) => {
                out.push(c);
                rest = &rest[name.len() + 1..];
            }
            None => out.push('&'),
        }
    }
    out + rest
}

fn entity(name: &str) -> Option<char> {
    if let Some(number) = name.strip_prefix('#') {
        let hexadecimal = number.strip_prefix(['x', 'X']).map(|hex| u32::from_str_radix(hex, 16));
        return char::from_u32(hexadecimal.unwrap_or_else(|| number.parse()).ok()?).filter(|c| *c != '\0');
    }
    ENTITIES.iter().find(|(known, _)| *known == name).map(|(_, c)| *c)
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
            ("Ünï <i>ça</i>", "Ünï ça"),
        ];
        for (dirty, clean_text) in cases {
            assert_eq!(clean(dirty), clean_text);
        }
    }
}
