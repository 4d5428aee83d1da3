//! Serves an index to agents: loads its data and runs the Model Context Protocol server.

use std::path::{Component, Path};

use super::spec::{BuildSpec, EncodeSettings, ReadsTexts, ServeSpec, needs};
use super::threads;
use crate::catalog::{CatalogJoin, CatalogSpec, MissingItems, TextSpec};
use crate::encoder::TextEncoder;
use crate::error::{Error, Result};
use crate::explore::{Explorer, McpServer};
use crate::index::{Index, MANIFEST, TOKENS};
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

/// Loads the data to serve, and the text encoder for queries.
fn load(spec: &ServeSpec, threads: usize, progress: &dyn Progress) -> Result<(Explorer, Option<TextEncoder>)> {
    let (given, index) = (&spec.settings, &spec.index);
    // Opening an index verifies all its hashes, so it is opened only once.
    let (table, features, built) = if Index::is_index(index) {
        let index = Index::open(index)?;
        let table = TokenTable::read(&index.path(TOKENS))?;
        let features = index.features(&table.item_ids)?.read()?;
        let built = BuildSpec::of_manifest(&index.manifest().settings)?;
        (table, Some(features), Some(built))
    } else {
        (TokenTable::read(index)?, None, None)
    };
    let trusted = given.trust_index == Some(true);
    let shown = built.as_ref().and_then(BuildSpec::shown);
    let named = built.as_ref().map(|built| (built.catalog.clone(), built.encode.text_encoder.clone()));
    let mut encode = built.map(|built| built.encode).unwrap_or_default();
    check_file_name(&encode, index)?;
    encode.id = given.id.clone().or(encode.id);
    encode.csv_quote = given.csv_quote.or(encode.csv_quote);
    encode.csv_escape = given.csv_escape.or(encode.csv_escape);
    encode.raw_text = given.raw_text.or(encode.raw_text);
    encode.parse_lists = given.parse_lists.or(encode.parse_lists);
    let (named_catalog, named_encoder) = named.unzip();
    let named_catalog = named_catalog.filter(|path| !path.as_os_str().is_empty());
    let catalog = given.catalog.clone().or_else(|| named_catalog.clone().filter(|path| trusted && path.exists()));
    let texts = match &catalog {
        Some(path) => {
            let text = given.text.clone().map(TextSpec::Joined).or(shown);
            let text = text.ok_or_else(|| needs("catalog", "text", "name its columns of texts"))?;
            let id = encode.id.clone();
            let catalog = CatalogSpec { path: path.clone(), id, text, ..CatalogSpec::default() };
            texts(&table, &encode.reading(catalog), progress)?
        }
        None => {
            warn_untrusted(
                "answers have no texts",
                "catalog",
                "--catalog",
                named_catalog.as_deref(),
                trusted,
                progress,
            );
            Vec::new()
        }
    };
    let named_encoder = named_encoder.flatten();
    let encoder = given.text_encoder.clone().or_else(|| named_encoder.clone().filter(|_| trusted));
    encode.text_encoder = encoder.filter(|_| features.is_some());
    let encoder = super::encoders::load_text(&encode, &spec.environment, threads, progress)?;
    if encoder.is_none() && features.is_some() {
        let what = "items cannot be searched by text";
        warn_untrusted(what, "text encoder", "--text-encoder", named_encoder.as_deref(), trusted, progress);
    } else if encoder.is_none() {
        progress.warn("items cannot be searched by text: a token table has no vectors; serve an index instead");
    }
    Ok((Explorer::new(table, texts, features)?, encoder))
}

/// Warns that a feature is not available, and names the flag that enables it.
fn warn_untrusted(what: &str, kind: &str, flag: &str, named: Option<&Path>, trusted: bool, progress: &dyn Progress) {
    progress.warn(&match named {
        None => format!("{what}: pass the {kind} with {flag}"),
        Some(path) if trusted => format!("{what}: the {kind} of the index, {path:?}, does not exist; pass it with {flag}"),
        Some(path) => format!(
            "{what}: the index names the {kind} {path:?}; to use it, pass {flag} {path:?}, or --trust-index if you built the \
             index yourself"
        ),
    });
}

/// Refuses an index whose encoder file is outside the encoder's folder.
fn check_file_name(encode: &EncodeSettings, index: &Path) -> Result<()> {
    let Some(name) = &encode.onnx_file else { return Ok(()) };
    if Path::new(name).components().all(|part| matches!(part, Component::Normal(_))) {
        return Ok(());
    }
    let help = "build the index again, or serve another one";
    Err(Error::artifact(
        &index.join(MANIFEST),
        "a file in the encoder's folder as onnx-file",
        format!("{name:?}"),
        help,
    ))
}

/// The items' texts by row of the table.
fn texts(table: &TokenTable, catalog: &CatalogSpec, progress: &dyn Progress) -> Result<Vec<String>> {
    let mut found = CatalogJoin::new(&table.item_ids).texts(catalog, MissingItems::Warn, progress)?;
    Ok((0..table.item_ids.len()).map(|row| found.remove(&row).unwrap_or_default()).collect())
}
