//! The types of attributes, and their values.

use std::fmt;
use std::str::FromStr;

use arrow::compute::kernels::cast_utils::string_to_datetime;
use arrow::datatypes::{DataType, Field, TimeUnit};
use chrono::Utc;

use crate::error::{Error, Result};

/// The type of an attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttributeKind {
    /// `true` or `false`.
    Bool,
    /// An integer of 64 bits.
    Integer,
    /// A floating-point number.
    Float,
    /// A string.
    Text,
    /// A list of strings.
    List,
    /// A point in time, in microseconds since 1970 UTC. A date is its midnight.
    Timestamp,
}

impl AttributeKind {
    const ALL: [AttributeKind; 6] = [
        AttributeKind::Bool,
        AttributeKind::Integer,
        AttributeKind::Float,
        AttributeKind::Text,
        AttributeKind::List,
        AttributeKind::Timestamp,
    ];

    /// The name, as in `--attributes COLUMN:TYPE`.
    pub fn name(self) -> &'static str {
        match self {
            AttributeKind::Bool => "bool",
            AttributeKind::Integer => "integer",
            AttributeKind::Float => "float",
            AttributeKind::Text => "string",
            AttributeKind::List => "list",
            AttributeKind::Timestamp => "timestamp",
        }
    }

    /// The Arrow type in `attributes.parquet`.
    pub(super) fn data_type(self) -> DataType {
        match self {
            AttributeKind::Bool => DataType::Boolean,
            AttributeKind::Integer => DataType::Int64,
            AttributeKind::Float => DataType::Float64,
            AttributeKind::Text => DataType::Utf8,
            AttributeKind::List => DataType::List(Field::new_list_field(DataType::Utf8, true).into()),
            AttributeKind::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        }
    }

    /// The kind of a column of `attributes.parquet`.
    pub(super) fn of_stored(data_type: &DataType) -> Option<Self> {
        match data_type {
            DataType::List(element) if *element.data_type() == DataType::Utf8 => Some(AttributeKind::List),
            other => AttributeKind::ALL.into_iter().find(|kind| kind.data_type() == *other),
        }
    }
}

