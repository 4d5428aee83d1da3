//! The settings of an export.

use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::behaviour::HistorySplit;
use crate::error::{Error, Result};

/// How prompts name an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Show {
    /// By title.
    Titles,
    /// By semantic ID.
    Ids,
    /// By title and semantic ID.
    Both,
}

impl FromStr for Show {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "titles" => Ok(Show::Titles),
            "ids" => Ok(Show::Ids),
            "both" => Ok(Show::Both),
            other => Err(Error::config("items", "titles, ids or both", other, "choose one of them")),
        }
    }
}

/// The settings of an export. [`Family::default_settings`](super::Family::default_settings) gives a family's defaults.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExportSettings {
    /// Name of the data set, used in file names.
    pub name: String,
    /// How the histories were split.
    pub split: HistorySplit,
    /// Minimum number of events per user.
    pub min_interactions: usize,
    /// Maximum number of history events in a prompt.
    pub history: usize,
    /// How prompts name items; `None` for the family's default.
    pub show: Option<Show>,
    /// Number of templates that are filled per task and example.
    pub prompts: usize,
    /// Seed of every random draw.
    pub seed: u64,
    /// Ratings above this are likes.
    pub rating_threshold: f32,
    /// Whether every event is a like; dislikes are then sampled from items without an event of the user.
    pub implicit: bool,
    /// Sizes of the few-shot samples; each sample contains the smaller ones.
    pub few_shot: Vec<usize>,
    /// Number of candidates in a ranking prompt.
    pub candidates: usize,
    /// Token before a semantic ID in prompts.
    pub begin_token: String,
    /// Token after a semantic ID in prompts.
    pub end_token: String,
    /// File of templates that replace the shipped ones.
    pub templates: Option<PathBuf>,
    /// Hugging Face folder of the tokenizer, for files with token ids.
    pub tokenizer: Option<PathBuf>,
}

impl Default for ExportSettings {
    fn default() -> Self {
        ExportSettings {
            name: "catalog".into(),
            split: HistorySplit::LeaveOneOut,
            min_interactions: 5,
            history: 20,
            show: None,
            prompts: 1,
            seed: 42,
            rating_threshold: 3.0,
            implicit: false,
            few_shot: vec![16, 64, 256],
            candidates: 20,
            begin_token: String::new(),
            end_token: String::new(),
            templates: None,
            tokenizer: None,
        }
    }
}

impl ExportSettings {
    /// Checks the ranges that hold for every family.
    pub(super) fn check(&self) -> Result<()> {
        let range = |key: &str, value: usize, least: usize, most: usize| match (least..=most).contains(&value) {
            true => Ok(()),
            false => {
                Err(Error::config(key, format!("a number from {least} to {most}"), value, "choose another number"))
            }
        };
        range("history", self.history, 1, 10_000)?;
        range("prompts", self.prompts, 1, 100)?;
        range("candidates", self.candidates, 2, 1_000)?;
        if !self.rating_threshold.is_finite() {
            return Err(Error::config(
                "rating-threshold",
                "a number",
                self.rating_threshold,
                "pass a number such as 3",
            ));
        }
        if self.name.is_empty() || self.name.contains(['/', '\\', '\0']) || self.name.starts_with('.') {
            let expected = "a file name, without / and no leading dot";
            return Err(Error::config("name", expected, &self.name, "pass a name such as toys"));
        }
        if self.few_shot.contains(&0) {
            return Err(Error::config("few-shot", "numbers of at least 1", "0", "pass numbers such as 16,64,256"));
        }
        Ok(())
    }
}
