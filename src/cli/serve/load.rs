//! What `catalex serve` needs to know: the table, and as far as they are there texts, vectors and the text encoder.

use std::path::PathBuf;

use anyhow::{Context, Result};
use catalex::encoder::TextEncoder;
use catalex::explore::Explorer;
use catalex::features::Features;
use catalex::index::{FEATURES, Index, TOKENS};
use catalex::progress::Progress;
use catalex::semantic_id::TokenTable;

use super::ServeArgs;
use crate::cli::cards::texts_of;
use crate::cli::options::EncodeOptions;
use crate::cli::sources::catalog_spec;

/// What can be served, and the encoder of queries.
pub(super) fn load(
    args: &ServeArgs,
    threads: usize,
    progress: &dyn Progress,
) -> Result<(Explorer, Option<TextEncoder>)> {
    let (table, features, built) = if Index::is_index(&args.index) {
        let index = Index::open(&args.index)?;
        let features = Features::read(&index.path(FEATURES))?;
        (TokenTable::read(&index.path(TOKENS))?, Some(features), Some(Built::of(&index)?))
    } else {
        (TokenTable::read(&args.index)?, None, None)
    };
    let named = args.catalog.clone();
    let (catalog, mut encode) = match built {
        Some(built) => (named.or(Some(built.catalog)), built.encode),
        None => (named, EncodeOptions::default()),
    };
    if let Some(text) = &args.text {
        encode.text = Some(text.clone());
        encode.template = None;
    }
    encode.id = args.id.clone().or(encode.id);
    encode.image = None;
    let mut texts = Vec::new();
    if let Some(path) = catalog {
        if args.catalog.is_none() && !path.exists() {
            let path = path.display();
            progress.warn(&format!("{path} is not there, so answers have no texts: name it with --catalog"));
        } else {
            let spec = catalog_spec(&path, &encode)?;
            if !spec.text.is_empty() {
                texts = texts_of(&table, &spec)?;
            }
        }
    }
    encode.text_encoder = args.text_encoder.clone().or(encode.text_encoder).filter(|_| features.is_some());
    (encode.image_encoder, encode.image_onnx_file) = (None, None);
    let (encoder, _) = match encode.text_encoder {
        Some(_) => crate::cli::encoders::load(&encode, threads, progress)?,
        None => (None, None),
    };
    if encoder.is_none() {
        progress.warn("items cannot be searched by text: that needs an index, and --text-encoder where it has none");
    }
    Ok((Explorer::new(table, texts, features)?, encoder))
}

/// What an index was built from.
struct Built {
    catalog: PathBuf,
    encode: EncodeOptions,
}

impl Built {
    fn of(index: &Index) -> Result<Self> {
        let settings = &index.manifest().settings;
        let read = || -> serde_json::Result<Self> {
            Ok(Built {
                catalog: serde_json::from_value(settings["catalog"].clone())?,
                encode: serde_json::from_value(settings["encode"].clone())?,
            })
        };
        read().context("the index's manifest has settings that this catalex does not know: use the one that wrote it")
    }
}
