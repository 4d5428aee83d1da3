//! Configurations of training: an algorithm, and a value for each of its settings.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// How to train: the algorithm and its settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "algorithm", rename_all = "kebab-case")]
pub enum TrainConfig {
    /// Residual k-means on principal axes, joint refinement of the codebooks, and gradient descent.
    ResidualQuantizer(QuantizerConfig),
    /// The published training of LC-Rec.
    LcRec(LcRecConfig),
}

impl Default for TrainConfig {
    fn default() -> Self {
        QuantizerConfig::default().into()
    }
}

impl From<QuantizerConfig> for TrainConfig {
    fn from(config: QuantizerConfig) -> Self {
        TrainConfig::ResidualQuantizer(config)
    }
}

impl From<LcRecConfig> for TrainConfig {
    fn from(config: LcRecConfig) -> Self {
        TrainConfig::LcRec(config)
    }
}

impl TrainConfig {
    /// Codes per level.
    pub fn codebook_sizes(&self) -> &[usize] {
        match self {
            TrainConfig::ResidualQuantizer(config) => &config.codebook_sizes,
            TrainConfig::LcRec(config) => &config.codebook_sizes,
        }
    }

    /// Seed of all random numbers.
    pub fn seed(&self) -> u64 {
        match self {
            TrainConfig::ResidualQuantizer(config) => config.seed,
            TrainConfig::LcRec(config) => config.seed,
        }
    }

    /// Device to train on.
    pub fn device(&self) -> &str {
        match self {
            TrainConfig::ResidualQuantizer(config) => &config.device,
            TrainConfig::LcRec(config) => &config.device,
        }
    }
}

/// Settings of the residual quantizer. Every field has a default; unknown keys are refused.
///
/// [`TrainSettings`](super::TrainSettings) documents the fields of the same names.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct QuantizerConfig {
    /// Codes per level, one entry per level.
    pub codebook_sizes: Vec<usize>,
    /// Dimension of the latent vectors, limited to the dimension of the features.
    pub latent_dim: usize,
    /// Widths of the hidden layers of the projection; none makes it linear.
    pub hidden: Vec<usize>,
    /// Maximum number of epochs of gradient descent; with 0 the refined codebooks are the result.
    pub epochs: usize,
    /// Items per gradient step.
    pub batch_size: usize,
    /// Initial learning rate of AdamW.
    pub learning_rate: f64,
    /// Decoupled weight decay of AdamW.
    pub weight_decay: f64,
    /// Weight of the commitment loss.
    pub commitment_weight: f64,
    /// Weight of the reconstruction loss.
    pub reconstruction_weight: f64,
    /// Whether to predict a missing modality from the other modalities. Otherwise, it is replaced by its mean.
    pub complete: bool,
    /// Fraction of the prediction from the other modalities that is added to each modality (never to behaviour).
    pub agreement: f64,
    /// Fraction of the items of a gradient step of which one modality is replaced by its prediction.
    pub modality_dropout: f64,
    /// Maximum number of items held in memory.
    pub sample_items: usize,
    /// Maximum number of k-means iterations per level, on all items in memory.
    pub kmeans_iterations: usize,
    /// Items per code in the sample on which k-means starts.
    pub kmeans_items_per_code: usize,
    /// Whether k-means splits overfull codes: at the first level until use is about even, at the others only extreme ones.
    pub cut_crowded: bool,
    /// Rounds of joint refinement. `None` chooses 12 to 40, increasing with the number of training items per code: with
    /// few items per code, later rounds fit noise.
    pub refine_iterations: Option<usize>,
    /// Ridge penalty on refined codewords, in items.
    pub ridge: f64,
    /// Step size with which refinement equalises how often codes are used.
    pub balance: f64,
    /// Strength with which refinement keeps similar items under one two-code prefix. `None` chooses 0 for features with
    /// behaviour and 0.02 for others.
    pub coherence: Option<f64>,
    /// Maximum penalty on last-level codes, relative to the mean squared residual before the last level.
    pub separation: f64,
    /// Fraction of the items that is held out to select the best epoch; with 0 the training items select it.
    pub holdout: f64,
    /// Number of epochs without improvement after which training stops.
    pub patience: usize,
    /// Seed of all random numbers.
    pub seed: u64,
    /// Device: `cpu`, `cuda` or `cuda:N`.
    pub device: String,
    /// Weight by modality. With several modalities, the defaults are 0.6 for "image", twice the root mean square length
    /// (at most 1) of its vectors for "behaviour", and 1 for others.
    pub modality_weights: BTreeMap<String, f32>,
}

