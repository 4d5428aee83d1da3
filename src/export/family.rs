//! The families, and the settings of an export.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::Serialize;

use super::Export;
use super::families::{agents, big_rec, instruct_rec, open_one_rec, ranking, tall_rec, tasks, trans_rec};
use super::template::Task;
use crate::behaviour::HistorySplit;
use crate::error::{Error, Result};

/// A family of LLM recommenders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// LC-Rec (arXiv 2311.09049).
    #[serde(rename = "lc-rec")]
    LcRec,
    /// TALLRec (arXiv 2305.00447).
    TallRec,
    /// InstructRec (arXiv 2305.07001).
    InstructRec,
    /// BIGRec (arXiv 2308.08434).
    BigRec,
    /// TransRec (arXiv 2310.06491).
    TransRec,
    /// Ranking of candidates by a model as it is (as arXiv 2305.08845).
    Ranking,
    /// Simulated users (as RecAgent and Agent4Rec).
    Agents,
    /// MiniOneRec (arXiv 2510.24431).
    MiniOneRec,
    /// OpenOneRec.
    OpenOneRec,
    /// LLaMA-Factory.
    LlamaFactory,
    /// TRL.
    Trl,
    /// Sequences of token ids, for models that are trained from scratch.
    Sequences,
}

impl Family {
    /// All of them.
    pub const ALL: [Family; 12] = [
        Family::LcRec,
        Family::TallRec,
        Family::InstructRec,
        Family::BigRec,
        Family::TransRec,
        Family::Ranking,
        Family::Agents,
        Family::MiniOneRec,
        Family::OpenOneRec,
        Family::LlamaFactory,
        Family::Trl,
        Family::Sequences,
    ];

    /// Its shipped templates, and the tasks that they are for.
    pub(super) fn templates(self) -> (&'static str, &'static [Task]) {
        match self {
            Family::LcRec | Family::LlamaFactory | Family::Trl => (tasks::TEMPLATES, tasks::TASKS),
            Family::TallRec => (tall_rec::TEMPLATES, tall_rec::TASKS),
            Family::InstructRec => (instruct_rec::TEMPLATES, instruct_rec::TASKS),
            Family::BigRec => (big_rec::TEMPLATES, big_rec::TASKS),
            Family::TransRec => (trans_rec::TEMPLATES, trans_rec::TASKS),
            Family::Ranking => (ranking::TEMPLATES, ranking::TASKS),
            Family::Agents => (agents::TEMPLATES, agents::TASKS),
            Family::OpenOneRec => (open_one_rec::TEMPLATES, open_one_rec::TASKS),
            Family::MiniOneRec | Family::Sequences => ("", &[]),
        }
    }

    /// How its items are written in prompts, unless something else is asked for.
    fn show(self) -> Show {
        match self {
            Family::LcRec | Family::OpenOneRec | Family::LlamaFactory | Family::Trl => Show::Ids,
            _ => Show::Titles,
        }
    }

    /// Whether it can be written without titles.
    pub fn needs_titles(self, show: Option<Show>) -> bool {
        match self {
            Family::Sequences => false,
            Family::TallRec | Family::BigRec | Family::InstructRec | Family::Ranking | Family::Agents => {
                show != Some(Show::Ids)
            }
            _ => true,
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Family::LcRec => "lc-rec",
            Family::TallRec => "tallrec",
            Family::InstructRec => "instructrec",
            Family::BigRec => "bigrec",
            Family::TransRec => "transrec",
            Family::Ranking => "ranking",
            Family::Agents => "agents",
            Family::MiniOneRec => "minionerec",
            Family::OpenOneRec => "openonerec",
            Family::LlamaFactory => "llamafactory",
            Family::Trl => "trl",
            Family::Sequences => "sequences",
        })
    }
}

impl FromStr for Family {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Family::ALL.into_iter().find(|family| family.to_string() == name).ok_or_else(|| {
            let names: Vec<String> = Family::ALL.iter().map(Family::to_string).collect();
            let help = "choose the one whose files you need; docs/recommenders.md has a section on each";
            Error::config("for", format!("one of {}", names.join(", ")), name, help)
        })
    }
}

/// How items are written in prompts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Show {
    /// Titles.
    Titles,
    /// Semantic IDs.
    Ids,
    /// Titles and semantic IDs.
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

