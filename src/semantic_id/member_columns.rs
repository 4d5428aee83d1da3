//! The columns of a token table with shared IDs: the rank of each member, and its values of the columns that members must
//! agree in.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, StringArray, UInt16Array};
use arrow::datatypes::{DataType, Field, UInt16Type};
use arrow::record_batch::RecordBatch;

use super::columns::{CLASS, CODES, MEMBER};
use super::members::{MemberFault, Members, fault};
use super::{Collisions, ItemClasses, TokenTable};
use crate::error::{Error, Result};

/// The fields of these columns.
pub(super) fn fields(members: &Members) -> Vec<Field> {
    let class = members.classes.is_some().then(|| Field::new(CLASS, DataType::Utf8, false));
    [Field::new(MEMBER, DataType::UInt16, false)].into_iter().chain(class).collect()
}

/// A range of rows of these columns.
pub(super) fn columns(members: &Members, rows: Range<usize>) -> Vec<ArrayRef> {
    let class = members.classes.as_ref().map(|classes| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(rows.clone().map(|row| classes.name(row))))
    });
    let ranks: ArrayRef = Arc::new(UInt16Array::from(members.ranks[rows].to_vec()));
    [ranks].into_iter().chain(class).collect()
}

/// Reads the columns batch by batch.
#[derive(Default)]
pub(super) struct MemberColumns {
    members: Members,
}

/// Returns a column of a batch after checking its name, type and nulls.
type ColumnOf<'a, 'b> = dyn Fn(&str, &str, &dyn Fn(&DataType) -> bool) -> Result<&'b ArrayRef> + 'a;

impl MemberColumns {
    /// The columns of a table with this policy; `None` if it has none.
    pub(super) fn of_policy(policy: Collisions) -> Option<Self> {
        matches!(policy, Collisions::Share { .. }).then(Self::default)
    }

    /// Reads the columns of a batch, in which `column` finds them.
    pub(super) fn read(&mut self, batch: &RecordBatch, column: &ColumnOf<'_, '_>) -> Result<()> {
        let ranks = column(MEMBER, "uint16", &|t| *t == DataType::UInt16)?.as_primitive::<UInt16Type>();
        let has_classes = batch.column_by_name(CLASS).is_some();
        let classes = match has_classes {
            true => {
                let names = column(CLASS, "utf8", &|t| *t == DataType::Utf8)?.as_string::<i32>();
                let classes = ItemClasses::of_names(names.iter().map(Option::unwrap_or_default));
                let is_array = |name: &&String| serde_json::from_str::<Vec<serde_json::Value>>(name).is_err();
                if let Some(wrong) = classes.names.iter().find(is_array) {
                    let help = "make the table again with `catalex tokenize`";
                    return Err(Error::mismatch(CLASS, "a JSON array in each row", crate::error::quoted(wrong), help));
                }
                Some(classes)
            }
            false => None,
        };
        let more = Members { ranks: ranks.values().to_vec(), classes };
        match self.members.ranks.is_empty() {
            true => self.members = more,
            false => self.members.append(more),
        }
        Ok(())
    }

    pub(super) fn finish(self) -> Members {
        self.members
    }
}

/// Checks that at most as many items share an ID as the policy allows, that they have different ranks, and that they are of
/// one class.
///
/// # Errors
/// The first row that breaks a rule, its column, what is expected and what it has.
pub(super) fn check_members(table: &TokenTable) -> std::result::Result<(), (usize, &'static str, String, String)> {
    let (Collisions::Share { capacity }, Some(members)) = (table.metadata.policy, &table.members) else {
        return Ok(());
    };
    let Some((first, row, broken)) = fault(table.codes.view(), members, capacity) else { return Ok(()) };
    let id = table.semantic_id(row);
    let (column, expected, got) = match (broken, &members.classes) {
        (MemberFault::Class, Some(classes)) => (
            CLASS,
            format!("members with the same {CLASS} as in row {}, {}", first + 1, classes.name(first)),
            format!("{}, with the ID {id}", classes.name(row)),
        ),
        (MemberFault::Rank, _) => {
            let expected = format!("another rank than row {}, which has the same ID", first + 1);
            (MEMBER, expected, members.ranks[row].to_string())
        }
        _ => (CODES, format!("at most {capacity} items with an ID"), format!("another item with {id}")),
    };
    Err((row, column, expected, got))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::item_ids::ItemIds;
    use crate::semantic_id::{TableMetadata, TokenFormat};
    use ndarray::array;

    fn table(ranks: [u16; 3], names: Option<[&str; 3]>) -> TokenTable {
        TokenTable {
            item_ids: ItemIds::row_numbers(3),
            codes: array![[1, 0], [0, 3], [1, 0]],
            residual_error: vec![0.5; 3],
            reassigned: vec![false; 3],
            members: Some(Members { ranks: ranks.to_vec(), classes: names.map(ItemClasses::of_names) }),
            metadata: TableMetadata {
                model_hash: "abc".into(),
                codebook_sizes: vec![2, 4],
                token_format: TokenFormat::default(),
                policy: Collisions::Share { capacity: 2 },
                collisions: None,
            },
        }
    }

    #[test]
    fn shared_ids_round_trip_with_ranks_and_classes() {
        for names in [None, Some(["[\"low\"]", "[\"high\"]", "[\"low\"]"])] {
            let table = table([1, 0, 0], names);
            assert_eq!(TokenTable::of_bytes(table.to_bytes().unwrap()).unwrap(), table);
            let batch = table.to_batch().unwrap();
            let parts = [batch.slice(0, 1), batch.slice(1, 2)];
            assert_eq!(TokenTable::of_batches(&batch.schema(), &parts).unwrap(), table);
        }
    }

    #[test]
    fn broken_rules_are_refused_with_the_row() {
        let says = |table: &TokenTable| TokenTable::of_bytes(table.to_bytes().unwrap()).unwrap_err().to_string();
        let rank = says(&table([1, 0, 1], None));
        assert!(rank.contains("row 3") && rank.contains("another rank than row 1"), "{rank}");
        let class = says(&table([0, 0, 1], Some(["[\"low\"]", "[\"low\"]", "[\"high\"]"])));
        assert!(class.contains("row 3") && class.contains("same must_differ as in row 1, [\"low\"]"), "{class}");
        let text = says(&table([0, 0, 1], Some(["low", "low", "low"])));
        assert!(text.contains("a JSON array in each row"), "{text}");
        let mut crowded = table([0, 1, 2], None);
        crowded.codes.row_mut(1).assign(&array![1, 0]);
        let crowded = says(&crowded);
        assert!(crowded.contains("row 3") && crowded.contains("at most 2 items"), "{crowded}");
        let mut bare = table([0, 0, 1], None);
        bare.members = None;
        assert!(says(&bare).contains("member"), "{}", says(&bare));
    }
}
