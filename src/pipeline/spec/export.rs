//! Training data for families of LLM recommenders.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{CatalogColumns, Output};
use crate::settings::{MAX_COUNT, Range, settings};

settings! {
    /// Interactions, how they are split, and what prompts are made of.
    pub struct ExportOptions {
        /// Interactions: a table with one row per event, or .txt with lines "user item item ...".
        interactions: PathBuf, "FILE";
        /// Column of the users.
        interactions_user: String, "COLUMN", default "user_id or user";
        /// Column of the items.
        interactions_item: String, "COLUMN", default "item_id or item";
        /// Column of the times.
        interactions_time: String, "COLUMN", default "timestamp or time, else the order of the file";
        /// Column of the ratings.
        interactions_rating: String, "COLUMN", default "rating, if there is one";
        /// Maximum fraction of events of items that are not in the token table. These events are ignored; a larger
        /// fraction is an error.
        max_unknown_events: f64, "X", default "0.5", range Range::Between(0.0, 1.0);
        /// Split of the histories: leave-one-out (each user's last event for testing, the one before for validation),
        /// or time.
        split: String, "HOW", default "leave-one-out";
        /// Fraction of the events for validation, with --split time.
        valid_share: f64, "X", default "0.1";
        /// Fraction of the events for testing, with --split time.
        test_share: f64, "X", default "0.1";
        /// Leave out users with fewer events.
        min_interactions: usize, "N", default "5", range Range::Between(0.0, MAX_COUNT);
        /// Maximum number of events of a history in a prompt.
        history: usize, "N", default "20", range Range::Between(0.0, MAX_COUNT);
        /// Representation of items in prompts: titles, ids or both.
        items: String, "HOW", default "the family's";
        /// Name of the data set in file names.
        name: String, "NAME", default "that of --out";
        /// TOML file with templates that replace the family's templates of the same task.
        templates: PathBuf, "FILE";
        /// Number of different templates that are filled for each example.
        prompts: usize, "N", default "1", range Range::Between(0.0, MAX_COUNT);
        /// Preferences and intentions of users, in the format of LC-Rec's user.json.
        users: PathBuf, "FILE", default "derived from --attributes";
        /// Ratings above this count as likes, for tallrec and bigrec.
        rating_threshold: f32, "X", default "3";
        /// Count every event as a like. tallrec then draws dislikes from the items without events of the user.
        implicit: bool, "BOOL";
        /// Sizes of tallrec's few-shot samples; each sample contains the smaller ones.
        few_shot: Vec<usize>, "N,...", default "16,64,256", range Range::Between(0.0, MAX_COUNT);
        /// Number of candidates in a ranking prompt.
        candidates: usize, "N", default "20", range Range::Between(0.0, MAX_COUNT);
        /// Token before each ID in prompts.
        begin_token: String, "TOKEN";
        /// Token after each ID in prompts.
        end_token: String, "TOKEN";
        /// Hugging Face folder of a tokenizer that has the IDs' tokens: transrec then writes its FM-index.
        tokenizer: PathBuf, "HF_DIR";
        /// Folder that `catalex vocab --tokenizer` wrote: sequences then hold its token ids.
        vocabulary: PathBuf, "DIR", default "the index's own";
        /// Seed of all random numbers.
        seed: u64, "N", default "42", range Range::Any;
    }
}

/// Write items and histories in the form that a family of LLM recommenders reads: [`export`](crate::pipeline::export).
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct ExportSpec {
    /// Token table, or an index.
    pub tokens: PathBuf,
    /// The family: lc-rec, tallrec, instructrec, bigrec, transrec, ranking, agents, minionerec, openonerec,
    /// llamafactory, trl, sequences.
    pub family: String,
    /// The items' catalog. Not needed for sequences, and for exports with IDs only.
    pub catalog: Option<PathBuf>,
    /// Columns of the catalog.
    pub columns: CatalogColumns,
    /// Interactions and prompts.
    pub settings: ExportOptions,
    /// Whether to write nothing and to return the first records of each task.
    pub dry_run: bool,
    /// The folder to write.
    pub output: Output,
}
