//! Items that a token table of the same model has already.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::sources;
use super::spec::{TokenSettings, TokenizeSpec};
use crate::error::{Error, Result};
use crate::features::{FeatureSource, SelectedRows, for_each_block};
use crate::index::{Index, MODEL};
use crate::item_ids::ItemIds;
use crate::progress::Progress;
use crate::semantic_id::{Collisions, Occupied, TokenTable, TokenizedItems};
use crate::tokenizer::Tokenizer;

/// The table with frozen IDs of `--previous`, and the items of the features that it lacks.
pub(super) struct FrozenTable<'a> {
    table: TokenTable,
    /// `None` if the table has all items.
    new: Option<SelectedRows<'a>>,
}

impl<'a> FrozenTable<'a> {
    /// Reads the table and finds the new items.
    ///
    /// # Errors
    /// [`Error::Mismatch`] for a table of another model; [`Error::Config`] for settings that contradict the table.
    pub(super) fn read(
        path: &Path,
        features: &'a dyn FeatureSource,
        model: &Tokenizer,
        settings: &TokenSettings,
    ) -> Result<Self> {
        let table = sources::token_table(path)?;
        let metadata = &table.metadata;
        if metadata.model_hash != model.hash() {
            let help = "name the model that assigned the table's IDs";
            let what = format!("model of {}", path.display());
            return Err(Error::mismatch(what, model.hash(), &metadata.model_hash, help));
        }
        let help = "leave it out: new items get IDs like those of the table";
        if settings.token_format.as_ref().is_some_and(|format| *format != metadata.token_format) {
            let expected = format!("{}, as in the table", metadata.token_format);
            return Err(Error::config("token-format", expected, settings.token_format(), help));
        }
        if settings.collisions()? != Collisions::Resolve {
            let expected = "resolve, together with --previous";
            return Err(Error::config("collisions", expected, settings.collisions()?, help));
        }
        if metadata.policy == Collisions::Suffix {
            return Err(Error::config(
                "previous",
                "a table without a disambiguating level",
                "one that was made with --collisions suffix",
                "make the table again with --collisions resolve",
            ));
        }
        let mut ids = ItemIds::default();
        for_each_block(features, |block| {
            ids.append(block.features.item_ids().clone());
            Ok(())
        })?;
        let known = ids.rows_in(&table.item_ids);
        let rows: Vec<usize> = (0..ids.len()).filter(|&row| known[row].is_none()).collect();
        let new = (!rows.is_empty()).then(|| SelectedRows::new(features, rows)).transpose()?;
        Ok(FrozenTable { table, new })
    }

    /// Number of frozen IDs.
    pub(super) fn len(&self) -> usize {
        self.table.item_ids.len()
    }

    /// Gives IDs to the new items. Returns the whole table, and the new items alone.
    ///
    /// # Errors
    /// As [`TokenTable::placed`].
    pub(super) fn with_new_items(
        self,
        model: &Tokenizer,
        progress: &dyn Progress,
    ) -> Result<(TokenTable, Option<TokenizedItems>)> {
        let Some(new) = self.new else { return Ok((self.table, None)) };
        let occupied = Occupied::of_table(&self.table)?;
        let format = self.table.metadata.token_format.clone();
        let placed = TokenTable::placed(&new, model, format, &occupied, progress)?;
        Ok((self.table.joined(placed.table.clone())?, Some(placed)))
    }
}

/// Warns of items of `made` that a table of the same model has already: that of the index from which the model or the
/// features come, or the table that will be replaced.
pub(super) fn warn_of_known(spec: &TokenizeSpec, made: &TokenTable, progress: &dyn Progress) {
    for path in tables(spec) {
        let before = match sources::token_table(&path) {
            Ok(table) if table.metadata.model_hash == made.metadata.model_hash => table,
            // What cannot be read names no items, and a file that is replaced may be anything.
            Ok(_) | Err(_) => continue,
        };
        if let Some(message) = difference(&path, &before, made) {
            progress.warn(&message);
            return;
        }
    }
}

/// Where tables of the model may be.
fn tables(spec: &TokenizeSpec) -> Vec<PathBuf> {
    let of_model = spec.model.parent().filter(|_| spec.model.file_name().is_some_and(|name| name == MODEL));
    let indexes = [Some(&*spec.model), of_model, Some(&*spec.features)];
    let indexes = indexes.into_iter().flatten().filter(|path| Index::is_index(path));
    let replaced = Some(&*spec.output.out).filter(|out| spec.output.force && out.is_file());
    let mut found: Vec<PathBuf> = indexes.chain(replaced).map(Path::to_path_buf).collect();
    found.dedup();
    found
}

/// What a reader of the old table has to know of the new one.
fn difference(path: &Path, before: &TokenTable, made: &TokenTable) -> Option<String> {
    let key = |table: &TokenTable, row: usize| {
        table.codes.row(row).iter().fold(1u128, |key, &code| key << 16 | u128::from(code))
    };
    let rows = made.item_ids.rows_in(&before.item_ids);
    let known = rows.iter().flatten().count();
    let moves =
        |(row, known): (usize, &Option<usize>)| known.is_some_and(|old| before.codes.row(old) != made.codes.row(row));
    let moved = rows.iter().enumerate().filter(|&at| moves(at)).count();
    let items: HashMap<u128, usize> = (0..before.codes.nrows()).map(|row| (key(before, row), row)).collect();
    // An ID that several items share, where collisions are kept, names none of them alone.
    let renamed = if before.metadata.policy.unique() && made.metadata.policy.unique() {
        let others = |&row: &usize| items.get(&key(made, row)).is_some_and(|&old| rows[row] != Some(old));
        (0..rows.len()).filter(others).count()
    } else {
        0
    };
    let path = path.display();
    match (known, moved + renamed) {
        (0, 0) => None,
        (_, 0) => Some(format!("{known} of {} items have an ID in {path} already, and get the same one", rows.len())),
        _ => Some(format!(
            "{known} of {} items have an ID in {path} already: {moved} of them get another one, and {renamed} IDs name \
             other items than there. Pass --previous {path} to keep its IDs",
            rows.len()
        )),
    }
}
