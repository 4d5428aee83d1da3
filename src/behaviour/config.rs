//! Settings.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// How behaviour becomes vectors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BehaviourConfig {
    /// Numbers of a vector.
    pub dim: usize,
    /// How many events apart two items of a session may stand. Next to each other they count `window` times, at that
    /// distance once.
    pub window: usize,
    /// Power to which an item's count is raised where it is an item's company: 1 takes counts as they are.
    pub popularity_damping: f64,
    /// How many times as often as by chance a pair must be seen to count.
    pub shift: f64,
    /// Time without an event after which another session begins, in the unit of the times; none for one a user.
    pub session_gap: Option<f64>,
    /// The last events of every user that are left out.
    pub hold_out_last: usize,
    /// Seed of the factorisation.
    pub seed: u64,
}

impl Default for BehaviourConfig {
    fn default() -> Self {
        BehaviourConfig {
            dim: 64,
            window: 5,
            popularity_damping: 0.75,
            shift: 1.0,
            session_gap: None,
            hold_out_last: 0,
            seed: 42,
        }
    }
}

impl BehaviourConfig {
    /// Checks every setting.
    ///
    /// # Errors
    /// [`Error::Config`] names the first that is out of range.
    pub fn validate(&self) -> Result<()> {
        let wrong = |key: &str, expected: &str, got: String| {
            Err(Error::config(key, expected, got, "leave it out for the default"))
        };
        if !(1..=4_096).contains(&self.dim) {
            return wrong("behaviour-dim", "a number from 1 to 4096", self.dim.to_string());
        }
        if !(1..=1_000).contains(&self.window) {
            return wrong("behaviour-window", "a number from 1 to 1000", self.window.to_string());
        }
        if !(0.0..=1.0).contains(&self.popularity_damping) {
            return wrong("popularity-damping", "a number from 0 to 1", self.popularity_damping.to_string());
        }
        if !(self.shift >= 1.0 && self.shift.is_finite()) {
            return wrong("behaviour-shift", "a number from 1 on", self.shift.to_string());
        }
        match self.session_gap {
            Some(gap) if !(gap > 0.0 && gap.is_finite()) => wrong("session-gap", "a positive number", gap.to_string()),
            _ => Ok(()),
        }
    }
}
