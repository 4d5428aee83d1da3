//! The format of a token: LC-Rec's `<a_12>` by default.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Letters of the levels.
const LETTERS: &[u8; crate::tokenizer::MAX_LEVELS] = b"abcdefgh";

/// A token format: literal text, the level as a letter (`{level}`) or 0-based number (`{index}`), and the `{code}`. It is
/// unambiguous: concatenated tokens can be parsed again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TokenFormat {
    parts: Vec<FormatPart>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum FormatPart {
    Text(String),
    Letter,
    Index,
    Code,
}

impl Default for TokenFormat {
    fn default() -> Self {
        let text = |t: &str| FormatPart::Text(t.into());
        TokenFormat { parts: vec![text("<"), FormatPart::Letter, text("_"), FormatPart::Code, text(">")] }
    }
}

impl TokenFormat {
    /// The token of a code.
    pub fn token(&self, level: usize, code: u16) -> String {
        let mut token = String::new();
        for part in &self.parts {
            match part {
                FormatPart::Text(text) => token += text,
                FormatPart::Letter => token.push(LETTERS.get(level).map_or('?', |&l| char::from(l))),
                FormatPart::Index => token += &level.to_string(),
                FormatPart::Code => token += &code.to_string(),
            }
        }
        token
    }

    /// The code of a token of a level; `None` for any other text.
    pub(super) fn code(&self, level: usize, token: &str) -> Option<u16> {
        let (mut rest, mut code) = (token, None);
        for part in &self.parts {
            let literal = match part {
                FormatPart::Code => {
                    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
                    let (number, after) = rest.split_at(digits);
                    code = number.parse::<u16>().ok().filter(|code| code.to_string() == number);
                    rest = after;
                    continue;
                }
                FormatPart::Text(text) => text.clone(),
                FormatPart::Letter => char::from(*LETTERS.get(level)?).to_string(),
                FormatPart::Index => level.to_string(),
            };
            rest = rest.strip_prefix(literal.as_str())?;
        }
        code.filter(|_| rest.is_empty())
    }

    /// The semantic ID of codes: their concatenated tokens. Fewer codes than levels give a prefix.
    pub fn semantic_id(&self, codes: &[u16]) -> String {
        codes.iter().enumerate().map(|(level, &code)| self.token(level, code)).collect()
    }

    /// The codes of a semantic ID or of a prefix of one, in codebooks of these sizes.
    ///
    /// # Errors
    /// [`Error::Data`] with the position of the first character that is not part of a semantic ID.
    pub fn parse(&self, text: &str, sizes: &[usize]) -> Result<Vec<u16>> {
        let wrong = |at: usize, expected: String| {
            let got = format!("{:?} at character {} of {text:?}", &text[at..], text[..at].chars().count() + 1);
            let help = format!("write an ID as {}, or its first tokens", self.semantic_id(&vec![0; sizes.len()]));
            Error::data("semantic ID", expected, got, help)
        };
        let mut codes = Vec::new();
        let mut at = 0;
        while at < text.len() {
            let level = codes.len();
            let Some(&size) = sizes.get(level) else {
                return Err(wrong(at, format!("at most {} tokens", sizes.len())));
            };
            for part in &self.parts {
                match part {
                    FormatPart::Code => {
                        let digits = text[at..].bytes().take_while(u8::is_ascii_digit).count();
                        let number = &text[at..at + digits];
                        let code =
                            number.parse::<u32>().ok().filter(|&c| (c as usize) < size && c.to_string() == number);
                        codes.push(code.ok_or_else(|| wrong(at, format!("a code below {size}")))? as u16);
                        at += digits;
                    }
                    part => {
                        let literal = match part {
                            FormatPart::Text(literal) => literal.clone(),
                            FormatPart::Letter => char::from(LETTERS[level.min(LETTERS.len() - 1)]).to_string(),
                            _ => level.to_string(),
                        };
                        if !text[at..].starts_with(&literal) {
                            return Err(wrong(at, format!("{literal:?} of token {}", level + 1)));
                        }
                        at += literal.len();
                    }
                }
            }
        }
        Ok(codes)
    }

