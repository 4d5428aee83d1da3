//! Appends entries to a list or an object inside a JSON text and leaves every other byte unchanged.
//!
//! Parsing and serializing a tokenizer would change the notation of its numbers and escapes. A parser finds the position,
//! and only the insertion is written.

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

/// The entries to append: values to a list, pairs to an object.
pub(super) enum Entries {
    List(Vec<Value>),
    Object(Vec<(String, Value)>),
}

/// The whole text as an object, or the value of one of its keys.
#[derive(Clone, Copy)]
pub(super) enum JsonPlace<'a> {
    Whole,
    Key(&'a str),
    /// A value in nested objects, by its path of keys. All keys must exist.
    Path(&'a [&'a str]),
}

/// The text with entries appended at a place. A missing key is added at the end of the text.
///
/// # Errors
/// The reason, as a phrase without the file name.
pub(super) fn append(text: &str, place: JsonPlace<'_>, entries: &Entries) -> Result<String, String> {
    append_at(text, place, entries, 0)
}

fn append_at(text: &str, place: JsonPlace<'_>, entries: &Entries, depth: usize) -> Result<String, String> {
    let whole: RawObject<'_> = serde_json::from_str(text).map_err(|e| e.to_string())?;
    let find = |key: &str| whole.0.iter().rev().find(|(name, _)| name == key).map(|(_, raw)| raw.get());
    if let JsonPlace::Path(keys) = place {
        let Some((key, rest)) = keys.split_first() else { return append_at(text, JsonPlace::Whole, entries, depth) };
        let inner = find(key).ok_or_else(|| format!("there is no {key}"))?;
        let from = inner.as_ptr() as usize - text.as_ptr() as usize;
        let edited = append_at(inner, JsonPlace::Path(rest), entries, depth + 1)?;
        return Ok([&text[..from], &edited, &text[from + inner.len()..]].concat());
    }
    let is_list = matches!(entries, Entries::List(_));
    let (from, to, depth) = match place {
        JsonPlace::Whole => {
            let from = text.len() - text.trim_start().len();
            (from, text.trim_end().len(), depth)
        }
        JsonPlace::Path(_) => (0, text.len(), depth),
        JsonPlace::Key(key) => match find(key) {
            Some(raw) => {
                let from = raw.as_ptr() as usize - text.as_ptr() as usize;
                (from, from + raw.len(), depth + 1)
            }
            None => {
                let value = match entries {
                    Entries::List(values) => Value::Array(values.clone()),
                    Entries::Object(pairs) => Value::Object(pairs.iter().cloned().collect()),
                };
                let pair = Entries::Object(vec![(key.to_owned(), value)]);
                return append_at(text, JsonPlace::Whole, &pair, depth);
            }
        },
    };
    let container = &text[from..to];
    if container.starts_with('[') != is_list || container.starts_with('{') == is_list {
        let kind = if is_list { "a list" } else { "an object" };
        let name = if let JsonPlace::Key(key) = place { key } else { "the file" };
        return Err(format!("{name} is not {kind}"));
    }
    let inside = container[1..container.len() - 1].trim_end();
    let at = from + 1 + inside.len();
    // Keep the layout: a list that spans lines gets new lines. An empty one follows the layout of the whole text.
    let lines = if inside.is_empty() { text.trim_end().contains('\n') } else { container.contains('\n') };
    let inserted = serialized(entries, depth, lines, !inside.is_empty());
    let rest = if inside.is_empty() && lines { &text[to - 1..] } else { &text[at..] };
    let closing = if inside.is_empty() && lines { format!("\n{}", "  ".repeat(depth)) } else { String::new() };
    Ok([&text[..at], &inserted, &closing, rest].concat())
}

