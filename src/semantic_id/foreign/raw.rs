//! Items and their tokens as read from a file. The number of tokens may differ between items.

use crate::semantic_id::TokenFormat;

/// The formats that are tried, in this order.
const USUAL: [&str; 7] = [
    "<{level}_{code}>",
    "<|{level}_{code}|>",
    "[{level}_{code}]",
    "<s_{level}_{code}>",
    "<sid_{index}_{code}>",
    "{level}_{code}",
    "{level}{code}",
];
/// Tokens of this level and above are not parsed. No ID has this many levels.
const LEVELS: usize = 64;

/// The contents of a file of another system.
#[derive(Debug)]
pub(super) struct RawIds {
    /// The token format; `None` before the first token.
    pub(super) format: Option<TokenFormat>,
    pub(super) items: Vec<String>,
    /// The concatenated codes of all items.
    pub(super) codes: Vec<u16>,
    /// The end of each item's codes.
    pub(super) ends: Vec<usize>,
    /// Items with a token that is not a code: row, level and token. Their codes end before this token.
    pub(super) unknown: Vec<(usize, usize, String)>,
    /// Begin and end tokens, which are not part of an ID.
    markers: Option<[Option<String>; 2]>,
}

impl RawIds {
    pub(super) fn new(format: Option<TokenFormat>) -> Self {
        RawIds { format, items: Vec::new(), codes: Vec::new(), ends: Vec::new(), unknown: Vec::new(), markers: None }
    }

    /// Adds an item with its tokens: numbers, or tokens of the format.
    pub(super) fn push<'a>(&mut self, item: String, tokens: impl Iterator<Item = &'a str>) {
        let tokens: Vec<&str> = tokens.collect();
        let [begin, end] = self.markers.get_or_insert_with(|| {
            let marker = |token: Option<&&str>| {
                token.filter(|token| !token.contains(|c: char| c.is_ascii_digit())).map(|token| (*token).to_owned())
            };
            if tokens.len() > 2 { [marker(tokens.first()), marker(tokens.last())] } else { [None, None] }
        });
        let mut codes = &tokens[..];
        if let ([first, rest @ ..], Some(begin)) = (codes, &begin)
            && *first == begin.as_str()
        {
            codes = rest;
        }
        if let ([rest @ .., last], Some(end)) = (codes, &end)
            && *last == end.as_str()
        {
            codes = rest;
        }
        for (level, token) in codes.iter().enumerate() {
            match self.code(level, token) {
                Some(code) => self.codes.push(code),
                None => {
                    self.unknown.push((self.items.len(), level, (*token).to_owned()));
                    break;
                }
            }
        }
        self.items.push(item);
        self.ends.push(self.codes.len());
    }

    /// Adds an item whose ID is one text.
    pub(super) fn push_text(&mut self, item: String, text: &str) {
        let sizes = [crate::tokenizer::MAX_CODEBOOK_SIZE; crate::tokenizer::MAX_LEVELS];
        let text = text.trim();
        if text.is_empty() || text.bytes().all(|b| b.is_ascii_digit()) {
            return self.push(item, std::iter::once(text).filter(|text| !text.is_empty()));
        }
        if text.contains([',', ' ']) {
            let inner = text.trim_matches(['[', ']', '(', ')']);
            let tokens = inner.split([',', ' ']).map(|token| token.trim_matches(['"', '\'', ' ']));
            return self.push(item, tokens.filter(|token| !token.is_empty()));
        }
        let parsed = match &self.format {
            Some(format) => format.parse(text, &sizes).ok(),
            None => usual().find_map(|format| {
                let codes = format.parse(text, &sizes).ok()?;
                self.format = Some(format);
                Some(codes)
            }),
        };
        match parsed {
            Some(codes) => self.codes.extend(codes),
            None => self.unknown.push((self.items.len(), 0, text.to_owned())),
        }
        self.items.push(item);
        self.ends.push(self.codes.len());
    }

    /// The codes of a row.
    pub(super) fn of(&self, row: usize) -> &[u16] {
        let start = if row == 0 { 0 } else { self.ends[row - 1] };
        &self.codes[start..self.ends[row]]
    }

    fn code(&mut self, level: usize, token: &str) -> Option<u16> {
        if !token.is_empty() && token.bytes().all(|b| b.is_ascii_digit()) {
            return token.parse().ok();
        }
        if self.format.is_none() {
            self.format = usual().find(|format| format.code(level, token).is_some());
        }
        self.format.as_ref().filter(|_| level < LEVELS)?.code(level, token)
    }
}

fn usual() -> impl Iterator<Item = TokenFormat> {
    USUAL.iter().filter_map(|format| format.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(rows: &[&[&str]]) -> RawIds {
        let mut raw = RawIds::new(None);
        rows.iter().enumerate().for_each(|(row, tokens)| raw.push(row.to_string(), tokens.iter().copied()));
        raw
    }

    #[test]
    fn common_token_formats_and_numbers_are_parsed() {
        for tokens in [
            ["<a_7>", "<b_300>"],
            ["<|a_7|>", "<|b_300|>"],
            ["<sid_0_7>", "<sid_1_300>"],
            ["<s_a_7>", "<s_b_300>"],
            ["a7", "b300"],
            ["7", "300"],
        ] {
            let raw = read(&[&tokens]);
            assert_eq!((raw.of(0), raw.unknown.len()), (&[7u16, 300][..], 0), "{tokens:?}");
            let mut whole = RawIds::new(None);
            whole.push_text("x".into(), &tokens.join(if tokens[0] == "7" { "," } else { "" }));
            assert_eq!(whole.of(0), [7, 300], "{tokens:?}");
        }
        let mut raw = RawIds::new(None);
        for text in ["[1, 22]", "(1 22)", "1,22", "['<a_1>', '<b_22>']", "<a_1><b_22>"] {
            raw.push_text("x".into(), text);
        }
        assert!((0..5).all(|row| raw.of(row) == [1, 22]) && raw.unknown.is_empty(), "{raw:?}");
    }

    #[test]
    fn markers_are_skipped_and_unknown_tokens_are_reported() {
        let raw = read(&[&["<begin>", "<a_1>", "<b_2>", "<end>"], &["<begin>", "<a_1>", "<b_x>", "<end>"]]);
        assert_eq!((raw.of(0), &raw.unknown[..]), (&[1u16, 2][..], &[(1, 1, "<b_x>".to_owned())][..]));
        // A token of another level, a code that is too large, a negative number, a leading zero.
        let raw =
            read(&[&["<a_1>", "<b_2>"], &["<b_1>", "<b_2>"], &["<a_1>", "<b_65536>"], &["<a_1>", "-1"], &["<a_01>"]]);
        let places: Vec<(usize, usize)> = raw.unknown.iter().map(|(row, level, _)| (*row, *level)).collect();
        assert_eq!(places, [(1, 0), (2, 1), (3, 1), (4, 0)]);
    }
}
