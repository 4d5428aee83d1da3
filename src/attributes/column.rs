//! One attribute of all items.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Float64Array, Int64Array, ListBuilder, StringArray, StringBuilder,
    TimestampMicrosecondArray,
};

use super::kind::{AttributeKind, AttributeValue, Cell};

/// Values that repeat: one number per row, and the distinct values.
#[derive(Debug, Clone)]
pub(super) struct Coded<T> {
    pub(super) codes: Vec<u32>,
    pub(super) distinct: Vec<T>,
    /// The number of each distinct value; empty until a value is added.
    code_of: HashMap<T, u32>,
}

impl<T> Default for Coded<T> {
    fn default() -> Self {
        Coded { codes: Vec::new(), distinct: Vec::new(), code_of: HashMap::new() }
    }
}

impl<T: Hash + Eq + Clone> Coded<T> {
    /// The number of a value, which is added if it is new.
    pub(super) fn code(&mut self, value: T) -> u32 {
        if self.code_of.len() != self.distinct.len() {
            self.code_of = self.distinct.iter().cloned().zip(0..).collect();
        }
        *self.code_of.entry(value).or_insert_with_key(|value| {
            self.distinct.push(value.clone());
            self.distinct.len() as u32 - 1
        })
    }

    /// Frees what only additions need.
    fn shrink(&mut self) {
        self.code_of = HashMap::new();
    }
}

/// The values of an attribute, one per row. Rows without a value have any value here.
#[derive(Debug, Clone)]
pub(super) enum ColumnValues {
    Bools(Vec<bool>),
    Integers(Vec<i64>),
    Floats(Vec<f64>),
    Texts(Coded<String>),
    Lists(Coded<Vec<String>>),
    Timestamps(Vec<i64>),
}

/// An attribute of all items.
#[derive(Debug, Clone)]
pub struct AttributeColumn {
    pub(super) name: String,
    rows: usize,
    /// A bit per row: whether it has a value.
    pub(super) valid: Vec<u64>,
    pub(super) values: ColumnValues,
}

impl AttributeColumn {
    /// An attribute without rows.
    pub(super) fn new(name: &str, kind: AttributeKind) -> Self {
        let values = match kind {
            AttributeKind::Bool => ColumnValues::Bools(Vec::new()),
            AttributeKind::Integer => ColumnValues::Integers(Vec::new()),
            AttributeKind::Float => ColumnValues::Floats(Vec::new()),
            AttributeKind::Text => ColumnValues::Texts(Coded::default()),
            AttributeKind::List => ColumnValues::Lists(Coded::default()),
            AttributeKind::Timestamp => ColumnValues::Timestamps(Vec::new()),
        };
        AttributeColumn { name: name.to_owned(), rows: 0, valid: Vec::new(), values }
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The type.
    pub fn kind(&self) -> AttributeKind {
        match &self.values {
            ColumnValues::Bools(_) => AttributeKind::Bool,
            ColumnValues::Integers(_) => AttributeKind::Integer,
            ColumnValues::Floats(_) => AttributeKind::Float,
            ColumnValues::Texts(_) => AttributeKind::Text,
            ColumnValues::Lists(_) => AttributeKind::List,
            ColumnValues::Timestamps(_) => AttributeKind::Timestamp,
        }
    }

    /// Number of rows.
    pub(super) fn len(&self) -> usize {
        self.rows
    }

    /// Whether no row has a value.
    pub(super) fn is_null(&self) -> bool {
        self.valid.iter().all(|word| *word == 0)
    }

    /// Appends a value of the kind of the column, or null.
    pub(super) fn push(&mut self, value: AttributeValue) {
        let row = self.rows;
        self.rows += 1;
        if self.valid.len() * 64 < self.rows {
            self.valid.push(0);
        }
        match &mut self.values {
            ColumnValues::Bools(values) => values.push(false),
            ColumnValues::Integers(values) | ColumnValues::Timestamps(values) => values.push(0),
            ColumnValues::Floats(values) => values.push(0.0),
            ColumnValues::Texts(coded) => coded.codes.push(0),
            ColumnValues::Lists(coded) => coded.codes.push(0),
        }
        self.set(row, value);
    }

    /// Changes the value of a row. A value of another kind becomes null.
    pub(super) fn set(&mut self, row: usize, value: AttributeValue) {
        use AttributeValue as V;
        let known = match (&mut self.values, value) {
            (ColumnValues::Bools(values), V::Bool(value)) => put(values, row, value),
            (ColumnValues::Integers(values), V::Integer(value))
            | (ColumnValues::Timestamps(values), V::Timestamp(value)) => put(values, row, value),
            (ColumnValues::Floats(values), V::Float(value)) if !value.is_nan() => put(values, row, value),
            (ColumnValues::Texts(coded), V::Text(value)) => {
                let code = coded.code(value);
                put(&mut coded.codes, row, code)
            }
            (ColumnValues::Lists(coded), V::List(value)) => {
                let code = coded.code(value);
                put(&mut coded.codes, row, code)
            }
            _ => false,
        };
        let bit = 1 << (row % 64);
        if known { self.valid[row / 64] |= bit } else { self.valid[row / 64] &= !bit }
    }

    /// Frees what only additions need.
    pub(super) fn shrink(&mut self) {
        match &mut self.values {
            ColumnValues::Texts(coded) => coded.shrink(),
            ColumnValues::Lists(coded) => coded.shrink(),
            _ => {}
        }
    }

    pub(super) fn is_valid(&self, row: usize) -> bool {
        self.valid[row / 64] >> (row % 64) & 1 == 1
    }

    /// The value of a row.
    pub(super) fn cell(&self, row: usize) -> Cell<'_> {
        if !self.is_valid(row) {
            return Cell::Null;
        }
        match &self.values {
            ColumnValues::Bools(values) => Cell::Bool(values[row]),
            ColumnValues::Integers(values) => Cell::Integer(values[row]),
            ColumnValues::Floats(values) => Cell::Float(values[row]),
            ColumnValues::Texts(coded) => Cell::Text(&coded.distinct[coded.codes[row] as usize]),
            ColumnValues::Lists(coded) => Cell::List(&coded.distinct[coded.codes[row] as usize]),
            ColumnValues::Timestamps(values) => Cell::Timestamp(values[row]),
        }
    }

