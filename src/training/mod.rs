//! Settings, configurations and records of training.
//!
//! Nothing here needs libtorch: the command line, Python and the documentation read the same declarations whether or not
//! they can train.
//!
//! - [`TrainSettings`] declares every setting once. Its fields are optional: `None` means not given.
//! - [`TrainSettings::config`] applies the given settings to a [`Recipe`] and returns a [`TrainConfig`], in which every
//!   setting has a value.
//! - [`TrainingRecord`] is the record of a training that is stored in the model.

mod apply;
mod config;
mod declaration;
mod older;
mod recipe;
mod record;
mod residual_errors;

pub use config::{LcRecConfig, QuantizerConfig, TrainConfig};
pub use declaration::TrainSettings;
pub use recipe::Recipe;
pub use record::{EpochFigures, TrainingRecord};
pub use residual_errors::ResidualErrors;

/// Maximum number of levels of a semantic ID: tokens name the levels by the letters a to h.
pub const MAX_LEVELS: usize = 8;

/// Maximum number of codes per codebook: a code is a `u16`.
pub const MAX_CODEBOOK_SIZE: usize = 1 << 16;
