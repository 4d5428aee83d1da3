//! Reads a folder of constraint forms: its forms, its items, and the settings it was written with.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use super::forms::{CONSTRAINT_FILE, ConstraintForm, ItemRules, ONLY_FILE, RULE_ITEMS_FILE, RecordedRules};
use super::transitions::Transitions;
use super::trie::Trie;
use crate::artifact::{read_description, read_text, seal, sha256_file};
use crate::error::{Error, Result};
use crate::semantic_id::TokenTable;
use crate::vocabulary::TokenIds;

/// Advice for files that do not match.
pub(super) const HELP: &str = "write them again with `catalex constrain`";

/// The content of `constraint.json`.
#[derive(Debug, Deserialize)]
pub(super) struct ConstraintDescription {
    pub(super) format_version: u32,
    pub(super) model_hash: String,
    pub(super) items: usize,
    pub(super) codebook_sizes: Vec<usize>,
    pub(super) token_format: String,
    token_ids: Option<DescribedIds>,
    forms: serde_json::Map<String, Value>,
    #[serde(default)]
    only: Option<DescribedList>,
    #[serde(default)]
    rules: Option<RecordedRules>,
    #[serde(default)]
    titles: Option<Value>,
}

#[derive(Debug, Deserialize)]
struct DescribedIds {
    first_id: u32,
    begin_id: Option<u32>,
    end_id: Option<u32>,
    vocabulary_size: u32,
}

#[derive(Debug, Deserialize)]
struct DescribedList {
    sha256: String,
}

/// A folder that [`Forms::write`](super::Forms::write) wrote.
#[derive(Debug)]
pub struct FormsFolder {
    folder: PathBuf,
    pub(super) description: ConstraintDescription,
    forms: Vec<ConstraintForm>,
    /// The ids of the selected items, if the folder records a selection.
    only: Option<Vec<String>>,
}

impl FormsFolder {
    /// Reads the description of a folder, and checks the SHA-256 of each file.
    ///
    /// # Errors
    /// [`Error::Artifact`] names the file that differs; [`Error::Io`].
    pub fn read(folder: &Path) -> Result<Self> {
        let path = folder.join(CONSTRAINT_FILE);
        let wrong = |expected: String, got: &dyn std::fmt::Display| Error::artifact(&path, expected, got, HELP);
        let bytes = read_description(&path).map_err(|e| Error::io("read", &path, e))?;
        const WHAT: &str = "a description of constraint forms";
        // Folders of earlier versions have no seal.
        let description = seal::of_json(&path, &bytes, WHAT, HELP, |_| false)?;
        let description: ConstraintDescription =
            serde_json::from_value(description).map_err(|e| wrong(WHAT.into(), &e))?;
        if description.format_version != super::forms::FORMAT_VERSION {
            return Err(wrong(format!("format version {}", super::forms::FORMAT_VERSION), &description.format_version));
        }
        let check = |file: &str, expected: Option<&str>| {
            let file = folder.join(file);
            match sha256_file(&file)? {
                got if expected == Some(got.as_str()) => Ok(()),
                got => {
                    let expected = format!("SHA-256 {}", expected.unwrap_or("in constraint.json"));
                    Err(Error::artifact(&file, expected, got, HELP))
                }
            }
        };
        let mut forms = Vec::new();
        for (name, about) in &description.forms {
            let form: ConstraintForm = name.parse().map_err(|_| wrong("a known constraint form".into(), name))?;
            check(form.file(), about["sha256"].as_str())?;
            for companion in form.companions() {
                check(companion, about["companions"][companion].as_str())?;
            }
            forms.push(form);
        }
        let mut only = None;
        if let Some(list) = &description.only {
            check(ONLY_FILE, Some(&list.sha256))?;
            let path = folder.join(ONLY_FILE);
            let text = read_text(&path).map_err(|e| Error::io("read", &path, e))?;
            only = Some(text.lines().map(str::to_owned).collect());
        }
        if let Some(expected) = description.rules.as_ref().and_then(RecordedRules::sha256) {
            check(RULE_ITEMS_FILE, Some(expected))?;
        }
        Ok(FormsFolder { folder: folder.to_path_buf(), description, forms, only })
    }

    /// The forms in the folder.
    pub fn forms(&self) -> &[ConstraintForm] {
        &self.forms
    }

    /// The token ids in the forms. `None` if the forms were written without a tokenizer.
    pub fn tokens(&self) -> Option<TokenIds> {
        self.description.token_ids.as_ref().map(|ids| TokenIds {
            first_id: ids.first_id,
            codebook_sizes: self.description.codebook_sizes.clone(),
            begin: ids.begin_id,
            end: ids.end_id,
            vocabulary_size: ids.vocabulary_size,
        })
    }

    /// The settings with which titles were read from the catalog, see
    /// [`Forms::title_settings`](super::Forms::title_settings). `None` if the folder does not record them.
    pub fn title_settings(&self) -> Option<&Value> {
        self.description.titles.as_ref()
    }

