//! Files with the valid IDs, in the formats of several decoders.

mod automaton;
mod grammar;
mod id_list;
mod items;
mod kind;
mod regex;
mod rules;
mod servers;
mod titles;

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use serde_json::json;

pub use kind::ConstraintForm;
pub(super) use kind::TABLE_FILE;
pub use rules::ItemRules;
pub(super) use rules::{RULE_ITEMS_FILE, RecordedRules};
pub use titles::{one_line, titles};

use self::automaton::Automaton;
use self::grammar::{Dialect, Terminals};
use self::id_list::write_ids;
use super::{Prefix, Transitions, Trie};
use crate::artifact::{AtomicDir, FolderKind, Overwrite, seal, sha256_file};
use crate::error::{Error, Result};
use crate::progress::Progress;
use crate::semantic_id::TokenTable;
use crate::vocabulary::TokenIds;

/// The description of a folder of forms, which also identifies it.
pub const CONSTRAINT_FILE: &str = "constraint.json";
pub(super) const FORMAT_VERSION: u32 = 1;
/// The ids of the items that the user selected, one per line.
pub(super) const ONLY_FILE: &str = "only.txt";

/// A folder of forms.
const KIND: FolderKind = FolderKind {
    marker: CONSTRAINT_FILE,
    keys: &["format_version", "token_format", "forms"],
    lists: |description, file| {
        let forms = description["forms"].as_object();
        let of_form = |form: &serde_json::Value| {
            form["file"] == *file || form["companions"].as_object().is_some_and(|files| files.contains_key(file))
        };
        // Python writes the compiled processors of servers next to them.
        description["only"]["file"] == *file
            || description["rules"]["only"]["file"] == *file
            || forms.is_some_and(|forms| forms.values().any(of_form))
            || file.starts_with("__pycache__/catalex_")
    },
};

/// The inputs of the forms.
#[derive(Debug, Clone)]
pub struct Forms<'a> {
    /// The items.
    pub table: &'a TokenTable,
    /// The rows of the allowed items; `None` for all.
    pub rows: Option<&'a [u32]>,
    /// The rows that the user selected; `None` for all. The folder records their item ids, so that the forms can be
    /// written again for another table. They equal `rows` unless items share semantic IDs.
    pub only: Option<&'a [u32]>,
    /// The rule that selected the items, if there is one. The folder records it, so that the rule can be evaluated again
    /// for the next generation of an index.
    pub rules: Option<&'a ItemRules>,
    /// Token ids of the language model, see [`super::tokens_of`].
    pub tokens: Option<TokenIds>,
    /// Titles by row, for forms with titles.
    pub titles: Option<&'a [String]>,
    /// The settings with which the titles were read. The folder records them.
    pub title_settings: Option<&'a serde_json::Value>,
    /// Number of logits of the language model, where it exceeds the size of the tokenizer.
    pub logits: Option<usize>,
    /// Number of leading tokens that STATIC's dense tables cover.
    pub dense_depth: usize,
}

impl<'a> Forms<'a> {
    /// The forms of all items of a table, without token ids and titles.
    pub fn of(table: &'a TokenTable) -> Self {
        Forms {
            table,
            rows: None,
            only: None,
            rules: None,
            tokens: None,
            titles: None,
            title_settings: None,
            logits: None,
            dense_depth: 1,
        }
    }

