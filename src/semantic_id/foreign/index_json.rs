//! Reads `index.json`: a JSON object that maps item ids to lists of tokens.

use std::fmt;
use std::path::Path;

use serde::de::{Deserializer, Error as _, MapAccess, Visitor};
use serde_json::Value;

use super::raw::RawIds;
use crate::artifact::read_text;
use crate::error::{Error, Result};

/// Reads an index in the order of the file. Duplicate items are kept here and refused later.
pub(super) fn read(path: &Path, raw: &mut RawIds) -> Result<()> {
    let text = read_text(path).map_err(|e| Error::io("read", path, e))?;
    let mut deserializer = serde_json::Deserializer::from_str(text.trim_start_matches('\u{feff}'));
    let read = (&mut deserializer).deserialize_map(IndexVisitor(raw)).and_then(|()| deserializer.end());
    read.map_err(|e| {
        let help = "pass an index.json, or the format of the file with --from";
        Error::file(path, "a JSON object that maps item ids to lists of tokens", e, help)
    })
}

struct IndexVisitor<'a>(&'a mut RawIds);

impl<'de> Visitor<'de> for IndexVisitor<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object that maps item ids to lists of tokens")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<(), A::Error> {
        while let Some((item, value)) = map.next_entry::<String, Value>()? {
            match value {
                Value::Array(tokens) => {
                    let texts: Vec<String> = tokens.into_iter().map(text).collect();
                    self.0.push(item, texts.iter().map(String::as_str));
                }
                Value::String(id) => self.0.push_text(item, &id),
                other => {
                    return Err(A::Error::custom(format!("{other} instead of a list of tokens for item {item:?}")));
                }
            }
        }
        Ok(())
    }
}

/// A token as text. A number is a code.
fn text(token: Value) -> String {
    match token {
        Value::String(text) => text,
        other => other.to_string(),
    }
}
