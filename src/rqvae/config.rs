//! Settings of the training, and their check.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::features::{BEHAVIOUR, IMAGE};
use crate::tokenizer::check_codebook_sizes;

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
    /// How strongly refinement gathers near items under one prefix of two codes; 0 leaves them where they fall.
    pub coherence: f64,
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
            coherence: 0.02,
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

/// Pictures say less of what an item is than words do: on emoji and on the things of a game, neighbours agree most with
/// labels at about this weight.
const IMAGE_WEIGHT: f32 = 0.6;

/// What people do with items says most of what they do next: a generative recommender of films learns fastest from codes of
/// about this weight, with which text tells apart what behaviour does not, and stands in for it where there is none.
const BEHAVIOUR_WEIGHT: f32 = 3.0;

/// Below this many items none are held out: every one is needed to place the codewords.
const HOLDOUT_FROM: usize = 1_000;

/// A [`TrainConfig`] that is known to be consistent with itself and with the size of the features.
#[derive(Debug, Clone, PartialEq)]
pub struct ValidTrainConfig {
    config: TrainConfig,
    held_out: usize,
}

impl std::ops::Deref for ValidTrainConfig {
    type Target = TrainConfig;

    fn deref(&self) -> &TrainConfig {
        &self.config
    }
}

impl ValidTrainConfig {
    /// Number of items kept out of training.
    pub fn held_out(&self) -> usize {
        self.held_out
    }

    /// Rounds of refining the codebooks.
    pub(super) fn refine_iterations(&self) -> usize {
        self.config.refine_iterations.unwrap_or_default()
    }

    /// The weights of the modalities of these names, in their order.
    ///
    /// # Errors
    /// [`Error::Config`] for a weight of a modality that is not there.
    pub fn weights_of<'a>(&self, modalities: impl Iterator<Item = &'a str> + Clone) -> Result<Vec<f32>> {
        if let Some(name) = self.config.modality_weights.keys().find(|name| !modalities.clone().any(|m| m == *name)) {
            let there = modalities.collect::<Vec<_>>().join(", ");
            return Err(Error::config("weight", there, name, "name a modality of the features"));
        }
        let several = modalities.clone().nth(1).is_some();
        let default = |m: &str| match m {
            IMAGE if several => IMAGE_WEIGHT,
            BEHAVIOUR if several => BEHAVIOUR_WEIGHT,
            _ => 1.0,
        };
        Ok(modalities.map(|m| self.config.modality_weights.get(m).copied().unwrap_or(default(m))).collect())
    }

    /// How much of what others say of a modality is added to it, for each of these names; others are those with a number
    /// above 0. Behaviour keeps to itself: what people do with items is not another view of how they look and read, and
    /// what only it says is what it is there for.
    pub(super) fn agreements<'a>(&self, modalities: impl Iterator<Item = &'a str>) -> Vec<f64> {
        modalities.map(|m| if m == BEHAVIOUR { 0.0 } else { self.config.agreement }).collect()
    }
}

