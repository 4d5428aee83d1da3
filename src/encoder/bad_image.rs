//! Images that cannot be read.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// What to do about an image that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnBadImage {
    /// Stop with an error that names the item.
    #[default]
    Error,
    /// Treat the image as missing. An item without another image or text is dropped.
    Missing,
}

impl FromStr for OnBadImage {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "error" => Ok(OnBadImage::Error),
            "missing" => Ok(OnBadImage::Missing),
            _ => Err(Error::config("on-bad-image", "error or missing", name, "omit it to stop at the first")),
        }
    }
}

impl fmt::Display for OnBadImage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if *self == OnBadImage::Error { "error" } else { "missing" })
    }
}

/// An image that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BadImage {
    /// Id of its item.
    pub item_id: String,
    /// What was expected, and where.
    pub expected: String,
    /// What was found.
    pub got: String,
    /// Whether the item has nothing else and is not in the features.
    pub left_out: bool,
}
