//! IDs against histories: whether IDs help to predict the next item, measured without training a recommender.
//!
//! | file | content |
//! |---|---|
//! | `tree.rs` | the prefixes as a tree |
//! | `transitions.rs`, `backoff.rs`, `mixture.rs` | a Markov model over codes, fitted to the events before each user's last |
//! | `ranking.rs` | its Recall and NDCG on the last events, by exact scoring |
//! | `purity.rs`, `kept.rs`, `spread.rs` | prefixes against transitions, co-occurrence and popularity |
//! | `measure.rs` | [`HistoryFigures`]: all of these of one set of IDs |
//! | `comparison.rs`, `bootstrap.rs` | [`IdComparison`]: two sets of IDs, with a paired bootstrap over users |

mod backoff;
mod bootstrap;
mod comparison;
mod kept;
mod measure;
mod mixture;
mod purity;
mod ranking;
mod spread;
#[cfg(test)]
mod tests;
mod transitions;
mod tree;

pub use bootstrap::PairedFigure;
pub use comparison::{BetterIds, IdComparison};
pub use kept::CoOccurrenceKept;
pub use measure::{CodeEntropy, HistoryFigures, LevelEntropy, NextItemFigures};
pub use purity::PrefixPurity;
pub use spread::{PopularitySpread, SharedIdEvents};