    /// Writes forms into a folder, with a description in `constraint.json`.
    ///
    /// # Errors
    /// [`Error::Config`] or [`Error::Data`] where a form cannot be written: it needs token ids or titles that are missing,
    /// or there are too many items. [`Error::Data`] for items with the same ID. As [`AtomicDir`].
    pub fn write(
        &self,
        target: &Path,
        forms: &[ConstraintForm],
        overwrite: Overwrite,
        progress: &dyn Progress,
    ) -> Result<()> {
        let all: Vec<u32>;
        let rows = match self.rows {
            Some(rows) => rows,
            None => {
                all = (0..u32::try_from(self.table.codes.nrows()).unwrap_or(0)).collect();
                &all
            }
        };
        forms.iter().try_for_each(|&form| self.check(form, rows.len()))?;
        let folder = AtomicDir::create(target, &KIND, overwrite)?;
        let mut trie = Trie::of_table(self.table, rows)?;
        if let Some(tokens) = &self.tokens {
            trie = trie.with_tokens(tokens.clone())?;
        }
        let trie = trie;
        progress.begin("forms", Some(forms.len() as u64), "files");
        let mut described = serde_json::Map::new();
        for &form in forms {
            let path = folder.path().join(form.file());
            self.write_form(form, &path, &trie, rows)?;
            let bytes = path.metadata().map_err(|e| Error::io("read", &path, e))?.len();
            let mut described_as = json!({"file": form.file(), "bytes": bytes, "sha256": sha256_file(&path)?});
            for name in form.companions() {
                let path = folder.path().join(name);
                if !path.exists() {
                    self.write_companion(form, &path)?;
                }
                described_as["companions"][name] = json!(sha256_file(&path)?);
            }
            described.insert(form.to_string(), described_as);
            progress.advance(1);
        }
        progress.end();
        let mut description = self.description(&trie, described);
        if let Some(only) = self.only {
            let path = folder.path().join(ONLY_FILE);
            let ids: Vec<String> = only.iter().map(|&row| self.table.item_ids.text(row as usize)).collect();
            write_ids(&path, &ids)?;
            description["only"] = json!({"file": ONLY_FILE, "items": only.len(), "sha256": sha256_file(&path)?});
        }
        if let Some(rules) = self.rules {
            description["rules"] = rules.write(folder.path())?;
        }
        if let Some(settings) = self.title_settings {
            description["titles"] = settings.clone();
        }
        let path = folder.path().join(CONSTRAINT_FILE);
        let sealed = seal::to_json(&description).map_err(|e| Error::io("write", &path, e))?;
        write_with(&path, |out| out.write_all(&sealed))?;
        folder.commit()
    }

    /// Checks that a form can be written for this number of items.
    ///
    /// # Errors
    /// As [`Forms::write`].
    pub fn check(&self, form: ConstraintForm, items: usize) -> Result<()> {
        if form.needs_token_ids() && self.tokens.is_none() {
            return Err(Error::config(
                "vocabulary",
                format!("a vocabulary with a tokenizer: the form {form} contains token ids"),
                "none",
                "pass the folder that `catalex vocab --tokenizer` wrote, or omit this form",
            ));
        }
        if let Some(most) = form.max_items().filter(|&most| items > most) {
            return Err(Error::data(
                format!("form {form}"),
                format!("at most {most} items: its readers need too much time or memory with more"),
                items,
                "use the form trie with catalex.LogitsProcessor, or static, which have no such limit, or restrict the \
                 items with --only",
            ));
        }
        match form {
            ConstraintForm::Xllm => items::check_xllm(self.table),
            ConstraintForm::MiniOneRec if self.titles.is_none() => {
                let (expected, help) = ("titles for info.txt", "pass --catalog and its column --title");
                Err(Error::config("catalog", expected, "none", help))
            }
            ConstraintForm::Nvidia if self.titles.is_none() && self.title_settings.is_some() => {
                let (expected, help) = ("titles for nvidia.jsonl", "pass --catalog and its column --title, or neither");
                Err(Error::config("catalog", expected, "none", help))
            }
            ConstraintForm::MiniOneRec => items::check_minionerec(self.table),
            _ => Ok(()),
        }
    }

