//! Finds likely mistakes in a catalog before it is encoded.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

#[cfg(feature = "encoders")]
use super::spec::EncodeSettings;
use super::spec::{Environment, NAME_BOTH, ReadsTexts, needs, text_settings};
use crate::catalog::{AreCut, CatalogSpec, CheckOptions, Finding, TextSpec, TextTemplate, text_columns};
use crate::error::{Error, Result};
use crate::progress::Progress;
use crate::settings::{Range, SettingGroup, settings};

/// Maximum number of tokens of many text encoders.
const MAX_TOKENS: usize = 256;
/// Names of the id column if none is given.
const ID_NAMES: [&str; 2] = ["item_id", "id"];

text_settings! {
    /// Which columns of a catalog are checked.
    pub struct CheckSettings {
        /// Column of the item ids.
        id: String, "COLUMN", default "item_id or id";
        /// Text columns to check.
        text: Vec<String>, "COLUMN,...", default "all columns with texts or numbers";
        /// Template of an item's text instead of --text.
        template: TextTemplate, "TEMPLATE";
        /// Column of the titles, to find repeated titles.
        title: String, "COLUMN", default "title, name, label or product_name";
        /// Image columns.
        image: Vec<String>, "COLUMN,...";
        /// Maximum number of tokens of the text encoder, if --text-encoder is not given. The number of longer texts is
        /// then estimated.
        max_tokens: usize, "N", default "256", range Range::AtLeast(1.0);
    }
}

settings! {
    /// The text encoder whose tokenizer counts texts that are too long.
    pub struct CheckEncoder {
        /// Text encoder that will encode the catalog. Its tokenizer counts the texts that it would truncate.
        text_encoder: PathBuf, "DIR|NAME", default "none: the number of long texts is estimated";
        /// ONNX file of the text encoder, if its folder has several.
        onnx_file: String, "FILE", default "model.onnx, or text_model.onnx";
        /// Prompt that the text encoder reads before every text.
        prompt: String, "TEXT", default "the encoder's default prompt, if any";
    }
}

/// Check a catalog: [`check`].
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct CheckSpec {
    /// A table, a folder or a pattern of tables, or a folder of images.
    pub catalog: PathBuf,
    /// What to check.
    pub settings: CheckSettings,
    /// The text encoder that will encode the catalog.
    pub encoder: CheckEncoder,
    /// The environment.
    #[serde(skip)]
    pub environment: Environment,
}

/// Result of [`check`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CheckedCatalog {
    /// Number of items.
    pub items: usize,
    /// The text columns that were checked.
    pub columns: Vec<String>,
    /// The findings, column by column.
    pub findings: Vec<Finding>,
}

/// Reads a catalog once and finds likely mistakes: empty and constant columns, lists in strings, markup, repeated
/// titles, duplicates, long texts, and items without content. Keeps the item ids and a few bytes per item in memory.
///
/// # Errors
/// For a catalog or an encoder that cannot be read, and [`Error::Row`] for a repeated id.
pub fn check(spec: &CheckSpec, progress: &dyn Progress) -> Result<CheckedCatalog> {
    let settings = &spec.settings;
    settings.check()?;
    let images = settings.image.clone().unwrap_or_default();
    let plain = CatalogSpec { path: spec.catalog.clone(), id: settings.id.clone(), images, ..CatalogSpec::default() };
    let text = match (&settings.text, &settings.template) {
        (Some(_), Some(_)) => {
            return Err(Error::config("template", "either --template or --text", "both", "name the columns once"));
        }
        (_, Some(template)) => TextSpec::Template(template.clone()),
        (Some(columns), None) => TextSpec::Joined(columns.clone()),
        (None, None) => {
            let mut columns = text_columns(&plain)?;
            let id = settings.id.as_deref().or(ID_NAMES.into_iter().find(|name| columns.iter().any(|c| c == name)));
            columns.retain(|column| Some(column.as_str()) != id && !plain.images.contains(column));
            TextSpec::Joined(columns)
        }
    };
    let columns: Vec<String> = text.columns().into_iter().map(str::to_owned).collect();
    let beside = settings.title.iter().filter(|title| !columns.contains(title)).cloned().collect();
    let catalog = settings.reading(CatalogSpec { text, fields: beside, ..plain });
    let (most, are_cut) = are_cut(spec, progress)?.unzip();
    let max_tokens = Some(most.or(settings.max_tokens).unwrap_or(MAX_TOKENS));
    let options = CheckOptions { max_tokens, title: settings.title.clone(), content: true };
    let (ids, findings) = catalog.check(options, are_cut)?;
    Ok(CheckedCatalog { items: ids.len(), columns, findings })
}