impl TrainConfig {
    /// Checks the settings for features of `n_items` rows of length `dim`. A `latent_dim` above `dim` is lowered to it.
    ///
    /// # Errors
    /// [`Error::Config`] naming the setting; [`Error::Data`] for fewer than two items.
    pub fn validate(mut self, n_items: usize, dim: usize) -> Result<ValidTrainConfig> {
        check_codebook_sizes(&self.codebook_sizes)?;
        let positive = [
            ("latent-dim", self.latent_dim),
            ("batch-size", self.batch_size),
            ("sample-items", self.sample_items),
            ("kmeans-iterations", self.kmeans_iterations),
            ("kmeans-items-per-code", self.kmeans_items_per_code),
            ("patience", self.patience),
        ];
        for (key, value) in positive {
            if value == 0 {
                return Err(Error::config(key, "at least 1", value, "leave it out for the default"));
            }
        }
        if let Some(width) = self.hidden.iter().find(|&&width| width == 0) {
            return Err(Error::config(
                "hidden",
                "widths of at least 1",
                width,
                "give an empty list for a linear projection",
            ));
        }
        let amounts = [
            ("learning-rate", self.learning_rate, 1.0),
            ("weight-decay", self.weight_decay, f64::MAX),
            ("commitment-weight", self.commitment_weight, f64::MAX),
            ("reconstruction-weight", self.reconstruction_weight, f64::MAX),
            ("ridge", self.ridge, f64::MAX),
            ("balance", self.balance, 1.0),
            ("coherence", self.coherence, 1.0),
            ("separation", self.separation, f64::MAX),
            ("sinkhorn", self.sinkhorn, 1.0),
            ("agreement", self.agreement, 1.0),
            ("modality-dropout", self.modality_dropout, 0.9),
            ("holdout", self.holdout, 0.5),
        ];
        for (key, value, most) in amounts {
            if !(0.0..=most).contains(&value) {
                let expected = if most < f64::MAX {
                    format!("a number from 0 to {most}")
                } else {
                    "a number of at least 0".into()
                };
                return Err(Error::config(key, expected, value, "leave it out for the default"));
            }
        }
        if let Some((name, weight)) = self.modality_weights.iter().find(|(_, w)| !(w.is_finite() && **w > 0.0)) {
            let got = format!("{name}={weight}");
            return Err(Error::config("weight", "numbers above 0", got, "leave a modality out for the weight 1"));
        }
        if self.sinkhorn > 0.0 && self.method != Method::LcRec {
            let help = "choose --recipe lc-rec, or leave it out: the default evens out use by --balance";
            return Err(Error::config("sinkhorn", "0, but for LC-Rec's recipe", self.sinkhorn, help));
        }
        if self.method == Method::LcRec && self.hidden.is_empty() {
            let help = "leave it out for the published widths";
            return Err(Error::config("hidden", "at least one layer for LC-Rec's recipe", "none", help));
        }
        if !(self.standardize || self.modality_weights.is_empty()) {
            let got = format!("{:?}", self.modality_weights);
            let help = "leave it out: this recipe takes features as they are";
            return Err(Error::config("weight", "none", got, help));
        }
        if n_items < 2 {
            return Err(Error::data(
                "training",
                "at least 2 items",
                format!("{n_items}"),
                "give the whole catalog; an ID is learned from how items differ",
            ));
        }
        let in_memory = n_items.min(self.sample_items);
        let held_out = if in_memory >= HOLDOUT_FROM { (in_memory as f64 * self.holdout) as usize } else { 0 };
        let (largest, training) = (self.codebook_sizes.iter().copied().max().unwrap_or(0), in_memory - held_out);
        if largest > training {
            return Err(Error::config(
                "codebook-size",
                format!("at most {training}, the number of training items"),
                largest,
                "choose fewer codes a level; there cannot be more codes than items",
            ));
        }
        let capacity = self.codebook_sizes.iter().fold(1u64, |c, &size| c.saturating_mul(size as u64));
        if capacity < n_items as u64 {
            let sizes = &self.codebook_sizes;
            return Err(Error::config(
                "levels",
                format!("room for {n_items} items"),
                format!("{} levels of {sizes:?} codes, which tell {capacity} items apart", sizes.len()),
                "add a level or take more codes a level",
            ));
        }
        self.latent_dim = self.latent_dim.min(dim);
        self.refine_iterations.get_or_insert((12 + training / largest / 10).min(40));
        Ok(ValidTrainConfig { config: self, held_out })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(change: impl Fn(&mut TrainConfig)) -> String {
        let mut config = TrainConfig::default();
        change(&mut config);
        config.validate(10_000, 64).unwrap_err().to_string()
    }

    #[test]
    fn the_default_is_valid() {
        let valid = TrainConfig::default().validate(10_000, 64).unwrap();
        assert_eq!((valid.held_out(), valid.latent_dim), (500, 64));
        assert_eq!(TrainConfig::default().validate(300, 8).unwrap().held_out(), 0);
    }

    #[test]
    fn every_rule_names_its_setting() {
        assert!(refused(|c| c.codebook_sizes = vec![]).contains("levels"));
        assert!(refused(|c| c.codebook_sizes = vec![1]).contains("codebook-size"));
        assert!(refused(|c| c.codebook_sizes = vec![20_000]).contains("more codes than items"));
        assert!(refused(|c| c.latent_dim = 0).contains("latent-dim"));
        assert!(refused(|c| c.hidden = vec![64, 0]).contains("hidden"));
        assert!(refused(|c| c.batch_size = 0).contains("batch-size"));
        assert!(refused(|c| c.patience = 0).contains("patience"));
        assert!(refused(|c| c.kmeans_iterations = 0).contains("kmeans-iterations"));
        assert!(refused(|c| c.sample_items = 0).contains("sample-items"));
        assert!(refused(|c| c.sample_items = 200).contains("more codes than items"));
        assert!(refused(|c| c.kmeans_items_per_code = 0).contains("kmeans-items-per-code"));
        assert!(refused(|c| c.learning_rate = f64::NAN).contains("learning-rate"));
        assert!(refused(|c| c.weight_decay = -1.0).contains("weight-decay"));
        assert!(refused(|c| c.commitment_weight = -1.0).contains("commitment-weight"));
        assert!(refused(|c| c.reconstruction_weight = f64::NAN).contains("reconstruction-weight"));
        assert!(refused(|c| c.ridge = -1.0).contains("ridge"));
        assert!(refused(|c| c.balance = 2.0).contains("balance"));
        assert!(refused(|c| c.coherence = f64::NAN).contains("coherence"));
        assert!(refused(|c| c.sinkhorn = 0.003).contains("--recipe lc-rec"));
        assert!(refused(|c| (c.method, c.hidden) = (Method::LcRec, vec![])).contains("hidden"));
        let weighted = |c: &mut TrainConfig| {
            c.standardize = false;
            c.modality_weights = [("text".into(), 1.0)].into();
        };
        assert!(refused(weighted).contains("weight"));
        assert!(refused(|c| c.agreement = 1.5).contains("agreement"));
        assert!(refused(|c| c.modality_dropout = 1.0).contains("modality-dropout"));
        assert!(refused(|c| c.holdout = 0.9).contains("holdout"));
        assert!(refused(|c| c.modality_weights = [("text".into(), 0.0)].into()).contains("weight"));
        assert!(refused(|c| c.codebook_sizes = vec![16, 16]).contains("room for 10000 items"));
        assert!(TrainConfig::default().validate(1, 8).unwrap_err().to_string().contains("at least 2 items"));
    }

    #[test]
    fn weights_go_to_modalities_that_are_there() {
        let config = TrainConfig { modality_weights: [("image".into(), 0.5)].into(), ..TrainConfig::default() };
        let valid = config.validate(1_000, 8).unwrap();
        assert_eq!(valid.weights_of(["text", "image"].into_iter()).unwrap(), [1.0, 0.5]);
        let default = TrainConfig::default().validate(1_000, 8).unwrap();
        assert_eq!(default.weights_of(["image", "text", "llama"].into_iter()).unwrap(), [0.6, 1.0, 1.0]);
        assert_eq!(default.weights_of(["behaviour", "text"].into_iter()).unwrap(), [3.0, 1.0]);
        assert_eq!(default.weights_of(["behaviour"].into_iter()).unwrap(), [1.0]);
        assert_eq!(default.weights_of(["image"].into_iter()).unwrap(), [1.0]);
        assert!(valid.weights_of(["text"].into_iter()).unwrap_err().to_string().contains("image"));
    }

    #[test]
    fn unknown_keys_are_refused() {
        assert!(serde_json::from_str::<TrainConfig>(r#"{"batchsize": 3}"#).is_err());
        let config: TrainConfig = serde_json::from_str(r#"{"batch-size": 3}"#).unwrap();
        assert_eq!(config.batch_size, 3);
    }
}
