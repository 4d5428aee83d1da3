//! From features to a trained model.

use std::path::Path;
use std::time::Duration;

use super::spec::{Output, TrainSpec};
use super::{sources, threads};
use crate::artifact::OutputLock;
use crate::error::Result;
use crate::index::resolve_index;
use crate::progress::Progress;
use crate::rqvae::{self, Checkpoints};
use crate::training::EpochFigures;

/// Result of [`train`].
#[derive(Debug, Clone, PartialEq)]
pub struct TrainSummary {
    /// Hash of the model.
    pub model_hash: String,
    /// One entry per epoch; epoch 0 is the state before gradient descent.
    pub history: Vec<EpochFigures>,
    /// The epoch whose state was kept.
    pub best_epoch: usize,
}

/// Trains a model on features and writes its folder. A killed training continues from a checkpoint next to it.
///
/// # Errors
/// As [`rqvae::train`]; for features that cannot be read, and for an output that exists.
pub fn train(spec: &TrainSpec, progress: &dyn Progress) -> Result<TrainSummary> {
    let (out, overwrite) = (&spec.output.out, spec.output.overwrite());
    let _lock = OutputLock::claim(out, overwrite)?;
    let config = spec.train.config()?;
    threads::with_threads(spec.threads, |_| {
        let source = resolve_index(&spec.features)?;
        let features = sources::features(&source)?;
        let checkpoints = checkpoints(&spec.output, out);
        if spec.output.force && !spec.output.resume {
            checkpoints.remove()?;
        }
        let trained = rqvae::train(&features, config, Some(&checkpoints), progress)?;
        trained.tokenizer.save(out, overwrite)?;
        checkpoints.remove()?;
        let model_hash = trained.tokenizer.hash().to_owned();
        Ok(TrainSummary { model_hash, history: trained.history, best_epoch: trained.best_epoch })
    })
}

/// The checkpoint of the training of the model at `model`.
pub(super) fn checkpoints(output: &Output, model: &Path) -> Checkpoints {
    let mut path = model.as_os_str().to_owned();
    path.push(".checkpoint");
    Checkpoints { path: path.into(), every: Duration::from_secs(output.checkpoint_every), resume: output.resume }
}
