//! Finding what the verbs read: the catalog's columns, the encoders, ONNX Runtime, the table inside an index.

use anyhow::Result;
use catalex::features::FeatureFile;
use catalex::index::{FEATURES, Index, MODEL, TOKENS};
use catalex::semantic_id::TokenTable;
use catalex::tokenizer::Tokenizer;
#[cfg(feature = "encoders")]
use catalex::{
    artifact::Overwrite,
    catalog::{CatalogSpec, TextSpec},
    encoder::{EncodedCatalog, Encoders, OnBadImage, PartFolder, embed_to},
    error::Error,
    features::Modality,
    progress::Progress,
};
use std::path::Path;

#[cfg(feature = "encoders")]
use super::options::EncodeOptions;

/// The columns of a catalog that were asked for.
#[cfg(feature = "encoders")]
pub(super) fn catalog_spec(catalog: &Path, options: &EncodeOptions) -> Result<CatalogSpec> {
    let text = match (&options.text, &options.template) {
        (Some(_), Some(_)) => {
            let help = "name the columns in the form only";
            return Err(Error::config("template", "it or --text", "both", help).into());
        }
        (None, Some(_)) if options.average_text == Some(true) => {
            let help = "name the columns with --text to have each encoded by itself";
            return Err(Error::config("average-text", "together with --text", "with --template", help).into());
        }
        (None, Some(template)) => TextSpec::Template(template.clone()),
        (columns, None) => {
            let columns = columns.clone().unwrap_or_default();
            if options.average_text == Some(true) { TextSpec::Separate(columns) } else { TextSpec::Joined(columns) }
        }
    };
    Ok(CatalogSpec {
        path: catalog.to_path_buf(),
        id: options.id.clone(),
        text,
        raw_text: options.raw_text.unwrap_or_default(),
        fields: Vec::new(),
        images: options.image.clone().unwrap_or_default(),
    })
}

/// Runs the encoders that were asked for over a catalog and writes what they make and the modalities that are there already.
#[cfg(feature = "encoders")]
pub(super) fn encode_catalog(
    catalog: &Path,
    options: &EncodeOptions,
    ready: Vec<Modality>,
    threads: usize,
    (out, overwrite): (&Path, Overwrite),
    parts: &PartFolder,
    progress: &dyn Progress,
) -> Result<EncodedCatalog> {
    let spec = catalog_spec(catalog, options)?;
    let needs =
        |flag: &str, other: &str| Error::config(flag, format!("together with --{other}"), "it alone", "name both");
    let (with_text, with_pictures) = (!spec.text.is_empty(), !spec.images.is_empty());
    if with_text != options.text_encoder.is_some() {
        return Err(if with_text { needs("text", "text-encoder") } else { needs("text-encoder", "text") }.into());
    }
    if options.image_encoder.is_none() && with_pictures {
        return Err(needs("image", "image-encoder").into());
    }
    // A folder of pictures has no columns to name.
    if !with_pictures && options.image_encoder.is_some() && !catalog.is_dir() {
        return Err(needs("image-encoder", "image").into());
    }
    if options.text_encoder.is_none() && options.image_encoder.is_none() {
        let help =
            "name --text and --text-encoder, or --image and --image-encoder, or vectors that are ready by --embedding";
        return Err(Error::config("text-encoder", "an encoder of text, of images, or both", "none", help).into());
    }
    let on_bad_image = options.on_bad_image.as_deref().map(str::parse::<OnBadImage>).transpose()?.unwrap_or_default();
    let (mut text, mut image) = super::encoders::load(options, threads, progress)?;
    let encoders = Encoders { text: text.as_mut(), image: image.as_mut(), ready, on_bad_image };
    Ok(embed_to(out, overwrite, &spec, encoders, parts, progress)?)
}

/// A token table, named itself or by its index.
pub(super) fn token_table(path: &Path) -> Result<TokenTable> {
    let path = if Index::is_index(path) { Index::open(path)?.path(TOKENS) } else { path.to_path_buf() };
    Ok(TokenTable::read(&path)?)
}

/// A model, named itself or by its index.
pub(super) fn model(path: &Path) -> Result<Tokenizer> {
    let path = if Index::is_index(path) { Index::open(path)?.path(MODEL) } else { path.to_path_buf() };
    Ok(Tokenizer::load(&path)?)
}

/// Features, named themselves or by their index.
pub(super) fn features(path: &Path) -> Result<FeatureFile> {
    let path = if Index::is_index(path) { Index::open(path)?.path(FEATURES) } else { path.to_path_buf() };
    Ok(FeatureFile::open(&path)?)
}