fn serialized(entries: &Entries, depth: usize, lines: bool, after_others: bool) -> String {
    let indent = "  ".repeat(depth + 1);
    let value = |value: &Value| if lines { pretty(value, &indent) } else { value.to_string() };
    let parts: Vec<String> = match entries {
        Entries::List(values) => values.iter().map(value).collect(),
        Entries::Object(pairs) => {
            let colon = if lines { ": " } else { ":" };
            pairs.iter().map(|(key, v)| format!("{}{colon}{}", Value::from(key.as_str()), value(v))).collect()
        }
    };
    let mut out = String::new();
    for (index, part) in parts.iter().enumerate() {
        if after_others || index > 0 {
            out.push(',');
        }
        if lines {
            out += "\n";
            out += &indent;
        }
        out += part;
    }
    out
}

fn pretty(value: &Value, indent: &str) -> String {
    // These values can always be serialized.
    serde_json::to_string_pretty(value).unwrap_or_default().replace('\n', &format!("\n{indent}"))
}

/// The keys of an object and the text of its values, in order.
struct RawObject<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for RawObject<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Vec<(String, &'de RawValue)>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(pairs)
            }
        }
        deserializer.deserialize_map(Visitor).map(RawObject)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn insertions_follow_the_layout_of_the_text() {
        let list = Entries::List(vec![json!({"id": 1})]);
        let cases = [
            ("{\"a\": [1], \"b\": -0.10}", "{\"a\": [1,{\"id\":1}], \"b\": -0.10}"),
            ("{\n  \"a\": [\n    1\n  ]\n}\n", "{\n  \"a\": [\n    1,\n    {\n      \"id\": 1\n    }\n  ]\n}\n"),
            ("{\n  \"a\": []\n}", "{\n  \"a\": [\n    {\n      \"id\": 1\n    }\n  ]\n}"),
            ("{\"b\":1e3}", "{\"b\":1e3,\"a\":[{\"id\":1}]}"),
            ("{}", "{\"a\":[{\"id\":1}]}"),
        ];
        for (text, expected) in cases {
            assert_eq!(append(text, JsonPlace::Key("a"), &list).unwrap(), expected);
        }
        let pair = Entries::Object(vec![("<é>".into(), json!(7))]);
        assert_eq!(append("{\n  \"x\": 1\n}\n", JsonPlace::Whole, &pair).unwrap(), "{\n  \"x\": 1,\n  \"<é>\": 7\n}\n");
        let nested = "{\n  \"m\": {\n    \"v\": {\n      \"x\": 1\n    }\n  }\n}";
        let expected = "{\n  \"m\": {\n    \"v\": {\n      \"x\": 1,\n      \"<é>\": 7\n    }\n  }\n}";
        assert_eq!(append(nested, JsonPlace::Path(&["m", "v"]), &pair).unwrap(), expected);
        assert!(append(nested, JsonPlace::Path(&["m", "w"]), &pair).unwrap_err().contains("no w"));
        assert!(append("{\"a\": 3}", JsonPlace::Key("a"), &list).unwrap_err().contains("a is not a list"));
        assert!(append("[1]", JsonPlace::Whole, &pair).is_err());
    }

    proptest! {
        #[test]
        fn existing_bytes_are_unchanged(keys in prop::collection::vec("[a-z\\\\\"é]{0,4}", 0..5), pretty: bool) {
            let mut whole: serde_json::Map<String, Value> =
                keys.iter().map(|k| (k.clone(), json!([k, {"n": 1.50}]))).collect();
            whole.insert("added".into(), json!(["<x>", "]"]));
            let text = if pretty { serde_json::to_string_pretty(&whole) } else { serde_json::to_string(&whole) }.unwrap();
            let new = append(&text, JsonPlace::Key("added"), &Entries::List(vec![json!("<y>")])).unwrap();
            whole["added"] = json!(["<x>", "]", "<y>"]);
            prop_assert_eq!(serde_json::from_str::<Value>(&new).unwrap(), Value::Object(whole));
            let common = text.bytes().zip(new.bytes()).take_while(|(a, b)| a == b).count();
            prop_assert!(new.ends_with(&text[common..]));
        }
    }
}
