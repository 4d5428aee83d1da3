//! Values of JSON as Arrow columns.
//!
//! Shops write one field now as a string, now as a list. Within a batch a column has the type of its widest value; the
//! texts of a value are the same under every type that it can have.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, ListBuilder, NullArray, StringArray, StringBuilder, StructArray};
use serde_json::Value;

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
    pub(super) fn of(value: &Value) -> Self {
        match value {
            Value::Null => JsonColumnKind::Nulls,
            Value::Number(n) if n.is_i64() => JsonColumnKind::Integers,
            Value::Array(parts) if parts.iter().any(Value::is_object) => JsonColumnKind::Objects,
            Value::Array(_) => JsonColumnKind::Lists,
            Value::Object(_) => JsonColumnKind::Objects,
            _ => JsonColumnKind::Texts,
        }
    }

    /// The kind of the widest value, at least `self`.
    pub(super) fn widened<'a>(self, values: impl Iterator<Item = Option<&'a Value>>) -> Self {
        values.flatten().map(Self::of).fold(self, Self::max)
    }
}

/// A column of these values.
pub(super) fn array<'a>(kind: JsonColumnKind, values: impl ExactSizeIterator<Item = Option<&'a Value>>) -> ArrayRef {
    let rows = values.len();
    let values = values.map(|value| value.filter(|value| !value.is_null()));
    match kind {
        JsonColumnKind::Nulls => Arc::new(NullArray::new(rows)),
        JsonColumnKind::Integers => Arc::new(values.map(|v| v.and_then(Value::as_i64)).collect::<Int64Array>()),
        JsonColumnKind::Texts => Arc::new(values.map(|v| v.map(scalar)).collect::<StringArray>()),
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

fn scalar(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The texts of a value, nested arrays flattened.
fn flattened(value: &Value) -> Vec<String> {
    match value {
        Value::Array(values) => values.iter().flat_map(flattened).collect(),
        Value::Null => Vec::new(),
        other => vec![scalar(other)],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Array, AsArray};
    use arrow::datatypes::DataType;
    use serde_json::json;

    #[test]
    fn a_column_has_the_type_of_its_widest_value() {
        let values = [json!(7), Value::Null, json!(u64::MAX), json!(["x", ["y", 2]]), json!({"a": 1})];
        let column = |rows: usize| {
            let values = || values[..rows].iter().map(Some);
            array(JsonColumnKind::Nulls.widened(values()), values())
        };
        assert_eq!(*column(2).data_type(), DataType::Int64);
        assert_eq!(column(3).as_string::<i32>().value(2), u64::MAX.to_string());
        let lists = column(4);
        let lists = lists.as_list::<i32>();
        assert_eq!(lists.value(0).as_string::<i32>().value(0), "7");
        assert_eq!(lists.value(3).as_string::<i32>().iter().flatten().collect::<Vec<_>>(), ["x", "y", "2"]);
        assert!(lists.is_null(1) && matches!(column(5).data_type(), DataType::Struct(_)));
    }
}
