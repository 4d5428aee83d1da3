//! Joins of item ids, which may be integers on one side and strings on the other.

use std::collections::HashMap;

use super::ItemIds;

impl ItemIds {
    /// The row of each id in `others`, by the ids as text. Both are unique.
    pub fn rows_in(&self, others: &ItemIds) -> Vec<Option<usize>> {
        match (self, others) {
            (ItemIds::Integers(ids), ItemIds::Integers(others)) => {
                let rows: HashMap<i64, usize> = others.iter().copied().zip(0..).collect();
                ids.iter().map(|id| rows.get(id).copied()).collect()
            }
            (ItemIds::Strings(ids), ItemIds::Strings(others)) => {
                let rows: HashMap<&str, usize> = others.iter().map(String::as_str).zip(0..).collect();
                ids.iter().map(|id| rows.get(id.as_str()).copied()).collect()
            }
            _ => {
                let rows = others.rows_by_text();
                (0..self.len()).map(|row| rows.get(&self.text(row)).copied()).collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_joined_whatever_their_types() {
        let integers = |ids: &[i64]| ItemIds::Integers(ids.to_vec());
        let strings = |ids: &[&str]| ItemIds::Strings(ids.iter().map(|&id| id.to_owned()).collect());
        let rows = [Some(1), None, Some(0)];
        assert_eq!(integers(&[7, 9, 8]).rows_in(&integers(&[8, 7])), rows);
        assert_eq!(strings(&["7", "9", "8"]).rows_in(&strings(&["8", "7"])), rows);
        assert_eq!(strings(&["7", "9", "8"]).rows_in(&integers(&[8, 7])), rows);
        assert_eq!(integers(&[7, 9, 8]).rows_in(&strings(&["8", "7", "x"])), rows);
    }
}
