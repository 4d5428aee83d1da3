//! User interactions: item vectors from co-occurrence, and histories that are split for training, validation and test.
//!
//! | file | content |
//! |---|---|
//! | `vectors.rs` | [`vectors()`]: item vectors from co-occurrence in the histories, as a modality |
//! | `config.rs` | the settings of these vectors |
//! | `counts.rs`, `factors.rs` | counting of item pairs; factorization of their mutual information |
//! | `histories.rs` | [`Histories`]: the histories over the rows of a token table |
//! | `partners.rs` | [`Partners`]: the items that co-occur most with each item |
//! | `unknown.rs` | refuses interactions that probably belong to another data set |
//! | `split.rs` | [`HistorySplit`]: how histories are split into training, validation and test |

mod config;
mod counts;
mod factors;
mod histories;
mod partners;
mod split;
mod unknown;
mod vectors;

pub use config::BehaviourConfig;
pub use histories::{Histories, HistoryCounts, UserHistory};
pub use partners::Partners;
pub use split::{HistorySplit, SplitPart};
pub use unknown::{MAX_UNKNOWN_EVENTS, refuse_unknown};
pub use vectors::{BehaviourVectors, InteractionUsage, vectors};
