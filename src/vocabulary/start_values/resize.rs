//! A copy of a checkpoint with the new rows in its embedding matrices. All else is the same to the byte.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;

use ndarray::Array2;
use serde_json::{Map, Value, json};

use super::checkpoint::{Checkpoint, Shard};
use super::matrix::bytes_of;
use super::{NewRows, Number, StartValues};
use crate::error::{Error, Result};
use crate::progress::Progress;

/// The folder of the resized checkpoint in a vocabulary folder.
pub(super) const FOLDER: &str = "model";
/// Weights in other forms would be the old ones.
const OTHER_WEIGHTS: [&str; 8] = ["bin", "pt", "pth", "h5", "msgpack", "onnx", "gguf", "safetensors"];
const INDEX: &str = "model.safetensors.index.json";

/// A tensor that becomes taller: rows that stay, rows that come, rows after them.
struct Taller {
    name: String,
    /// Bytes of a row.
    width: usize,
    /// The bytes of the new rows.
    new: Vec<u8>,
    /// The bytes of a row that pads.
    padding: Vec<u8>,
}

pub(super) fn write(
    out: &Path,
    checkpoint: &Checkpoint,
    tokenizer: &Path,
    first_id: u32,
    rows: &NewRows,
    options: &StartValues,
    progress: &dyn Progress,
) -> Result<()> {
    fs::create_dir(out).map_err(|e| Error::io("create", out, e))?;
    let input = checkpoint.input()?;
    let needed = (first_id as usize + rows.input.nrows()).max(input.rows);
    let multiple = options.pad_to_multiple_of.map_or(1, |n| n.max(1) as usize);
    let total = needed.div_ceil(multiple) * multiple;
    let tall = taller(checkpoint, rows, first_id as usize, input.rows)?;
    progress.begin("write model", Some(checkpoint.shards.len() as u64), "files");
    let mut growth = 0;
    for shard in &checkpoint.shards {
        let target = out.join(shard.path.file_name().unwrap_or_default());
        if tall.iter().any(|tensor| shard.metadata.info(&tensor.name).is_some()) {
            growth += write_shard(&target, shard, &tall, first_id as usize, input.rows, total)?;
        } else {
            fs::copy(&shard.path, &target).map_err(|e| Error::io("copy", &shard.path, e))?;
        }
        progress.advance(1);
    }
    progress.end();
    copy_companions(&checkpoint.folder, out)?;
    copy_companions(tokenizer, out)?;
    write_config(&checkpoint.folder.join("config.json"), &out.join("config.json"), total)?;
    if checkpoint.folder.join(INDEX).is_file() {
        write_index(&checkpoint.folder.join(INDEX), &out.join(INDEX), growth)?;
    }
    Ok(())
}

fn taller(checkpoint: &Checkpoint, rows: &NewRows, first_id: usize, old_rows: usize) -> Result<Vec<Taller>> {
    let matrix = |name: &str, array: &Array2<f32>, mean: &[f32], number: Number| {
        let mut padding = Vec::new();
        number.write(mean.iter().copied(), &mut padding);
        Taller { name: name.into(), width: padding.len(), new: bytes_of(array.view(), number), padding }
    };
    let mut tall = vec![matrix(&checkpoint.input, &rows.input, &rows.input_mean, rows.number)];
    for copy in checkpoint.copies()? {
        tall.push(matrix(&copy, &rows.input, &rows.input_mean, rows.number));
    }
    if let (Some(name), Some(array), Some(mean)) = (&checkpoint.output, &rows.output, &rows.output_mean) {
        let number = checkpoint.output()?.map_or(rows.number, |matrix| matrix.number);
        tall.push(matrix(name, array, mean, number));
    }
    // Biases of new tokens start at 0, as one that a model never chose.
    for name in checkpoint.biases(old_rows) {
        let shard = checkpoint.shards.iter().find_map(|shard| shard.metadata.info(&name));
        let width = shard.map_or(0, |info| (info.data_offsets.1 - info.data_offsets.0) / old_rows.max(1));
        tall.push(Taller { name, width, new: vec![0; width * rows.input.nrows()], padding: vec![0; width] });
    }
    debug_assert!(tall.iter().all(|tensor| tensor.width > 0 && first_id > 0));
    Ok(tall)
}

