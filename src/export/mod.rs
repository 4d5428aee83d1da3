//! Training data for LLM recommenders: each supported family gets items, histories and instructions in its own format.
//!
//! [`Export`] takes a token table, the item texts of the catalog ([`ItemTexts`]) and the users' histories
//! ([`Histories`]), and writes the files that a [`Family`] reads, plus `export.json`, which describes each file.
//! Prompts are data: one TOML file per family, which the user can replace. Every random draw depends on the seed and
//! the record only, and records are streamed to disk.
//!
//! | file | content |
//! |---|---|
//! | `families/` | one file per family: its records |
//! | `templates/` | one TOML file per family: its prompts |
//! | `settings.rs` | the settings of an export |
//! | `context.rs` | the data from which families write their records |
//! | `items.rs`, `user_texts.rs` | titles, descriptions, attributes; preferences and searches of users |
//! | `user_preferences.rs`, `lc_rec_tasks.rs`, `chat.rs` | code that several families share |
//! | `template.rs`, `fillable_text.rs` | parsing and filling of prompt templates |
//! | `record_rng.rs`, `negatives.rs` | independent random numbers per record; items without an event of the user |
//! | `output.rs`, `parquet.rs`, `file_sets.rs` | the output files, or the samples of a dry run |
//! | `reports.rs` | the roles of the output files; statistics per file and task |

mod chat;
mod context;
mod families;
mod file_sets;
mod fillable_text;
mod items;
mod lc_rec_tasks;
mod negatives;
mod output;
mod parquet;
mod record_rng;
mod reports;
mod settings;
mod template;
mod user_preferences;
mod user_texts;

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

pub use families::Family;
pub use items::{ItemColumns, ItemTexts};
pub use output::EXPORT_FILE;
pub use reports::{FileReport, Role, TaskReport};
pub use settings::{ExportSettings, Show};
pub use template::Example;
pub use user_texts::UserTexts;

use crate::artifact::Overwrite;
use crate::behaviour::{Histories, HistoryCounts};
use crate::error::{Error, Result};
use crate::progress::Progress;
use crate::semantic_id::TokenTable;
use crate::vocabulary::TokenIds;
use context::Context;
use output::ExportOutput;
use template::Templates;

const FORMAT_VERSION: u32 = 1;

/// The inputs of an export.
#[derive(Debug, Clone, Copy)]
pub struct Export<'a> {
    /// The family to export for.
    pub family: Family,
    /// The items and their semantic IDs.
    pub table: &'a TokenTable,
    /// The texts of the items.
    pub texts: &'a ItemTexts,
    /// The histories of the users.
    pub histories: &'a Histories,
    /// Preferences and searches of the users; derived from attributes if there are none.
    pub users: Option<&'a UserTexts>,
    /// Token ids of a language model's tokenizer, for files with token ids. Without them, code 0 has id 0.
    pub tokens: Option<&'a TokenIds>,
    /// How to export.
    pub settings: &'a ExportSettings,
}

/// The description of an export; in a dry run, of what would be written.
#[derive(Debug, Clone, Serialize)]
pub struct Exported {
    /// Version of this description.
    pub format_version: u32,
    /// Whether nothing was written.
    pub dry_run: bool,
    /// Hash of the model that assigned the semantic IDs.
    pub model_hash: String,
    /// Number of items.
    pub items: usize,
    /// Statistics of the interactions.
    pub interactions: HistoryCounts,
    /// The family and the settings.
    pub settings: FamilySettings,
    /// Statistics per task.
    pub tasks: BTreeMap<String, TaskReport>,
    /// The files by name.
    pub files: BTreeMap<String, FileReport>,
}

/// A family and the settings of its export.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FamilySettings {
    /// The family.
    pub family: Family,
    /// The settings.
    #[serde(flatten)]
    pub settings: ExportSettings,
}

impl<'a> Export<'a> {
    /// Writes the family's files into a folder. Without a target this is a dry run, which returns the first records of
    /// each task.
    ///
    /// # Errors
    /// [`Error::Config`] for settings that do not fit the family or each other; [`Error::File`] for templates;
    /// [`Error::Data`] if the family needs titles or ratings and there are none. As
    /// [`crate::artifact::AtomicDir`].
    pub fn write(&self, target: Option<(&Path, Overwrite)>, progress: &dyn Progress) -> Result<Exported> {
        self.check()?;
        let context = self.context(target.is_none(), progress)?;
        let mut output = ExportOutput::new(target)?;
        progress.begin("export", Some(self.histories.counted.users as u64), "users");
        (self.family.spec().write)(&context, &mut output)?;
        progress.end();
        let (files, tasks) = output.finish()?;
        let exported = Exported {
            format_version: FORMAT_VERSION,
            dry_run: output.is_dry(),
            model_hash: self.table.metadata.model_hash.clone(),
            items: self.table.item_ids.len(),
            interactions: self.histories.counted.clone(),
            settings: FamilySettings { family: self.family, settings: self.settings.clone() },
            tasks,
            files,
        };
        output.commit(&exported)?;
        Ok(exported)
    }

    fn check(&self) -> Result<()> {
        self.settings.check()?;
        (self.family.spec().check)(self.settings, self.histories)?;
        if self.family.needs_titles(self.settings.show) && self.texts.untitled == self.table.item_ids.len() {
            let help = "pass --catalog, and --title with the name of its title column";
            return Err(Error::data(self.family.to_string(), "items with titles", "no title at all", help));
        }
        Ok(())
    }

    fn context(&self, dry_run: bool, progress: &'a dyn Progress) -> Result<Context<'a>> {
        let spec = self.family.spec();
        let replaced = self.settings.templates.as_deref();
        let templates = match spec.tasks {
            [] => None,
            tasks => Some(Templates::load(spec.templates, tasks, replaced)?),
        };
        Ok(Context::new(self, templates, spec.show, dry_run, progress))
    }
}
