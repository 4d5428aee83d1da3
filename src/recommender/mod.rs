//! Hand-over to LLM recommenders: each known family gets its items, histories and instructions in its own form.
//!
//! [`Export`] takes a token table, what the catalog says of its items ([`ItemTexts`]) and what users did with them
//! ([`Histories`]), and writes the files that a [`Family`] reads, with `export.json` that says what each is for. Prompts
//! are data: a TOML file a family, which can be replaced. Everything is drawn from one seed, record by record, and
//! written as it is made.
//!
//! | file | its job |
//! |---|---|
//! | `histories.rs`, `split.rs` | histories over the table's rows, cut into train, valid and test |
//! | `items.rs`, `users.rs` | titles, descriptions, attributes; preferences and intentions |
//! | `template.rs`, `form.rs` | the prompts, and text with words to fill in |
//! | `draw.rs` | random draws that do not depend on one another |
//! | `output.rs`, `parquet.rs` | the files, or a dry run's samples |
//! | `context.rs` | what families are written from |
//! | `tasks.rs` | LC-Rec's six tasks, for every family of its kind |
//! | one file a family | its records |
//!
//! The way back is here, too: from what a language model said to items.
//!
//! | file | its job |
//! |---|---|
//! | `answers.rs` | answers to prompts for ranking |
//! | `grounding/` | [`Grounding`]: the items that are nearest to what was said, as in BIGRec |
//! | `aggregate.rs` | [`Aggregation`]: pieces of identifiers to items, as in TransRec |
//! | `explorer.rs` | [`Explorer`]: an index as a tool of agents |

mod agents;
mod aggregate;
mod answers;
mod big_rec;
mod chat;
mod context;
mod draw;
mod explorer;
mod family;
mod form;
mod grounding;
mod histories;
mod instruct_rec;
mod items;
mod lc_rec;
mod mini_one_rec;
mod open_one_rec;
mod output;
mod parquet;
mod ranking;
mod sequences;
mod split;
mod tall_rec;
mod tasks;
mod template;
mod trans_rec;
mod users;

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

pub use aggregate::{Aggregation, Piece};
pub use answers::{Answers, Candidate, Parsed, parse_answer};
pub use explorer::{Branch, Explorer, Found, Hit, MOST_FOUND};
pub use family::{Family, Settings, Show};
pub use grounding::{Chosen, Grounded, Grounding, Measure, Measured, Weights, popularity};
pub use histories::{Counted, Histories, User};
pub use items::{ItemColumns, ItemTexts};
pub use output::{EXPORT_FILE, FileReport, Role, TaskReport};
pub use split::{Part, Split};
pub use template::Example;
pub use users::UserTexts;

use crate::artifact::Overwrite;
use crate::error::Result;
use crate::progress::Progress;
use crate::semantic_id::TokenTable;
use crate::vocabulary::TokenIds;
use context::Context;
use output::Output;

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
    pub settings: &'a Settings,
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
    pub interactions: Counted,
    /// For whom, and how.
    pub settings: Settings,
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
        let mut output = Output::new(target)?;
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
