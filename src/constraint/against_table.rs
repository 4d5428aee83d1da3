//! Checks a trie, or a folder of constraint forms, against a token table.

use std::path::Path;

use super::forms::{ConstraintForm, Forms};
use super::forms_folder::{FormsFolder, HELP};
use super::trie::Trie;
use crate::artifact::{Overwrite, sha256_file};
use crate::error::{Error, Result};
use crate::progress::Silent;
use crate::semantic_id::TokenTable;

impl Trie {
    /// Checks that the IDs of the trie equal those of its rows in a token table.
    ///
    /// # Errors
    /// [`Error::Mismatch`] for other IDs, another number of levels, or rows that the table lacks.
    pub fn check_table(&self, table: &TokenTable) -> Result<()> {
        let wrong = |got: String| Error::mismatch("trie", "the IDs of the token table", got, HELP);
        let mut rows = self.rows().to_vec();
        rows.sort_unstable();
        if let Some(&row) = rows.last().filter(|&&row| row as usize >= table.codes.nrows()) {
            return Err(wrong(format!("row {} of a table of {} rows", row + 1, table.codes.nrows())));
        }
        if self.levels() != table.codes.ncols() {
            return Err(wrong(format!("IDs of {} codes", self.levels())));
        }
        let expected = Trie::of_table(table, &rows)?;
        let first_items = |trie: &Trie| trie.members().map(|members| members.words.to_vec());
        let differs = expected.rows() != self.rows()
            || first_items(&expected) != first_items(self)
            || (0..self.levels()).any(|level| {
                expected.codes(level) != self.codes(level)
                    || (level > 0 && expected.firsts(level).words != self.firsts(level).words)
            });
        if differs { Err(wrong("different IDs".into())) } else { Ok(()) }
    }
}

/// Checks the files of a folder that `catalex constrain` wrote. The SHA-256 of each file must match `constraint.json`.
/// If a token table is given, every form is generated again from it and compared. Returns the forms that could not be
/// compared, because the folder does not record their items or titles.
///
/// # Errors
/// [`Error::Artifact`] names the file that differs; [`Error::Mismatch`] as [`Trie::check_table`]; [`Error::Io`].
pub fn check_forms(folder: &Path, table: Option<&TokenTable>) -> Result<Vec<String>> {
    let found = FormsFolder::read(folder)?;
    let Some(table) = table else { return Ok(Vec::new()) };
    let (metadata, described) = (&table.metadata, &found.description);
    let pairs = [
        ("model_hash", metadata.model_hash.clone(), described.model_hash.clone()),
        ("codebook_sizes", format!("{:?}", metadata.codebook_sizes), format!("{:?}", described.codebook_sizes)),
        ("token_format", metadata.token_format.to_string(), described.token_format.clone()),
    ];
    if let Some((key, expected, got)) = pairs.iter().find(|(_, expected, got)| expected != got) {
        let expected = format!("{expected} as {key}, to match the token table");
        return Err(Error::artifact(&folder.join(super::CONSTRAINT_FILE), expected, got, HELP));
    }
    let Some(rows) = found.rows(table)? else {
        return Ok(found.forms().iter().map(ConstraintForm::to_string).collect());
    };
    let (again, skipped): (Vec<_>, Vec<_>) = found.forms().iter().copied().partition(|form| {
        is_made_again(*form) && (*form != ConstraintForm::Nvidia || found.title_settings().is_none())
    });
    let made = tempfile::tempdir().map_err(|e| Error::io("create", &std::env::temp_dir(), e))?;
    let made = made.path().join("forms");
    let expected = Forms { rows: Some(&rows), tokens: found.tokens(), ..Forms::of(table) };
    expected.write(&made, &again, Overwrite::Refuse, &Silent)?;
    for form in again {
        let (got, expected) = (folder.join(form.file()), sha256_file(&made.join(form.file()))?);
        // The program of a server has no items, and other versions of catalex write another one.
        if !form.is_program() && sha256_file(&got)? != expected {
            return Err(Error::artifact(&got, "the IDs of the token table", "different content", HELP));
        }
        if form.companions().contains(&super::forms::TABLE_FILE) {
            let path = folder.join(super::forms::TABLE_FILE);
            let copy = TokenTable::read(&path)?;
            if copy.item_ids != table.item_ids || copy.codes != table.codes {
                return Err(Error::artifact(&path, "the items of the token table", "different items", HELP));
            }
        }
    }
    Ok(skipped.iter().map(ConstraintForm::to_string).collect())
}

/// Whether the table and the description determine the content of a form.
fn is_made_again(form: ConstraintForm) -> bool {
    !matches!(form, ConstraintForm::Static | ConstraintForm::MiniOneRec)
}
