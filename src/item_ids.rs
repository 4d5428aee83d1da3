//! Item ids: one integer or string per row, unique, not null and not empty.

mod from_column;

use std::cmp::Ordering;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Int64Array, StringArray};
use arrow::datatypes::DataType;

/// The ids of a set of items, in row order. They keep the type of the catalog's id column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ItemIds {
    /// An integer id column.
    Integers(Vec<i64>),
    /// A string id column.
    Strings(Vec<String>),
}

/// No items.
impl Default for ItemIds {
    fn default() -> Self {
        ItemIds::Integers(Vec::new())
    }
}

/// A fault of an id column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IdFault {
    /// 0-based row whose id is null.
    Null(usize),
    /// Two 0-based rows with the same id, and the id.
    Duplicate(usize, usize, String),
    /// 0-based row and value of an invalid id: an empty string, a fraction, or bytes that are not UTF-8.
    Unusable(usize, String),
    /// The column has another type.
    Type(DataType),
}

impl IdFault {
    /// The fault of ids that follow `rows` others.
    pub(crate) fn after(self, rows: usize) -> Self {
        match self {
            IdFault::Null(row) => IdFault::Null(rows + row),
            IdFault::Unusable(row, got) => IdFault::Unusable(rows + row, got),
            IdFault::Duplicate(first, row, id) => IdFault::Duplicate(rows + first, rows + row, id),
            fault @ IdFault::Type(_) => fault,
        }
    }
}

impl fmt::Display for IdFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            IdFault::Null(row) => write!(f, "null in row {}", row + 1),
            IdFault::Duplicate(first, row, id) => write!(f, "the id {id:?} in rows {} and {}", first + 1, row + 1),
            IdFault::Unusable(row, got) => write!(f, "{got} in row {}", row + 1),
            IdFault::Type(data_type) => write!(f, "a column of type {data_type}"),
        }
    }
}

impl ItemIds {
    /// Ids `0..n`, for matrices without ids.
    pub fn row_numbers(n: usize) -> Self {
        ItemIds::Integers((0..n as i64).collect())
    }

    /// Ids from a column of integers, strings, integral decimals or integral floats. Strings can be in a binary or
    /// dictionary-encoded column. Integers that do not fit in 64 signed bits become strings of their digits.
    ///
    /// # Errors
    /// [`IdFault::Null`], [`IdFault::Unusable`] with the first such row; [`IdFault::Type`] for a column of another
    /// type.
    pub fn from_arrow(column: &dyn Array) -> Result<Self, IdFault> {
        let ids = from_column::ids(column)?;
        if let ItemIds::Strings(texts) = &ids
            && let Some(row) = texts.iter().position(|text| text.trim().is_empty())
        {
            return Err(IdFault::Unusable(row, format!("{:?}", texts[row])));
        }
        Ok(ids)
    }

    /// The ids as an Arrow column of `int64` or `utf8`.
    pub fn to_arrow(&self) -> ArrayRef {
        match self {
            ItemIds::Integers(ids) => Arc::new(Int64Array::from(ids.clone())),
            ItemIds::Strings(ids) => Arc::new(StringArray::from_iter_values(ids)),
        }
    }

    /// The Arrow type of [`ItemIds::to_arrow`].
    pub fn data_type(&self) -> DataType {
        match self {
            ItemIds::Integers(_) => DataType::Int64,
            ItemIds::Strings(_) => DataType::Utf8,
        }
    }

    /// Number of items.
    pub fn len(&self) -> usize {
        match self {
            ItemIds::Integers(ids) => ids.len(),
            ItemIds::Strings(ids) => ids.len(),
        }
    }

    /// Whether there are no items.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The id of a row, as text.
    pub fn text(&self, row: usize) -> String {
        match self {
            ItemIds::Integers(ids) => ids[row].to_string(),
            ItemIds::Strings(ids) => ids[row].clone(),
        }
    }

    /// Compares two rows by id. Ties between items are broken by this order.
    pub fn compare(&self, a: usize, b: usize) -> Ordering {
        match self {
            ItemIds::Integers(ids) => ids[a].cmp(&ids[b]),
            ItemIds::Strings(ids) => ids[a].cmp(&ids[b]),
        }
    }

    /// The row of an id given as text.
    pub fn position(&self, id: &str) -> Option<usize> {
        match self {
            ItemIds::Integers(ids) => {
                let id = id.parse::<i64>().ok()?;
                ids.iter().position(|&x| x == id)
            }
            ItemIds::Strings(ids) => ids.iter().position(|x| x == id),
        }
    }

    /// The ids of the given rows, in their order.
    pub fn take(&self, rows: &[usize]) -> Self {
        match self {
            ItemIds::Integers(ids) => ItemIds::Integers(rows.iter().map(|&r| ids[r]).collect()),
            ItemIds::Strings(ids) => ItemIds::Strings(rows.iter().map(|&r| ids[r].clone()).collect()),
        }
    }

