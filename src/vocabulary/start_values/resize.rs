//! Writing of a checkpoint with the new rows in its embedding matrices. Everything else is copied byte by byte.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;

use ndarray::Array2;
use serde_json::{Map, Value, json};

use super::NewRows;
use super::checkpoint::{Checkpoint, Shard};
use super::config::resized_config;
use super::further::FurtherTensors;
use crate::artifact::{copy_file, read_description};
use crate::error::{Error, Result};
use crate::progress::Progress;
use crate::vocabulary::float_type::{FloatType, bytes_of};
use crate::vocabulary::folder::check_file;

/// The folder of the resized checkpoint in a vocabulary folder.
pub(in crate::vocabulary) const FOLDER: &str = "model";
/// File name extensions of weights in other formats, which would lack the new rows.
const OTHER_WEIGHTS: [&str; 8] = ["bin", "pt", "pth", "h5", "msgpack", "onnx", "gguf", "safetensors"];
const INDEX: &str = "model.safetensors.index.json";

/// A tensor that gets new rows.
struct ExtendedTensor {
    name: String,
    /// The dimension that grows.
    axis: usize,
    /// Size of a row in bytes.
    width: usize,
    /// The bytes of the new rows.
    new: Vec<u8>,
    /// The bytes of a padding row.
    padding: Vec<u8>,
}

/// The resizing of a checkpoint.
pub(super) struct Resizing<'a> {
    checkpoint: &'a Checkpoint,
    tensors: Vec<ExtendedTensor>,
    /// Id of the first new row.
    first_id: usize,
    /// Number of rows before.
    old_rows: usize,
    /// Number of rows after.
    total_rows: usize,
}

impl<'a> Resizing<'a> {
    /// Prepares new rows from the id `first_id` on; the total number of rows becomes a multiple of `multiple`.
    pub(super) fn new(
        checkpoint: &'a Checkpoint,
        further: &FurtherTensors,
        first_id: u32,
        rows: &NewRows,
        multiple: u32,
    ) -> Result<Self> {
        let (first_id, old_rows) = (first_id as usize, checkpoint.input()?.rows);
        let needed = (first_id + rows.input.nrows()).max(old_rows);
        let total_rows = needed.next_multiple_of(multiple.max(1) as usize);
        let tensors = extended_tensors(checkpoint, further, rows, first_id, old_rows)?;
        Ok(Resizing { checkpoint, tensors, first_id, old_rows, total_rows })
    }

    /// Writes the resized checkpoint with the files of the extended tokenizer.
    pub(super) fn write(&self, out: &Path, tokenizer: &Path, progress: &dyn Progress) -> Result<()> {
        fs::create_dir(out).map_err(|e| Error::io("create", out, e))?;
        let (shards, folder) = (&self.checkpoint.shards, &self.checkpoint.folder);
        let config = resized_config(folder, &self.checkpoint.config, self.old_rows, self.total_rows)?;
        progress.begin("write model", Some(shards.len() as u64), "files");
        let mut growth = 0;
        for shard in shards {
            let target = out.join(shard.path.file_name().unwrap_or_default());
            if self.tensors.iter().any(|tensor| shard.metadata.info(&tensor.name).is_some()) {
                growth += self.write_shard(&target, shard)?;
            } else {
                copy_file(&shard.path, &target)?;
            }
            progress.advance(1);
        }
        progress.end();
        copy_companions(folder, out)?;
        copy_companions(tokenizer, out)?;
        let target = out.join("config.json");
        fs::write(&target, config).map_err(|e| Error::io("write", &target, e))?;
        if folder.join(INDEX).is_file() {
            write_index(&folder.join(INDEX), &out.join(INDEX), growth)?;
        }
        Ok(())
    }

    /// Writes one file; returns by how many bytes its tensors grew.
    fn write_shard(&self, target: &Path, shard: &Shard) -> Result<usize> {
        let fail = |e| Error::io("write", target, e);
        let mut header = Map::new();
        if let Some(metadata) = shard.metadata.metadata() {
            let mut pairs: Vec<(&String, &String)> = metadata.iter().collect();
            pairs.sort();
            let pairs: Map<String, Value> = pairs.into_iter().map(|(k, v)| (k.clone(), json!(v))).collect();
            header.insert("__metadata__".into(), pairs.into());
        }
        let names = shard.metadata.offset_keys();
        let of = |name: &str| self.tensors.iter().find(|tensor| tensor.name == name);
        let (mut offset, mut growth) = (0, 0);
        for name in &names {
            let Some(info) = shard.metadata.info(name) else { continue };
            let mut shape = info.shape.clone();
            let mut length = info.data_offsets.1 - info.data_offsets.0;
            if let Some(tensor) = of(name) {
                shape[tensor.axis] = self.total_rows;
                growth += self.total_rows * tensor.width - length;
                length = self.total_rows * tensor.width;
            }
            header.insert(
                name.clone(),
                json!({"dtype": info.dtype, "shape": shape, "data_offsets": [offset, offset + length]}),
            );
            offset += length;
        }
        let mut header = serde_json::to_vec(&header).map_err(|e| fail(e.into()))?;
        // Readers expect aligned numbers.
        header.resize(header.len().next_multiple_of(8), b' ');
        let mut out = BufWriter::new(File::create(target).map_err(fail)?);
        out.write_all(&(header.len() as u64).to_le_bytes()).and_then(|()| out.write_all(&header)).map_err(fail)?;
        for name in &names {
            let Some(info) = shard.metadata.info(name) else { continue };
            let bytes = &shard.map[shard.data + info.data_offsets.0..shard.data + info.data_offsets.1];
            match of(name) {
                None => out.write_all(bytes).map_err(fail)?,
                Some(tensor) => {
                    let start = self.first_id * tensor.width;
                    let end = start + tensor.new.len();
                    out.write_all(&bytes[..start.min(bytes.len())]).map_err(fail)?;
                    // Rows of tokens that the tokenizer has but the model lacks.
                    for _ in self.old_rows..self.first_id {
                        out.write_all(&tensor.padding).map_err(fail)?;
                    }
                    out.write_all(&tensor.new).map_err(fail)?;
                    // Rows of the model beyond the tokenizer's ids are kept.
                    out.write_all(bytes.get(end..).unwrap_or_default()).map_err(fail)?;
                    for _ in end.max(self.old_rows * tensor.width) / tensor.width..self.total_rows {
                        out.write_all(&tensor.padding).map_err(fail)?;
                    }
                }
            }
        }
        out.flush().map_err(fail)?;
        Ok(growth)
    }
}

