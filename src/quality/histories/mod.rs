//! IDs against histories: whether IDs help to predict the next item, measured without training a recommender.
//!
//! | file | content |
//! |---|---|
//! | `tree.rs` | the prefixes as a tree |
//! | `transitions.rs`, `backoff.rs`, `mixture.rs` | a Markov model over codes, fitted to the events before each user's last |
//! | `ranking.rs` | its Recall and NDCG on the last events, by exact scoring |
//! | `entropy.rs` | conditional entropy of the codes on the last events |
//! | `purity.rs`, `kept.rs`, `spread.rs` | prefixes against transitions, co-occurrence and popularity |
//! | `shuffled.rs` | the same IDs, shuffled among the items, as a reference |
//! | `measure.rs` | [`HistoryFigures`]: all of these of one set of IDs |
//! | `comparison.rs`, `bootstrap.rs` | [`IdComparison`]: two sets of IDs, with a paired bootstrap over users |

mod backoff;
mod bootstrap;
mod comparison;
mod entropy;
mod kept;
mod measure;
mod mixture;
mod purity;
mod ranking;
mod shuffled;
mod spread;
#[cfg(test)]
pub(super) mod tests;
mod transitions;
mod tree;

pub use bootstrap::PairedFigure;
pub use comparison::{BetterIds, IdComparison};
pub use entropy::{CodeEntropy, LevelEntropy};
pub use kept::CoOccurrenceKept;
pub use measure::{HistoryFigures, NextItemFigures};
pub use purity::PrefixPurity;
pub use shuffled::ShuffledIds;
pub use spread::{PopularitySpread, SharedIdEvents};
