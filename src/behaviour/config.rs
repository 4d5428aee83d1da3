//! Settings of the behaviour vectors.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// How interactions become item vectors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BehaviourConfig {
    /// Length of the vectors.
    pub dim: usize,
    /// Maximum distance of two events of a session that form a pair. A pair of neighbours counts `window` times, a pair at
    /// the maximum distance once.
    pub window: usize,
    /// Context-distribution smoothing exponent, as in word2vec; 1 disables the smoothing.
    pub popularity_damping: f64,
    /// Shift of the mutual information: a pair must be this many times as frequent as by chance.
    pub shift: f64,
    /// Gap between events that starts a new session, in the unit of the times; `None` for one session per user.
    pub session_gap: Option<f64>,
    /// Number of last events per user that are ignored.
    pub hold_out_last: usize,
    /// Seed of the factorization.
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
    /// Checks the range of every setting.
    ///
    /// # Errors
    /// [`Error::Config`] for the first setting that is out of range.
    pub fn validate(&self) -> Result<()> {
        let wrong = |key: &str, expected: &str, got: String| {
            Err(Error::config(key, expected, got, "omit it to use the default"))
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
            return wrong("behaviour-shift", "a number of at least 1", self.shift.to_string());
        }
        match self.session_gap {
            Some(gap) if !(gap > 0.0 && gap.is_finite()) => wrong("session-gap", "a positive number", gap.to_string()),
            _ => Ok(()),
        }
    }
}
