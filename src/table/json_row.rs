//! Parsing of one JSON object: only the values of requested keys are kept.

use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};

use super::json_value::JsonValue;

/// Parses an object into the values of `names`. Of a key that occurs twice the last value counts.
pub(super) struct RequestedValues<'a> {
    /// The keys, all different.
    pub(super) names: &'a [String],
}

impl<'de> DeserializeSeed<'de> for RequestedValues<'_> {
    type Value = Vec<Option<JsonValue>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for RequestedValues<'_> {
    type Value = Vec<Option<JsonValue>>;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut values = vec![None; self.names.len()];
        while let Some(requested) = map.next_key_seed(KeyIndex(self.names))? {
            match requested {
                Some(index) => values[index] = Some(JsonValue::of(map.next_value()?).map_err(A::Error::custom)?),
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(values)
    }
}

/// The index of a key among names, without a copy of the key.
struct KeyIndex<'a>(&'a [String]);

impl<'de> DeserializeSeed<'de> for KeyIndex<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for KeyIndex<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        Ok(self.0.iter().position(|name| name == key))
    }
}

/// The keys of all objects that were parsed: which have a value other than null, and in which order they came.
#[derive(Debug, Default)]
pub(super) struct KeySurvey {
    /// Keys in the order of their first occurrence, at most [`KeySurvey::MAX_KEYS`].
    pub(super) keys: Vec<String>,
    known: HashSet<String>,
    /// Those that have had a value.
    with_value: HashSet<String>,
}

impl KeySurvey {
    /// Keys that are remembered for an error message. A file may have any number of different ones.
    const MAX_KEYS: usize = 1_000;

    /// Whether a key has occurred, with a value or with null. Of `requested` keys this is exact.
    pub(super) fn has(&self, key: &str) -> bool {
        self.known.contains(key)
    }

    /// Whether a requested key has had a value other than null.
    pub(super) fn has_value(&self, key: &str) -> bool {
        self.with_value.contains(key)
    }
}

/// Parses an object for its keys alone.
pub(super) struct SurveyedKeys<'a> {
    /// Keys that are always remembered.
    pub(super) requested: &'a [String],
    pub(super) survey: &'a mut KeySurvey,
}

impl<'de> DeserializeSeed<'de> for SurveyedKeys<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for SurveyedKeys<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let KeySurvey { keys, known, with_value } = self.survey;
        while let Some(key) = map.next_key::<String>()? {
            let has_value = map.next_value::<Option<IgnoredAny>>()?.is_some();
            let requested = self.requested.contains(&key);
            if requested && has_value && !with_value.contains(&key) {
                with_value.insert(key.clone());
            }
            if (requested || keys.len() < KeySurvey::MAX_KEYS) && !known.contains(&key) {
                keys.push(key.clone());
                known.insert(key);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(text: &str) -> serde_json::Result<Vec<Option<JsonValue>>> {
        let names = ["id".to_owned(), "t".into()];
        RequestedValues { names: &names }.deserialize(&mut serde_json::Deserializer::from_str(text))
    }

    #[test]
    fn only_requested_keys_are_kept_and_the_last_value_counts() {
        let found = values(r#"{"x": {"id": 1}, "\u0069d": 2, "y": [1, "z"], "id": [3, {"k": null}]}"#).unwrap();
        let list = JsonValue::List(vec![JsonValue::Number("3".into()), JsonValue::Object]);
        assert_eq!(found, [Some(list), None]);
        assert_eq!(values(r#"{"t": null}"#).unwrap(), [None, Some(JsonValue::Null)]);
    }

    #[test]
    fn malformed_json_in_an_ignored_value_is_an_error() {
        for text in [r#"{"x": [1, 2, "id": 3}"#, r#"{"x": tru, "id": 1}"#, r#"{"x": "\q", "id": 1}"#, "[1]", "7"] {
            assert!(values(text).is_err(), "{text}");
        }
    }
}
