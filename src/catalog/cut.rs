//! The first or last part of a text, for code that must not process the whole text.

/// At most `bytes` bytes from the start of a text, or from its end with `from_end`. The part consists of whole
/// characters, and of whole words if there is white space in the second half of the part.
pub fn cut_text(text: &str, bytes: usize, from_end: bool) -> &str {
    if text.len() <= bytes {
        return text;
    }
    if from_end {
        let start = text.ceil_char_boundary(text.len() - bytes);
        let part = &text[start..];
        let word = part[..part.floor_char_boundary(part.len() / 2)].find(char::is_whitespace);
        &part[word.unwrap_or_default()..]
    } else {
        let part = &text[..text.floor_char_boundary(bytes)];
        let half = part.ceil_char_boundary(part.len() / 2);
        let word = part[half..].rfind(char::is_whitespace);
        word.map_or(part, |at| &part[..half + at])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_have_bounded_size_and_whole_words() {
        let cases = [
            ("short", 5, false, "short"),
            ("one two three", 11, false, "one two"),
            ("one two three", 11, true, " two three"),
            ("abcdefgh", 4, false, "abcd"),
            ("abcdefgh", 4, true, "efgh"),
            ("é".repeat(4).as_str(), 5, false, "éé"),
            ("é".repeat(4).as_str(), 5, true, "éé"),
            ("a b", 0, false, ""),
        ]
        .map(|(text, bytes, from_end, part)| (text.to_owned(), bytes, from_end, part.to_owned()));
        for (text, bytes, from_end, part) in cases {
            assert_eq!(cut_text(&text, bytes, from_end), part, "{text} {bytes} {from_end}");
        }
    }
}
