//! The titles of single items, from a given catalog or from the catalog of an index.

use std::collections::HashMap;

use super::spec::{BuildSpec, ReadsTexts, needs, text_settings};
use crate::catalog::{CatalogReader, CatalogSpec, TextSpec};
use crate::error::Result;
use crate::index::Manifest;
use crate::item_ids::ItemIds;

text_settings! {
    /// The source of the items' titles.
    pub struct LookupSettings {
        /// Catalog with the items' titles.
        catalog: std::path::PathBuf, "CATALOG", default "the index's catalog, if it exists";
        /// Column of the catalog's item ids.
        id: String, "COLUMN", default "that of the build, else item_id or id";
        /// Columns of the titles.
        text: Vec<String>, "COLUMN,...", default "those of the build";
    }
}

impl LookupSettings {
    /// The texts of the items in these rows, or none without a catalog. The catalog of the index is read only if it is
    /// a file or a folder, and its errors are ignored.
    pub(super) fn titles(
        &self,
        manifest: Option<&Manifest>,
        ids: &ItemIds,
        rows: &[usize],
    ) -> Result<HashMap<String, String>> {
        let built = manifest.and_then(|manifest| BuildSpec::of_manifest(&manifest.settings).ok());
        if let Some(path) = &self.catalog {
            let built_text = built.as_ref().and_then(BuildSpec::shown);
            let named = self.text.clone().map(TextSpec::Joined).or(built_text);
            let text = named.ok_or_else(|| needs("catalog", "text", "set the title columns with --text"))?;
            let id = self.id.clone().or(built.and_then(|built| built.encode.id));
            let catalog = CatalogSpec { path: path.clone(), id, text, ..CatalogSpec::default() };
            return found(&self.reading(catalog), ids, rows);
        }
        self.check_reading("catalog", false)?;
        let Some(built) = built else { return Ok(HashMap::new()) };
        let Some(text) = self.text.clone().map(TextSpec::Joined).or_else(|| built.shown()) else {
            return Ok(HashMap::new());
        };
        let path = &built.catalog;
        let Ok(catalog) = built.encode.catalog_spec(path) else { return Ok(HashMap::new()) };
        if !path.is_file() && !path.is_dir() {
            return Ok(HashMap::new());
        }
        let id = self.id.clone().or(catalog.id);
        let catalog = CatalogSpec { text, id, images: Vec::new(), ..catalog };
        Ok(found(&catalog, ids, rows).unwrap_or_default())
    }
}

/// The texts of the items in these rows by id. Reading stops when all are found.
fn found(catalog: &CatalogSpec, ids: &ItemIds, rows: &[usize]) -> Result<HashMap<String, String>> {
    let mut wanted: HashMap<String, Option<String>> = rows.iter().map(|&row| (ids.text(row), None)).collect();
    let mut left = wanted.len();
    for batch in CatalogReader::open(catalog)? {
        let batch = batch?;
        for (at, passages) in batch.texts.into_iter().enumerate() {
            if let Some(place @ None) = wanted.get_mut(&batch.item_ids.text(at)) {
                *place = Some(passages.join(". "));
                left -= 1;
            }
        }
        if left == 0 {
            break;
        }
    }
    Ok(wanted.into_iter().filter_map(|(id, text)| Some((id, text.filter(|text| !text.is_empty())?))).collect())
}
