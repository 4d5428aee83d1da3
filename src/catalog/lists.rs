//! Parses lists that are written as text: `['Pens', 'Ink']` by Python's `str` or NumPy, `["Pens", "Ink"]` as JSON.

/// Maximum nesting depth.
const DEEPEST: usize = 64;

/// The elements of a list in the notation of Python, NumPy or JSON as texts, with nested lists flattened and without
/// nulls. `None` for a text that is not a list from its first to its last character.
fn parse_list(text: &str) -> Option<Vec<String>> {
    let mut rest = text.trim();
    let is_tuple = rest.starts_with('(');
    if !is_tuple && !rest.starts_with('[') {
        return None;
    }
    let (mut closers, mut found, mut commas) = (Vec::new(), Vec::new(), 0);
    // Whether a value precedes, so that a comma or the end must follow.
    let mut complete = false;
    loop {
        let trimmed = rest.trim_start();
        let spaced = trimmed.len() < rest.len();
        rest = trimmed;
        let next = rest.chars().next()?;
        match next {
            '[' | '(' if !complete && closers.len() < DEEPEST => {
                closers.push(if next == '[' { ']' } else { ')' });
                rest = &rest[1..];
            }
            ']' | ')' => {
                (closers.pop()? == next).then_some(())?;
                (complete, rest) = (true, &rest[1..]);
                if closers.is_empty() {
                    // A text in parentheses without a comma is not a tuple.
                    return (rest.is_empty() && (!is_tuple || commas > 0)).then_some(found);
                }
            }
            ',' if complete => (complete, rest, commas) = (false, &rest[1..], commas + 1),
            // NumPy writes spaces between the elements.
            '"' | '\'' if !complete || spaced => {
                let (value, after) = string(&rest[1..], next)?;
                found.push(value);
                (complete, rest) = (true, after);
            }
            'u' if !complete && rest[1..].starts_with(['"', '\'']) => rest = &rest[1..],
            _ if !complete => {
                let end = rest.find(|c: char| c.is_whitespace() || ",])".contains(c))?;
                match &rest[..end] {
                    "None" | "null" | "nan" | "NaN" => {}
                    word @ ("True" | "False" | "true" | "false") => found.push(word.to_owned()),
                    number => found.push(number.parse::<f64>().ok().map(|_| number.to_owned())?),
                }
                (complete, rest) = (true, &rest[end..]);
            }
            _ => return None,
        }
    }
}

/// Replaces each part that is a list by its elements.
pub(crate) fn expand_lists(parts: &mut Vec<String>) {
    if parts.iter().any(|part| part.trim_start().starts_with(['[', '('])) {
        let all = std::mem::take(parts).into_iter();
        parts.extend(all.flat_map(|part| parse_list(&part).unwrap_or_else(|| vec![part])));
    }
}

/// Whether a text is an empty list or a list of texts. `[2023]` alone is more likely a title.
pub(crate) fn is_list(text: &str) -> bool {
    parse_list(text).is_some_and(|found| found.is_empty() || text.contains(['"', '\'']))
}

/// Parses a string after its opening quote. Also returns the text after the closing quote.
fn string(text: &str, quote: char) -> Option<(String, &str)> {
    let (mut value, mut rest) = (String::new(), text);
    loop {
        let at = rest.find([quote, '\\'])?;
        value += &rest[..at];
        rest = &rest[at..];
        if let Some(after) = rest.strip_prefix(quote) {
            return Some((value, after));
        }
        let escape = rest[1..].chars().next()?;
        rest = &rest[1 + escape.len_utf8()..];
        let digits = match escape {
            'x' => 2,
            'u' => 4,
            'U' => 8,
            _ => 0,
        };
        if digits > 0 {
            let mut code = hexadecimal(&mut rest, digits)?;
            // JSON writes characters beyond U+FFFF as two surrogates.
            if (0xd800..0xdc00).contains(&code)
                && let Some(mut low) = rest.strip_prefix("\\u")
                && let Some(second @ 0xdc00..0xe000) = hexadecimal(&mut low, 4)
            {
                (code, rest) = (0x10000 + ((code - 0xd800) << 10) + (second - 0xdc00), low);
            }
            value.push(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
            continue;
        }
        match escape {
            'n' => value.push('\n'),
            't' => value.push('\t'),
            'r' => value.push('\r'),
            'b' => value.push('\u{8}'),
            'f' => value.push('\u{c}'),
            '\\' | '\'' | '"' | '/' => value.push(escape),
            other => value.extend(['\\', other]),
        }
    }
}

fn hexadecimal(rest: &mut &str, digits: usize) -> Option<u32> {
    let code = u32::from_str_radix(rest.get(..digits)?, 16).ok()?;
    *rest = &rest[digits..];
    Some(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_every_notation_are_read() {
        let cases: [(&str, &[&str]); 14] = [
            ("['Pens', 'Ink']", &["Pens", "Ink"]),
            (" [\"It's blue\", 'a \"big\" one', 'l\\'eau'] ", &["It's blue", "a \"big\" one", "l'eau"]),
            ("[\"caf\\u00e9\", \"\\ud83d\\ude00\", \"a\\/b\\n\"]", &["café", "😀", "a/b\n"]),
            ("['x\\xe9', u'y', '\\d']", &["xé", "y", "\\d"]),
            ("['Pens' 'Ink'\n 'Paper']", &["Pens", "Ink", "Paper"]),
            ("[['Office', 'Pens'], ['Sale']]", &["Office", "Pens", "Sale"]),
            ("('Pens', 'Ink')", &["Pens", "Ink"]),
            ("('Pens',)", &["Pens"]),
            ("[1, -2.50, 1e3, 12345678901234567890123]", &["1", "-2.50", "1e3", "12345678901234567890123"]),
            ("[None, null, True, nan]", &["True"]),
            ("[]", &[]),
            ("['']", &[""]),
            ("['[x]', ']']", &["[x]", "]"]),
            ("[\"\\ud83d\"]", &["\u{fffd}"]),
        ];
        for (text, expected) in cases {
            assert_eq!(
                parse_list(text).as_deref(),
                Some(&expected.iter().map(|&t| t.to_owned()).collect::<Vec<_>>()[..]),
                "{text}"
            );
        }
    }

    #[test]
    fn other_texts_are_not_lists() {
        let texts = [
            "Pens",
            "",
            "[Pens, Ink]",
            "[2023] Calendar",
            "['a'] and ['b']",
            "['a'",
            "['a",
            "[",
            "]",
            "['a', {'b': 1}]",
            "('Deluxe')",
            "(black)",
            "['a''b']",
            "['a',,'b']",
            "[,]",
            "['a')",
            "{'a': 1}",
            "['\\u12']",
            "[1 2]",
        ];
        for text in texts.into_iter().map(str::to_owned).chain(["[".repeat(100_000), "[".repeat(90) + &"]".repeat(90)])
        {
            assert_eq!(parse_list(&text), None, "{text:.20}");
        }
        assert!(is_list("[]") && is_list("['a']") && !is_list("[2023]"));
    }
}
