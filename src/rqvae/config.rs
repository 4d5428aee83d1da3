//! Settings of the training, and their defaults.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Which way to train.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// catalex's: principal axes, k-means, refinement, gradients.
    #[default]
    Refine,
    /// LC-Rec's: gradients from a random start.
    LcRec,
}

/// How to train. Every field has a default; unknown keys are refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct TrainConfig {
    /// Which way. [`Method::LcRec`] has no use for the settings of refinement, for `patience`, and for
    /// `reconstruction_weight`.
    pub method: Method,
    /// Codes per level; as many levels as entries.
    pub codebook_sizes: Vec<usize>,
    /// Dimension of the latents; at most that of the features.
    pub latent_dim: usize,
    /// Widths of the projection's hidden layers; none makes it linear.
    pub hidden: Vec<usize>,
    /// Passes of gradient descent over the training set, after the codebooks are refined; 0 keeps them as they are.
    pub epochs: usize,
    /// Items per gradient step.
    pub batch_size: usize,
    /// AdamW's step size at the start; it falls to zero along a cosine.
    pub learning_rate: f64,
    /// AdamW's decoupled weight decay.
    pub weight_decay: f64,
    /// Weight of the commitment loss: latents drawn to their codewords.
    pub commitment_weight: f64,
    /// Weight of the reconstruction loss.
    pub reconstruction_weight: f64,
    /// Whether modalities are centred and scaled to weigh alike; otherwise features are taken as they are.
    pub standardize: bool,
    /// Whether a modality that an item lacks is completed from those it has; otherwise it stands at its mean.
    pub complete: bool,
    /// How much of what the other modalities say of a modality is added to it; 0 leaves them side by side. Behaviour
    /// neither gets nor gives any.
    pub agreement: f64,
    /// Share of the items a step of gradient descent that see one of their modalities completed instead of as it is.
    pub modality_dropout: f64,
    /// Most items that the codebooks start from: with more, so many are drawn by lot, and gradient descent passes over
    /// all of them, a window at a time.
    pub sample_items: usize,
    /// Most steps of k-means a level on all training items.
    pub kmeans_iterations: usize,
    /// Most training items a code that k-means starts from; more are sampled down.
    pub kmeans_items_per_code: usize,
    /// Whether k-means cuts codes that are too full: at the first level to about even ones, at the others if they are
    /// far too full.
    pub cut_crowded: bool,
    /// Rounds of refining the codebooks after k-means; 0 keeps them. Where it is none, 12, and up to 40 the more training
    /// items there are a code: with few, later rounds learn their noise.
    pub refine_iterations: Option<usize>,
    /// How strongly refined codewords are drawn to zero, in items: what one item more at the mean would do.
    pub ridge: f64,
    /// How fast refinement evens out the use of codes; 0 leaves it uneven.
    pub balance: f64,
    /// How strongly refinement gathers near items under one prefix of two codes; 0 leaves them where they fall. Where it
    /// is none, 0 for features with behaviour and 0.02 for others.
    pub coherence: Option<f64>,
    /// Highest offset that may part items which would share all codes, beside the mean squared length of what is left
    /// before the last level; 0 leaves them together.
    pub separation: f64,
    /// How flat [`Method::LcRec`] spreads a batch over the last codebook by Sinkhorn's iteration; 0 takes the nearest.
    pub sinkhorn: f64,
    /// Share of the items kept out of training to choose the best state by; 0 chooses by the training items.
    pub holdout: f64,
    /// Epochs without a better state after which training stops.
    pub patience: usize,
    /// Seed of every random draw.
    pub seed: u64,
    /// `cpu`, `cuda` or `cuda:N`.
    pub device: String,
    /// How much a modality counts beside the others; where it is not named, 0.6 for "image", 3 for
    /// "behaviour" and 1 for any other.
    pub modality_weights: BTreeMap<String, f32>,
}

impl Default for TrainConfig {
    fn default() -> Self {
        TrainConfig {
            method: Method::Refine,
            codebook_sizes: vec![256; 4],
            latent_dim: 256,
            hidden: vec![512],
            epochs: 15,
            batch_size: 512,
            learning_rate: 1e-4,
            weight_decay: 1e-2,
            commitment_weight: 0.25,
            reconstruction_weight: 1.0,
            standardize: true,
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
            sinkhorn: 0.0,
            holdout: 0.05,
            patience: 3,
            seed: 42,
            device: "cpu".into(),
            modality_weights: BTreeMap::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_keys_are_refused() {
        assert!(serde_json::from_str::<TrainConfig>(r#"{"batchsize": 3}"#).is_err());
        let config: TrainConfig = serde_json::from_str(r#"{"batch-size": 3}"#).unwrap();
        assert_eq!(config.batch_size, 3);
    }
}