/// Writes one file; returns by how many bytes its tensors grew.
fn write_shard(
    target: &Path,
    shard: &Shard,
    tall: &[Taller],
    first_id: usize,
    old: usize,
    total: usize,
) -> Result<usize> {
    let fail = |e| Error::io("write", target, e);
    let mut header = Map::new();
    if let Some(metadata) = shard.metadata.metadata() {
        let mut pairs: Vec<(&String, &String)> = metadata.iter().collect();
        pairs.sort();
        let pairs: Map<String, Value> = pairs.into_iter().map(|(k, v)| (k.clone(), json!(v))).collect();
        header.insert("__metadata__".into(), pairs.into());
    }
    let names = shard.metadata.offset_keys();
    let of = |name: &str| tall.iter().find(|tensor| tensor.name == name);
    let (mut offset, mut growth) = (0, 0);
    for name in &names {
        let Some(info) = shard.metadata.info(name) else { continue };
        let mut shape = info.shape.clone();
        let mut length = info.data_offsets.1 - info.data_offsets.0;
        if let Some(tensor) = of(name) {
            shape[0] = total;
            growth += total * tensor.width - length;
            length = total * tensor.width;
        }
        header.insert(
            name.clone(),
            json!({"dtype": info.dtype, "shape": shape, "data_offsets": [offset, offset + length]}),
        );
        offset += length;
    }
    let mut header = serde_json::to_vec(&header).map_err(|e| fail(e.into()))?;
    // Readers want numbers aligned.
    header.resize(header.len().next_multiple_of(8), b' ');
    let mut out = BufWriter::new(File::create(target).map_err(fail)?);
    out.write_all(&(header.len() as u64).to_le_bytes()).and_then(|()| out.write_all(&header)).map_err(fail)?;
    for name in &names {
        let Some(info) = shard.metadata.info(name) else { continue };
        let bytes = &shard.map[shard.data + info.data_offsets.0..shard.data + info.data_offsets.1];
        match of(name) {
            None => out.write_all(bytes).map_err(fail)?,
            Some(tensor) => {
                let end = first_id * tensor.width + tensor.new.len();
                out.write_all(&bytes[..first_id * tensor.width]).map_err(fail)?;
                out.write_all(&tensor.new).map_err(fail)?;
                // Rows that the model has beyond its tokenizer's words stay.
                out.write_all(bytes.get(end..).unwrap_or_default()).map_err(fail)?;
                for _ in end.max(old * tensor.width) / tensor.width..total {
                    out.write_all(&tensor.padding).map_err(fail)?;
                }
            }
        }
    }
    out.flush().map_err(fail)?;
    Ok(growth)
}

/// Files of a folder that are not weights; one that is there already is replaced.
fn copy_companions(from: &Path, to: &Path) -> Result<()> {
    for entry in fs::read_dir(from).map_err(|e| Error::io("read", from, e))? {
        let path = entry.map_err(|e| Error::io("read", from, e))?.path();
        let extension = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
        let is_index = path.to_string_lossy().ends_with(".index.json");
        if path.is_file() && !is_index && !OTHER_WEIGHTS.contains(&extension.as_str()) {
            let target = to.join(path.file_name().unwrap_or_default());
            fs::copy(&path, &target).map_err(|e| Error::io("copy", &path, e))?;
        }
    }
    Ok(())
}

/// `config.json` with another number after every "vocab_size", and else as it was.
fn write_config(from: &Path, to: &Path, total: usize) -> Result<()> {
    const KEY: &str = "\"vocab_size\"";
    let text = fs::read_to_string(from).map_err(|e| Error::io("read", from, e))?;
    let mut out = String::with_capacity(text.len() + 8);
    let mut rest = text.as_str();
    while let Some(at) = rest.find(KEY) {
        let after = &rest[at + KEY.len()..];
        let gap = after.len() - after.trim_start_matches([' ', ':', '\t', '\n', '\r']).len();
        let digits = after[gap..].chars().take_while(char::is_ascii_digit).count();
        out += &rest[..at + KEY.len() + gap];
        if digits > 0 {
            out += &total.to_string();
        }
        rest = &after[gap + digits..];
    }
    out += rest;
    fs::write(to, out).map_err(|e| Error::io("write", to, e))
}

/// The index with its total size grown; which file holds what has not changed.
fn write_index(from: &Path, to: &Path, growth: usize) -> Result<()> {
    let bytes = fs::read(from).map_err(|e| Error::io("read", from, e))?;
    let mut index: Value = serde_json::from_slice(&bytes).map_err(|e| Error::io("read", from, e.into()))?;
    if let Some(size) = index["metadata"]["total_size"].as_u64() {
        index["metadata"]["total_size"] = json!(size + growth as u64);
    }
    let text = serde_json::to_string_pretty(&index).map_err(|e| Error::io("write", to, e.into()))?;
    fs::write(to, text + "\n").map_err(|e| Error::io("write", to, e))
}