    fn check(self, format: &str) -> Result<Self> {
        let refuse = |reason: &str| {
            Error::config(
                "token-format",
                "a format such as <{level}_{code}>",
                format!("{format:?}: {reason}"),
                "change the format",
            )
        };
        let count = |wanted: fn(&FormatPart) -> bool| self.parts.iter().filter(|part| wanted(part)).count();
        if count(|p| *p == FormatPart::Code) != 1 {
            return Err(refuse("it must contain {code} once"));
        }
        if count(|p| matches!(p, FormatPart::Letter | FormatPart::Index)) != 1 {
            return Err(refuse("it must contain {level} or {index} once"));
        }
        if format.chars().any(char::is_whitespace) {
            return Err(refuse("a token cannot contain white space"));
        }
        // Cyclic: the last part of a token is followed by the first of the next.
        for (part, next) in self.parts.iter().zip(self.parts.iter().cycle().skip(1)) {
            let begins_with_digit = match next {
                FormatPart::Text(text) => text.starts_with(|c: char| c.is_ascii_digit()),
                FormatPart::Letter => false,
                FormatPart::Index | FormatPart::Code => true,
            };
            if matches!(part, FormatPart::Code | FormatPart::Index) && begins_with_digit {
                return Err(refuse("digits would follow a number, so its end would be ambiguous"));
            }
        }
        Ok(self)
    }
}

impl FromStr for TokenFormat {
    type Err = Error;

    fn from_str(format: &str) -> Result<Self> {
        let mut parts = Vec::new();
        let mut rest = format;
        while !rest.is_empty() {
            let placeholders =
                [("{level}", FormatPart::Letter), ("{index}", FormatPart::Index), ("{code}", FormatPart::Code)];
            if let Some((name, part)) = placeholders.into_iter().find(|(name, _)| rest.starts_with(name)) {
                parts.push(part);
                rest = &rest[name.len()..];
            } else {
                let end = rest.char_indices().skip(1).find(|&(_, c)| c == '{').map_or(rest.len(), |(at, _)| at);
                parts.push(FormatPart::Text(rest[..end].to_owned()));
                rest = &rest[end..];
            }
        }
        TokenFormat { parts }.check(format)
    }
}

impl TryFrom<String> for TokenFormat {
    type Error = Error;

    fn try_from(format: String) -> Result<Self> {
        format.parse()
    }
}

impl From<TokenFormat> for String {
    fn from(format: TokenFormat) -> String {
        format.to_string()
    }
}

impl fmt::Display for TokenFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in &self.parts {
            f.write_str(match part {
                FormatPart::Text(text) => text,
                FormatPart::Letter => "{level}",
                FormatPart::Index => "{index}",
                FormatPart::Code => "{code}",
            })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ambiguous_formats_are_refused() {
        for bad in [
            "",
            "x",
            "{code}",
            "{index}{code}",
            "{code}{index}",
            "<{level}_{code}> ",
            "{level}{code}1",
            "{level}{level}{code}",
        ] {
            assert!(bad.parse::<TokenFormat>().is_err(), "{bad}");
        }
        for good in
            ["<{level}_{code}>", "{level}{code}", "[{index}:{code}]", "<|sid_{index}_{code}|>", "é{level}-{code}é"]
        {
            assert_eq!(good.parse::<TokenFormat>().unwrap().to_string(), good);
        }
    }

    #[test]
    fn invalid_ids_are_refused_with_the_position() {
        let parse = |text| TokenFormat::default().parse(text, &[256, 16]).unwrap_err().to_string();
        assert!(parse("<a_1><b_16>").contains("below 16"));
        assert!(parse("<a_1><c_1>").contains("character 7"));
        assert!(parse("<a_01>").contains("below 256"));
        assert!(parse("<a_1><b_2><c_3>").contains("at most 2"));
    }

    proptest! {
        #[test]
        fn formatted_ids_can_be_parsed(codes in prop::collection::vec(0u16..300, 0..8), which in 0usize..4) {
            let form = ["<{level}_{code}>", "{level}{code}", "[{index}:{code}]", "é{code}-{level}"][which];
            let format: TokenFormat = form.parse().unwrap();
            prop_assert_eq!(format.parse(&format.semantic_id(&codes), &[300; 8]).unwrap(), codes);
        }
    }
}
