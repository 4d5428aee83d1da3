//! Ids from Arrow columns of every type that holds integers or strings.

use arrow::array::{Array, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, Int64Type};

use super::{IdFault, ItemIds};

/// The ids of a column.
pub(super) fn ids(column: &dyn Array) -> Result<ItemIds, IdFault> {
    use DataType as T;
    if let T::Dictionary(_, value) = column.data_type() {
        return ids(&*converted(column, value)?);
    }
    if let Some(row) = (0..column.len()).find(|&row| column.is_null(row) || column.data_type() == &T::Null) {
        return Err(IdFault::Null(row));
    }
    match column.data_type() {
        T::Int8 | T::Int16 | T::Int32 | T::Int64 | T::UInt8 | T::UInt16 | T::UInt32 => integers(column),
        T::UInt64 => texts(column).map(narrowest),
        T::Float16 => floats(column, 11),
        T::Float32 => floats(column, f32::MANTISSA_DIGITS),
        T::Float64 => floats(column, f64::MANTISSA_DIGITS),
        T::Decimal32(..) | T::Decimal64(..) | T::Decimal128(..) | T::Decimal256(..) => {
            let whole = |(row, text): (usize, String)| whole(&text).ok_or(IdFault::Unusable(row, text));
            texts(column)?.into_iter().enumerate().map(whole).collect::<Result<_, _>>().map(narrowest)
        }
        T::Utf8 | T::LargeUtf8 | T::Utf8View => texts(column).map(ItemIds::Strings),
        T::Binary | T::LargeBinary | T::BinaryView | T::FixedSizeBinary(_) => {
            let bytes = converted(column, &T::LargeBinary)?;
            let bytes = bytes.as_binary::<i64>();
            let text = |row: usize| {
                let text = std::str::from_utf8(bytes.value(row)).map(str::to_owned);
                text.map_err(|_| IdFault::Unusable(row, "bytes that are not UTF-8".into()))
            };
            (0..bytes.len()).map(text).collect::<Result<_, _>>().map(ItemIds::Strings)
        }
        T::Null => Ok(ItemIds::default()),
        other => Err(IdFault::Type(other.clone())),
    }
}

fn converted(column: &dyn Array, to: &DataType) -> Result<arrow::array::ArrayRef, IdFault> {
    cast(column, to).map_err(|_| IdFault::Type(column.data_type().clone()))
}

fn integers(column: &dyn Array) -> Result<ItemIds, IdFault> {
    let column = converted(column, &DataType::Int64)?;
    Ok(ItemIds::Integers(column.as_primitive::<Int64Type>().values().to_vec()))
}

fn texts(column: &dyn Array) -> Result<Vec<String>, IdFault> {
    let column = converted(column, &DataType::LargeUtf8)?;
    Ok(column.as_string::<i64>().iter().map(|text| text.unwrap_or_default().to_owned()).collect())
}

/// Ids from floats with a mantissa of `bits` bits. A float is an id if it is an integer small enough that all
/// neighbouring integers have an exact float. pandas converts an integer column with a missing value to floats, where
/// NaN is the missing value.
fn floats(column: &dyn Array, bits: u32) -> Result<ItemIds, IdFault> {
    let column = converted(column, &DataType::Float64)?;
    let most = (1_i64 << bits) as f64;
    let id = |(row, &value): (usize, &f64)| match value {
        value if value.is_nan() => Err(IdFault::Null(row)),
        value if value.fract() == 0.0 && value.abs() <= most => Ok(value as i64),
        value => Err(IdFault::Unusable(row, value.to_string())),
    };
    let values = column.as_primitive::<Float64Type>().values();
    values.iter().enumerate().map(id).collect::<Result<_, _>>().map(ItemIds::Integers)
}

/// The digits of an integral decimal.
fn whole(text: &str) -> Option<String> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    fraction.bytes().all(|digit| digit == b'0').then(|| if whole == "-0" { "0".into() } else { whole.to_owned() })
}

/// Integers if all of them fit in 64 bits, otherwise strings of their digits.
fn narrowest(digits: Vec<String>) -> ItemIds {
    match digits.iter().map(|id| id.parse()).collect::<Result<_, _>>() {
        Ok(integers) => ItemIds::Integers(integers),
        Err(_) => ItemIds::Strings(digits),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{
        ArrayRef, BinaryArray, BooleanArray, Decimal128Array, DictionaryArray, Float32Array, Float64Array, Int32Array,
        Int64Array, NullArray, StringViewArray, UInt64Array,
    };
    use std::sync::Arc;

    #[test]
    fn every_integer_and_string_type_follows_one_rule() {
        let integers = |ids: &[i64]| Ok(ItemIds::Integers(ids.to_vec()));
        let strings = |ids: &[&str]| Ok(ItemIds::Strings(ids.iter().map(|&id| id.to_owned()).collect()));
        let unusable = |row, got: &str| Err(IdFault::Unusable(row, got.into()));
        let decimals =
            |values: Vec<i128>, scale| Decimal128Array::from(values).with_precision_and_scale(38, scale).unwrap();
        let keys = || Int32Array::from(vec![1, 0, 1]);
        let dictionary = |values: ArrayRef| Arc::new(DictionaryArray::new(keys(), values));
        let cases: Vec<(ArrayRef, Result<ItemIds, IdFault>)> = vec![
            (Arc::new(UInt64Array::from(vec![1, 2])), integers(&[1, 2])),
            (Arc::new(UInt64Array::from(vec![1, u64::MAX])), strings(&["1", "18446744073709551615"])),
            (Arc::new(decimals(vec![1, -2], 0)), integers(&[1, -2])),
            (Arc::new(decimals(vec![100, -200], 2)), integers(&[1, -2])),
            (Arc::new(decimals(vec![10_i128.pow(30)], 0)), strings(&["1000000000000000000000000000000"])),
            (Arc::new(decimals(vec![100, 150], 2)), unusable(1, "1.50")),
            (Arc::new(Float64Array::from(vec![1.0, -0.0])), integers(&[1, 0])),
            (Arc::new(Float64Array::from(vec![1.0, 1.5])), unusable(1, "1.5")),
            (Arc::new(Float64Array::from(vec![1.0, f64::NAN])), Err(IdFault::Null(1))),
            (Arc::new(Float64Array::from(vec![1e16])), unusable(0, "10000000000000000")),
            (Arc::new(Float32Array::from(vec![16_777_216.0])), integers(&[16_777_216])),
            (Arc::new(Float32Array::from(vec![16_777_218.0])), unusable(0, "16777218")),
            (Arc::new(BinaryArray::from(vec![&b"x"[..], b"\xC3\xA9"])), strings(&["x", "\u{e9}"])),
            (Arc::new(BinaryArray::from(vec![&b"x"[..], b"\xE9"])), unusable(1, "bytes that are not UTF-8")),
            (Arc::new(StringViewArray::from(vec!["a"])), strings(&["a"])),
            (dictionary(Arc::new(Int64Array::from(vec![7, 8]))), integers(&[8, 7, 8])),
            (dictionary(Arc::new(BinaryArray::from(vec![&b"a"[..], b"b"]))), strings(&["b", "a", "b"])),
            (dictionary(Arc::new(Float64Array::from(vec![1.0, 2.0]))), integers(&[2, 1, 2])),
            (Arc::new(NullArray::new(1)), Err(IdFault::Null(0))),
            (Arc::new(BooleanArray::from(vec![true])), Err(IdFault::Type(DataType::Boolean))),
        ];
        for (column, expected) in cases {
            assert_eq!(ids(&column), expected, "{}", column.data_type());
        }
    }
}
