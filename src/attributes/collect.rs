//! Collects the values of an attribute from columns of a catalog.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float32Type, Float64Type, Int64Type, TimeUnit, TimestampMicrosecondType};

use super::column::{AttributeColumn, ColumnValues};
use super::kind::{AttributeKind, AttributeValue, decimal, timestamp};
use crate::catalog::{cell_texts, expand_lists, is_list};

/// Maximum length of a string in bytes.
pub(super) const MAX_TEXT: usize = 64 << 10;

/// A value that does not fit: its row, what was expected, and what was found.
#[derive(Debug, PartialEq)]
pub(super) struct Misfit {
    pub(super) row: usize,
    pub(super) expected: String,
    pub(super) got: String,
}

/// The values of an attribute so far.
pub(super) struct ColumnCollector {
    column: AttributeColumn,
    /// Whether types are inferred from texts.
    untyped: bool,
}

impl ColumnCollector {
    pub(super) fn new(name: &str, untyped: bool) -> Self {
        ColumnCollector { column: AttributeColumn::new(name, AttributeKind::Text), untyped }
    }

    /// Appends a column of a batch. The kind of the attribute becomes the widest of its batches.
    pub(super) fn append(&mut self, array: &ArrayRef) -> Result<(), Misfit> {
        let before = self.column.len();
        let misfit = |got: String| Misfit {
            row: before,
            expected: "booleans, integers, floats, strings, dates, timestamps, or lists of strings".into(),
            got,
        };
        let Some(kind) = kind_of(array.data_type()) else {
            let got = format!("a column of type {}", array.data_type());
            return if array.null_count() == array.len() || *array.data_type() == DataType::Null {
                (0..array.len()).for_each(|_| self.column.push(AttributeValue::Null));
                Ok(())
            } else {
                Err(misfit(got))
            };
        };
        let values = values(array, kind).map_err(misfit)?;
        let kind = self.widen(kind, before)?;
        for (at, value) in values.into_iter().enumerate() {
            let row = before + at;
            let long = |text: &String| text.len() > MAX_TEXT;
            let is_long = match &value {
                AttributeValue::Text(text) => long(text),
                AttributeValue::List(texts) => texts.iter().any(long),
                _ => false,
            };
            if is_long {
                let (expected, got) = ("a string of at most 64 KiB".to_owned(), "a longer one".to_owned());
                return Err(Misfit { row, expected, got });
            }
            self.column.push(as_kind(value, kind).map_err(|got| Misfit { row, expected: kind.to_string(), got })?);
        }
        Ok(())
    }

    /// Makes the column fit values of this kind too. Returns the kind of the column.
    fn widen(&mut self, kind: AttributeKind, row: usize) -> Result<AttributeKind, Misfit> {
        use AttributeKind as K;
        let now = self.column.kind();
        let wider = match (now, kind) {
            (now, kind) if now == kind => return Ok(kind),
            (_, kind) if self.column.is_null() => kind,
            (K::Integer | K::Float, K::Integer | K::Float) => K::Float,
            (K::List, K::Text) | (K::Text, K::List) => K::List,
            (K::List, K::Integer) | (K::Integer, K::List) if self.untyped => K::List,
            _ if self.untyped => K::Text,
            _ => {
                let (expected, got) = (format!("{now}, as in earlier rows"), kind.to_string());
                return Err(Misfit { row, expected, got });
            }
        };
        self.column = converted(&self.column, wider)?;
        Ok(wider)
    }

    /// The attribute: of the kind `wanted` or, if that is `None`, of the inferred kind. With `widen`, integers may
    /// become floats.
    pub(super) fn finish(
        self,
        wanted: Option<AttributeKind>,
        widen: bool,
        parse_lists: bool,
    ) -> Result<AttributeColumn, Misfit> {
        let kind = match wanted {
            Some(kind) => kind,
            None if self.untyped => inferred(&self.column, parse_lists),
            None => self.column.kind(),
        };
        let mut column = match converted(&self.column, kind) {
            Err(_) if widen && kind == AttributeKind::Integer => converted(&self.column, AttributeKind::Float)?,
            column => column?,
        };
        column.shrink();
        Ok(column)
    }
}

