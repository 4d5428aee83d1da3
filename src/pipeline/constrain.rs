//! From a token table to constraint files for decoders.

use std::fs;
use std::path::Path;

use super::attributes::attributes_of;
use super::rule_items::rule_rows;
use super::sources;
use super::spec::{ConstrainSettings, ConstrainSpec, NAME_BOTH, ReadsTexts, UserValues, needs};
use crate::artifact::{OutputLock, read_input};
use crate::catalog::{CatalogSpec, TextSpec};
use crate::constraint::{CONSTRAINT_FILE, ConstraintForm, Forms, ItemRules, all_rows, first_of_each_id, titles};
use crate::error::{Error, Result};
use crate::index::{ATTRIBUTES, Index, resolve_index};
use crate::progress::Progress;
use crate::semantic_id::TokenTable;
use crate::settings::SettingGroup;

/// Writes the constraint folder, and returns the content of its `constraint.json`.
///
/// # Errors
/// As [`Forms::write`]; [`Error::Config`] for settings that require others; [`Error::File`] for ids in the file `only`
/// that are not in the table.
pub fn constrain(spec: &ConstrainSpec, progress: &dyn Progress) -> Result<String> {
    let settings = &spec.constraint;
    settings.check()?;
    let (out, overwrite) = (&spec.output.out, spec.output.overwrite());
    let forms = forms("form", settings.form.as_deref().unwrap_or_default())?;
    match (&settings.catalog, &settings.title, &settings.id) {
        (None, None, None) | (Some(_), Some(_), _) => {}
        (Some(_), None, _) => return Err(needs("catalog", "title", NAME_BOTH)),
        (None, ..) => return Err(needs("title", "catalog", NAME_BOTH)),
    }
    settings.check_reading("catalog", settings.catalog.is_some())?;
    let _lock = OutputLock::claim(out, overwrite)?;
    let source = resolve_index(&spec.tokens)?;
    let table = sources::token_table(&source)?;
    let tokens = sources::token_ids(settings.vocabulary.as_deref(), &source, &table)?;
    let only = settings.only.as_deref().map(|path| only(path, &table)).transpose()?;
    let rules = rules(settings, &table, only.as_deref())?;
    let only = match (&rules, &settings.rules) {
        (Some(rules), Some(path)) => Some(selected(rules, path, &source, &table)?),
        _ => only,
    };
    let rows = one_per_id(&table, only.clone().unwrap_or_else(|| all_rows(&table)), progress);
    let title_settings = settings.catalog.is_some().then(|| title_settings(settings)).transpose()?;
    let titles = settings.catalog.clone().map(|path| {
        let text = TextSpec::Joined(settings.title.clone().unwrap_or_default());
        let catalog = CatalogSpec { path, id: settings.id.clone(), text, ..CatalogSpec::default() };
        titles(&settings.reading(catalog), &table, progress)
    });
    let titles = titles.transpose()?;
    let written = Forms {
        table: &table,
        rows: Some(&rows),
        only: only.as_deref(),
        rules: rules.as_ref(),
        tokens,
        titles: titles.as_deref(),
        title_settings: title_settings.as_ref(),
        logits: settings.logits,
        dense_depth: settings.dense_depth.unwrap_or(1),
    };
    written.write(out, &forms, overwrite, progress)?;
    let file = out.join(CONSTRAINT_FILE);
    fs::read_to_string(&file).map_err(|e| Error::io("read", &file, e))
}

/// The settings for reading titles, as recorded in `constraint.json`.
fn title_settings(settings: &ConstrainSettings) -> Result<serde_json::Value> {
    let of_titles = ConstrainSettings {
        form: None,
        vocabulary: None,
        only: None,
        rules: None,
        user: None,
        logits: None,
        dense_depth: None,
        ..settings.clone()
    };
    serde_json::to_value(of_titles)
        .map_err(|e| Error::config("catalog", "a path in UTF-8", e, "rename the file or its folder"))
}

/// The rule of the setting `rules`, if it is set. It can select the items in the rows `only`.
fn rules(settings: &ConstrainSettings, table: &TokenTable, only: Option<&[u32]>) -> Result<Option<ItemRules>> {
    let Some(path) = &settings.rules else {
        return match settings.user {
            Some(_) => Err(needs("user", "rules", NAME_BOTH)),
            None => Ok(None),
        };
    };
    let rule = read_input(path).map_err(|e| Error::io("read", path, e))?;
    let user = settings.user.as_ref().map(UserValues::by_name).transpose()?.unwrap_or_default();
    let only = only.map(|rows| rows.iter().map(|&row| table.item_ids.text(row as usize)).collect());
    Ok(Some(ItemRules { rule, user, only }))
}

/// The rows of the items for which the rule in the file `path` is true.
fn selected(rules: &ItemRules, path: &Path, source: &Path, table: &TokenTable) -> Result<Vec<u32>> {
    let attributes = match Index::is_index(source) {
        true => attributes_of(&Index::open_for(source, &[ATTRIBUTES])?)?,
        false => None,
    };
    let rows = rule_rows(rules, &path.display().to_string(), table, attributes.as_ref())?;
    if rows.is_empty() {
        let help = "change the rule, or build the index with current attributes";
        return Err(Error::file(path, "a rule that is true for at least one item", "none", help));
    }
    Ok(rows)
}

/// Keeps the first item of each ID if the collision policy lets items share IDs, and warns about the other items.
pub(super) fn one_per_id(table: &TokenTable, rows: Vec<u32>, progress: &dyn Progress) -> Vec<u32> {
    let wanted = rows.len();
    let kept = first_of_each_id(table, rows);
    match wanted - kept.len() {
        0 => {}
        others => progress.warn(&format!(
            "{others} items share the ID of an earlier item; constraint files map the ID to the earlier item only"
        )),
    }
    kept
}

/// Parses the names of constraint forms, which the setting `key` lists, and adds the forms that they require.
///
/// # Errors
/// [`Error::Config`] for an unknown or repeated name, and for an empty list.
pub(super) fn forms(key: &str, names: &[String]) -> Result<Vec<ConstraintForm>> {
    let forms = names.iter().map(|name| ConstraintForm::named(key, name)).collect::<Result<Vec<_>>>()?;
    if forms.is_empty() {
        return Err(Error::config(key, "at least one form", "none", format!("name it, such as --{key} trie")));
    }
    match forms.iter().enumerate().find(|(at, form)| forms[..*at].contains(form)) {
        Some((_, twice)) => Err(Error::config(key, "each form once", format!("{twice} twice"), "name it once")),
        None => Ok(ConstraintForm::with_required(&forms)),
    }
}

/// The rows of the items whose ids a file lists, in the order of the table.
fn only(path: &Path, table: &TokenTable) -> Result<Vec<u32>> {
    let help = "write one id of the token table per line";
    let text = read_input(path).map_err(|e| Error::io("read", path, e))?;
    let row_of = table.item_ids.rows_by_text();
    let mut chosen = vec![false; table.item_ids.len()];
    for (line, id) in text.lines().enumerate().filter(|(_, id)| !id.is_empty()) {
        let Some(&row) = row_of.get(id) else {
            return Err(Error::file(path, "ids of the token table", format!("{id:?} in line {}", line + 1), help));
        };
        chosen[row] = true;
    }
    let rows: Vec<u32> = (0..).zip(&chosen).filter(|(_, chosen)| **chosen).map(|(row, _)| row).collect();
    if rows.is_empty() { Err(Error::file(path, "at least one id", "none", help)) } else { Ok(rows) }
}
