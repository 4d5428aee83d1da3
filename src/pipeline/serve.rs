//! An index for agents: the Model Context Protocol server with all that it answers from.

use std::path::PathBuf;

use super::spec::{BuildSpec, EncodeSettings, ServeSpec};
use super::threads;
use crate::catalog::{CatalogJoin, CatalogSpec, MissingItems};
use crate::encoder::TextEncoder;
use crate::error::Result;
use crate::explore::{Explorer, McpServer};
use crate::features::Features;
use crate::index::{FEATURES, Index, TOKENS};
use crate::progress::Progress;
use crate::semantic_id::TokenTable;
use crate::settings::SettingGroup;

/// Serves an index over the Model Context Protocol on stdin and stdout, until stdin ends.
///
/// # Errors
/// For an index, a catalog or an encoder that cannot be read, and a connection that fails.
pub fn serve(spec: &ServeSpec, progress: &dyn Progress) -> Result<()> {
    spec.settings.check()?;
    threads::with_threads(spec.threads, |threads| {
        let (explorer, encoder) = load(spec, threads, progress)?;
        McpServer::new(explorer, encoder).serve_stdio()
    })
}

/// What can be served, and the encoder of queries.
fn load(spec: &ServeSpec, threads: usize, progress: &dyn Progress) -> Result<(Explorer, Option<TextEncoder>)> {
    let (given, index) = (&spec.settings, &spec.index);
    // Opening an index hashes all its files: once is enough.
    let (table, features, built) = if Index::is_index(index) {
        let index = Index::open(index)?;
        let features = Features::read(&index.path(FEATURES))?;
        let built = BuildSpec::of_manifest(&index.manifest().settings)?;
        (TokenTable::read(&index.path(TOKENS))?, Some(features), Some(built))
    } else {
        (TokenTable::read(index)?, None, None)
    };
    let (catalog, mut encode) = match built {
        Some(built) => (given.catalog.clone().or(Some(built.catalog)), built.encode),
        None => (given.catalog.clone(), EncodeSettings::default()),
    };
    if let Some(text) = &given.text {
        encode.text = Some(text.clone());
        encode.template = None;
    }
    encode.id = given.id.clone().or(encode.id);
    encode.csv_quote = given.csv_quote.or(encode.csv_quote);
    encode.csv_escape = given.csv_escape.or(encode.csv_escape);
    (encode.image, encode.image_encoder, encode.image_onnx_file) = (None, None, None);
    let texts = match catalog {
        Some(path) if given.catalog.is_none() && !path.exists() => {
            let path = path.display();
            progress.warn(&format!("{path} does not exist, so answers have no texts: name the catalog with --catalog"));
            Vec::new()
        }
        Some(path) => texts(&table, &encode.catalog_spec(&path)?, progress)?,
        None => Vec::new(),
    };
    encode.text_encoder = given.text_encoder.clone().or(encode.text_encoder).filter(|_| features.is_some());
    let encoder = match encode.text_encoder {
        Some(_) => {
            let catalog = encode.catalog_spec(&PathBuf::new())?;
            super::encoders::load(&encode, &catalog, &spec.environment, threads, progress)?.text
        }
        None => None,
    };
    if encoder.is_none() {
        progress.warn("items cannot be searched by text: that needs an index, and --text-encoder if it has none");
    }
    Ok((Explorer::new(table, texts, features)?, encoder))
}

/// The items' texts by row of the table; none where no column was named.
fn texts(table: &TokenTable, catalog: &CatalogSpec, progress: &dyn Progress) -> Result<Vec<String>> {
    if catalog.text.is_empty() {
        return Ok(Vec::new());
    }
    let mut found = CatalogJoin::new(&table.item_ids).texts(catalog, MissingItems::Warn, progress)?;
    Ok((0..table.item_ids.len()).map(|row| found.remove(&row).unwrap_or_default()).collect())
}