impl Default for QuantizerConfig {
    fn default() -> Self {
        QuantizerConfig {
            codebook_sizes: vec![256; 4],
            latent_dim: 256,
            hidden: vec![512],
            epochs: 15,
            batch_size: 512,
            learning_rate: 1e-4,
            weight_decay: 1e-2,
            commitment_weight: 0.25,
            reconstruction_weight: 1.0,
            complete: true,
            agreement: 0.8,
            modality_dropout: 0.2,
            sample_items: 1 << 18,
            kmeans_iterations: 25,
            kmeans_items_per_code: 48,
            cut_crowded: true,
            refine_iterations: None,
            ridge: 2.0,
            balance: 0.006,
            coherence: None,
            separation: 1.0,
            holdout: 0.05,
            patience: 3,
            seed: 42,
            device: "cpu".into(),
            modality_weights: BTreeMap::new(),
        }
    }
}

impl QuantizerConfig {
    /// Residual k-means alone; see [`Recipe::RqKmeans`](super::Recipe::RqKmeans).
    pub fn rq_kmeans() -> Self {
        QuantizerConfig {
            // All principal axes: a rotation of the features, which preserves every distance.
            latent_dim: usize::MAX,
            hidden: Vec::new(),
            epochs: 0,
            kmeans_iterations: 100,
            cut_crowded: false,
            complete: false,
            agreement: 0.0,
            separation: 0.0,
            refine_iterations: Some(0),
            holdout: 0.0,
            ..QuantizerConfig::default()
        }
    }
}

/// Settings of LC-Rec's training. Every field has a default, which is the published value; unknown keys are refused.
///
/// [`TrainSettings`](super::TrainSettings) documents the fields of the same names.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct LcRecConfig {
    /// Codes per level, one entry per level.
    pub codebook_sizes: Vec<usize>,
    /// Dimension of the latent vectors, limited to the dimension of the features.
    pub latent_dim: usize,
    /// Widths of the hidden layers of the projection; at least one.
    pub hidden: Vec<usize>,
    /// Number of epochs of gradient descent.
    pub epochs: usize,
    /// Items per gradient step.
    pub batch_size: usize,
    /// Learning rate of AdamW after its warm-up; it decays linearly to zero.
    pub learning_rate: f64,
    /// Decoupled weight decay of AdamW.
    pub weight_decay: f64,
    /// Weight of the commitment loss.
    pub commitment_weight: f64,
    /// Maximum number of items held in memory.
    pub sample_items: usize,
    /// Maximum number of k-means iterations per level, on the first batch.
    pub kmeans_iterations: usize,
    /// Entropy regularisation of the Sinkhorn assignment at the last level; 0 assigns the nearest code.
    pub sinkhorn: f64,
    /// Seed of all random numbers.
    pub seed: u64,
    /// Device: `cpu`, `cuda` or `cuda:N`.
    pub device: String,
}

impl Default for LcRecConfig {
    fn default() -> Self {
        LcRecConfig {
            codebook_sizes: vec![256; 4],
            latent_dim: 32,
            hidden: vec![2048, 1024, 512, 256, 128, 64],
            epochs: 10_000,
            batch_size: 1024,
            learning_rate: 1e-3,
            weight_decay: 1e-4,
            commitment_weight: 0.25,
            sample_items: 1 << 18,
            kmeans_iterations: 100,
            sinkhorn: 0.003,
            seed: 42,
            device: "cpu".into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_round_trips_and_unknown_keys_are_refused() {
        for config in [QuantizerConfig::rq_kmeans().into(), TrainConfig::from(LcRecConfig::default())] {
            let text = serde_json::to_string(&config).unwrap();
            assert_eq!(serde_json::from_str::<TrainConfig>(&text).unwrap(), config);
        }
        let short = r#"{"algorithm": "residual-quantizer", "batch-size": 3}"#;
        let expected = QuantizerConfig { batch_size: 3, ..QuantizerConfig::default() };
        assert_eq!(serde_json::from_str::<TrainConfig>(short).unwrap(), expected.into());
        for wrong in [
            r#"{"algorithm": "residual-quantizer", "sinkhorn": 0.1}"#,
            r#"{"algorithm": "lc-rec", "ridge": 1.0}"#,
            r#"{"algorithm": "lc-rex"}"#,
            r#"{"batch-size": 3}"#,
        ] {
            assert!(serde_json::from_str::<TrainConfig>(wrong).is_err(), "{wrong}");
        }
    }
}
