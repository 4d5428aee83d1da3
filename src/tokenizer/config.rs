//! The contents of `config.json` in a model folder.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::training::TrainingRecord;

pub use crate::training::{MAX_CODEBOOK_SIZE, MAX_LEVELS};

/// Format version of the model folder that this build writes.
pub const FORMAT_VERSION: u32 = 4;

/// The oldest format version that this build reads. Version 2 has no completion; up to version 3, `config.json` has no
/// hash of itself, and the weights do not name the shapes.
pub const OLDEST_FORMAT_VERSION: u32 = 2;

/// The first version with the shapes in the weights and a hash of `config.json` in it.
pub(super) const SHAPES_SINCE: u32 = 4;

/// One modality of the features, as the model expects it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModalityShape {
    /// The modality's column in the features ("text", "image", ...).
    pub name: String,
    /// Length of its vectors.
    pub dim: usize,
}

/// The shapes of a frozen model and its provenance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// From [`OLDEST_FORMAT_VERSION`] to [`FORMAT_VERSION`].
    pub format_version: u32,
    /// Version of catalex that wrote the folder.
    pub catalex_version: String,
    /// The modalities, in the order in which their vectors are concatenated.
    pub modalities: Vec<ModalityShape>,
    /// Widths of the projection's hidden layers; the inverse projection has them in reverse.
    pub hidden: Vec<usize>,
    /// Dimension of the latents and the codewords.
    pub latent_dim: usize,
    /// Codes per level.
    pub codebook_sizes: Vec<usize>,
    /// SHA-256 of `model.safetensors`.
    pub weights_sha256: String,
    /// Settings and outcome of the training. `None` for a model that was not made by training, and where `config.json`
    /// has something else in its place.
    #[serde(default, deserialize_with = "TrainingRecord::deserialize_lenient")]
    pub training: Option<TrainingRecord>,
}

impl Config {
    /// Length of a concatenated input row.
    pub fn dim(&self) -> usize {
        self.modalities.iter().map(|m| m.dim).sum()
    }

    /// Number of levels.
    pub fn levels(&self) -> usize {
        self.codebook_sizes.len()
    }
}

/// Checks the codebook sizes of a model or of a training configuration.
///
/// # Errors
/// [`Error::Config`] for no or more than [`MAX_LEVELS`] levels, or a codebook with fewer than 2 or more than
/// [`MAX_CODEBOOK_SIZE`] codes.
pub fn check_codebook_sizes(sizes: &[usize]) -> Result<()> {
    if sizes.is_empty() || sizes.len() > MAX_LEVELS {
        return Err(Error::config(
            "levels",
            format!("1 to {MAX_LEVELS}"),
            sizes.len(),
            "use 4 levels, which suit most catalogs",
        ));
    }
    match sizes.iter().find(|&&k| !(2..=MAX_CODEBOOK_SIZE).contains(&k)) {
        Some(k) => Err(Error::config(
            "codebook-size",
            format!("2 to {MAX_CODEBOOK_SIZE} codes per level"),
            k,
            "use 256 codes, which suit most catalogs",
        )),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codebook_sizes_have_bounds() {
        assert!(check_codebook_sizes(&[256; 4]).is_ok());
        assert!(check_codebook_sizes(&[2, 65_536]).is_ok());
        for bad in [vec![], vec![256; 9], vec![1], vec![256, 70_000]] {
            assert!(matches!(check_codebook_sizes(&bad), Err(Error::Config { .. })), "{bad:?}");
        }
    }
}
