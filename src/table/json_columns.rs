//! Values of JSON as Arrow columns.
//!
//! A field can be a string in one row and a list in another. Within a batch, a column has the type of its widest value.
//! The texts of a value are the same under every type that the column can have.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, ListBuilder, NullArray, StringArray, StringBuilder, StructArray};

use super::json_value::JsonValue;

/// The kind of the values in a column, from the narrowest to the widest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum JsonColumnKind {
    /// Only nulls.
    Nulls,
    /// Integers of 64 bits.
    Integers,
    /// Strings, other numbers, booleans.
    Texts,
    /// Arrays.
    Lists,
    /// Objects; they have no text.
    Objects,
}

impl JsonColumnKind {
    pub(super) fn of(value: &JsonValue) -> Self {
        match value {
            JsonValue::Null => JsonColumnKind::Nulls,
            JsonValue::Number(number) if number.parse::<i64>().is_ok() => JsonColumnKind::Integers,
            JsonValue::List(parts) if parts.contains(&JsonValue::Object) => JsonColumnKind::Objects,
            JsonValue::List(_) => JsonColumnKind::Lists,
            JsonValue::Object => JsonColumnKind::Objects,
            _ => JsonColumnKind::Texts,
        }
    }

    /// The kind of the widest value, at least `self`.
    pub(super) fn widened<'a>(self, values: impl Iterator<Item = Option<&'a JsonValue>>) -> Self {
        values.flatten().map(Self::of).fold(self, Self::max)
    }
}

/// A column of these values.
pub(super) fn array<'a>(
    kind: JsonColumnKind,
    values: impl ExactSizeIterator<Item = Option<&'a JsonValue>>,
) -> ArrayRef {
    let rows = values.len();
    let values = values.map(|value| value.filter(|value| **value != JsonValue::Null));
    let integer = |value: &JsonValue| match value {
        JsonValue::Number(number) => number.parse::<i64>().ok(),
        _ => None,
    };
    match kind {
        JsonColumnKind::Nulls => Arc::new(NullArray::new(rows)),
        JsonColumnKind::Integers => Arc::new(values.map(|v| v.and_then(integer)).collect::<Int64Array>()),
        JsonColumnKind::Texts => Arc::new(values.map(|v| v.and_then(JsonValue::text)).collect::<StringArray>()),
        JsonColumnKind::Lists => {
            let mut lists = ListBuilder::new(StringBuilder::new());
            for value in values {
                lists.append_option(value.map(|value| flattened(value).into_iter().map(Some)));
            }
            Arc::new(lists.finish())
        }
        JsonColumnKind::Objects => Arc::new(StructArray::new_empty_fields(rows, None)),
    }
}

/// A column of ids: 64-bit integers if all values are 64-bit integers, otherwise strings.
///
/// # Errors
/// The first row whose value is not an id, and a description of the value.
pub(super) fn id_array<'a>(
    values: impl ExactSizeIterator<Item = Option<&'a JsonValue>>,
) -> Result<ArrayRef, (usize, String)> {
    let mut ids: Vec<Option<String>> = Vec::with_capacity(values.len());
    let mut all_integers = true;
    for (row, value) in values.enumerate() {
        let value = value.filter(|value| **value != JsonValue::Null);
        all_integers &= value.is_none_or(|value| matches!(value, JsonValue::Number(_)));
        ids.push(value.map(JsonValue::id).transpose().map_err(|got| (row, got))?);
    }
    let integers = |id: &Option<String>| id.as_deref().map(str::parse::<i64>).transpose();
    Ok(match ids.iter().map(integers).collect::<Result<Int64Array, _>>() {
        Ok(integers) if all_integers => Arc::new(integers),
        _ => Arc::new(ids.into_iter().collect::<StringArray>()),
    })
}

/// The texts of a value, nested arrays flattened.
fn flattened(value: &JsonValue) -> Vec<String> {
    match value {
        JsonValue::List(values) => values.iter().flat_map(flattened).collect(),
        other => other.text().into_iter().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Array, AsArray};
    use arrow::datatypes::DataType;

    fn number(text: &str) -> JsonValue {
        JsonValue::Number(text.into())
    }

    #[test]
    fn a_column_has_the_type_of_its_widest_value() {
        let text = |text: &str| JsonValue::Text(text.into());
        let list = JsonValue::List(vec![text("x"), JsonValue::List(vec![text("y"), number("2")])]);
        let values = [number("7"), JsonValue::Null, number("18446744073709551616"), list, JsonValue::Object];
        let column = |rows: usize| {
            let values = || values[..rows].iter().map(Some);
            array(JsonColumnKind::Nulls.widened(values()), values())
        };
        assert_eq!(*column(2).data_type(), DataType::Int64);
        assert_eq!(column(3).as_string::<i32>().value(2), "18446744073709551616");
        let lists = column(4);
        let lists = lists.as_list::<i32>();
        assert_eq!(lists.value(0).as_string::<i32>().value(0), "7");
        assert_eq!(lists.value(3).as_string::<i32>().iter().flatten().collect::<Vec<_>>(), ["x", "y", "2"]);
        assert!(lists.is_null(1) && matches!(column(5).data_type(), DataType::Struct(_)));
    }

    #[test]
    fn ids_are_integers_only_if_all_values_are() {
        let ids = |values: &[JsonValue]| id_array(values.iter().map(Some));
        assert_eq!(*ids(&[number("7"), number("8.0"), JsonValue::Null]).unwrap().data_type(), DataType::Int64);
        // Digits in quotes are a string.
        assert_eq!(*ids(&[JsonValue::Text("7".into())]).unwrap().data_type(), DataType::Utf8);
        let long = ids(&[number("1.0"), number("18446744073709551616")]).unwrap();
        assert_eq!(long.as_string::<i32>().iter().flatten().collect::<Vec<_>>(), ["1", "18446744073709551616"]);
        assert_eq!(ids(&[number("1"), number("1.5")]).unwrap_err(), (1, "1.5".to_owned()));
    }
}