/// The tensors that get new rows: the embeddings, their copies, other matrices, and biases.
fn extended_tensors(
    checkpoint: &Checkpoint,
    further: &FurtherTensors,
    rows: &NewRows,
    first_id: usize,
    old_rows: usize,
) -> Result<Vec<ExtendedTensor>> {
    let matrix = |name: &str, array: &Array2<f32>, mean: &[f32], float_type: FloatType| {
        let mut padding = Vec::new();
        float_type.write(mean.iter().copied(), &mut padding);
        let new = bytes_of(array.view(), float_type);
        ExtendedTensor { name: name.into(), axis: 0, width: padding.len(), new, padding }
    };
    let mut tensors = vec![matrix(&checkpoint.input, &rows.input, &rows.input_mean, rows.float_type)];
    for copy in &further.copies {
        tensors.push(matrix(copy, &rows.input, &rows.input_mean, rows.float_type));
    }
    if let (Some(name), Some(array), Some(mean)) = (&checkpoint.output, &rows.output, &rows.output_mean) {
        let float_type = checkpoint.output()?.map_or(rows.float_type, |matrix| matrix.float_type);
        for name in further.output_copies.iter().chain([name]) {
            tensors.push(matrix(name, array, mean, float_type));
        }
    }
    for (name, (array, mean)) in further.matrices.iter().zip(&rows.further) {
        tensors.push(matrix(name, array, mean, checkpoint.matrix(name)?.float_type));
    }
    for (name, values) in further.biases.iter().zip(&rows.biases) {
        let info = checkpoint.shards.iter().find_map(|shard| shard.metadata.info(name));
        let axis = info.and_then(|info| info.shape.iter().position(|&size| size == old_rows)).unwrap_or(0);
        let width = info.map_or(0, |info| (info.data_offsets.1 - info.data_offsets.0) / old_rows.max(1));
        let new = match values {
            Some(values) => bytes_of(values.view(), checkpoint.vector(name, old_rows)?.float_type),
            // The biases of new tokens start at 0.
            None => vec![0; width * rows.input.nrows()],
        };
        let padding = vec![0; width];
        tensors.push(ExtendedTensor { name: name.clone(), axis, width, new, padding });
    }
    debug_assert!(tensors.iter().all(|tensor| tensor.width > 0 && first_id > 0));
    Ok(tensors)
}

/// Copies the files of a folder except weights, and replaces existing ones.
fn copy_companions(from: &Path, to: &Path) -> Result<()> {
    for entry in fs::read_dir(from).map_err(|e| Error::io("read", from, e))? {
        let path = entry.map_err(|e| Error::io("read", from, e))?.path();
        let extension = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
        let is_index = path.to_string_lossy().ends_with(".index.json");
        if !path.is_dir() && !is_index && !OTHER_WEIGHTS.contains(&extension.as_str()) {
            let target = to.join(path.file_name().unwrap_or_default());
            check_file(from, &path)?;
            copy_file(&path, &target)?;
        }
    }
    Ok(())
}

/// Copies the index with a larger total size; the assignment of tensors to files does not change.
fn write_index(from: &Path, to: &Path, growth: usize) -> Result<()> {
    let bytes = read_description(from).map_err(|e| Error::io("read", from, e))?;
    let mut index: Value = serde_json::from_slice(&bytes).map_err(|e| Error::io("read", from, e.into()))?;
    if let Some(size) = index["metadata"]["total_size"].as_u64() {
        let Some(total) = size.checked_add(growth as u64) else {
            let help = "copy or download the checkpoint again";
            return Err(Error::file(from, "total_size to be the number of bytes of all tensors", size, help));
        };
        index["metadata"]["total_size"] = json!(total);
    }
    let text = serde_json::to_string_pretty(&index).map_err(|e| Error::io("write", to, e.into()))?;
    fs::write(to, text + "\n").map_err(|e| Error::io("write", to, e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn total_size_in_the_index_grows_and_overflow_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from.json"), folder.path().join("to.json"));
        let write = |size: u64| {
            fs::write(&from, json!({"metadata": {"total_size": size}, "weight_map": {}}).to_string()).unwrap();
            write_index(&from, &to, 24)
        };
        write(1000).unwrap();
        let written: Value = serde_json::from_slice(&fs::read(&to).unwrap()).unwrap();
        assert_eq!(written["metadata"]["total_size"], 1024);
        let message = write(u64::MAX).unwrap_err().to_string();
        assert!(message.contains("from.json") && message.contains("total_size"), "{message}");
    }
}