    /// The rule that selected the items, if there is one.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn rules(&self) -> Result<Option<ItemRules>> {
        self.description.rules.as_ref().map(|rules| rules.read(&self.folder)).transpose()
    }

    /// Number of logits, and depth of the dense tables, of [`ConstraintForm::Static`]. `None` without this form.
    ///
    /// # Errors
    /// As [`Transitions::sizes`].
    pub fn static_sizes(&self) -> Result<Option<(usize, usize)>> {
        let form = ConstraintForm::Static;
        self.forms.contains(&form).then(|| Transitions::sizes(&self.folder.join(form.file()))).transpose()
    }

    /// The titles by item id, from `info.txt` or `nvidia.jsonl`. Empty if the folder has neither form.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Artifact`] for a line that is not of the form.
    pub fn titles(&self) -> Result<HashMap<String, String>> {
        type TitleOfLine = fn(&str) -> Option<(String, String)>;
        let forms: [(ConstraintForm, TitleOfLine); 2] =
            [(ConstraintForm::MiniOneRec, title_of_info), (ConstraintForm::Nvidia, title_of_nvidia)];
        let Some((form, title)) = forms.into_iter().find(|(form, _)| self.forms.contains(form)) else {
            return Ok(HashMap::new());
        };
        let path = self.folder.join(form.file());
        let text = read_text(&path).map_err(|e| Error::io("read", &path, e))?;
        text.lines()
            .map(|line| title(line).ok_or_else(|| Error::artifact(&path, "an ID, a title and an item id", line, HELP)))
            .collect()
    }

    /// The ids of the items that the user selected from `table`, the table that the folder was written for. `None` for
    /// all items.
    ///
    /// # Errors
    /// [`Error::Artifact`] if the folder contains only some of the items and records neither their ids nor a trie; as
    /// [`Trie::check_table`].
    pub fn selected(&self, table: &TokenTable) -> Result<Option<Vec<String>>> {
        if let Some(only) = &self.only {
            return Ok(Some(only.clone()));
        }
        if self.description.items == first_of_each_id(table, all_rows(table)).len() {
            return Ok(None);
        }
        let Some(rows) = self.rows_of_trie(table)? else {
            let got = format!("{} of {} items, without their ids", self.description.items, table.item_ids.len());
            return Err(Error::artifact(&self.folder, "all items of the token table, or a list of ids", got, HELP));
        };
        Ok(Some(rows.into_iter().map(|row| table.item_ids.text(row as usize)).collect()))
    }

    /// The rows of the table that the forms contain, ascending. `None` if the folder does not determine them.
    ///
    /// # Errors
    /// [`Error::Artifact`] for items that the table lacks; as [`Trie::check_table`].
    pub(super) fn rows(&self, table: &TokenTable) -> Result<Option<Vec<u32>>> {
        let of_trie = self.rows_of_trie(table)?;
        let path = self.folder.join(CONSTRAINT_FILE);
        let rows = match &self.only {
            Some(only) => {
                let (rows, missing) = rows_of(only, table);
                if let Some(id) = missing.first() {
                    let list = self.folder.join(ONLY_FILE);
                    return Err(Error::artifact(&list, "ids of the token table", format!("{id:?}"), HELP));
                }
                first_of_each_id(table, rows)
            }
            None => first_of_each_id(table, all_rows(table)),
        };
        if let Some(of_trie) = of_trie {
            if self.only.is_some() && of_trie != rows {
                return Err(Error::artifact(&path, "a trie of the items in only.txt", "other items", HELP));
            }
            return Ok(Some(of_trie));
        }
        if self.description.items > table.codes.nrows() {
            let expected = format!("at most {} items", table.codes.nrows());
            return Err(Error::artifact(&path, expected, self.description.items, HELP));
        }
        Ok((self.description.items == rows.len()).then_some(rows))
    }

    fn rows_of_trie(&self, table: &TokenTable) -> Result<Option<Vec<u32>>> {
        let form = ConstraintForm::Trie;
        if !self.forms.contains(&form) {
            return Ok(None);
        }
        let trie = Trie::load(&self.folder.join(form.file()))?;
        trie.check_table(table)?;
        let mut rows = trie.rows().to_vec();
        rows.sort_unstable();
        Ok(Some(rows))
    }
}

/// Item id and title of a line of `info.txt`.
fn title_of_info(line: &str) -> Option<(String, String)> {
    let mut fields = line.split('\t').skip(1);
    let (title, id) = (fields.next()?, fields.next()?);
    Some((id.to_owned(), title.to_owned()))
}

/// Item id and title of a line of `nvidia.jsonl`. Without a title, it is empty.
fn title_of_nvidia(line: &str) -> Option<(String, String)> {
    let item: Value = serde_json::from_str(line).ok()?;
    let id = &item["item_id"];
    let id = id.as_str().map(str::to_owned).or_else(|| id.as_i64().map(|id| id.to_string()))?;
    Some((id, item["metadata"]["title"].as_str().unwrap_or_default().to_owned()))
}

/// All rows of a table.
pub fn all_rows(table: &TokenTable) -> Vec<u32> {
    (0..).take(table.item_ids.len()).collect()
}

/// The first of these rows for each semantic ID. All of them if the collision policy makes IDs unique, or ranks the members
/// of shared IDs.
pub fn first_of_each_id(table: &TokenTable, rows: Vec<u32>) -> Vec<u32> {
    if table.metadata.policy.unique() || table.members.is_some() {
        return rows;
    }
    let mut seen = HashSet::with_capacity(rows.len());
    rows.into_iter().filter(|&row| seen.insert(table.codes.row(row as usize).to_vec())).collect()
}

/// The rows of the items with these ids, ascending, and the ids that are not in the table.
pub fn rows_of<'a>(ids: &'a [String], table: &TokenTable) -> (Vec<u32>, Vec<&'a str>) {
    let row_of = table.item_ids.rows_by_text();
    let mut rows: Vec<u32> = ids.iter().filter_map(|id| row_of.get(id)).map(|&row| row as u32).collect();
    rows.sort_unstable();
    rows.dedup();
    (rows, ids.iter().filter(|id| !row_of.contains_key(*id)).map(String::as_str).collect())
}
