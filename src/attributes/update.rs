//! Changes of attributes in memory.

use std::sync::Arc;

use rayon::prelude::*;

use super::kind::AttributeValue;
use super::table::Attributes;
use crate::error::{Error, Result};

/// New values of an attribute.
#[derive(Debug, Clone)]
pub enum NewValues {
    /// The same value for all rows.
    Same(AttributeValue),
    /// A value for each row.
    Each(Vec<AttributeValue>),
    /// An integer for each row.
    Integers(Vec<i64>),
    /// A floating-point number for each row.
    Floats(Vec<f64>),
    /// A truth value for each row.
    Bools(Vec<bool>),
}

impl NewValues {
    fn len(&self) -> Option<usize> {
        match self {
            NewValues::Same(_) => None,
            NewValues::Each(values) => Some(values.len()),
            NewValues::Integers(values) => Some(values.len()),
            NewValues::Floats(values) => Some(values.len()),
            NewValues::Bools(values) => Some(values.len()),
        }
    }

    fn value(&self, at: usize) -> AttributeValue {
        match self {
            NewValues::Same(value) => value.clone(),
            NewValues::Each(values) => values[at].clone(),
            NewValues::Integers(values) => AttributeValue::Integer(values[at]),
            NewValues::Floats(values) => AttributeValue::Float(values[at]),
            NewValues::Bools(values) => AttributeValue::Bool(values[at]),
        }
    }
}

impl Attributes {
    /// Changes attributes of the items in `rows`. If a value does not fit, nothing is changed.
    ///
    /// # Errors
    /// [`Error::Config`] for an unknown attribute; [`Error::Mismatch`] for a row that does not exist, another number of
    /// values, and a value of another type.
    pub fn update(&mut self, rows: &[u32], changes: &[(String, NewValues)]) -> Result<()> {
        if let Some(row) = rows.iter().find(|row| **row as usize >= self.len()) {
            let expected = format!("rows below {}", self.len());
            return Err(Error::mismatch("rows of an update", expected, row, "rows are numbered as in the token table"));
        }
        let mut checked = Vec::with_capacity(changes.len());
        for (name, values) in changes {
            let at = self.schema().position(name)?;
            if let Some(values) = values.len().filter(|values| *values != rows.len()) {
                let (what, expected) = (format!("values of {name}"), format!("{} or a single value", rows.len()));
                return Err(Error::mismatch(what, expected, values, "pass one value per item"));
            }
            let kind = self.columns[at].kind();
            let count = if values.len().is_none() { 1.min(rows.len()) } else { rows.len() };
            // Values of one type are checked once.
            let some = match values {
                NewValues::Same(_) | NewValues::Each(_) => count,
                NewValues::Integers(_) | NewValues::Floats(_) | NewValues::Bools(_) => count.min(1),
            };
            for place in 0..some {
                let value = values.value(place);
                let got = value.describe();
                if value.fitted(kind).is_none() {
                    let what = format!("value of {name} for item {}", self.item_ids.text(rows[place] as usize));
                    return Err(Error::mismatch(what, kind, got, "pass values of the type of the attribute"));
                }
            }
            checked.push((at, kind, values));
        }
        // Sorted rows are faster to read and write: neighbours share cache lines. The last value of a row counts.
        let mut order: Vec<u64> = rows.iter().zip(0..).map(|(&row, place)| u64::from(row) << 32 | place).collect();
        order.par_sort_unstable();
        for (at, kind, values) in checked {
            let column = &mut self.columns[at];
            for key in &order {
                let (row, place) = ((key >> 32) as usize, *key as u32 as usize);
                column.set(row, values.value(place).fitted(kind).unwrap_or(AttributeValue::Null));
            }
        }
        let mut changed: Vec<u32> = order.into_iter().map(|key| (key >> 32) as u32).collect();
        changed.dedup();
        self.version += 1;
        self.log.push_back((self.version, Arc::from(changed)));
        // From half of the rows, evaluating a rule from scratch is as fast.
        let mut logged: usize = self.log.iter().map(|(_, rows)| rows.len()).sum();
        while logged > self.len() / 2 {
            logged -= self.log.pop_front().map_or(logged, |(_, rows)| rows.len());
        }
        Ok(())
    }

    /// Number of updates so far.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The rows that each update after a version changed, ascending. `None` if they are no longer known.
    pub fn changed_since(&self, version: u64) -> Option<impl Iterator<Item = &[u32]>> {
        let first = self.log.front().map_or(self.version + 1, |(version, _)| *version);
        (version + 1 >= first)
            .then(|| self.log.iter().filter(move |(after, _)| *after > version).map(|(_, rows)| &**rows))
    }
}
