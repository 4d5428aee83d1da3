//! The values that a setting accepts.

use std::fmt;

use super::Setting;
use crate::error::{Error, Result};

/// Maximum of settings that count steps, rounds, events or ranks. Sums and products of such numbers fit in 64 bits.
pub const MAX_COUNT: f64 = 1e9;

/// A range of finite numbers; of a list or a map, each of its numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Range {
    /// Any value of the type; numbers are finite.
    Any,
    /// At least this number.
    AtLeast(f64),
    /// Above this number.
    Above(f64),
    /// From the first to the second number, both included.
    Between(f64, f64),
}

impl Range {
    /// Whether a number lies in the range.
    pub fn contains(self, number: f64) -> bool {
        number.is_finite()
            && match self {
                Range::Any => true,
                Range::AtLeast(least) => number >= least,
                Range::Above(bound) => number > bound,
                Range::Between(least, most) => (least..=most).contains(&number),
            }
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Range::Any => f.write_str("a finite number"),
            Range::AtLeast(least) => write!(f, "a number of at least {least}"),
            Range::Above(bound) => write!(f, "a number above {bound}"),
            Range::Between(least, most) => write!(f, "a number from {least} to {most}"),
        }
    }
}

impl Setting {
    /// Checks numbers against the declared range.
    ///
    /// # Errors
    /// [`Error::Config`] for the first that is outside.
    pub fn check(&self, numbers: &[f64]) -> Result<()> {
        match numbers.iter().find(|&&number| !self.range.contains(number)) {
            None => Ok(()),
            Some(number) => {
                let help = "omit it for the default";
                Err(Error::config(self.flag(), self.range.to_string(), number, help))
            }
        }
    }
}
