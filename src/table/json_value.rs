//! JSON values that keep numbers as written.
//!
//! A JSON number can have any number of digits, and ids must keep all of them. So numbers remain text until a column is
//! built.

use serde_json::value::RawValue;

use super::limits::{MAX_CELL_BYTES, MAX_JSON_DEPTH, mib};

/// A value of a requested key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum JsonValue {
    Null,
    Bool(bool),
    /// A number, as written.
    Number(String),
    Text(String),
    List(Vec<JsonValue>),
    /// Objects are not parsed.
    Object,
}

impl JsonValue {
    /// Parses a value that the JSON parser has already validated.
    pub(super) fn of(raw: &RawValue) -> Result<Self, String> {
        if raw.get().len() > MAX_CELL_BYTES {
            return Err(format!("a value of more than {}", mib(MAX_CELL_BYTES)));
        }
        Self::within(raw, 0)
    }

    fn within(raw: &RawValue, depth: usize) -> Result<Self, String> {
        let text = raw.get();
        Ok(match text.as_bytes().first() {
            Some(b'n') => JsonValue::Null,
            Some(b't') => JsonValue::Bool(true),
            Some(b'f') => JsonValue::Bool(false),
            Some(b'{') => JsonValue::Object,
            Some(b'"') => JsonValue::Text(serde_json::from_str(text).map_err(|e| e.to_string())?),
            Some(b'[') if depth == MAX_JSON_DEPTH => {
                return Err(format!("arrays nested more than {MAX_JSON_DEPTH} deep"));
            }
            Some(b'[') => {
                let parts: Vec<&RawValue> = serde_json::from_str(text).map_err(|e| e.to_string())?;
                JsonValue::List(parts.into_iter().map(|part| Self::within(part, depth + 1)).collect::<Result<_, _>>()?)
            }
            _ => JsonValue::Number(text.to_owned()),
        })
    }

    /// Number of bytes of the texts and numbers in the value.
    pub(super) fn bytes(&self) -> usize {
        match self {
            JsonValue::Number(text) | JsonValue::Text(text) => text.len(),
            JsonValue::List(parts) => parts.iter().map(Self::bytes).sum(),
            JsonValue::Null | JsonValue::Bool(_) | JsonValue::Object => 0,
        }
    }

    /// The value as one text. `None` for null, lists and objects.
    pub(super) fn text(&self) -> Option<String> {
        match self {
            JsonValue::Text(text) => Some(text.clone()),
            JsonValue::Bool(value) => Some(value.to_string()),
            JsonValue::Number(digits) if is_integer(digits) => Some(digits.clone()),
            // Other numbers are written in their shortest form: 1.50 as 1.5.
            JsonValue::Number(number) => {
                let short = number.parse::<f64>().ok().and_then(serde_json::Number::from_f64);
                Some(short.map_or_else(|| number.clone(), |short| short.to_string()))
            }
            JsonValue::Null | JsonValue::List(_) | JsonValue::Object => None,
        }
    }

    /// The value as an item id: strings unchanged, integers with all their digits, and numbers such as `1.0` as
    /// integers. The error describes any other value.
    pub(super) fn id(&self) -> Result<String, String> {
        match self {
            JsonValue::Text(text) => Ok(text.clone()),
            JsonValue::Number(number) => integer(number).ok_or_else(|| number.clone()),
            JsonValue::Bool(value) => Err(value.to_string()),
            JsonValue::Null => Err("null".into()),
            JsonValue::List(_) => Err("an array".into()),
            JsonValue::Object => Err("an object".into()),
        }
    }
}

fn is_integer(number: &str) -> bool {
    number.strip_prefix('-').unwrap_or(number).bytes().all(|byte| byte.is_ascii_digit())
}

/// A number as an integer with all its digits. `None` if it is not an integer.
fn integer(number: &str) -> Option<String> {
    /// Up to this value, every integer has its own 64-bit float.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if is_integer(whole) && fraction.bytes().all(|byte| byte == b'0') {
        return Some(if whole == "-0" { "0".into() } else { whole.to_owned() });
    }
    let value = number.parse::<f64>().ok().filter(|value| value.fract() == 0.0 && value.abs() <= EXACT)?;
    Some((value as i64).to_string())
}

