//! Recipes: named algorithms with preset values.

use std::fmt;
use std::str::FromStr;

use super::config::{LcRecConfig, QuantizerConfig, TrainConfig};
use crate::error::{Error, Result};

/// A training algorithm with preset values for all of its settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Recipe {
    /// The recommended one: [`QuantizerConfig::default`].
    #[default]
    Default,
    /// Residual k-means alone, the baseline without a network: codebooks on the standardised features, level by level,
    /// without refinement and without gradient descent.
    RqKmeans,
    /// The published training of LC-Rec (arXiv 2311.09049): [`LcRecConfig::default`].
    LcRec,
}

impl Recipe {
    /// All recipes, the recommended one first.
    pub const ALL: [Recipe; 3] = [Recipe::Default, Recipe::RqKmeans, Recipe::LcRec];

    /// The recipe's algorithm and values.
    pub fn config(self) -> TrainConfig {
        match self {
            Recipe::Default => QuantizerConfig::default().into(),
            Recipe::RqKmeans => QuantizerConfig::rq_kmeans().into(),
            Recipe::LcRec => LcRecConfig::default().into(),
        }
    }

    /// The recipe's name.
    pub fn name(self) -> &'static str {
        match self {
            Recipe::Default => "default",
            Recipe::RqKmeans => "rq-kmeans",
            Recipe::LcRec => "lc-rec",
        }
    }

    /// The recipes that use a setting, by the name of its field.
    pub fn with_setting(field: &str) -> Vec<Recipe> {
        Recipe::ALL.into_iter().filter(|recipe| recipe.config().setting_names().contains(&field)).collect()
    }
}

impl fmt::Display for Recipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Recipe {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Recipe::ALL.into_iter().find(|recipe| recipe.name() == text).ok_or_else(|| {
            let all = Recipe::ALL.map(Recipe::name).join(", ");
            Error::config("recipe", format!("one of {all}"), text, "omit it for the recommended recipe")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recipes_are_valid_and_found_by_name() {
        for recipe in Recipe::ALL {
            assert_eq!(recipe.name().parse::<Recipe>().unwrap(), recipe);
            recipe.config().check().unwrap();
        }
        assert!("lc-rex".parse::<Recipe>().unwrap_err().to_string().contains("default, rq-kmeans, lc-rec"));
    }

    #[test]
    fn a_setting_names_the_recipes_that_use_it() {
        assert_eq!(Recipe::with_setting("epochs"), Recipe::ALL);
        assert_eq!(Recipe::with_setting("ridge"), [Recipe::Default, Recipe::RqKmeans]);
        assert_eq!(Recipe::with_setting("sinkhorn"), [Recipe::LcRec]);
    }
}
