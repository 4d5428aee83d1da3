//! HTML helpers: escaping, number formats, templates.

use std::borrow::Cow;
use std::fmt::Write;

use crate::printable::printable;

/// Escapes text for an element or a quoted attribute. Control characters are shown escaped.
pub(super) fn escape(text: &str) -> String {
    printable(text)
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;")
}

/// 1852 as "1,852".
pub(super) fn grouped(n: usize) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// "1,852 items", "1 item".
pub(super) fn count(n: usize, noun: &str) -> String {
    format!("{} {noun}{}", grouped(n), if n == 1 { "" } else { "s" })
}

/// 0.2714 as "27.1%"; small fractions with two decimals.
pub(super) fn percent(share: f64) -> String {
    let percent = 100.0 * share;
    if percent == 0.0 || percent >= 1.0 {
        let text = format!("{percent:.1}");
        return format!("{}%", text.strip_suffix(".0").unwrap_or(&text));
    }
    if percent < 0.01 { "under 0.01%".into() } else { format!("{percent:.2}%") }
}

/// The first `most` characters, followed by `…` if there are more.
pub(super) fn shortened(text: &str, most: usize) -> Cow<'_, str> {
    match text.char_indices().nth(most) {
        None => text.into(),
        Some(_) if most == 0 => "".into(),
        Some((end, _)) => format!("{}…", text[..end].trim_end()).into(),
    }
}

/// Sentences beside a table of names and values.
pub(super) fn story(words: &[String], rows: &[(impl AsRef<str>, String)]) -> String {
    let told: String = words.iter().map(|text| format!("<p>{}</p>", escape(text))).collect();
    let mut out = format!("<div class=\"story\"><div>{told}</div><table class=\"figures\"><tbody>");
    for (name, value) in rows {
        let _ = write!(out, "<tr><th scope=\"row\">{}</th><td>{}</td></tr>", escape(name.as_ref()), escape(value));
    }
    out + "</tbody></table></div>"
}

/// Replaces `{{name}}` in a template by values. Values are not expanded again.
pub(super) fn fill(template: &str, values: &[(&str, &str)]) -> String {
    let mut out = String::with_capacity(template.len() + values.iter().map(|(_, value)| value.len()).sum::<usize>());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        out += before;
        rest = match after.split_once("}}") {
            Some((name, tail)) => {
                out += values.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value);
                tail
            }
            None => after,
        };
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_formatted_for_reading() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([0.0, 1.0, 0.27144, 0.00504, 0.00001].map(percent), ["0%", "100%", "27.1%", "0.50%", "under 0.01%"]);
        assert_eq!((count(1, "item"), count(2, "item")), ("1 item".into(), "2 items".into()));
    }

    #[test]
    fn texts_are_truncated_between_characters() {
        assert_eq!([shortened("één 🦊 dier", 5), shortened("één", 3), shortened("één", 0)], ["één 🦊…", "één", ""]);
    }

    #[test]
    fn values_are_not_expanded() {
        assert_eq!(fill("<{{a}}|{{b}}|{{c}}>", &[("a", "{{b}}"), ("b", "2")]), "<{{b}}|2|>");
        assert_eq!(escape("<b a='1' c=\"&\">"), "&lt;b a=&#39;1&#39; c=&quot;&amp;&quot;&gt;");
    }
}