/// The kind of a column of a catalog.
fn kind_of(data_type: &DataType) -> Option<AttributeKind> {
    Some(match data_type {
        DataType::Boolean => AttributeKind::Bool,
        DataType::Decimal128(_, 0) | DataType::Decimal256(_, 0) => AttributeKind::Integer,
        DataType::Decimal128(..) | DataType::Decimal256(..) => AttributeKind::Float,
        other if other.is_integer() => AttributeKind::Integer,
        other if other.is_floating() => AttributeKind::Float,
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => AttributeKind::Text,
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => AttributeKind::Text,
        DataType::Dictionary(_, value) => kind_of(value)?,
        DataType::Date32 | DataType::Date64 | DataType::Timestamp(..) => AttributeKind::Timestamp,
        DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(..) => AttributeKind::List,
        _ => return None,
    })
}

/// Whether a column has floats of 32 bits.
fn narrow(data_type: &DataType) -> bool {
    match data_type {
        DataType::Dictionary(_, value) => narrow(value),
        other => *other == DataType::Float32,
    }
}

/// The values of a column. The error describes a value that cannot be read.
fn values(array: &ArrayRef, kind: AttributeKind) -> Result<Vec<AttributeValue>, String> {
    let nulls = array.logical_null_count();
    let plain = |data_type: DataType| {
        let plain = cast(array, &data_type).map_err(|e| e.to_string())?;
        let lost = plain.logical_null_count() > nulls;
        if lost { Err(format!("a value of type {} that is no {kind}", array.data_type())) } else { Ok(plain) }
    };
    macro_rules! each {
        ($values:expr, $variant:ident) => {
            $values
                .iter()
                .map(|value| value.map_or(AttributeValue::Null, |v| AttributeValue::$variant(v.into())))
                .collect()
        };
    }
    Ok(match kind {
        AttributeKind::Bool => each!(plain(DataType::Boolean)?.as_boolean(), Bool),
        AttributeKind::Integer => each!(plain(DataType::Int64)?.as_primitive::<Int64Type>(), Integer),
        AttributeKind::Float if narrow(array.data_type()) => {
            // A decimal number in a narrow column is compared as that decimal number: 0.1 equals 0.1.
            let plain = plain(DataType::Float32)?;
            let decimals = plain.as_primitive::<Float32Type>().iter();
            decimals.map(|v| v.map_or(AttributeValue::Null, |v| AttributeValue::Float(decimal(v)))).collect()
        }
        AttributeKind::Float => each!(plain(DataType::Float64)?.as_primitive::<Float64Type>(), Float),
        AttributeKind::Text => each!(plain(DataType::Utf8)?.as_string::<i32>(), Text),
        AttributeKind::Timestamp => {
            let zone = match array.data_type() {
                DataType::Timestamp(_, zone) => zone.clone(),
                _ => None,
            };
            let plain = plain(DataType::Timestamp(TimeUnit::Microsecond, zone))?;
            each!(plain.as_primitive::<TimestampMicrosecondType>(), Timestamp)
        }
        AttributeKind::List => {
            let texts = cell_texts(array).map_err(|e| e.to_string())?;
            let value =
                |(row, texts)| if array.is_null(row) { AttributeValue::Null } else { AttributeValue::List(texts) };
            texts.into_iter().enumerate().map(value).collect()
        }
    })
}

/// An attribute with another kind.
pub(super) fn converted(column: &AttributeColumn, kind: AttributeKind) -> Result<AttributeColumn, Misfit> {
    if column.kind() == kind {
        return Ok(column.clone());
    }
    let mut out = AttributeColumn::new(&column.name, kind);
    let mut push = |row: usize, value: Result<AttributeValue, String>| match value {
        Ok(value) => {
            out.push(value);
            Ok(())
        }
        Err(got) => Err(Misfit { row, expected: kind.to_string(), got }),
    };
    match &column.values {
        ColumnValues::Texts(coded) => {
            let parsed: Vec<_> =
                coded.distinct.iter().map(|text| as_kind(AttributeValue::Text(text.clone()), kind)).collect();
            for (row, &code) in coded.codes.iter().enumerate() {
                let value = if column.is_valid(row) { parsed[code as usize].clone() } else { Ok(AttributeValue::Null) };
                push(row, value)?;
            }
        }
        _ => (0..column.len()).try_for_each(|row| push(row, as_kind(column.value(row), kind)))?,
    }
    Ok(out)
}

