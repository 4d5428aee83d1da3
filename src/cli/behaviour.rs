//! Behaviour as one more modality of a catalog's features.

use std::path::PathBuf;

use anyhow::Result;
use catalex::behaviour::{self, BehaviourConfig};
use catalex::catalog::{InteractionSpec, Interactions};
use catalex::features::Modality;
use catalex::progress::Progress;
use catalex::{Error, ItemIds};
use clap::Args;
use serde::{Deserialize, Serialize};

/// What users did with the items, and what to make of it.
#[derive(Debug, Clone, Default, Args, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct BehaviourOptions {
    /// What users did, as the modality "behaviour": a table with a row an event, or .txt with lines "user item item ..."
    #[arg(long, value_name = "FILE")]
    pub(super) interactions: Option<PathBuf>,
    /// Column of users [default: user_id or user]
    #[arg(long, value_name = "COLUMN")]
    interactions_user: Option<String>,
    /// Column of items [default: item_id or item]
    #[arg(long, value_name = "COLUMN")]
    interactions_item: Option<String>,
    /// Column of times [default: timestamp or time, else the order of the file]
    #[arg(long, value_name = "COLUMN")]
    interactions_time: Option<String>,
    /// Leave out the last events of every user, for a recommender to be tested on [default: 0]
    #[arg(long, value_name = "N")]
    hold_out_last: Option<usize>,
    /// Numbers of a vector of behaviour [default: 64]
    #[arg(long, value_name = "N")]
    behaviour_dim: Option<usize>,
    /// How many events apart two items may stand [default: 5]
    #[arg(long, value_name = "N")]
    behaviour_window: Option<usize>,
    /// Power to which an item's count is raised as company of others; 1 takes it as it is [default: 0.75]
    #[arg(long, value_name = "X")]
    popularity_damping: Option<f64>,
    /// How many times as often as by chance a pair must be seen to count [default: 1]
    #[arg(long, value_name = "X")]
    behaviour_shift: Option<f64>,
    /// Time without an event that ends a session, in the unit of the times, seconds for dates [default: no end]
    #[arg(long, value_name = "X")]
    session_gap: Option<f64>,
    /// Seed of the vectors of behaviour [default: 42]
    #[arg(long, value_name = "N")]
    behaviour_seed: Option<u64>,
}

impl BehaviourOptions {
    /// The library's settings: its defaults where nothing was asked for.
    fn config(&self) -> catalex::Result<BehaviourConfig> {
        let default = BehaviourConfig::default();
        let config = BehaviourConfig {
            dim: self.behaviour_dim.unwrap_or(default.dim),
            window: self.behaviour_window.unwrap_or(default.window),
            popularity_damping: self.popularity_damping.unwrap_or(default.popularity_damping),
            shift: self.behaviour_shift.unwrap_or(default.shift),
            session_gap: self.session_gap.or(default.session_gap),
            hold_out_last: self.hold_out_last.unwrap_or(default.hold_out_last),
            seed: self.behaviour_seed.unwrap_or(default.seed),
        };
        config.validate()?;
        Ok(config)
    }

    /// Refuses flags that mean nothing without a file of interactions.
    fn refuse_without_file(&self) -> catalex::Result<()> {
        let flags = serde_json::to_value(self).unwrap_or_default();
        let given = flags.as_object().and_then(|flags| flags.iter().find(|(_, value)| !value.is_null()));
        match given {
            Some((flag, _)) => Err(Error::config(flag, "together with --interactions", "it alone", "name both")),
            None => Ok(()),
        }
    }
}

impl BehaviourOptions {
    /// The modality of a catalog's items, where there are interactions.
    pub(super) fn modality(&self, ids: &ItemIds, progress: &dyn Progress) -> Result<Option<Modality>> {
        let Some(path) = &self.interactions else {
            self.refuse_without_file()?;
            return Ok(None);
        };
        let spec = InteractionSpec {
            path: path.clone(),
            user: self.interactions_user.clone(),
            item: self.interactions_item.clone(),
            time: self.interactions_time.clone(),
            ..InteractionSpec::default()
        };
        let config = self.config()?;
        let (modality, usage) = behaviour::vectors(&Interactions::read(&spec)?, ids, &config, progress)?;
        if !usage.is_whole() {
            progress.warn(&usage.to_string());
        }
        Ok(Some(modality))
    }
}
