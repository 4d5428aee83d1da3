//! The constraint folders of an index. The next generation of the index gets the same folders, written for its items.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::Path;

use super::constrain::{forms, one_per_id};
use super::rule_items::rule_rows;
use super::sources::own_token_ids;
use super::spec::{ConstrainSettings, ReadsTexts};
use crate::artifact::Overwrite;
use crate::attributes::Attributes;
use crate::catalog::{CatalogJoin, CatalogSpec, MissingItems, TextSpec};
use crate::constraint::{CONSTRAINT_FILE, ConstraintForm, Forms, FormsFolder, ItemRules, all_rows, one_line, rows_of};
use crate::error::{Error, Result};
use crate::index::{Index, IndexWriter, VOCABULARY};
use crate::progress::{Progress, Silent};
use crate::semantic_id::TokenTable;
use crate::vocabulary::TokenIds;

/// The folder for the forms of the setting `constraint-form`.
const OWN_FOLDER: &str = "constraint";

/// The folders in an index that contain constraint forms, as relative paths without a final `/`.
pub(super) fn constraint_folders(index: &Index) -> BTreeSet<&str> {
    let described = index.manifest().files.keys().filter_map(|name| name.strip_suffix(CONSTRAINT_FILE));
    described.filter_map(|folder| folder.strip_suffix('/')).collect()
}

/// The forms of the setting `constraint-form`.
///
/// # Errors
/// [`Error::Config`] for an unknown or repeated form, an empty list, and a form with titles.
pub(super) fn forms_of(names: Option<&[String]>) -> Result<Option<Vec<ConstraintForm>>> {
    let Some(names) = names else { return Ok(None) };
    let forms = forms("constraint-form", names)?;
    if forms.contains(&ConstraintForm::MiniOneRec) {
        let help = "write it for each generation with `catalex constrain`, which has settings for titles";
        return Err(Error::config("constraint-form", "forms without titles", ConstraintForm::MiniOneRec, help));
    }
    Ok(Some(forms))
}

/// Whether the folder for `constraint-form` in an index has exactly these forms, for all items of the index.
pub(super) fn has_forms(index: &Index, forms: &[ConstraintForm], table: &TokenTable) -> bool {
    let found = constraint_folders(index).get(OWN_FOLDER).map(|folder| FormsFolder::read(&index.path(folder)));
    found.and_then(std::result::Result::ok).is_some_and(|found| {
        let same = forms.len() == found.forms().len() && forms.iter().all(|form| found.forms().contains(form));
        same && found.selected(table).is_ok_and(|ids| ids.is_none())
    })
}

/// Whether `name`, the path of a file relative to an index, is a constraint file: in one of these folders, or at the
/// root of the index.
pub(super) fn is_constraint(name: &str, folders: &BTreeSet<&str>) -> bool {
    // Constraint files at the root of an index cannot be written for the next generation.
    name == CONSTRAINT_FILE
        || ConstraintForm::ALL.iter().any(|form| name == form.file() || form.companions().first() == Some(&name))
        || folders.iter().any(|folder| name.strip_prefix(*folder).is_some_and(|rest| rest.starts_with('/')))
}

/// The inputs for writing the constraint folders of the next generation of an index.
pub(super) struct NextForms<'a> {
    pub(super) writer: &'a IndexWriter,
    pub(super) parent: &'a Index,
    /// The token table of the parent.
    pub(super) before: &'a TokenTable,
    /// The token table of the next generation.
    pub(super) table: &'a TokenTable,
    /// The attributes of the next generation, if it has any. Rules are evaluated again with them.
    pub(super) attributes: Option<&'a Attributes>,
    /// The catalog of the next generation, if any. It has the titles of new items.
    pub(super) catalog: Option<CatalogSpec>,
    /// The forms of the setting `constraint-form`, if it is set. They replace those in the same folder of the parent.
    pub(super) added: Option<&'a [ConstraintForm]>,
    /// The path of the next generation, which warnings name.
    pub(super) out: &'a Path,
    pub(super) progress: &'a dyn Progress,
}

