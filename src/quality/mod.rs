//! Measures of a model, a token table or an index. Nothing here changes what it measures.
//!
//! [`Figures`] are the numbers; [`Report`] is the page that shows them, with the prefixes and their items to wander.

mod figures;
mod label_neighbours;
mod labels;
mod neighbours;
mod recall;
mod report;

pub use figures::{CrowdedPrefix, Figures, LevelFigures, Reconstruction};
pub use label_neighbours::{LabelNeighbours, Nearness};
pub use labels::{LabelDepth, LabelFigures};
pub use recall::NeighbourFigures;
pub use report::{Cards, Map, PICTURES_AT_MOST, Pictures, Report, picture_order};

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use crate::item_ids::ItemIds;
    use crate::semantic_id::{Collisions, TableMetadata, TokenFormat, TokenTable};

    /// A table of these codes, with ids `0..n`.
    pub(crate) fn table(codes: Array2<u16>, sizes: &[usize]) -> TokenTable {
        TokenTable {
            item_ids: ItemIds::row_numbers(codes.nrows()),
            residual_error: vec![0.0; codes.nrows()],
            reassigned: vec![false; codes.nrows()],
            codes,
            metadata: TableMetadata {
                model_hash: "0123456789abcdef".into(),
                codebook_sizes: sizes.to_vec(),
                token_format: TokenFormat::default(),
                policy: Collisions::Resolve,
                collisions: None,
            },
        }
    }
}
