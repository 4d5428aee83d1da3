//! Types and values of columns of a catalog.

use super::super::collect::{ColumnCollector, MAX_TEXT, Misfit};
use super::super::{AttributeColumn, AttributeKind, AttributeValue, decimal};
use arrow::array::{ArrayRef, BinaryArray, Date32Array, Float32Array, Int64Array, StringArray, UInt64Array};
use std::sync::Arc;

fn texts(values: &[Option<&str>]) -> ArrayRef {
    Arc::new(StringArray::from(values.to_vec()))
}

fn collected(arrays: &[ArrayRef], untyped: bool, wanted: Option<AttributeKind>) -> Result<AttributeColumn, Misfit> {
    let mut collector = ColumnCollector::new("x", untyped);
    arrays.iter().try_for_each(|array| collector.append(array))?;
    collector.finish(wanted, false, true)
}

#[test]
fn types_of_untyped_files_are_inferred_from_all_values() {
    let kind = |values: &[Option<&str>]| collected(&[texts(values)], true, None).unwrap().kind();
    for (values, expected) in [
        (&[Some("1"), None, Some("-20")][..], AttributeKind::Integer),
        (&[Some("1"), Some("2.5"), Some("1e-3")], AttributeKind::Float),
        (&[Some("007"), Some("1")], AttributeKind::Text),
        (&[Some("1"), Some("x")], AttributeKind::Text),
        (&[Some("true"), Some("False")], AttributeKind::Bool),
        (&[Some("['a', 'b']"), Some("[]")], AttributeKind::List),
        (&[None], AttributeKind::Text),
        (&[Some("99999999999999999999")], AttributeKind::Float),
        (&[Some("nan"), Some("inf")], AttributeKind::Text),
        (&[Some("")], AttributeKind::Text),
    ] {
        assert_eq!(kind(values), expected, "{values:?}");
    }
    // Texts of typed files stay texts.
    assert_eq!(collected(&[texts(&[Some("1")])], false, None).unwrap().kind(), AttributeKind::Text);
}

#[test]
fn later_batches_widen_the_kind() {
    let integers: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None]));
    let floats: ArrayRef = Arc::new(Float32Array::from(vec![Some(0.5), Some(f32::NAN)]));
    let column = collected(&[integers.clone(), floats.clone()], false, None).unwrap();
    let values: Vec<_> = (0..4).map(|row| column.value(row)).collect();
    assert_eq!(
        values,
        [AttributeValue::Float(1.0), AttributeValue::Null, AttributeValue::Float(0.5), AttributeValue::Null]
    );
    let column = collected(&[integers.clone(), texts(&[Some("2.5")])], true, None).unwrap();
    assert_eq!((column.kind(), column.value(2)), (AttributeKind::Float, AttributeValue::Float(2.5)));
    let misfit = collected(&[integers.clone(), texts(&[Some("x")])], false, None).unwrap_err();
    assert_eq!((misfit.row, &*misfit.got), (2, "string"));
    let misfit = collected(&[texts(&[Some("1"), Some("x")])], true, Some(AttributeKind::Integer)).unwrap_err();
    assert_eq!((misfit.row, &*misfit.expected, &*misfit.got), (1, "integer", "\"x\""));
}

#[test]
fn floats_of_32_bits_are_the_decimal_numbers_that_they_were_written_as() {
    let prices = [0.1f32, 19.99, -2.5, 1e-7, 16_777_216.0, f32::MAX, 0.333_333_34];
    let column = collected(&[Arc::new(Float32Array::from(prices.to_vec()))], false, None).unwrap();
    let expected = [0.1, 19.99, -2.5, 1e-7, 16_777_216.0, f64::from(f32::MAX), 0.333_333_34];
    for (row, expected) in expected.into_iter().enumerate() {
        assert_eq!(column.value(row), AttributeValue::Float(expected), "{}", prices[row]);
        assert_eq!(expected as f32, prices[row]);
    }
    assert!(decimal(f32::INFINITY).is_infinite() && decimal(f32::NAN).is_nan());
}

#[test]
fn typed_columns_keep_their_type_and_lost_values_are_refused() {
    let dates: ArrayRef = Arc::new(Date32Array::from(vec![Some(1), None]));
    let column = collected(&[dates], false, None).unwrap();
    assert_eq!(column.value(0), AttributeValue::Timestamp(86_400_000_000));
    let huge: ArrayRef = Arc::new(UInt64Array::from(vec![u64::MAX]));
    assert!(collected(&[huge], false, None).is_err());
    let bytes: ArrayRef = Arc::new(BinaryArray::from(vec![&b"\xff"[..]]));
    assert!(collected(&[bytes], false, None).is_err());
    let long = "x".repeat(MAX_TEXT + 1);
    assert!(collected(&[texts(&[Some(&long)])], false, None).unwrap_err().expected.contains("64 KiB"));
    let whole = texts(&[Some("3.0"), Some("-2e3"), None, Some(" 9007199254740993 ")]);
    let column = collected(&[whole], true, Some(AttributeKind::Integer)).unwrap();
    let values: Vec<_> = [0, 1, 3].map(|row| column.value(row)).into();
    assert_eq!(values, [3, -2_000, 9_007_199_254_740_993].map(AttributeValue::Integer));
    for wrong in ["3.5", "1e300", "0x5", "5."] {
        assert!(collected(&[texts(&[Some(wrong)])], true, Some(AttributeKind::Integer)).is_err(), "{wrong}");
    }
    let floats: ArrayRef = Arc::new(Float32Array::from(vec![Some(3.0), None]));
    let column = collected(&[floats], false, Some(AttributeKind::Integer)).unwrap();
    assert_eq!(column.value(0), AttributeValue::Integer(3));
}