/// A value as one of another kind. The error is the value as text.
fn as_kind(value: AttributeValue, kind: AttributeKind) -> Result<AttributeValue, String> {
    use AttributeKind as K;
    use AttributeValue as V;
    Ok(match (value, kind) {
        (V::Text(text), K::Bool) => match text.trim() {
            "" => V::Null,
            "true" | "True" => V::Bool(true),
            "false" | "False" => V::Bool(false),
            _ => return Err(crate::error::quoted(&text)),
        },
        (V::Text(text), K::List) => {
            let mut texts = vec![text];
            expand_lists(&mut texts);
            V::List(texts)
        }
        (V::Text(text), K::Integer | K::Float | K::Timestamp) => {
            let parsed = match (text.trim(), kind) {
                ("", _) => Some(V::Null),
                (text, K::Integer) => integer(text).map(V::Integer),
                (text, K::Float) if text.ends_with(|c: char| c.is_ascii_digit()) => text.parse().ok().map(V::Float),
                (text, K::Timestamp) => timestamp(text).map(V::Timestamp),
                _ => None,
            };
            parsed.ok_or_else(|| crate::error::quoted(&text))?
        }
        (V::Integer(value), K::Float) => V::Float(value as f64),
        (V::Integer(value), K::Text) => V::Text(value.to_string()),
        (V::Integer(value), K::List) => V::List(vec![value.to_string()]),
        (V::Float(value), K::Text) => V::Text(value.to_string()),
        (V::Float(value), K::Integer) if value.is_nan() => V::Null,
        (V::Float(value), K::Integer) if whole(value).is_some() => V::Integer(value as i64),
        (V::Bool(value), K::Text) => V::Text(value.to_string()),
        (value, kind) => {
            let got = format!("{value:?}");
            value.fitted(kind).ok_or(got)?
        }
    })
}

/// The integer of a text. Programs that know missing values only in floating-point columns write `5.0`.
fn integer(text: &str) -> Option<i64> {
    let of_float = || text.parse().ok().filter(|_| is_number(text)).and_then(whole);
    text.parse().ok().or_else(of_float)
}

/// A float without a fraction as an integer, if it is exact.
fn whole(value: f64) -> Option<i64> {
    (value.fract() == 0.0 && value.abs() < 9e15).then_some(value as i64)
}

/// The kind of texts of a file without types. `007` is a text, so that it keeps its zeros.
fn inferred(column: &AttributeColumn, parse_lists: bool) -> AttributeKind {
    let ColumnValues::Texts(coded) = &column.values else { return column.kind() };
    let all = |fits: &dyn Fn(&str) -> bool| coded.distinct.iter().all(|text| fits(text));
    if coded.distinct.is_empty() {
        AttributeKind::Text
    } else if all(&|text| is_number(text) && text.parse::<i64>().is_ok()) {
        AttributeKind::Integer
    } else if all(&is_number) {
        AttributeKind::Float
    } else if all(&|text| matches!(text, "true" | "false" | "True" | "False")) {
        AttributeKind::Bool
    } else if parse_lists && all(&is_list) {
        AttributeKind::List
    } else {
        AttributeKind::Text
    }
}

/// Whether a text is a number in the notation of JSON.
fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let padded = digits.len() > 1 && digits.starts_with('0') && !digits.starts_with("0.");
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit() || b".eE+-".contains(&byte));
    let ends = digits.starts_with(|c: char| c.is_ascii_digit()) && digits.ends_with(|c: char| c.is_ascii_digit());
    !padded && plain && ends && digits.parse::<f64>().is_ok()
}
