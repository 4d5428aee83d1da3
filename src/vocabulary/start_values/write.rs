//! `new_token_embeddings.safetensors`.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use ndarray::Array2;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::json;

use super::checkpoint::Checkpoint;
use super::{Additions, NewRows, StartValues};
use crate::artifact::sha256_file;
use crate::error::{Error, Result};
use crate::vocabulary::float_type::{FloatType, bytes_of};

/// The file with the new rows in a vocabulary folder.
pub const START_VALUES_FILE: &str = "new_token_embeddings.safetensors";
/// The only metadata key; its value is JSON.
const METADATA_KEY: &str = "catalex";
const FORMAT_VERSION: u32 = 1;

pub(super) fn write(
    folder: &Path,
    checkpoint: &Checkpoint,
    new: &Additions,
    rows: &NewRows,
    options: &StartValues,
    kept: Option<&[usize]>,
) -> Result<()> {
    let path = folder.join(START_VALUES_FILE);
    let mut description = json!({
        "format_version": FORMAT_VERSION,
        "method": options.method.to_string(),
        "seed": options.seed,
        "first_id": new.first_id,
        "codes": new.vocabulary.len(),
        "tokens": rows.input.nrows(),
        "model_hash": new.table.metadata.model_hash,
        "token_format": new.table.metadata.token_format,
        "codebook_sizes": new.table.metadata.codebook_sizes,
        "llm_config_sha256": sha256_file(&checkpoint.folder.join("config.json"))?,
        "input_tensor": checkpoint.input,
        "output_tensor": checkpoint.output,
    });
    if new.added_on_loading > 0 {
        description["added_on_loading"] = json!(new.added_on_loading);
    }
    if let (Some(kept), Some(before)) = (kept, options.trained) {
        description["kept_rows"] = json!(kept);
        description["trained_model_hash"] = json!(before.metadata.model_hash);
    }
    let dtype = match rows.float_type {
        FloatType::F32 => Dtype::F32,
        FloatType::F16 => Dtype::F16,
        FloatType::Bf16 => Dtype::BF16,
    };
    let tensors: Vec<(&str, &Array2<f32>, Vec<u8>)> =
        [("input_embeddings", Some(&rows.input)), ("output_embeddings", rows.output.as_ref())]
            .into_iter()
            .filter_map(|(name, rows_of)| rows_of.map(|array| (name, array, bytes_of(array.view(), rows.float_type))))
            .collect();
    let fault = |e: safetensors::SafeTensorError| {
        Error::file(&path, "rows that safetensors can store", e, "report this as a bug")
    };
    let views = tensors
        .iter()
        .map(|(name, array, bytes)| Ok((*name, TensorView::new(dtype, array.shape().to_vec(), bytes)?)))
        .collect::<Result<Vec<_>, _>>()
        .map_err(fault)?;
    // A single key, so that the order of a hash map does not matter.
    let metadata = HashMap::from([(METADATA_KEY.to_owned(), description.to_string())]);
    let bytes = safetensors::serialize(views, Some(metadata)).map_err(fault)?;
    fs::write(&path, bytes).map_err(|e| Error::io("write", &path, e))
}