/// The encoder's maximum number of tokens, and a function that tells which texts it truncates.
#[cfg(feature = "encoders")]
fn are_cut(spec: &CheckSpec, progress: &dyn Progress) -> Result<Option<(usize, AreCut)>> {
    let CheckEncoder { text_encoder, onnx_file, prompt } = spec.encoder.clone();
    check_encoder(&spec.encoder, &spec.settings)?;
    let encode = EncodeSettings { text_encoder, onnx_file, prompt, ..EncodeSettings::default() };
    let encoder = super::encoders::load_text(&encode, &spec.environment, 1, progress)?;
    Ok(encoder.map(|encoder| {
        let most = encoder.max_length();
        let are_cut: AreCut = Box::new(move |texts| encoder.are_cut(texts));
        (most, are_cut)
    }))
}

#[cfg(not(feature = "encoders"))]
fn are_cut(spec: &CheckSpec, _: &dyn Progress) -> Result<Option<(usize, AreCut)>> {
    check_encoder(&spec.encoder, &spec.settings)?;
    match spec.encoder.text_encoder {
        Some(_) => Err(super::not_built("counting the tokens of texts", "encoders")),
        None => Ok(None),
    }
}

fn check_encoder(encoder: &CheckEncoder, settings: &CheckSettings) -> Result<()> {
    encoder.check()?;
    let alone = [("onnx-file", encoder.onnx_file.is_some()), ("prompt", encoder.prompt.is_some())];
    match (&encoder.text_encoder, settings.max_tokens) {
        (Some(_), Some(most)) => {
            let help = "omit it: the maximum length of the text encoder is used";
            Err(Error::config("max-tokens", "no value together with --text-encoder", most, help))
        }
        (Some(_), None) => Ok(()),
        (None, _) => match alone.into_iter().find(|(_, given)| *given) {
            Some((setting, _)) => Err(needs(setting, "text-encoder", NAME_BOTH)),
            None => Ok(()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Silent;

    #[test]
    fn all_text_columns_are_checked_by_default() {
        let folder = tempfile::tempdir().unwrap();
        let catalog = folder.path().join("c.jsonl");
        let lines = ["a", "b"].map(|id| {
            format!("{{\"id\": \"{id}\", \"title\": \"Pen\", \"tags\": [], \"more\": {{\"x\": 1}}, \"n\": \"{id}\"}}\n")
        });
        std::fs::write(&catalog, lines.concat()).unwrap();
        let kinds = |settings: CheckSettings| {
            let found =
                check(&CheckSpec { catalog: catalog.clone(), settings, ..CheckSpec::default() }, &Silent).unwrap();
            let kinds: Vec<String> = found
                .findings
                .iter()
                .map(|f| serde_json::to_value(f.kind).unwrap().as_str().unwrap().to_owned())
                .collect();
            (found.columns, kinds)
        };
        let (columns, found) = kinds(CheckSettings::default());
        assert_eq!(columns, ["title", "tags", "n"]);
        assert_eq!(found, ["constant-column", "empty-column", "repeated-titles"]);
        let one = CheckSettings { text: Some(vec!["title".into()]), ..CheckSettings::default() };
        assert_eq!(kinds(one).1, ["constant-column", "repeated-titles", "duplicates"]);
    }
}