    fn write_form(&self, form: ConstraintForm, path: &Path, trie: &Trie, rows: &[u32]) -> Result<()> {
        let (table, format) = (self.table, &self.table.metadata.token_format);
        let mut rows: Vec<usize> = rows.iter().map(|&row| row as usize).collect();
        if let Some(members) = &table.members {
            // Readers that keep one item per ID keep the first.
            rows.sort_by_key(|&row| members.ranks[row]);
        }
        let rows = rows.into_iter();
        let grammar = |dialect: Dialect| {
            let terminals = self.tokens.as_ref().map_or(Terminals::Texts(format), Terminals::Ids);
            let automaton = Automaton::new(trie);
            write_with(path, |out| grammar::write(out, &automaton, terminals, dialect))
        };
        // `check` has made sure that a form has what it needs.
        let tokens = || self.tokens.as_ref().ok_or_else(|| Error::config("vocabulary", "token ids", "none", "name it"));
        match form {
            ConstraintForm::Trie => trie.save(path, Overwrite::Refuse),
            ConstraintForm::Static => {
                let tokens = tokens()?;
                let logits = self.logits.unwrap_or(tokens.vocabulary_size as usize);
                let first: Vec<u32> = (0..trie.levels()).map(|level| tokens.first_of_level(level)).collect();
                Transitions::new(trie, &first, logits, self.dense_depth)?.save(path, Overwrite::Refuse)
            }
            ConstraintForm::Llguidance => grammar(Dialect::Lark),
            ConstraintForm::Xgrammar => grammar(Dialect::Ebnf),
            ConstraintForm::Gbnf => grammar(Dialect::Gbnf),
            ConstraintForm::Regex => write_with(path, |out| regex::write_regex(out, &Automaton::new(trie), format)),
            ConstraintForm::Choices => {
                // An answer once, even if items share it.
                let mut seen = HashSet::new();
                let once = rows.filter(|&row| table.members.is_none() || seen.insert(table.codes.row(row)));
                write_with(path, |out| regex::write_choices(out, table, once))
            }
            ConstraintForm::Xllm => {
                let tokens = tokens()?;
                write_with(path, |out| items::write_xllm(out, table, tokens, rows))
            }
            ConstraintForm::MiniOneRec => {
                write_with(path, |out| items::write_minionerec(out, table, self.titles.unwrap_or_default(), rows))
            }
            ConstraintForm::Vllm | ConstraintForm::Sglang => {
                write_with(path, |out| out.write_all(servers::processor(form).as_bytes()))
            }
            ConstraintForm::Nvidia => {
                let tokens = tokens()?;
                write_with(path, |out| servers::write_nvidia(out, table, tokens, self.titles, rows))
            }
        }
    }

    /// Writes one of [`ConstraintForm::companions`].
    fn write_companion(&self, form: ConstraintForm, path: &Path) -> Result<()> {
        if path.ends_with(TABLE_FILE) {
            return self.table.write(path, Overwrite::Refuse);
        }
        let readme = servers::readme(form, self.table, self.tokens.as_ref(), self.logits);
        write_with(path, |out| out.write_all(readme.as_bytes()))
    }

    fn description(&self, trie: &Trie, forms: serde_json::Map<String, serde_json::Value>) -> serde_json::Value {
        let metadata = &self.table.metadata;
        json!({
            "format_version": FORMAT_VERSION,
            "model_hash": metadata.model_hash,
            "items": trie.rows_under(Prefix::EMPTY).len(),
            "levels": trie.levels(),
            "codebook_sizes": metadata.codebook_sizes,
            "token_format": metadata.token_format,
            "token_ids": self.tokens.as_ref().map(|tokens| json!({
                "first_id": tokens.first_id,
                "begin_id": tokens.begin,
                "end_id": tokens.end,
                "vocabulary_size": tokens.vocabulary_size,
            })),
            "forms": forms,
        })
    }
}

fn write_with(path: &Path, content: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<()> {
    let fail = |e| Error::io("write", path, e);
    let mut out = BufWriter::with_capacity(1 << 18, File::create(path).map_err(fail)?);
    content(&mut out).map_err(fail)?;
    out.flush().map_err(fail)
}
