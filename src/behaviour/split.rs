//! How histories are split into training, validation and test.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::catalog::Interactions;
use crate::error::{Error, Result};

/// How histories are split.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HistorySplit {
    /// The last event of every user is the test, the one before it the validation.
    LeaveOneOut,
    /// The latest events over all users: these shares, rounded down. Events of equal time stay together, in the later
    /// part.
    Time {
        /// Share for validation.
        valid: f64,
        /// Share for testing.
        test: f64,
    },
}

impl FromStr for HistorySplit {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "leave-one-out" => Ok(HistorySplit::LeaveOneOut),
            "time" => Ok(HistorySplit::Time { valid: 0.1, test: 0.1 }),
            other => Err(Error::config("split", "leave-one-out or time", other, "choose one of them")),
        }
    }
}

/// A part of a split.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SplitPart {
    /// Training.
    Train,
    /// Validation.
    Valid,
    /// Test.
    Test,
}

impl SplitPart {
    /// All parts, in order of time.
    pub const ALL: [SplitPart; 3] = [SplitPart::Train, SplitPart::Valid, SplitPart::Test];
}

impl fmt::Display for SplitPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SplitPart::Train => "train",
            SplitPart::Valid => "valid",
            SplitPart::Test => "test",
        })
    }
}

impl HistorySplit {
    /// Checks that interactions can be split like this when every user has at least `least` events.
    pub(super) fn check(self, interactions: &Interactions, least: usize) -> Result<()> {
        let needed = match self {
            HistorySplit::LeaveOneOut => 3,
            HistorySplit::Time { .. } => 2,
        };
        if least < needed {
            let help = "every user needs a training event, and an event per held-out part";
            return Err(Error::config("min-interactions", format!("{needed} or more for this split"), least, help));
        }
        if let HistorySplit::Time { valid, test } = self {
            for (key, share) in [("valid-share", valid), ("test-share", test)] {
                if !(share > 0.0 && valid + test < 1.0) {
                    let expected = "a share above 0, and less than 1 with the other";
                    return Err(Error::config(key, expected, share, "such as 0.1"));
                }
            }
            if !interactions.timed {
                let help = "name --interactions-time, or split by leave-one-out";
                return Err(Error::config("split", "leave-one-out for events without times", "time", help));
            }
        }
        Ok(())
    }
}
