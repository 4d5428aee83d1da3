//! Appends items to a token table. The IDs of its own items do not change.

use std::fmt::Debug;

use ndarray::Axis;

use super::{Collisions, Occupied, TokenTable, TokenizedItems};
use crate::error::{Error, Result};
use crate::features::{FeatureSource, SelectedRows, for_each_block};
use crate::item_ids::{IdFault, ItemIds};
use crate::progress::Progress;
use crate::tokenizer::Tokenizer;

impl TokenTable {
    /// Appends the items of `features` that are not in this table. They get free IDs, as [`TokenTable::placed`] assigns
    /// them. Items of the table keep their rows and IDs and are not encoded, whether or not they are in the features.
    /// Returns the extended table, and the new items alone if there are any.
    ///
    /// # Errors
    /// [`Error::Mismatch`] if the table is of another model or has a suffix; as [`TokenTable::placed`].
    pub fn extended(
        self,
        features: &dyn FeatureSource,
        model: &Tokenizer,
        progress: &dyn Progress,
    ) -> Result<(TokenTable, Option<TokenizedItems>)> {
        if self.metadata.model_hash != model.hash() {
            let help = "pass the model that assigned the table's IDs";
            return Err(Error::mismatch("model of the previous table", model.hash(), &self.metadata.model_hash, help));
        }
        if self.metadata.policy == Collisions::Suffix {
            let (what, help) = ("previous table", "make the table again with --collisions resolve");
            return Err(Error::mismatch(what, "one without a disambiguating level", "--collisions suffix", help));
        }
        if self.members.is_some() {
            let help = "append to its index with `catalex append`, which reads the columns that members must agree in";
            return Err(Error::mismatch("previous table", "one with unique IDs", "shared IDs (--capacity)", help));
        }
        let mut ids = ItemIds::default();
        for_each_block(features, |block| {
            ids.append(block.features.item_ids().clone());
            Ok(())
        })?;
        features.check_ids(&ids)?;
        let known = ids.rows_in(&self.item_ids);
        let rows: Vec<usize> = (0..ids.len()).filter(|&row| known[row].is_none()).collect();
        if rows.is_empty() {
            return Ok((self, None));
        }
        let new = SelectedRows::new(features, rows)?;
        let occupied = self.occupied()?;
        let placed = TokenTable::placed(&new, model, self.metadata.token_format.clone(), &occupied, progress)?;
        Ok((self.joined(placed.table.clone())?, Some(placed)))
    }

    /// Appends the items of another table. All items keep their IDs. If only one table has strings as item ids, the
    /// integers of the other become strings. The statistics of collision resolution are dropped, because they describe
    /// only one of the tables.
    ///
    /// # Errors
    /// [`Error::Mismatch`](crate::Error::Mismatch) if the tables differ in model, codebook sizes or token format;
    /// [`Error::Item`](crate::Error::Item) if both tables have the same item, or the same ID where IDs are unique.
    pub fn joined(mut self, more: TokenTable) -> Result<Self> {
        let (own, other) = (&self.metadata, &more.metadata);
        let fits =
            |what: &str, expected: &dyn Debug, got: &dyn Debug| match format!("{expected:?}") == format!("{got:?}") {
                true => Ok(()),
                false => {
                    let help = "assign the new IDs with the model and the token format of the table";
                    Err(Error::mismatch(what, format!("{expected:?}"), format!("{got:?}"), help))
                }
            };
        fits("model of the new items", &own.model_hash, &other.model_hash)?;
        fits("codebook sizes of the new items", &own.codebook_sizes, &other.codebook_sizes)?;
        fits("token format of the new items", &own.token_format.to_string(), &other.token_format.to_string())?;
        let twice = |item: String, got: String| {
            let help = "append only items that are not in the table, with IDs that are free in the table";
            Error::Item { item, expected: "one row and a unique ID".into(), got, help: help.into() }
        };
        if own.policy.unique() {
            let taken = Occupied::of_codes(self.codes.view(), &own.codebook_sizes)?;
            if let Some(row) = (0..more.codes.nrows()).find(|&row| taken.has(more.codes.row(row))) {
                return Err(twice(more.item_ids.text(row), format!("{}, which the table has", more.semantic_id(row))));
            }
        }
        self.item_ids.append(more.item_ids);
        self.item_ids.check_unique().map_err(|fault| match fault {
            IdFault::Duplicate(first, row, id) => twice(id, format!("rows {} and {}", first + 1, row + 1)),
            other => twice("of the table".into(), format!("{other:?}")),
        })?;
        let shapes =
            |e: ndarray::ShapeError| Error::mismatch("codes of the new items", "one row per item", e, "check the call");
        self.codes.append(Axis(0), more.codes.view()).map_err(shapes)?;
        self.residual_error.extend(more.residual_error);
        self.reassigned.extend(more.reassigned);
        self.members = self.members.zip(more.members).map(|(mut own, more)| {
            own.append(more);
            own
        });
        self.metadata.collisions = None;
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::item_ids::ItemIds;
    use crate::semantic_id::{Collisions, TableMetadata, TokenFormat};
    use ndarray::{Array2, array};

    fn table(item_ids: ItemIds, codes: Array2<u16>) -> TokenTable {
        TokenTable {
            members: None,
            residual_error: vec![0.5; codes.nrows()],
            reassigned: vec![false; codes.nrows()],
            metadata: TableMetadata {
                model_hash: "abc".into(),
                codebook_sizes: vec![2, 4],
                token_format: TokenFormat::default(),
                policy: Collisions::Resolve,
                collisions: None,
            },
            item_ids,
            codes,
        }
    }

    fn old() -> TokenTable {
        table(ItemIds::Integers(vec![5, 3]), array![[1, 0], [1, 2]])
    }

    #[test]
    fn rows_of_the_table_come_first() {
        let more = table(ItemIds::Strings(vec!["x".into()]), array![[0, 3]]);
        let joined = old().joined(more).unwrap();
        assert_eq!(joined.item_ids, ItemIds::Strings(vec!["5".into(), "3".into(), "x".into()]));
        assert_eq!(joined.codes, array![[1, 0], [1, 2], [0, 3]]);
        assert_eq!((joined.residual_error.len(), joined.reassigned.len()), (3, 3));
    }

    #[test]
    fn taken_ids_duplicate_items_and_other_models_are_refused() {
        let says = |more: TokenTable| old().joined(more).unwrap_err().to_string();
        let ids = |id| ItemIds::Integers(vec![id]);
        let taken = says(table(ids(9), array![[1, 2]]));
        assert!(taken.contains("item 9") && taken.contains("<a_1><b_2>, which the table has"), "{taken}");
        let twice = says(table(ids(3), array![[0, 0]]));
        assert!(twice.contains("item 3") && twice.contains("rows 2 and 3"), "{twice}");
        let mut other = table(ids(9), array![[0, 0]]);
        other.metadata.model_hash = "def".into();
        assert!(
            says(other.clone()).contains("model of the new items: expected \"abc\", got \"def\""),
            "{}",
            says(other)
        );
    }
}
