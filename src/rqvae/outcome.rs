//! What a training algorithm returns.

use super::model::RqVae;
use crate::training::EpochFigures;

/// Where a training ended.
pub(super) struct TrainingOutcome {
    /// The model in its best state.
    pub(super) model: RqVae,
    pub(super) history: Vec<EpochFigures>,
    pub(super) best_epoch: usize,
}
