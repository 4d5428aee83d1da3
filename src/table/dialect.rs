//! Quote and escape characters of CSV and TSV.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::Error;

/// The quote or escape character of CSV, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CsvCharacter(Option<u8>);

/// The name for no character.
const NONE: &str = "none";

impl FromStr for CsvCharacter {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text.as_bytes() {
            _ if text == NONE => Ok(CsvCharacter(None)),
            [byte] if byte.is_ascii_punctuation() && !b",".contains(byte) => Ok(CsvCharacter(Some(*byte))),
            _ => {
                let expected = "one ASCII punctuation character other than a comma, or none";
                let help = "give the character that encloses cells, or the one that precedes quotes in cells";
                Err(Error::config("csv-quote or csv-escape", expected, format!("{text:?}"), help))
            }
        }
    }
}

impl TryFrom<String> for CsvCharacter {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl From<CsvCharacter> for String {
    fn from(character: CsvCharacter) -> String {
        character.to_string()
    }
}

impl fmt::Display for CsvCharacter {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self.0 {
            Some(byte) => write!(f, "{}", char::from(byte)),
            None => f.write_str(NONE),
        }
    }
}

/// Quote and escape characters of CSV and TSV files, if they differ from the defaults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CsvDialect {
    /// The quote character. Default: `"` for CSV, none for TSV.
    pub quote: Option<CsvCharacter>,
    /// The escape character before a quote in a quoted cell. Default: none. Doubled quotes are always accepted.
    pub escape: Option<CsvCharacter>,
}

impl CsvDialect {
    /// The quote character of a file with this delimiter.
    pub(super) fn quote_for(&self, delimiter: u8) -> Option<u8> {
        match self.quote {
            Some(given) => given.0,
            // IANA's text/tab-separated-values has no quoting.
            None => (delimiter != b'\t').then_some(b'"'),
        }
    }

    /// The escape character, if there is one.
    pub(super) fn escape_byte(&self) -> Option<u8> {
        self.escape.and_then(|given| given.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quote_setting_is_one_character_or_none() {
        let dialect = CsvDialect { quote: Some("'".parse().unwrap()), escape: Some("\\".parse().unwrap()) };
        assert_eq!((dialect.quote_for(b'\t'), dialect.escape_byte()), (Some(b'\''), Some(b'\\')));
        let usual = CsvDialect::default();
        assert_eq!((usual.quote_for(b','), usual.quote_for(b'\t'), usual.escape_byte()), (Some(b'"'), None, None));
        let none: CsvCharacter = serde_json::from_str("\"none\"").unwrap();
        assert_eq!((none.0, serde_json::to_string(&none).unwrap()), (None, "\"none\"".to_owned()));
        for wrong in ["", "ab", "\u{e9}", ",", "a", "\n", "\t"] {
            assert!(wrong.parse::<CsvCharacter>().is_err(), "{wrong:?}");
        }
    }
}
