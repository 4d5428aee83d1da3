//! From the settings that were given to a configuration.

use super::{Recipe, TrainConfig};
use crate::error::{Error, Result};
use crate::settings::SettingGroup;
use crate::training::TrainSettings;

impl TrainSettings {
    /// The configuration: the recipe's values where a setting is not given.
    ///
    /// # Errors
    /// [`Error::Config`] names the setting.
    pub fn config(&self) -> Result<TrainConfig> {
        self.check()?;
        let recipe = self.recipe.as_deref().map(str::parse::<Recipe>).transpose()?;
        let mut config = recipe.unwrap_or_default().config();
        config.codebook_sizes = self.codebook_sizes(config.codebook_sizes)?;
        fn set<T: Clone>(field: &mut T, option: &Option<T>) {
            if let Some(value) = option {
                *field = value.clone();
            }
        }
        set(&mut config.latent_dim, &self.latent_dim);
        if let Some(hidden) = &self.hidden {
            config.hidden = if hidden[..] == [0] { Vec::new() } else { hidden.clone() };
        }
        set(&mut config.epochs, &self.epochs);
        set(&mut config.batch_size, &self.batch_size);
        set(&mut config.learning_rate, &self.learning_rate);
        set(&mut config.weight_decay, &self.weight_decay);
        set(&mut config.commitment_weight, &self.commitment_weight);
        set(&mut config.reconstruction_weight, &self.reconstruction_weight);
        set(&mut config.sample_items, &self.sample_items);
        set(&mut config.kmeans_iterations, &self.kmeans_iterations);
        set(&mut config.refine_iterations, &self.refine_iterations.map(Some));
        set(&mut config.ridge, &self.ridge);
        set(&mut config.balance, &self.balance);
        set(&mut config.coherence, &self.coherence.map(Some));
        set(&mut config.separation, &self.separation);
        set(&mut config.sinkhorn, &self.sinkhorn);
        set(&mut config.holdout, &self.holdout);
        set(&mut config.patience, &self.patience);
        set(&mut config.modality_weights, &self.weight);
        set(&mut config.agreement, &self.agreement);
        set(&mut config.modality_dropout, &self.modality_dropout);
        set(&mut config.seed, &self.seed);
        set(&mut config.device, &self.device);
        Ok(config)
    }

    fn codebook_sizes(&self, default: Vec<usize>) -> Result<Vec<usize>> {
        let levels = self.levels.unwrap_or(default.len());
        match self.codebook_size.as_deref() {
            None => Ok(vec![default[0]; levels]),
            Some(&[size]) => Ok(vec![size; levels]),
            Some(sizes) if self.levels.is_none_or(|levels| levels == sizes.len()) => Ok(sizes.to_vec()),
            Some(sizes) => {
                let expected = format!("one number, or one for each of the {levels} levels");
                Err(Error::config("codebook-size", expected, format!("{} numbers", sizes.len()), "mend one of the two"))
            }
        }
    }
}