/// For whom to export, and how.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ExportSettings {
    /// For whom.
    pub family: Family,
    /// Name of the data set in names of files.
    pub name: String,
    /// How histories were cut.
    pub split: HistorySplit,
    /// Fewest events of a user.
    pub min_interactions: usize,
    /// Most events of a history in a prompt.
    pub history: usize,
    /// How items are written; without it, as the family does.
    pub show: Option<Show>,
    /// Forms of each task that are filled for each thing.
    pub prompts: usize,
    /// Seed of every draw.
    pub seed: u64,
    /// Ratings above this are likes.
    pub rating_threshold: f32,
    /// Whether every event is a like, and dislikes are drawn from what the user never had.
    pub implicit: bool,
    /// Sizes of few-shot samples, each inside the next.
    pub few_shot: Vec<usize>,
    /// Candidates of a prompt that ranks.
    pub candidates: usize,
    /// Marker before an ID in prompts.
    pub begin_token: String,
    /// Marker after an ID in prompts.
    pub end_token: String,
    /// Templates instead of the shipped ones.
    pub templates: Option<PathBuf>,
    /// Hugging Face folder of the tokenizer, for what holds token ids.
    pub tokenizer: Option<PathBuf>,
}

impl ExportSettings {
    /// The default settings for a family.
    pub fn new(family: Family) -> Self {
        let (begin, end) = match family {
            Family::OpenOneRec => ("<|sid_begin|>", "<|sid_end|>"),
            _ => ("", ""),
        };
        ExportSettings {
            family,
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
            begin_token: begin.into(),
            end_token: end.into(),
            templates: None,
            tokenizer: None,
        }
    }

    /// How items are written.
    pub(super) fn shown(&self) -> Show {
        self.show.unwrap_or(self.family.show())
    }

    /// Refuses what the family cannot be given.
    pub(super) fn check(&self, export: &Export<'_>) -> Result<()> {
        let range = |key: &str, value: usize, least: usize, most: usize| match (least..=most).contains(&value) {
            true => Ok(()),
            false => Err(Error::config(key, format!("a number from {least} to {most}"), value, "choose another")),
        };
        range("history", self.history, 1, 10_000)?;
        range("prompts", self.prompts, 1, 100)?;
        range("candidates", self.candidates, 2, 1_000)?;
        if !self.rating_threshold.is_finite() {
            return Err(Error::config("rating-threshold", "a number", self.rating_threshold, "such as 3"));
        }
        if self.name.is_empty() || self.name.contains(['/', '\\', '\0']) || self.name.starts_with('.') {
            return Err(Error::config(
                "name",
                "a name for files, without / and no leading dot",
                &self.name,
                "such as toys",
            ));
        }
        if self.family == Family::LcRec && self.split != HistorySplit::LeaveOneOut {
            let help = "LC-Rec's loader cuts the last two events of each user itself; llamafactory and trl have the \
                        same tasks with any split";
            return Err(Error::config("split", "leave-one-out for lc-rec", "time", help));
        }
        if self.family == Family::TallRec && !export.histories.rated && !self.implicit {
            let help = "name --interactions-rating, or pass --implicit to take every event as a like and draw dislikes";
            return Err(Error::data("tallrec", "ratings, which say what users liked", "events without ratings", help));
        }
        let texts = export.texts;
        if self.family.needs_titles(self.show) && texts.untitled == export.table.item_ids.len() {
            let help = "name --catalog, and with --title its column";
            return Err(Error::data(self.family.to_string(), "items with titles", "no title at all", help));
        }
        if self.few_shot.contains(&0) {
            return Err(Error::config("few-shot", "numbers of 1 or more", "0", "such as 16,64,256"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::template::Templates;

    #[test]
    fn families_are_read_by_their_names_and_their_templates_are_sound() {
        for family in Family::ALL {
            assert_eq!(family.to_string().parse::<Family>().unwrap(), family);
            assert_eq!(serde_json::json!(family), family.to_string());
            let (shipped, tasks) = family.templates();
            if !tasks.is_empty() {
                Templates::load(shipped, tasks, None).unwrap();
                for task in tasks {
                    assert!(shipped.contains(&format!("[[{}]]", task.name)), "{family} has no {}", task.name);
                }
            }
        }
        let error = "nobody".parse::<Family>().unwrap_err().to_string();
        assert!(error.contains("lc-rec, tallrec") && error.contains("sequences"), "{error}");
    }
}