/// Replaces values that Python writes but JSON does not allow: NaN and infinities by null, unpaired surrogates by
/// U+FFFD. `None` if there is nothing to replace.
pub(super) fn mended(line: &str) -> Option<String> {
    let bytes = line.as_bytes();
    let (mut mended, mut copied, mut at, mut in_string) = (String::new(), 0, 0, false);
    while at < bytes.len() {
        let (length, by) = match bytes[at] {
            b'"' => {
                in_string = !in_string;
                (1, None)
            }
            b'\\' if in_string => escape(&bytes[at..]),
            b'N' | b'I' | b'-' if !in_string => {
                let words = ["NaN", "-NaN", "Infinity", "-Infinity"];
                let word = words.into_iter().find(|word| bytes[at..].starts_with(word.as_bytes()));
                (word.map_or(1, str::len), word.map(|_| "null"))
            }
            _ => (1, None),
        };
        if let Some(by) = by {
            mended += &line[copied..at];
            mended += by;
            copied = at + length;
        }
        at += length;
    }
    (copied > 0).then(|| mended + &line[copied.min(line.len())..])
}

/// Length of the escape sequence at the start, and the replacement if it is an unpaired surrogate.
fn escape(bytes: &[u8]) -> (usize, Option<&'static str>) {
    let unit = |bytes: &[u8]| {
        let digits = bytes.strip_prefix(b"\\u").and_then(|rest| std::str::from_utf8(rest.get(..4)?).ok())?;
        u16::from_str_radix(digits, 16).ok()
    };
    match unit(bytes) {
        Some(0xD800..=0xDBFF) if matches!(unit(&bytes[6..]), Some(0xDC00..=0xDFFF)) => (12, None),
        Some(0xD800..=0xDFFF) => (6, Some("\\ufffd")),
        Some(_) => (6, None),
        None => (2, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> Result<JsonValue, String> {
        JsonValue::of(serde_json::from_str::<&RawValue>(text).map_err(|e| e.to_string())?)
    }

    #[test]
    fn ids_keep_their_digits() {
        let cases = [
            ("18446744073709551616", Ok("18446744073709551616")),
            ("123456789012345678901234567890.00", Ok("123456789012345678901234567890")),
            ("-7", Ok("-7")),
            ("1.0", Ok("1")),
            ("-0.0", Ok("0")),
            ("12e2", Ok("1200")),
            ("1.5e1", Ok("15")),
            ("\"1.0\"", Ok("1.0")),
            ("1.5", Err("1.5")),
            ("1e300", Err("1e300")),
            ("true", Err("true")),
            ("[1]", Err("an array")),
        ];
        for (text, expected) in cases {
            let id = value(text).unwrap().id();
            assert_eq!(id.as_deref().map_err(String::as_str), expected, "{text}");
        }
    }

    #[test]
    fn texts_equal_those_of_serde_except_for_long_integers() {
        for text in ["7", "1.5", "1.50", "1e2", "18446744073709551615", "true", "\"x\\n\"", "1e400"] {
            let known = serde_json::from_str::<serde_json::Value>(text);
            let known = known.map_or(text.to_owned(), |known| known.as_str().map_or(known.to_string(), str::to_owned));
            assert_eq!(value(text).unwrap().text(), Some(known));
        }
        assert_eq!(value("123456789012345678901").unwrap().text(), Some("123456789012345678901".into()));
    }

    #[test]
    fn deep_arrays_are_refused() {
        let nested = |depth: usize| value(&("[".repeat(depth) + &"]".repeat(depth)));
        assert!(nested(100).is_ok());
        assert!(nested(100_000).unwrap_err().contains("nested more than 100 deep"));
    }

    #[test]
    fn invalid_json_of_python_is_replaced() {
        let cases = [
            (r#"{"a": NaN, "b": [-Infinity, Infinity]}"#, Some(r#"{"a": null, "b": [null, null]}"#)),
            (r#"{"NaN": "Infinity \" NaN \\", "x": -1}"#, None),
            (r#"{"a": "\ud83d"}"#, Some(r#"{"a": "\ufffd"}"#)),
            (r#"{"a": "\ude00\ud83d\ud83d\ude00\\ud83d"}"#, Some(r#"{"a": "\ufffd\ufffd\ud83d\ude00\\ud83d"}"#)),
            (r#"{"a": "\ud8"#, None),
            ("\"\\", None),
        ];
        for (line, expected) in cases {
            assert_eq!(mended(line).as_deref(), expected, "{line}");
        }
    }
}
