//! Compares two token tables or indexes.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::titles::LookupSettings;
use crate::error::Result;
use crate::index::{Index, TOKENS};
use crate::item_ids::ItemIds;
use crate::progress::Progress;
use crate::semantic_id::{CompactTable, DiffItem, TableDiff};
use crate::settings::{Range, SettingGroup, settings};

settings! {
    /// How many examples a comparison shows.
    pub struct DiffSettings {
        /// Number of examples per kind of change: items, and renamed codes.
        examples: usize, "N", default "5", range Range::Between(0.0, 10_000.0);
    }
}

/// Compare two token tables: [`diff`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct DiffSpec {
    /// The older token table, index or store.
    pub before: PathBuf,
    /// The newer token table, index or store.
    pub after: PathBuf,
    /// How many examples to show.
    pub diff: DiffSettings,
    /// The source of the items' titles.
    pub titles: LookupSettings,
}

/// Default number of examples.
const EXAMPLES: usize = 5;

/// Compares two token tables: items that were added, removed and moved, renamed codes, and neighbours that were kept.
/// Two tables of ten million items each take less than 2 GB of memory.
///
/// # Errors
/// As [`CompactTable::read`] and [`TableDiff::of`]; for a given catalog of titles that cannot be read.
pub fn diff(spec: &DiffSpec, progress: &dyn Progress) -> Result<TableDiff> {
    spec.diff.check()?;
    spec.titles.check()?;
    let (_, before) = table(&spec.before)?;
    let (index, after) = table(&spec.after)?;
    let mut diff = TableDiff::of(&before, &after, spec.diff.examples.unwrap_or(EXAMPLES), progress)?;
    drop((before, after));
    let examples = &mut diff.examples;
    let kinds =
        [&mut examples.added, &mut examples.removed, &mut examples.moved, &mut examples.renamed, &mut examples.reused];
    let mut shown: Vec<&mut DiffItem> = kinds.into_iter().flatten().collect();
    let ids = ItemIds::Strings(shown.iter().map(|item| item.item_id.clone()).collect());
    let rows: Vec<usize> = (0..ids.len()).collect();
    let titles = spec.titles.titles(index.as_ref().map(Index::manifest), &ids, &rows)?;
    for item in &mut shown {
        item.title = titles.get(&item.item_id).cloned();
    }
    Ok(diff)
}

/// The ids and codes of a token table, or of the table of an index. Only the table of the index is read and verified.
fn table(path: &Path) -> Result<(Option<Index>, CompactTable)> {
    if !Index::is_index(path) {
        return Ok((None, CompactTable::read(path)?));
    }
    let index = Index::open_for(path, &[TOKENS])?;
    let table = CompactTable::read(&index.path(TOKENS))?;
    Ok((Some(index), table))
}