    /// Appends the ids of a further batch. If only one side has strings, the integers of the other become strings.
    pub fn append(&mut self, batch: ItemIds) {
        match (&mut *self, batch) {
            (ids, batch) if ids.is_empty() => *ids = batch,
            (_, batch) if batch.is_empty() => {}
            (ItemIds::Integers(ids), ItemIds::Integers(more)) => ids.extend(more),
            (ItemIds::Strings(ids), more) => {
                if let ItemIds::Strings(more) = more.into_strings() {
                    ids.extend(more);
                }
            }
            (ItemIds::Integers(_), more) => {
                *self = std::mem::take(self).into_strings();
                self.append(more);
            }
        }
    }

    /// The ids as strings, integers in decimal.
    #[must_use]
    pub fn into_strings(self) -> Self {
        match self {
            ItemIds::Integers(ids) => ItemIds::Strings(ids.iter().map(i64::to_string).collect()),
            strings => strings,
        }
    }

    /// The row of each id, by the id as text. For joins with another file, whose ids may have the other type.
    pub fn rows_by_text(&self) -> HashMap<String, usize> {
        (0..self.len()).map(|row| (self.text(row), row)).collect()
    }

    /// For each id, the row of `other` with the same id, or `None`. An integer equals a string if their texts are
    /// equal.
    pub fn rows_in(&self, other: &ItemIds) -> Vec<Option<usize>> {
        fn find<T: std::hash::Hash + Eq>(ids: &[T], others: &[T]) -> Vec<Option<usize>> {
            let rows: HashMap<&T, usize> = others.iter().enumerate().map(|(row, id)| (id, row)).collect();
            ids.iter().map(|id| rows.get(id).copied()).collect()
        }
        match (self, other) {
            (ItemIds::Integers(ids), ItemIds::Integers(others)) => find(ids, others),
            (ItemIds::Strings(ids), ItemIds::Strings(others)) => find(ids, others),
            (ids, others) => {
                let rows = others.rows_by_text();
                (0..ids.len()).map(|row| rows.get(&ids.text(row)).copied()).collect()
            }
        }
    }

    /// Checks that ids are unique.
    ///
    /// # Errors
    /// [`IdFault::Duplicate`] with the first row that repeats an id, and the row it repeats.
    pub fn check_unique(&self) -> Result<(), IdFault> {
        fn first_repeat<T: std::hash::Hash + Eq>(ids: &[T]) -> Option<(usize, usize)> {
            let mut seen = HashMap::with_capacity(ids.len());
            ids.iter().enumerate().find_map(|(row, id)| seen.insert(id, row).map(|first| (first, row)))
        }
        let repeat = match self {
            ItemIds::Integers(ids) => first_repeat(ids),
            ItemIds::Strings(ids) => first_repeat(ids),
        };
        match repeat {
            Some((first, row)) => Err(IdFault::Duplicate(first, row, self.text(row))),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_round_trip_through_arrow() {
        for ids in [ItemIds::Integers(vec![3, -1, 7]), ItemIds::Strings(vec!["b".into(), "a".into()])] {
            assert_eq!(ItemIds::from_arrow(&ids.to_arrow()).unwrap(), ids);
        }
    }

    #[test]
    fn integers_become_strings_when_joined_with_strings() {
        let strings = |ids: &[&str]| ItemIds::Strings(ids.iter().map(|&id| id.to_owned()).collect());
        let joined = |batches: [ItemIds; 3]| {
            let mut ids = ItemIds::default();
            batches.into_iter().for_each(|batch| ids.append(batch));
            ids
        };
        let integers = || ItemIds::Integers(vec![7, -8]);
        assert_eq!(joined([strings(&["a"]), strings(&["b"]), strings(&[])]), strings(&["a", "b"]));
        assert_eq!(joined([integers(), ItemIds::default(), strings(&[])]), integers());
        assert_eq!(joined([integers(), strings(&["a"]), integers()]), strings(&["7", "-8", "a", "7", "-8"]));
    }

    #[test]
    fn rows_are_found_in_other_ids_of_either_type() {
        let (integers, strings) = (ItemIds::Integers(vec![7, -8, 9]), ItemIds::Strings(vec!["9".into(), "a".into()]));
        assert_eq!(integers.rows_in(&ItemIds::Integers(vec![9, 7])), [Some(1), None, Some(0)]);
        assert_eq!(integers.rows_in(&strings), [None, None, Some(0)]);
        assert_eq!(strings.rows_in(&integers), [Some(2), None]);
        assert_eq!(strings.rows_in(&strings), [Some(0), Some(1)]);
    }

    #[test]
    fn faults_name_their_rows() {
        let nulls = Int64Array::from(vec![Some(1), None]);
        assert_eq!(ItemIds::from_arrow(&nulls), Err(IdFault::Null(1)));
        let empty = StringArray::from(vec!["a", ""]);
        assert_eq!(ItemIds::from_arrow(&empty), Err(IdFault::Unusable(1, "\"\"".into())));
        let twice = ItemIds::Strings(vec!["a".into(), "b".into(), "a".into()]);
        assert_eq!(twice.check_unique(), Err(IdFault::Duplicate(0, 2, "a".into())));
    }
}
