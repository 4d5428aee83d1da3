//! Checks a trie, or a folder of constraint forms, against a token table.

use std::fs;
use std::path::Path;

use serde::Deserialize;

use super::forms::{CONSTRAINT_FILE, ConstraintForm, Forms};
use super::trie::Trie;
use crate::artifact::{Overwrite, sha256_file};
use crate::error::{Error, Result};
use crate::progress::Silent;
use crate::semantic_id::TokenTable;
use crate::vocabulary::TokenIds;

/// Advice for files that do not match.
const HELP: &str = "write them again with `catalex constrain`";

/// The content of `constraint.json`.
#[derive(Deserialize)]
struct ConstraintDescription {
    format_version: u32,
    model_hash: String,
    items: usize,
    codebook_sizes: Vec<usize>,
    token_format: String,
    token_ids: Option<DescribedIds>,
    forms: serde_json::Map<String, serde_json::Value>,
}

#[derive(Deserialize)]
struct DescribedIds {
    first_id: u32,
    begin_id: Option<u32>,
    end_id: Option<u32>,
    vocabulary_size: u32,
}

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
        let expected = Trie::of_rows(table.codes.view(), &rows)?;
        let differs = expected.rows() != self.rows()
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
    let path = folder.join(CONSTRAINT_FILE);
    let wrong = |expected: String, got: &dyn std::fmt::Display| Error::artifact(&path, expected, got, HELP);
    let bytes = fs::read(&path).map_err(|e| Error::io("read", &path, e))?;
    let described: ConstraintDescription =
        serde_json::from_slice(&bytes).map_err(|e| wrong("a description of constraint forms".into(), &e))?;
    if described.format_version != super::forms::FORMAT_VERSION {
        return Err(wrong(format!("format version {}", super::forms::FORMAT_VERSION), &described.format_version));
    }
    let mut forms = Vec::new();
    for (name, about) in &described.forms {
        let form: ConstraintForm = name.parse().map_err(|_| wrong("a known constraint form".into(), name))?;
        let file = folder.join(form.file());
        let got = sha256_file(&file)?;
        if about["sha256"].as_str() != Some(&got) {
            return Err(Error::artifact(&file, format!("SHA-256 {}", about["sha256"]), got, HELP));
        }
        forms.push(form);
    }
    let Some(table) = table else { return Ok(Vec::new()) };
    let metadata = &table.metadata;
    let pairs = [
        ("model_hash", metadata.model_hash.clone(), described.model_hash.clone()),
        ("codebook_sizes", format!("{:?}", metadata.codebook_sizes), format!("{:?}", described.codebook_sizes)),
        ("token_format", metadata.token_format.to_string(), described.token_format.clone()),
    ];
    if let Some((key, expected, got)) = pairs.iter().find(|(_, expected, got)| expected != got) {
        return Err(wrong(format!("{expected} as {key}, to match the token table"), got));
    }
    let Some(rows) = rows(folder, &forms, &described, table)? else {
        return Ok(forms.iter().map(ConstraintForm::to_string).collect());
    };
    let (again, skipped): (Vec<_>, Vec<_>) = forms.into_iter().partition(|form| is_made_again(*form));
    let made = tempfile::tempdir().map_err(|e| Error::io("create", &std::env::temp_dir(), e))?;
    let made = made.path().join("forms");
    let tokens = described.token_ids.as_ref().map(|ids| TokenIds {
        first_id: ids.first_id,
        codebook_sizes: described.codebook_sizes.clone(),
        begin: ids.begin_id,
        end: ids.end_id,
        vocabulary_size: ids.vocabulary_size,
    });
    let expected = Forms { table, rows: Some(&rows), tokens, titles: None, logits: None, dense_depth: 1 };
    expected.write(&made, &again, Overwrite::Refuse, &Silent)?;
    for form in again {
        let (got, expected) = (folder.join(form.file()), sha256_file(&made.join(form.file()))?);
        if sha256_file(&got)? != expected {
            return Err(Error::artifact(&got, "the IDs of the token table", "different content", HELP));
        }
    }
    Ok(skipped.iter().map(ConstraintForm::to_string).collect())
}

/// Whether the table and the description determine the content of a form.
fn is_made_again(form: ConstraintForm) -> bool {
    !matches!(form, ConstraintForm::Static | ConstraintForm::MiniOneRec)
}

/// The rows of the table that the forms contain: those of the trie, or all. `None` if the forms contain only some of
/// the items and there is no trie, which would list them.
fn rows(
    folder: &Path,
    forms: &[ConstraintForm],
    described: &ConstraintDescription,
    table: &TokenTable,
) -> Result<Option<Vec<u32>>> {
    let all = table.codes.nrows();
    if forms.contains(&ConstraintForm::Trie) {
        let trie = Trie::load(&folder.join(ConstraintForm::Trie.file()))?;
        trie.check_table(table)?;
        let mut rows = trie.rows().to_vec();
        rows.sort_unstable();
        return Ok(Some(rows));
    }
    if described.items > all {
        let got = described.items;
        return Err(Error::artifact(&folder.join(CONSTRAINT_FILE), format!("at most {all} items"), got, HELP));
    }
    Ok((described.items == all).then(|| (0..all as u32).collect()))
}
