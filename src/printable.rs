//! Escapes ids and texts from users before they are printed.

use std::borrow::Cow;
use std::fmt::Write;

/// Escapes control characters, line breaks and marks that change the direction of text. An item id such as
/// `"\u{1b}[31mred\n"` then cannot colour a terminal, hide text or look like two lines. All code that prints ids or
/// texts uses this function.
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(is_unprintable) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '\n' => out += "\\n",
            '\r' => out += "\\r",
            '\t' => out += "\\t",
            c if is_unprintable(c) => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    Cow::Owned(out)
}

/// The same for JSON, but line breaks between values remain. Parsing the result gives the same values.
pub fn printable_json(json: &str) -> Cow<'_, str> {
    let hidden = |c: char| is_unprintable(c) && c != '\n';
    if !json.contains(hidden) {
        return Cow::Borrowed(json);
    }
    let lines: Vec<Cow<'_, str>> = json.split('\n').map(printable).collect();
    Cow::Owned(lines.join("\n"))
}

fn is_unprintable(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_and_line_breaks_are_shown() {
        let cases = [
            ("\x1b[31mred\n", "\\u001b[31mred\\n"),
            ("a\tb\r\u{9b}2J\u{7f}", "a\\tb\\r\\u009b2J\\u007f"),
            ("safe\u{202e}txt\u{2028}", "safe\\u202etxt\\u2028"),
            ("Ünï 日本 😀 \\n", "Ünï 日本 😀 \\n"),
        ];
        for (text, shown) in cases {
            assert_eq!(printable(text), shown);
        }
    }

    #[test]
    fn json_keeps_its_values() {
        let value = serde_json::json!({"id": "\u{1b}[31m\u{9b}\n\u{202e}", "n": [1, 2]});
        let text = serde_json::to_string_pretty(&value).unwrap();
        let shown = printable_json(&text);
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), value);
        assert!(shown.contains('\n') && !shown.contains(['\u{9b}', '\u{202e}']));
    }
}