impl fmt::Display for AttributeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A column of a catalog to keep as an attribute: `NAME` or `NAME:TYPE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttributeRequest {
    /// The column.
    pub name: String,
    /// The type; inferred if `None`.
    pub kind: Option<AttributeKind>,
}

impl FromStr for AttributeRequest {
    type Err = Error;

    /// # Errors
    /// [`Error::Config`] for an empty or reserved name.
    fn from_str(text: &str) -> Result<Self> {
        let typed = text.rsplit_once(':').and_then(|(name, kind)| {
            let kind = AttributeKind::ALL.into_iter().find(|known| known.name() == kind)?;
            Some((name, Some(kind)))
        });
        let (name, kind) = typed.unwrap_or((text, None));
        if name.trim().is_empty() || name == super::ID {
            let names: Vec<&str> = AttributeKind::ALL.iter().map(|kind| kind.name()).collect();
            let expected = format!("COLUMN or COLUMN:TYPE, with a type of {}", names.join(", "));
            let got = if name == super::ID { "item_id, which always has the item ids" } else { "an empty name" };
            return Err(Error::config("attributes", expected, got, "name a column of the catalog"));
        }
        Ok(AttributeRequest { name: name.to_owned(), kind })
    }
}

/// A value of an attribute or of a parameter.
#[derive(Debug, Clone, PartialEq)]
pub enum AttributeValue {
    /// No value.
    Null,
    /// A truth value.
    Bool(bool),
    /// An integer.
    Integer(i64),
    /// A floating-point number; NaN counts as null.
    Float(f64),
    /// A string.
    Text(String),
    /// A list of strings.
    List(Vec<String>),
    /// Microseconds since 1970 UTC.
    Timestamp(i64),
    /// A list of values, for a parameter after `in`.
    Values(Vec<AttributeValue>),
}

impl AttributeValue {
    /// A value in JSON: null, a boolean, a number, a string, or a list of these. `None` for another one.
    pub fn of_json(value: &serde_json::Value) -> Option<Self> {
        use serde_json::Value as J;
        Some(match value {
            J::Null => AttributeValue::Null,
            J::Bool(value) => AttributeValue::Bool(*value),
            J::Number(number) => match (number.as_i64(), number.as_f64()) {
                (Some(value), _) => AttributeValue::Integer(value),
                (None, Some(value)) => AttributeValue::Float(value),
                (None, None) => return None,
            },
            J::String(text) => AttributeValue::Text(text.clone()),
            J::Array(values) => AttributeValue::Values(values.iter().map(Self::of_json).collect::<Option<_>>()?),
            J::Object(_) => return None,
        })
    }

    /// What it is, for error messages.
    pub(super) fn describe(&self) -> &'static str {
        match self {
            AttributeValue::Null => "null",
            AttributeValue::Bool(_) => "a bool",
            AttributeValue::Integer(_) => "an integer",
            AttributeValue::Float(_) => "a float",
            AttributeValue::Text(_) => "a string",
            AttributeValue::List(_) => "a list of strings",
            AttributeValue::Timestamp(_) => "a timestamp",
            AttributeValue::Values(_) => "a list",
        }
    }

    /// The value as one of an attribute of this kind. `None` if it does not fit.
    pub(super) fn fitted(self, kind: AttributeKind) -> Option<AttributeValue> {
        use AttributeValue as V;
        Some(match (kind, self) {
            (_, V::Null) => V::Null,
            (AttributeKind::Float, V::Float(value)) if value.is_nan() => V::Null,
            (AttributeKind::Float, V::Integer(value)) => V::Float(value as f64),
            (AttributeKind::Timestamp, V::Text(text)) => V::Timestamp(timestamp(&text)?),
            (AttributeKind::List, V::Text(text)) => V::List(vec![text]),
            (AttributeKind::List, V::Values(values)) => {
                let text = |value| if let V::Text(text) = value { Some(text) } else { None };
                V::List(values.into_iter().map(text).collect::<Option<_>>()?)
            }
            (AttributeKind::Bool, value @ V::Bool(_))
            | (AttributeKind::Integer, value @ V::Integer(_))
            | (AttributeKind::Float, value @ V::Float(_))
            | (AttributeKind::Text, value @ V::Text(_))
            | (AttributeKind::List, value @ V::List(_))
            | (AttributeKind::Timestamp, value @ V::Timestamp(_)) => value,
            _ => return None,
        })
    }
}

/// A borrowed value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Cell<'a> {
    Null,
    Bool(bool),
    Integer(i64),
    Float(f64),
    Text(&'a str),
    List(&'a [String]),
    Timestamp(i64),
}

/// The shortest decimal number that is nearest to a float of 32 bits, as one of 64 bits. Whole numbers are exact.
pub fn decimal(value: f32) -> f64 {
    let wide = f64::from(value);
    if value.fract() == 0.0 { wide } else { value.to_string().parse().unwrap_or(wide) }
}

/// Microseconds since 1970 UTC of a date or a date and time in ISO 8601, in UTC unless it names another zone.
pub(super) fn timestamp(text: &str) -> Option<i64> {
    string_to_datetime(&Utc, text.trim()).ok().map(|time| time.timestamp_micros())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_have_an_optional_type() {
        let parse = |text: &str| text.parse::<AttributeRequest>();
        assert_eq!(
            parse("price:float").unwrap(),
            AttributeRequest { name: "price".into(), kind: Some(AttributeKind::Float) }
        );
        assert_eq!(parse("a:b").unwrap(), AttributeRequest { name: "a:b".into(), kind: None });
        for wrong in ["", " ", "item_id", ":float", "item_id:string"] {
            assert!(parse(wrong).unwrap_err().to_string().contains("COLUMN:TYPE"), "{wrong}");
        }
    }

    #[test]
    fn timestamps_are_dates_or_times() {
        assert_eq!(timestamp("1970-01-02"), Some(86_400_000_000));
        assert_eq!(timestamp("1970-01-01T01:00:00+01:00"), Some(0));
        assert_eq!(timestamp("1970-01-01 00:00:00.5"), Some(500_000));
        assert_eq!(timestamp("9999-12-31"), Some(253_402_214_400_000_000));
        assert_eq!(timestamp("yesterday"), None);
    }
}
