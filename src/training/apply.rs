//! From given settings to a configuration, and back.

use serde_json::Value;

use super::{LcRecConfig, QuantizerConfig, Recipe, TrainConfig, TrainSettings};
use crate::error::{Error, Result};
use crate::settings::SettingGroup;

/// Connects the fields of a configuration with settings: `plain` fields have the setting's name and always a value,
/// `optional` ones may be `None`, `renamed` ones have another name. Recipe, levels, codebook size and hidden widths
/// belong to every algorithm.
macro_rules! configured {
    (
        $config:ident,
        plain { $($plain:ident),* $(,)? },
        optional { $($optional:ident),* },
        renamed { $($setting:ident: $renamed:ident),* } $(,)?
    ) => {
        impl $config {
            const SETTINGS: &[&str] = &[
                "recipe", "levels", "codebook_size", "hidden",
                $(stringify!($plain),)* $(stringify!($optional),)* $(stringify!($setting),)*
            ];

            /// Replaces the values of the settings that were given.
            fn apply(&mut self, given: &TrainSettings) -> Result<()> {
                self.codebook_sizes = given.codebook_sizes(&self.codebook_sizes)?;
                if let Some(hidden) = &given.hidden {
                    self.hidden = if hidden[..] == [0] { Vec::new() } else { hidden.clone() };
                }
                $(if let Some(value) = &given.$plain { self.$plain = value.clone(); })*
                $(if let Some(value) = given.$optional { self.$optional = Some(value); })*
                $(if let Some(value) = &given.$setting { self.$renamed = value.clone(); })*
                Ok(())
            }

            /// The settings that give this configuration.
            fn settings(&self) -> TrainSettings {
                TrainSettings {
                    levels: Some(self.codebook_sizes.len()),
                    codebook_size: Some(self.codebook_sizes.clone()),
                    hidden: Some(if self.hidden.is_empty() { vec![0] } else { self.hidden.clone() }),
                    $($plain: Some(self.$plain.clone()),)*
                    $($optional: self.$optional,)*
                    $($setting: Some(self.$renamed.clone()),)*
                    ..TrainSettings::default()
                }
            }
        }
    };
}

configured! {
    QuantizerConfig,
    plain {
        latent_dim, epochs, batch_size, learning_rate, weight_decay, commitment_weight, reconstruction_weight,
        sample_items, kmeans_iterations, ridge, balance, separation, holdout, patience, agreement, modality_dropout, seed,
        device,
    },
    optional { refine_iterations, coherence },
    renamed { weight: modality_weights },
}

configured! {
    LcRecConfig,
    plain {
        latent_dim, epochs, batch_size, learning_rate, weight_decay, commitment_weight, sample_items, kmeans_iterations,
        sinkhorn, seed, device,
    },
    optional {},
    renamed {},
}

impl TrainSettings {
    /// The configuration: the recipe's values, replaced by those of the settings that were given.
    ///
    /// # Errors
    /// [`Error::Config`] names a setting that is out of range, or that the recipe does not use.
    pub fn config(&self) -> Result<TrainConfig> {
        self.check()?;
        let recipe = self.recipe.as_deref().map_or(Ok(Recipe::Default), str::parse)?;
        let mut config = recipe.config();
        self.refuse_unused(recipe, &config)?;
        match &mut config {
            TrainConfig::ResidualQuantizer(config) => config.apply(self)?,
            TrainConfig::LcRec(config) => config.apply(self)?,
        }
        config.check()?;
        Ok(config)
    }

    /// Refuses a given setting that the recipe does not use: ignoring it would hide a mistake.
    fn refuse_unused(&self, recipe: Recipe, config: &TrainConfig) -> Result<()> {
        let Ok(Value::Object(given)) = serde_json::to_value(self) else { return Ok(()) };
        let used = config.setting_names();
        let unused = Self::SETTINGS.iter().filter(|setting| !used.contains(&setting.field));
        for setting in unused {
            if let Some(value) = given.get(&setting.flag()) {
                let others: Vec<&str> = Recipe::with_setting(setting.field).into_iter().map(Recipe::name).collect();
                let expected = format!("no value with recipe {recipe}, which does not use it");
                let help = format!("omit it, or choose recipe {}", others.join(" or "));
                return Err(Error::config(setting.flag(), expected, value, help));
            }
        }
        Ok(())
    }

    fn codebook_sizes(&self, preset: &[usize]) -> Result<Vec<usize>> {
        let levels = self.levels.unwrap_or(preset.len());
        match self.codebook_size.as_deref() {
            None => Ok(vec![preset[0]; levels]),
            Some(&[size]) => Ok(vec![size; levels]),
            Some(sizes) if self.levels.is_none_or(|levels| levels == sizes.len()) => Ok(sizes.to_vec()),
            Some(sizes) => {
                let expected = format!("one number, or one for each of the {levels} levels");
                let help = "give one number per level, or change levels";
                Err(Error::config("codebook-size", expected, format!("{} numbers", sizes.len()), help))
            }
        }
    }
}

