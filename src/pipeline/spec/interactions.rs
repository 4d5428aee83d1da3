//! How interactions become the modality "behaviour".

use std::path::PathBuf;

use super::needs;
use crate::behaviour::BehaviourConfig;
use crate::catalog::{CsvDialect, InteractionSpec};
use crate::error::Result;
use crate::settings::{MAX_COUNT, Range, SettingGroup, settings};

settings! {
    /// Interactions of users with the items, and how behaviour vectors are made of them.
    pub struct BehaviourSettings {
        /// Interactions, for the modality "behaviour": a table with one row per event, or .txt with lines
        /// "user item item ...".
        interactions: PathBuf, "FILE";
        /// Column of the users.
        interactions_user: String, "COLUMN", default "user_id or user";
        /// Column of the items.
        interactions_item: String, "COLUMN", default "item_id or item";
        /// Column of the times.
        interactions_time: String, "COLUMN", default "timestamp or time, else the order of the file";
        /// Maximum fraction of events of items that are not in the catalog. These events are ignored; a larger fraction
        /// is an error.
        max_unknown_events: f64, "X", default "0.5", range Range::Between(0.0, 1.0);
        /// Number of last events per user to leave out, so that a recommender can be tested on them.
        hold_out_last: usize, "N", default "0", range Range::Between(0.0, MAX_COUNT);
        /// Dimension of the behaviour vectors.
        behaviour_dim: usize, "N", default "64", range Range::Between(1.0, 4096.0);
        /// Context window: maximum distance, in events, of two items that count as a pair.
        behaviour_window: usize, "N", default "5", range Range::Between(1.0, 1000.0);
        /// Context-distribution smoothing exponent, as in word2vec; 1 disables it.
        popularity_damping: f64, "X", default "0.75", range Range::Between(0.0, 1.0);
        /// Shift of the pointwise mutual information: a pair counts if it occurs this many times as often as by chance.
        behaviour_shift: f64, "X", default "1", range Range::AtLeast(1.0);
        /// Time without an event that ends a session, in the unit of the times (seconds for dates).
        session_gap: f64, "X", default "none: a history is one session", range Range::Above(0.0);
        /// Seed of the factorisation.
        behaviour_seed: u64, "N", default "42";
    }
}

impl BehaviourSettings {
    /// How vectors are made.
    pub(crate) fn config(&self) -> BehaviourConfig {
        let default = BehaviourConfig::default();
        BehaviourConfig {
            dim: self.behaviour_dim.unwrap_or(default.dim),
            window: self.behaviour_window.unwrap_or(default.window),
            popularity_damping: self.popularity_damping.unwrap_or(default.popularity_damping),
            shift: self.behaviour_shift.unwrap_or(default.shift),
            session_gap: self.session_gap.or(default.session_gap),
            hold_out_last: self.hold_out_last.unwrap_or(default.hold_out_last),
            seed: self.behaviour_seed.unwrap_or(default.seed),
        }
    }

    /// The file to read; none without `interactions`.
    ///
    /// # Errors
    /// [`crate::Error::Config`] for a setting that requires `interactions`.
    pub(crate) fn spec(&self, csv: CsvDialect) -> Result<Option<InteractionSpec>> {
        let Some(path) = &self.interactions else {
            return match self.first_given() {
                None => Ok(None),
                Some(given) => Err(needs(&given, "interactions", "set --interactions, or omit this setting")),
            };
        };
        Ok(Some(InteractionSpec {
            path: path.clone(),
            user: self.interactions_user.clone(),
            item: self.interactions_item.clone(),
            time: self.interactions_time.clone(),
            csv,
            ..InteractionSpec::default()
        }))
    }
}
