//! Training data for LLM recommenders: each supported family gets items, histories and instructions in its own format.
//!
//! [`Export`] takes a token table, the item texts of the catalog ([`ItemTexts`]) and the users' histories
//! ([`Histories`]), and writes the files that a [`Family`] reads, plus `export.json`, which describes each file. Prompts
//! are data: one TOML file per family, which the user can replace. Every random draw depends on the seed and the record
//! only, and records are streamed to disk.
//!
//! | file | content |
//! |---|---|
//! | `families/` | one file per family: its records |
//! | `templates/` | one TOML file per family: its prompts |
//! | `family.rs` | the list of families, and the settings of an export |
//! | `context.rs` | what a family is written from |
//! | `items.rs`, `users.rs` | titles, descriptions, attributes; preferences and intentions |
//! | `template.rs`, `form.rs` | parsing and filling of prompt templates |
//! | `draw.rs` | independent random draws per record |
//! | `output.rs`, `parquet.rs` | the output files, or the samples of a dry run |

mod context;
mod draw;
mod families;
mod family;
mod form;
mod items;
mod output;
mod parquet;
mod template;
mod users;

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

pub use family::{ExportSettings, Family, Show};
pub use items::{ItemColumns, ItemTexts};
pub use output::{EXPORT_FILE, FileReport, Role, TaskReport};
pub use template::Example;
pub use users::UserTexts;

use crate::artifact::Overwrite;
use crate::behaviour::{Histories, HistoryCounts};
use crate::error::Result;
use crate::progress::Progress;
use crate::semantic_id::TokenTable;
use crate::vocabulary::TokenIds;
use context::Context;
use families::{
    agents, big_rec, chat, instruct_rec, lc_rec, mini_one_rec, open_one_rec, ranking, sequences, tall_rec, trans_rec,
};
use output::ExportOutput;

const FORMAT_VERSION: u32 = 1;

/// What an export is made of.
#[derive(Debug, Clone, Copy)]
pub struct Export<'a> {
    /// The items and their semantic IDs.
    pub table: &'a TokenTable,
    /// What the catalog says of them.
    pub texts: &'a ItemTexts,
    /// What users did with them.
    pub histories: &'a Histories,
    /// Preferences and intentions of users, where somebody wrote them down.
    pub users: Option<&'a UserTexts>,
    /// Ids of the tokens in a language model's tokenizer, for what holds ids; without them, code 0 has id 0.
    pub tokens: Option<&'a TokenIds>,
    /// For whom, and how.
    pub settings: &'a ExportSettings,
}

/// What was written, or would be.
#[derive(Debug, Clone, Serialize)]
pub struct Exported {
    /// Version of this description.
    pub format_version: u32,
    /// Whether nothing was written.
    pub dry_run: bool,
    /// Hash of the model that gave the semantic IDs.
    pub model_hash: String,
    /// Number of items.
    pub items: usize,
    /// What of the interactions was used.
    pub interactions: HistoryCounts,
    /// For whom, and how.
    pub settings: ExportSettings,
    /// Records by task.
    pub tasks: BTreeMap<String, TaskReport>,
    /// The files by name.
    pub files: BTreeMap<String, FileReport>,
}

impl Export<'_> {
    /// Writes the family's files into a folder, or, without a target, shows the first records of each task for the
    /// first users and items.
    ///
    /// # Errors
    /// [`crate::Error::Config`] for settings that do not fit the family or each other; [`crate::Error::File`] for
    /// templates; [`crate::Error::Data`] where the family needs titles or ratings and there are none. As
    /// [`crate::artifact::AtomicDir`].
    pub fn write(&self, target: Option<(&Path, Overwrite)>, progress: &dyn Progress) -> Result<Exported> {
        self.settings.check(self)?;
        let context = Context::new(self, target.is_none(), progress)?;
        let mut output = ExportOutput::new(target)?;
        progress.begin("export", Some(self.histories.counted.users as u64), "users");
        let write = match self.settings.family {
            Family::LcRec => lc_rec::write,
            Family::TallRec => tall_rec::write,
            Family::InstructRec => instruct_rec::write,
            Family::BigRec => big_rec::write,
            Family::TransRec => trans_rec::write,
            Family::Ranking => ranking::write,
            Family::Agents => agents::write,
            Family::MiniOneRec => mini_one_rec::write,
            Family::OpenOneRec => open_one_rec::write,
            Family::LlamaFactory => chat::write_llama_factory,
            Family::Trl => chat::write_trl,
            Family::Sequences => sequences::write,
        };
        write(&context, &mut output)?;
        progress.end();
        let (files, tasks) = output.finish()?;
        let exported = Exported {
            format_version: FORMAT_VERSION,
            dry_run: output.is_dry(),
            model_hash: self.table.metadata.model_hash.clone(),
            items: self.table.item_ids.len(),
            interactions: self.histories.counted.clone(),
            settings: self.settings.clone(),
            tasks,
            files,
        };
        output.commit(&exported)?;
        Ok(exported)
    }
}

/// The shipped templates of a family, as TOML; empty for families without prompts.
pub fn shipped_templates(family: Family) -> &'static str {
    family.templates().0
}
