//! Text and picture encoders: ONNX models that turn an item into one vector a modality.
//!
//! A [`TextEncoder`] is a folder as Hugging Face and sentence-transformers lay it out, an [`ImageEncoder`] a folder with
//! a graph and `preprocessor_config.json`. Both run in ONNX Runtime, loaded when first asked for by [`Runtime::load`].

mod decode;
mod embed;
mod image;
mod parts;
mod pooling;
mod preprocess;
mod runtime;
mod text;
mod thumbnails;

pub use embed::{BadImage, Embedded, Encoders, OnBadImage, embed};
pub use image::ImageEncoder;
pub use parts::{PartFolder, Written, embed_to};
pub use runtime::Runtime;
pub use text::TextEncoder;
pub use thumbnails::{ACROSS, TILE, Thumbnail};

use std::path::Path;

use serde::de::DeserializeOwned;

use crate::error::{Error, Result};

/// A JSON file of an encoder's folder; none where there is no such file.
fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    if !path.is_file() {
        return Ok(None);
    }
    let bytes = std::fs::read(path).map_err(|e| Error::io("read", path, e))?;
    let help = "take the file as the model's publisher wrote it";
    serde_json::from_slice(&bytes).map(Some).map_err(|e| Error::file(path, "settings of an encoder", e, help))
}

/// The first of `names` that is a file in `folder`.
fn required(folder: &Path, names: &[&str], what: &str) -> Result<std::path::PathBuf> {
    let found = names.iter().map(|name| folder.join(name)).find(|path| path.is_file());
    found.ok_or_else(|| Error::Missing {
        path: folder.join(names[0]),
        expected: what.into(),
        help: "name the folder of an encoder, as it is exported for ONNX Runtime".into(),
    })
}
