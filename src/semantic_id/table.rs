//! The token table: the codes, semantic ID and error of every item.

use ndarray::{Array2, ArrayView2, s};

use super::{Collisions, Members, Occupied, TableMetadata};
use crate::error::Result;
use crate::item_ids::ItemIds;

/// The semantic IDs of a catalog.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenTable {
    /// The items, in the catalog's order.
    pub item_ids: ItemIds,
    /// `(n, levels)`.
    pub codes: Array2<u16>,
    /// Squared distance between each item's latent and the sum of its codewords.
    pub residual_error: Vec<f32>,
    /// Whether collision resolution changed an item's codes.
    pub reassigned: Vec<bool>,
    /// Ranks and classes of the members of shared IDs. Only tables of the policy [`Collisions::Share`] have them.
    pub members: Option<Members>,
    /// The metadata of the file.
    pub metadata: TableMetadata,
}

impl TokenTable {
    /// The codes of the model's levels, without a suffix.
    pub fn quantized(&self) -> ArrayView2<'_, u16> {
        let suffix = usize::from(self.metadata.policy == Collisions::Suffix);
        self.codes.slice(s![.., ..self.codes.ncols() - suffix])
    }

    /// The codes of all items, without a suffix, as taken codes.
    ///
    /// # Errors
    /// As [`Occupied::of_codes`].
    pub fn occupied(&self) -> Result<Occupied> {
        let codes = self.quantized();
        Occupied::of_codes(codes, &self.metadata.codebook_sizes[..codes.ncols()])
    }

    /// The semantic ID of a row.
    pub fn semantic_id(&self, row: usize) -> String {
        self.metadata.token_format.semantic_id(&self.codes.row(row).to_vec())
    }
}