impl TrainConfig {
    /// The settings that the algorithm uses, by the names of their fields in [`TrainSettings`].
    pub fn setting_names(&self) -> &'static [&'static str] {
        match self {
            TrainConfig::ResidualQuantizer(_) => QuantizerConfig::SETTINGS,
            TrainConfig::LcRec(_) => LcRecConfig::SETTINGS,
        }
    }

    /// The configuration as settings, but for the recipe's name.
    pub fn settings(&self) -> TrainSettings {
        match self {
            TrainConfig::ResidualQuantizer(config) => config.settings(),
            TrainConfig::LcRec(config) => config.settings(),
        }
    }

    /// Checks every value against its declared range, also of a configuration that was built by hand.
    ///
    /// # Errors
    /// [`Error::Config`] names the setting.
    pub fn check(&self) -> Result<()> {
        self.settings().check()?;
        let hidden = match self {
            TrainConfig::ResidualQuantizer(config) => {
                if config.kmeans_items_per_code == 0 {
                    let help = "omit it to use the default";
                    return Err(Error::config("kmeans-items-per-code", "a number of at least 1", 0, help));
                }
                &config.hidden
            }
            TrainConfig::LcRec(config) => {
                if config.hidden.is_empty() {
                    let help = "omit it for the published widths";
                    return Err(Error::config("hidden", "at least one layer with recipe lc-rec", "none", help));
                }
                if config.epochs == 0 {
                    let help = "omit it to use the published value; in this recipe, gradient descent initialises the codebooks";
                    return Err(Error::config("epochs", "a number of at least 1 with recipe lc-rec", 0, help));
                }
                &config.hidden
            }
        };
        if hidden.contains(&0) {
            let help = "give 0 alone (in Rust and JSON an empty list) for a linear projection";
            return Err(Error::config("hidden", "widths of at least 1", format!("{hidden:?}"), help));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(json: &str) -> TrainSettings {
        serde_json::from_str(json).unwrap()
    }

    fn refused(json: &str) -> String {
        given(json).config().unwrap_err().to_string()
    }

    #[test]
    fn a_recipe_supplies_values_that_are_not_given() {
        assert_eq!(TrainSettings::default().config().unwrap(), TrainConfig::default());
        for recipe in Recipe::ALL {
            assert_eq!(given(&format!(r#"{{"recipe": "{recipe}"}}"#)).config().unwrap(), recipe.config());
        }
    }

    #[test]
    fn a_given_value_applies_even_if_it_is_the_default_of_another_recipe() {
        let TrainConfig::LcRec(config) =
            given(r#"{"recipe": "lc-rec", "epochs": 15, "hidden": [512]}"#).config().unwrap()
        else {
            panic!("lc-rec");
        };
        assert_eq!((config.epochs, &config.hidden[..], config.batch_size), (15, &[512][..], 1024));
    }

    #[test]
    fn every_setting_changes_the_configuration_of_each_recipe_that_uses_it() {
        for setting in TrainSettings::SETTINGS.iter().filter(|setting| setting.field != "recipe") {
            let value = match setting.field {
                "levels" => "3",
                "codebook_size" => "[16]",
                "hidden" => "[7, 6]",
                "weight" => r#"{"text": 0.5}"#,
                "device" => r#""cuda""#,
                "holdout" | "learning_rate" | "balance" | "coherence" | "sinkhorn" | "agreement"
                | "modality_dropout" => "0.125",
                _ => "77",
            };
            let recipes = Recipe::with_setting(setting.field);
            assert!(!recipes.is_empty(), "{}", setting.field);
            for recipe in Recipe::ALL {
                let settings = given(&format!(r#"{{"recipe": "{recipe}", "{}": {value}}}"#, setting.flag()));
                if recipes.contains(&recipe) {
                    let config = settings.config().unwrap();
                    assert_ne!(config, recipe.config(), "{} of {recipe}", setting.field);
                    let back = TrainSettings { recipe: settings.recipe, ..config.settings() };
                    assert_eq!(back.config().unwrap(), config);
                } else {
                    let message = settings.config().unwrap_err().to_string();
                    let named = [setting.flag(), recipe.to_string(), recipes[0].to_string()];
                    assert!(named.iter().all(|name| message.contains(name)), "{message}");
                }
            }
        }
    }

    #[test]
    fn an_unused_setting_is_refused_with_advice() {
        assert_eq!(
            refused(r#"{"recipe": "lc-rec", "ridge": 3.0}"#),
            "setting ridge: expected no value with recipe lc-rec, which does not use it, got 3.0; omit it, or choose \
             recipe default or rq-kmeans"
        );
        assert!(refused(r#"{"sinkhorn": 0.0}"#).contains("choose recipe lc-rec"));
        given(r#"{"recipe": "rq-kmeans", "agreement": 0.5}"#).config().unwrap();
    }

    #[test]
    fn sizes_are_one_for_all_levels_or_one_per_level() {
        let sizes = |json: &str| given(json).config().map(|config| config.codebook_sizes().to_vec());
        assert_eq!(sizes(r#"{"levels": 2}"#).unwrap(), [256; 2]);
        assert_eq!(sizes(r#"{"codebook-size": [64]}"#).unwrap(), [64; 4]);
        assert_eq!(sizes(r#"{"codebook-size": [64, 32]}"#).unwrap(), [64, 32]);
        assert_eq!(sizes(r#"{"codebook-size": [64, 32], "levels": 2}"#).unwrap(), [64, 32]);
        assert!(refused(r#"{"codebook-size": [64, 32], "levels": 3}"#).contains("2 numbers"));
        assert!(refused(r#"{"codebook-size": []}"#).contains("levels"));
    }

    #[test]
    fn a_value_out_of_range_names_its_setting_however_it_was_given() {
        fn by_hand(change: impl Fn(&mut QuantizerConfig)) -> String {
            let mut config = QuantizerConfig::default();
            change(&mut config);
            TrainConfig::from(config).check().unwrap_err().to_string()
        }
        assert!(refused(r#"{"levels": 9}"#).contains("setting levels: expected a number from 1 to 8, got 9"));
        assert!(refused(r#"{"hidden": [64, 0]}"#).contains("hidden"));
        assert!(refused(r#"{"recipe": "lc-rec", "hidden": [0]}"#).contains("published widths"));
        assert!(refused(r#"{"recipe": "lc-rec", "epochs": 0}"#).contains("epochs"));
        assert!(by_hand(|c| c.codebook_sizes = vec![]).contains("levels"));
        assert!(by_hand(|c| c.codebook_sizes = vec![1]).contains("codebook-size"));
        assert!(by_hand(|c| c.codebook_sizes = vec![256, 70_000]).contains("65536"));
        assert!(by_hand(|c| c.latent_dim = 0).contains("latent-dim"));
        assert!(by_hand(|c| c.hidden = vec![64, 0]).contains("hidden"));
        assert!(by_hand(|c| c.batch_size = 0).contains("batch-size"));
        assert!(by_hand(|c| c.patience = 0).contains("patience"));
        assert!(by_hand(|c| c.kmeans_iterations = 0).contains("kmeans-iterations"));
        assert!(by_hand(|c| c.sample_items = 0).contains("sample-items"));
        assert!(by_hand(|c| c.kmeans_items_per_code = 0).contains("kmeans-items-per-code"));
        assert!(by_hand(|c| c.learning_rate = f64::NAN).contains("learning-rate"));
        assert!(by_hand(|c| c.weight_decay = -1.0).contains("weight-decay"));
        assert!(by_hand(|c| c.commitment_weight = f64::INFINITY).contains("commitment-weight"));
        assert!(by_hand(|c| c.reconstruction_weight = f64::NAN).contains("reconstruction-weight"));
        assert!(by_hand(|c| c.ridge = -1.0).contains("ridge"));
        assert!(by_hand(|c| c.balance = 2.0).contains("balance"));
        assert!(by_hand(|c| c.coherence = Some(f64::NAN)).contains("coherence"));
        assert!(by_hand(|c| c.separation = f64::NAN).contains("separation"));
        assert!(by_hand(|c| c.agreement = 1.5).contains("agreement"));
        assert!(by_hand(|c| c.modality_dropout = 1.0).contains("modality-dropout"));
        assert!(by_hand(|c| c.holdout = 0.9).contains("holdout"));
        assert!(by_hand(|c| c.modality_weights = [("text".into(), 0.0)].into()).contains("weight"));
        assert!(by_hand(|c| c.modality_weights = [("text".into(), f32::NAN)].into()).contains("weight"));
        let sinkhorn = TrainConfig::from(LcRecConfig { sinkhorn: f64::NAN, ..LcRecConfig::default() });
        assert!(sinkhorn.check().unwrap_err().to_string().contains("sinkhorn"));
    }

    /// A recipe's value of a setting, as the declaration writes it; `None` where it depends on the features.
    fn written(recipe: Recipe, flag: &str) -> Option<String> {
        let value = serde_json::to_value(recipe.config().settings()).unwrap().get(flag).cloned()?;
        Some(match value {
            Value::Array(numbers) => {
                let mut numbers: Vec<String> = numbers.iter().map(Value::to_string).collect();
                if flag == "codebook-size" {
                    numbers.dedup();
                }
                numbers.join(",")
            }
            Value::Number(number) if number.as_u64() == Some(usize::MAX as u64) => return None,
            Value::Number(number) => number.as_f64().unwrap().to_string(),
            Value::Object(_) => return None,
            Value::String(text) => text,
            other => panic!("{flag}: {other}"),
        })
    }

    #[test]
    fn declared_defaults_are_the_recipes_values() {
        for setting in TrainSettings::SETTINGS.iter().filter(|setting| setting.field != "recipe") {
            for recipe in Recipe::with_setting(setting.field) {
                let declared = setting.default_of(recipe.name());
                if let Some(written) = written(recipe, &setting.flag()) {
                    assert_eq!(declared, written, "{} of {recipe}", setting.field);
                } else {
                    assert!(declared.contains(' '), "{} of {recipe}: {declared:?} explains", setting.field);
                }
            }
        }
    }
}
