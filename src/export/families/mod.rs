//! The supported families of LLM recommenders, one file each.
//!
//! To add a family, write its file with a [`FamilySpec`] named `FAMILY`, add its prompts to `../templates/`, and
//! register it below: a `mod` line and a line of `families!`.

mod agents;
mod big_rec;
mod instruct_rec;
mod lc_rec;
mod llama_factory;
mod mini_one_rec;
mod open_one_rec;
mod ranking;
mod sequences;
mod tall_rec;
mod trans_rec;
mod trl;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::context::Context;
use super::output::ExportOutput;
use super::settings::{ExportSettings, Show};
use super::template::Task;
use crate::behaviour::Histories;
use crate::error::{Error, Result};

/// Defines [`Family`] and finds each family's [`FamilySpec`].
macro_rules! families {
    ($($(#[$doc:meta])* $family:ident => $file:ident,)*) => {
        /// A family of LLM recommenders.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub enum Family {
            $($(#[$doc])* $family,)*
        }

        impl Family {
            /// All families.
            pub const ALL: &[Family] = &[$(Family::$family,)*];

            pub(in crate::export) fn spec(self) -> &'static FamilySpec {
                match self {
                    $(Family::$family => &$file::FAMILY,)*
                }
            }
        }
    };
}
families! {
    /// LC-Rec (arXiv 2311.09049).
    LcRec => lc_rec,
    /// TALLRec (arXiv 2305.00447).
    TallRec => tall_rec,
    /// InstructRec (arXiv 2305.07001).
    InstructRec => instruct_rec,
    /// BIGRec (arXiv 2308.08434).
    BigRec => big_rec,
    /// TransRec (arXiv 2310.06491).
    TransRec => trans_rec,
    /// Zero-shot ranking of candidates (as in arXiv 2305.08845).
    Ranking => ranking,
    /// User simulators (such as RecAgent and Agent4Rec).
    Agents => agents,
    /// MiniOneRec (arXiv 2510.24431).
    MiniOneRec => mini_one_rec,
    /// OpenOneRec.
    OpenOneRec => open_one_rec,
    /// LLaMA-Factory.
    LlamaFactory => llama_factory,
    /// TRL.
    Trl => trl,
    /// Sequences of token ids, for models that are trained from scratch.
    Sequences => sequences,
}

/// The definition of a family.
pub(in crate::export) struct FamilySpec {
    /// The name that users give, as in `catalex export --for NAME`.
    pub(in crate::export) name: &'static str,
    /// The shipped prompts, as TOML; empty for a family without prompts.
    pub(in crate::export) templates: &'static str,
    /// The tasks that the prompts are for.
    pub(in crate::export) tasks: &'static [Task],
    /// How prompts name an item by default.
    pub(in crate::export) show: Show,
    /// Whether the items need titles.
    pub(in crate::export) titles: TitleUse,
    /// Default tokens before and after a semantic ID.
    pub(in crate::export) markers: (&'static str, &'static str),
    /// Refuses settings and histories that the family cannot use.
    pub(in crate::export) check: fn(&ExportSettings, &Histories) -> Result<()>,
    /// Writes the family's files.
    pub(in crate::export) write: fn(&Context<'_>, &mut ExportOutput) -> Result<()>,
}

/// When a family needs titles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::export) enum TitleUse {
    Always,
    /// Unless prompts name items by semantic ID.
    UnlessIds,
    Never,
}

impl FamilySpec {
    /// A family without prompts, markers or further checks.
    const fn new(name: &'static str, write: fn(&Context<'_>, &mut ExportOutput) -> Result<()>) -> Self {
        FamilySpec {
            name,
            templates: "",
            tasks: &[],
            show: Show::Titles,
            titles: TitleUse::Always,
            markers: ("", ""),
            check: |_, _| Ok(()),
            write,
        }
    }
}

impl Family {
    /// Whether it can be written without titles.
    pub fn needs_titles(self, show: Option<Show>) -> bool {
        match self.spec().titles {
            TitleUse::Always => true,
            TitleUse::UnlessIds => show != Some(Show::Ids),
            TitleUse::Never => false,
        }
    }

    /// The default settings of this family.
    pub fn default_settings(self) -> ExportSettings {
        let (begin, end) = self.spec().markers;
        ExportSettings { begin_token: begin.into(), end_token: end.into(), ..ExportSettings::default() }
    }

    /// The shipped prompt templates, as TOML; empty for families without prompts.
    pub fn shipped_templates(self) -> &'static str {
        self.spec().templates
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.spec().name)
    }
}

impl From<Family> for String {
    fn from(family: Family) -> Self {
        family.to_string()
    }
}

impl TryFrom<String> for Family {
    type Error = Error;

    fn try_from(name: String) -> Result<Self> {
        name.parse()
    }
}

impl FromStr for Family {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Family::ALL.iter().copied().find(|family| family.spec().name == name).ok_or_else(|| {
            let names: Vec<&str> = Family::ALL.iter().map(|family| family.spec().name).collect();
            let help = "choose the family whose files you need; docs/recommenders.md has a section on each";
            Error::config("for", format!("one of {}", names.join(", ")), name, help)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::template::Templates;

    #[test]
    fn every_family_is_found_by_its_name_and_ships_valid_templates() {
        for &family in Family::ALL {
            assert_eq!(family.to_string().parse::<Family>().unwrap(), family);
            assert_eq!(serde_json::json!(family), family.to_string());
            assert_eq!(serde_json::from_value::<Family>(family.to_string().into()).unwrap(), family);
            let FamilySpec { templates: shipped, tasks, .. } = family.spec();
            assert_eq!(shipped.is_empty(), tasks.is_empty());
            if !tasks.is_empty() {
                Templates::load(shipped, tasks, None).unwrap();
                for task in *tasks {
                    assert!(shipped.contains(&format!("[[{}]]", task.name)), "{family} has no {}", task.name);
                }
            }
        }
        let error = "nobody".parse::<Family>().unwrap_err().to_string();
        assert!(error.contains("lc-rec, tallrec") && error.contains("sequences"), "{error}");
    }
}