    /// The value of a row.
    pub fn value(&self, row: usize) -> AttributeValue {
        match self.cell(row) {
            Cell::Null => AttributeValue::Null,
            Cell::Bool(value) => AttributeValue::Bool(value),
            Cell::Integer(value) => AttributeValue::Integer(value),
            Cell::Float(value) => AttributeValue::Float(value),
            Cell::Text(value) => AttributeValue::Text(value.to_owned()),
            Cell::List(value) => AttributeValue::List(value.to_vec()),
            Cell::Timestamp(value) => AttributeValue::Timestamp(value),
        }
    }

    /// The values of rows as an Arrow column of [`AttributeKind::data_type`].
    pub(super) fn to_arrow(&self, rows: std::ops::Range<usize>) -> ArrayRef {
        let cells = rows.map(|row| self.cell(row));
        macro_rules! of {
            ($array:ty, $variant:ident) => {
                cells.map(|cell| if let Cell::$variant(value) = cell { Some(value) } else { None }).collect::<$array>()
            };
        }
        match &self.values {
            ColumnValues::Bools(_) => Arc::new(of!(BooleanArray, Bool)),
            ColumnValues::Integers(_) => Arc::new(of!(Int64Array, Integer)),
            ColumnValues::Floats(_) => Arc::new(of!(Float64Array, Float)),
            ColumnValues::Texts(_) => Arc::new(of!(StringArray, Text)),
            ColumnValues::Timestamps(_) => Arc::new(of!(TimestampMicrosecondArray, Timestamp).with_timezone("UTC")),
            ColumnValues::Lists(_) => {
                let mut lists = ListBuilder::new(StringBuilder::new());
                cells.for_each(|cell| match cell {
                    Cell::List(texts) => lists.append_value(texts.iter().map(Some)),
                    _ => lists.append_null(),
                });
                Arc::new(lists.finish())
            }
        }
    }
}

/// Writes a value. Returns `true`.
fn put<T>(values: &mut [T], row: usize, value: T) -> bool {
    values[row] = value;
    true
}
