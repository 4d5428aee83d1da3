//! Items that already have an ID in a token table of the same model.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::sources;
use super::spec::{TokenSettings, TokenizeSpec};
use crate::error::{Error, Result};
use crate::index::{Index, MODEL};
use crate::progress::Progress;
use crate::semantic_id::{Collisions, TokenTable};

/// The table of `--previous`, whose IDs are frozen.
///
/// # Errors
/// For a table that cannot be read; [`Error::Config`] for settings that contradict it.
pub(super) fn previous_table(path: &Path, settings: &TokenSettings) -> Result<TokenTable> {
    let table = sources::token_table(path)?;
    let help = "omit it: new items get the token format of the table, and IDs that no other item has";
    let format = &table.metadata.token_format;
    if settings.token_format.as_ref().is_some_and(|given| given != format) {
        return Err(Error::config("token-format", format!("{format}, as in the table"), settings.token_format(), help));
    }
    let collisions = settings.collisions()?;
    if collisions != Collisions::Resolve {
        return Err(Error::config("collisions", "resolve, together with --previous", collisions, help));
    }
    Ok(table)
}

/// Warns of items of `made` that already have an ID in a table of the same model. Such a table is in the index from
/// which the model or the features come, or is the output that will be replaced.
pub(super) fn warn_of_known(spec: &TokenizeSpec, made: &TokenTable, progress: &dyn Progress) {
    for path in tables(spec) {
        let before = match sources::token_table(&path) {
            Ok(table) if table.metadata.model_hash == made.metadata.model_hash => table,
            // A file that cannot be read has no items to compare, and the file to replace may not be a table.
            Ok(_) | Err(_) => continue,
        };
        if let Some(message) = difference(&path, &before, made) {
            progress.warn(&message);
            return;
        }
    }
}

/// Paths at which a table of the same model may be.
fn tables(spec: &TokenizeSpec) -> Vec<PathBuf> {
    let of_model = spec.model.parent().filter(|_| spec.model.file_name().is_some_and(|name| name == MODEL));
    let indexes = [Some(&*spec.model), of_model, Some(&*spec.features)];
    let indexes = indexes.into_iter().flatten().filter(|path| Index::is_index(path));
    let replaced = Some(&*spec.output.out).filter(|out| spec.output.force && out.is_file());
    let mut found: Vec<PathBuf> = indexes.chain(replaced).map(Path::to_path_buf).collect();
    found.dedup();
    found
}

/// A message about items whose IDs differ between the old and the new table, if they have items in common.
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
    // If collisions are kept, several items can share an ID, so the ID does not identify an item.
    let renamed = if before.metadata.policy.unique() && made.metadata.policy.unique() {
        let others = |&row: &usize| items.get(&key(made, row)).is_some_and(|&old| rows[row] != Some(old));
        (0..rows.len()).filter(others).count()
    } else {
        0
    };
    let keeps = match before.members.is_some() || made.members.is_some() {
        true => "Append to its index with `catalex append`".to_owned(),
        false => format!("Pass --previous {}", path.display()),
    };
    let path = path.display();
    match (known, moved + renamed) {
        (0, 0) => None,
        (_, 0) => Some(format!("{known} of {} items already have an ID in {path}, and get the same ID", rows.len())),
        _ => Some(format!(
            "{known} of {} items already have an ID in {path}: {moved} of them get another ID, and {renamed} items get \
             the ID of another item in that table. {keeps} to keep its IDs",
            rows.len()
        )),
    }
}