impl NextForms<'_> {
    /// Writes the constraint folders of the parent for the items of the next generation, with the same forms and
    /// settings. A form that cannot be written is omitted with a warning. The vocabulary of the next generation must
    /// already be written.
    ///
    /// # Errors
    /// [`Error::Io`] if a file cannot be written; as [`Forms::write`] for the forms in `added`.
    pub(super) fn write(&self) -> Result<()> {
        for folder in constraint_folders(self.parent) {
            if folder == OWN_FOLDER && self.added.is_some() {
                continue;
            }
            let inputs = FormsFolder::read(&self.parent.path(folder)).and_then(|found| self.inputs(folder, &found));
            let written = match inputs {
                Ok(Some(inputs)) => self.write_folder(folder, &inputs),
                Ok(None) => Ok(()),
                Err(error) => {
                    self.warn(folder, None, &error.to_string());
                    Ok(())
                }
            };
            match written {
                Err(error @ Error::Io { .. }) => return Err(error),
                Err(error) => self.warn(folder, None, &error.to_string()),
                Ok(()) => {}
            }
        }
        if let Some(forms) = self.added {
            let rows = one_per_id(self.table, all_rows(self.table), self.progress);
            let tokens = own_token_ids(&self.writer.path(VOCABULARY))?;
            let inputs =
                FolderInputs { forms: forms.to_vec(), rows, tokens, dense_depth: 1, ..FolderInputs::default() };
            self.write_folder(OWN_FOLDER, &inputs)?;
        }
        if self.parent.manifest().files.contains_key(CONSTRAINT_FILE) {
            self.warn(".", None, "only files in a folder within the index can be written again");
        }
        Ok(())
    }

    fn warn(&self, folder: &str, form: Option<ConstraintForm>, reason: &str) {
        let (what, form) = match form {
            Some(form) => (format!("the constraint form {form} in the folder {folder:?}"), form.to_string()),
            None => (format!("the constraint files in the folder {folder:?}"), "FORM,...".to_owned()),
        };
        let titled = [ConstraintForm::MiniOneRec, ConstraintForm::Nvidia].map(|form| form.to_string());
        let more = if titled.contains(&form) { " --catalog CATALOG --title COLUMN" } else { "" };
        self.progress.warn(&format!(
            "the next generation is written without {what} of the index: {reason}. To write constraint files for it, \
             run catalex constrain {} --form {form}{more} --out DIR",
            self.out.display()
        ));
    }

    /// The inputs for writing a folder. `None` if the next generation has none of the folder's items, or if none of its
    /// forms can be written.
    fn inputs(&self, folder: &str, found: &FormsFolder) -> Result<Option<FolderInputs>> {
        let rules = found.rules()?;
        let by_rule = |rules: &ItemRules| rule_rows(rules, "rule", self.table, self.attributes);
        let only = match (rules.as_ref().map(by_rule).transpose()?, found.selected(self.before)?) {
            (Some(rows), _) if rows.is_empty() => {
                self.warn(folder, None, "the rule is true for none of the items of the next generation");
                return Ok(None);
            }
            (Some(rows), _) => Some(rows),
            (None, None) => None,
            (None, Some(ids)) => {
                let (rows, missing) = rows_of(&ids, self.table);
                if !missing.is_empty() {
                    self.progress.warn(&format!(
                        "{} of the {} items that {folder:?} was restricted to are no longer in the index; they are \
                         removed from its constraint files",
                        missing.len(),
                        ids.len()
                    ));
                }
                if rows.is_empty() {
                    self.warn(folder, None, "none of the folder's items is in the next generation");
                    return Ok(None);
                }
                Some(rows)
            }
        };
        let rows = one_per_id(self.table, only.clone().unwrap_or_else(|| all_rows(self.table)), &Silent);
        let tokens = self.tokens(found)?;
        let (mut logits, mut dense_depth) = (None, 1);
        if let Some((size, depth)) = found.static_sizes()? {
            let default = found.tokens().map(|tokens| tokens.vocabulary_size as usize);
            (logits, dense_depth) = (Some(size).filter(|_| default != Some(size)), depth);
        }
        let mut inputs = FolderInputs {
            forms: found.forms().to_vec(),
            rows,
            only,
            rules,
            tokens,
            titles: None,
            title_settings: found.title_settings().cloned(),
            logits,
            dense_depth,
        };
        let titled = inputs.forms.contains(&ConstraintForm::Nvidia) && inputs.title_settings.is_some();
        if titled || inputs.forms.contains(&ConstraintForm::MiniOneRec) {
            inputs.titles = self.titles(found, &inputs.rows)?;
        }
        let forms = std::mem::take(&mut inputs.forms);
        for form in forms {
            match self.forms(&inputs).check(form, inputs.rows.len()) {
                Ok(()) => inputs.forms.push(form),
                Err(error) => self.warn(folder, Some(form), &error.to_string()),
            }
        }
        Ok((!inputs.forms.is_empty()).then_some(inputs))
    }

    fn forms<'b>(&'b self, inputs: &'b FolderInputs) -> Forms<'b> {
        Forms {
            table: self.table,
            rows: Some(&inputs.rows),
            only: inputs.only.as_deref(),
            rules: inputs.rules.as_ref(),
            tokens: inputs.tokens.clone(),
            titles: inputs.titles.as_deref(),
            title_settings: inputs.title_settings.as_ref(),
            logits: inputs.logits,
            dense_depth: inputs.dense_depth,
        }
    }

    fn write_folder(&self, folder: &str, inputs: &FolderInputs) -> Result<()> {
        let target = self.writer.path(folder);
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent).map_err(|e| Error::io("create", parent, e))?;
        }
        self.forms(inputs).write(&target, &inputs.forms, Overwrite::Refuse, self.progress)
    }

    /// The token ids for the next generation. If the folder has the token ids of the parent's vocabulary, these are the
    /// token ids of the new vocabulary. Otherwise, they are those of the folder.
    ///
    /// # Errors
    /// [`Error::Mismatch`] if the folder has the token ids of another vocabulary, and the codebook sizes have changed.
    fn tokens(&self, found: &FormsFolder) -> Result<Option<TokenIds>> {
        let Some(described) = found.tokens() else { return Ok(None) };
        if own_token_ids(&self.parent.path(VOCABULARY))?.as_ref() == Some(&described)
            && let Some(next) = own_token_ids(&self.writer.path(VOCABULARY))?
        {
            return Ok(Some(next));
        }
        let sizes = &self.table.metadata.codebook_sizes;
        if described.codebook_sizes == *sizes {
            return Ok(Some(described));
        }
        let got = format!("{:?}", described.codebook_sizes);
        Err(Error::mismatch(
            "codebook sizes of the folder's vocabulary",
            format!("{sizes:?}"),
            got,
            "create a vocabulary of these sizes with catalex vocab, and pass it as --vocabulary",
        ))
    }

    /// The titles by row, from the catalog of the next generation. If it lacks an item, the title comes from the
    /// folder, or else from the catalog that the folder was written with. `None` if an item has no title.
    fn titles(&self, found: &FormsFolder, rows: &[u32]) -> Result<Option<Vec<String>>> {
        let recorded: ConstrainSettings = match found.title_settings() {
            Some(settings) => serde_json::from_value(settings.clone()).map_err(|e| {
                Error::config("titles", "the settings of catalex constrain", e, "write the folder again")
            })?,
            None => ConstrainSettings::default(),
        };
        let mut known = found.titles()?;
        let ids = &self.table.item_ids;
        let read = |catalog: CatalogSpec| {
            let text = TextSpec::Joined(recorded.title.clone().unwrap_or_default());
            let catalog = CatalogSpec { text, images: Vec::new(), ..catalog };
            // If the catalog has no such column, the titles in the folder are used.
            let texts = CatalogJoin::new(ids).texts(&catalog, MissingItems::Warn, &Silent).unwrap_or_default();
            texts.into_iter().map(|(row, text)| (ids.text(row), one_line(&text))).collect::<HashMap<_, _>>()
        };
        if recorded.title.is_some() {
            if let Some(catalog) = self.catalog.clone() {
                let csv = catalog.csv;
                known.extend(read(CatalogSpec { csv, ..recorded.reading(catalog) }));
            }
            let lacks = |&row: &u32| !known.contains_key(&ids.text(row as usize));
            if let Some(path) = recorded.catalog.clone().filter(|_| rows.iter().any(lacks)) {
                let catalog = CatalogSpec { path, id: recorded.id.clone(), ..CatalogSpec::default() };
                for (id, title) in read(recorded.reading(catalog)) {
                    known.entry(id).or_insert(title);
                }
            }
        }
        let mut titles = vec![String::new(); ids.len()];
        for &row in rows {
            let Some(title) = known.remove(&ids.text(row as usize)) else { return Ok(None) };
            titles[row as usize] = title;
        }
        Ok(Some(titles))
    }
}

/// The inputs for writing the forms of a folder.
#[derive(Default)]
struct FolderInputs {
    forms: Vec<ConstraintForm>,
    rows: Vec<u32>,
    only: Option<Vec<u32>>,
    rules: Option<ItemRules>,
    tokens: Option<TokenIds>,
    titles: Option<Vec<String>>,
    title_settings: Option<serde_json::Value>,
    logits: Option<usize>,
    dense_depth: usize,
}
