//! Settings by name.

use std::fmt;
use std::str::FromStr;

use super::config::{Method, TrainConfig};
use crate::error::{Error, Result};

/// Settings by name; single ones can be changed after.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Recipe {
    /// What catalex recommends: [`TrainConfig::default`].
    #[default]
    Default,
    /// Residual k-means and nothing else, the baseline without a network: codebooks on the standardised features
    /// themselves, level by level, not refined and not trained further.
    RqKmeans,
    /// What LC-Rec (arXiv 2311.09049) published: a deep perceptron on the features as they are, trained by gradients from
    /// a random start for thousands of epochs, codebooks started by k-means on the first batch.
    LcRec,
}

impl Recipe {
    const ALL: [Recipe; 3] = [Recipe::Default, Recipe::RqKmeans, Recipe::LcRec];

    /// Its settings.
    pub fn config(self) -> TrainConfig {
        match self {
            Recipe::Default => TrainConfig::default(),
            Recipe::RqKmeans => TrainConfig {
                // All axes: a rotation of the features, which leaves every distance as it is.
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
                ..TrainConfig::default()
            },
            Recipe::LcRec => TrainConfig {
                method: Method::LcRec,
                latent_dim: 32,
                hidden: vec![2048, 1024, 512, 256, 128, 64],
                epochs: 10_000,
                batch_size: 1024,
                learning_rate: 1e-3,
                weight_decay: 1e-4,
                standardize: false,
                complete: false,
                agreement: 0.0,
                kmeans_iterations: 100,
                sinkhorn: 0.003,
                separation: 0.0,
                holdout: 0.0,
                ..TrainConfig::default()
            },
        }
    }
}

impl fmt::Display for Recipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Recipe::Default => "default",
            Recipe::RqKmeans => "rq-kmeans",
            Recipe::LcRec => "lc-rec",
        })
    }
}

impl FromStr for Recipe {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Recipe::ALL.into_iter().find(|recipe| recipe.to_string() == text).ok_or_else(|| {
            let all = Recipe::ALL.map(|recipe| recipe.to_string()).join(", ");
            Error::config("recipe", all, text, "leave it out for the default")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recipes_are_valid_and_found_by_name() {
        for recipe in Recipe::ALL {
            assert_eq!(recipe.to_string().parse::<Recipe>().unwrap(), recipe);
            assert!(recipe.config().validate(2_000, &[("text".into(), 64)]).unwrap().latent_dim <= 64);
        }
        assert!("lc-rex".parse::<Recipe>().unwrap_err().to_string().contains("default, rq-kmeans, lc-rec"));
    }
}
