//! The check of the training's settings, and what of them depends on the features.

use super::config::{Method, TrainConfig};
use crate::error::{Error, Result};
use crate::features::{BEHAVIOUR, IMAGE};
use crate::tokenizer::check_codebook_sizes;

/// Pictures say less of what an item is than words do: on emoji and on the things of a game, neighbours agree most with
/// labels at about this weight.
const IMAGE_WEIGHT: f32 = 0.6;

/// What people do with items says most of what they do next: a generative recommender of films learns fastest from codes of
/// about this weight, with which text tells apart what behaviour does not, and stands in for it where there is none.
const BEHAVIOUR_WEIGHT: f32 = 3.0;

/// Near items gathered under prefixes are found again by prefix.
const COHERENCE: f64 = 0.02;

/// With behaviour prefixes say what is watched next as they fall, and a generative recommender of films gains more from
/// them so.
const COHERENCE_WITH_BEHAVIOUR: f64 = 0.0;

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

    /// How strongly refinement gathers near items under one prefix of two codes.
    pub(super) fn coherence(&self) -> f64 {
        self.config.coherence.unwrap_or_default()
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
    /// Checks the settings for features of `n_items` rows of these modalities, by name and dimension, and sets those that
    /// depend on them. A `latent_dim` above the sum of the dimensions is lowered to it.
    ///
    /// # Errors
    /// [`Error::Config`] naming the setting; [`Error::Data`] for fewer than two items.
    pub fn validate(mut self, n_items: usize, modalities: &[(String, usize)]) -> Result<ValidTrainConfig> {
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
            ("coherence", self.coherence.unwrap_or_default(), 1.0),
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
        self.latent_dim = self.latent_dim.min(modalities.iter().map(|(_, dim)| dim).sum());
        let behaviour = modalities.iter().any(|(name, _)| name == BEHAVIOUR);
        self.coherence.get_or_insert(if behaviour { COHERENCE_WITH_BEHAVIOUR } else { COHERENCE });
        self.refine_iterations.get_or_insert((12 + training / largest / 10).min(40));
        Ok(ValidTrainConfig { config: self, held_out })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn modality(name: &str, dim: usize) -> (String, usize) {
        (name.into(), dim)
    }

    fn refused(change: impl Fn(&mut TrainConfig)) -> String {
        let mut config = TrainConfig::default();
        change(&mut config);
        config.validate(10_000, &[modality("text", 64)]).unwrap_err().to_string()
    }

    #[test]
    fn the_default_is_valid() {
        let valid = TrainConfig::default().validate(10_000, &[modality("text", 40), modality("image", 24)]).unwrap();
        assert_eq!((valid.held_out(), valid.latent_dim), (500, 64));
        assert_eq!(TrainConfig::default().validate(300, &[modality("text", 8)]).unwrap().held_out(), 0);
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
        assert!(refused(|c| c.coherence = Some(f64::NAN)).contains("coherence"));
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
        assert!(
            TrainConfig::default()
                .validate(1, &[modality("text", 8)])
                .unwrap_err()
                .to_string()
                .contains("at least 2 items")
        );
    }

    #[test]
    fn weights_go_to_modalities_that_are_there() {
        let config = TrainConfig { modality_weights: [("image".into(), 0.5)].into(), ..TrainConfig::default() };
        let valid = config.validate(1_000, &[]).unwrap();
        assert_eq!(valid.weights_of(["text", "image"].into_iter()).unwrap(), [1.0, 0.5]);
        let default = TrainConfig::default().validate(1_000, &[]).unwrap();
        assert_eq!(default.weights_of(["image", "text", "llama"].into_iter()).unwrap(), [0.6, 1.0, 1.0]);
        assert_eq!(default.weights_of(["behaviour", "text"].into_iter()).unwrap(), [3.0, 1.0]);
        assert_eq!(default.weights_of(["behaviour"].into_iter()).unwrap(), [1.0]);
        assert_eq!(default.weights_of(["image"].into_iter()).unwrap(), [1.0]);
        assert!(valid.weights_of(["text"].into_iter()).unwrap_err().to_string().contains("image"));
    }

    #[test]
    fn prefixes_are_left_as_they_fall_with_behaviour() {
        let of = |config: TrainConfig, names: &[&str]| {
            let modalities: Vec<_> = names.iter().map(|name| modality(name, 8)).collect();
            config.validate(1_000, &modalities).unwrap().coherence()
        };
        assert!(of(TrainConfig::default(), &["text", "image"]) > 0.0);
        assert_eq!(of(TrainConfig::default(), &["text", "behaviour"]), 0.0);
        let given = TrainConfig { coherence: Some(0.5), ..TrainConfig::default() };
        assert_eq!(of(given, &["behaviour"]), 0.5);
    }
}
