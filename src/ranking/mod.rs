//! Semantic IDs as features of ranking models: integer columns with fixed cardinalities.
//!
//! | form | columns | source |
//! |---|---|---|
//! | [`RankingForm::Levels`] | the code of each level | |
//! | [`RankingForm::PrefixNgrams`] | the first `d` codes as one integer, for each depth `d` | Meta, arXiv 2504.02137 |
//! | [`RankingForm::Subwords`] | pieces of a [`SubwordVocabulary`] that was trained once | YouTube, arXiv 2306.08121 |
//!
//! The values of an item depend only on its own codes, the codebook sizes and the settings. Items that are added later
//! change nothing. A suffix level that only numbers items with equal codes is left out.

mod columns;
mod prefix_ids;
mod subword_file;
mod subword_training;
mod subwords;
#[cfg(test)]
mod tests;

pub use columns::{RankingColumn, RankingFeatures, RankingForm, check_ranking_features};
pub use prefix_ids::PrefixIds;
pub use subword_training::train_subwords;
pub use subwords::SubwordVocabulary;

pub(crate) use columns::RANKING_FEATURES;
pub(crate) use subword_file::SUBWORD_VOCABULARY;
