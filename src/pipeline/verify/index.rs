//! Checks of an index: its files against the manifest and against each other.

use std::path::Path;

use super::super::constraint_folders::constraint_folders;
use super::{Checks, model_sizes};
use crate::constraint::{CONSTRAINT_FILE, check_forms};
use crate::error::{Error, Result};
use crate::index::{FEATURES, Index, MODEL, TOKENS, VOCABULARY};
use crate::semantic_id::TokenTable;
use crate::tokenizer::Tokenizer;
use crate::vocabulary::check_vocabulary;

/// Advice for files that do not match.
const HELP: &str = "restore the index from a copy or build it again";

impl Checks<'_> {
    /// Checks an index. If given, `table` is the token table that the constraint forms in it belong to, instead of its
    /// own.
    pub(super) fn index(&mut self, path: &Path, table: Option<&TokenTable>) {
        let Some(index) = self.run(path, "manifest", || Index::unverified(path)) else { return };
        let files: Vec<_> = index.files().map(|(path, hash)| (path, hash.to_owned())).collect();
        self.progress.begin("verify", Some(files.len() as u64), "files");
        let before = self.problems();
        for (file, hash) in &files {
            let outcome = self.hashes.check(file, hash).map_err(|e| e.to_string());
            self.add(file, "SHA-256", outcome);
            self.progress.advance(1);
        }
        self.progress.end();
        // Further checks of damaged files would not add information.
        if self.problems() > before {
            return;
        }
        let has = |name: &str| index.manifest().files.contains_key(name);
        let manifest = index.manifest();
        let folder = index.path(MODEL);
        let model = self.run(&folder, "model", || {
            let model = Tokenizer::load(&folder)?;
            same(&folder, "the model hash of the manifest", &manifest.model_hash, &model.hash().to_owned())?;
            Ok(model)
        });
        let file = index.path(TOKENS);
        let own = self.run(&file, "token table", || {
            let table = TokenTable::read(&file)?;
            same(&file, "the model hash of the manifest", &manifest.model_hash, &table.metadata.model_hash)?;
            same(&file, "the items of the manifest", &manifest.items, &(table.item_ids.len() as u64))?;
            if let Some(model) = &model {
                let sizes = &model.config().codebook_sizes;
                same(&file, "the codebooks of the model", sizes, &model_sizes(&table).to_vec())?;
            }
            Ok(table)
        });
        let Some(own) = own else { return };
        if has(FEATURES) {
            self.features(&index, &own, model.as_ref());
        }
        self.changes(&index, &own);
        if has(&format!("{VOCABULARY}/vocabulary.json")) {
            let folder = index.path(VOCABULARY);
            self.run(&folder, "vocabulary of the token table", || check_vocabulary(&folder, &own));
        }
        for folder in has(CONSTRAINT_FILE).then_some("").into_iter().chain(constraint_folders(&index)) {
            self.forms(&index.path(folder), Some(table.unwrap_or(&own)));
        }
    }

    /// Checks a folder of constraint forms.
    pub(super) fn forms(&mut self, folder: &Path, table: Option<&TokenTable>) {
        let check = if table.is_some() { "constraint forms of the token table" } else { "constraint forms" };
        self.run(folder, check, || check_forms(folder, table));
    }

    fn problems(&self) -> usize {
        self.list.iter().filter(|check| check.problem.is_some()).count()
    }
}

/// Checks that two values agree.
pub(super) fn same<T: PartialEq + std::fmt::Debug>(path: &Path, what: &str, expected: &T, got: &T) -> Result<()> {
    if expected == got {
        return Ok(());
    }
    Err(Error::artifact(path, format!("{expected:?}, {what}"), format!("{got:?}"), HELP))
}
