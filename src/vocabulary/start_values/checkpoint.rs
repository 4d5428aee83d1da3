//! The embedding matrices of a Hugging Face checkpoint, mapped into memory.

use std::path::{Path, PathBuf};

use memmap2::Mmap;
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, Metadata, TensorInfo};
use serde_json::Value;

use super::config::{COPY_AGAIN, read_config, read_json};
use super::matrix::EmbeddingMatrix;
use crate::artifact::open_regular;
use crate::error::{Error, Result};
use crate::vocabulary::float_type::FloatType;

/// Names of the input embeddings in common architectures.
const INPUT_NAMES: [&str; 14] = [
    "model.embed_tokens.weight",
    "model.language_model.embed_tokens.weight",
    "language_model.model.embed_tokens.weight",
    "transformer.wte.weight",
    "wte.weight",
    "gpt_neox.embed_in.weight",
    "shared.weight",
    "model.shared.weight",
    "model.decoder.embed_tokens.weight",
    "transformer.word_embeddings.weight",
    "word_embeddings.weight",
    "bert.embeddings.word_embeddings.weight",
    "embeddings.word_embeddings.weight",
    "embed_tokens.weight",
];
/// Names of the output embeddings in common architectures.
const OUTPUT_NAMES: [&str; 5] = [
    "lm_head.weight",
    "language_model.lm_head.weight",
    "embed_out.weight",
    "cls.predictions.decoder.weight",
    "output.weight",
];
/// Names of copies of the input embeddings in some checkpoints.
const COPY_NAMES: [&str; 2] = ["encoder.embed_tokens.weight", "decoder.embed_tokens.weight"];
const INDEX: &str = "model.safetensors.index.json";
const SINGLE: &str = "model.safetensors";

/// One file of a checkpoint.
#[derive(Debug)]
pub(super) struct Shard {
    pub(super) path: PathBuf,
    pub(super) map: Mmap,
    pub(super) metadata: Metadata,
    /// Start of the tensors' data.
    pub(super) data: usize,
}

/// A model folder with its tensors.
#[derive(Debug)]
pub(super) struct Checkpoint {
    pub(super) folder: PathBuf,
    pub(super) config: Value,
    pub(super) shards: Vec<Shard>,
    /// Name of the tensor with the input embeddings.
    pub(super) input: String,
    /// Name of the tensor with the output embeddings, if the model has separate ones.
    pub(super) output: Option<String>,
}

impl Checkpoint {
    /// Opens a folder and finds its embedding matrices; `named` is the name of the input embeddings, if given.
    pub(super) fn open(folder: &Path, named: Option<&str>) -> Result<Self> {
        let config = read_config(folder)?;
        let shards = shard_paths(folder)?.into_iter().map(Shard::open).collect::<Result<Vec<_>>>()?;
        let mut checkpoint = Checkpoint { folder: folder.into(), config, shards, input: String::new(), output: None };
        checkpoint.input = checkpoint.find_input(named)?;
        checkpoint.output = checkpoint.find_output()?;
        Ok(checkpoint)
    }

    pub(super) fn input(&self) -> Result<EmbeddingMatrix<'_>> {
        self.matrix(&self.input)
    }

    pub(super) fn output(&self) -> Result<Option<EmbeddingMatrix<'_>>> {
        self.output.as_deref().map(|name| self.matrix(name)).transpose()
    }

    /// All tensors, file by file, in the order of their data.
    pub(super) fn tensors(&self) -> impl Iterator<Item = (&Shard, String, &TensorInfo)> {
        self.shards.iter().flat_map(|shard| {
            let names = shard.metadata.offset_keys().into_iter();
            names.filter_map(move |name| shard.metadata.info(&name).map(|info| (shard, name, info)))
        })
    }

    /// Whether transformers replaces a tensor by the input embeddings when it loads the checkpoint.
    pub(super) fn is_tied(&self, name: &str) -> bool {
        COPY_NAMES.contains(&name) || OUTPUT_NAMES.contains(&name) && self.output.is_none()
    }

    fn has(&self, name: &str) -> bool {
        self.info(name).is_some()
    }

    fn info(&self, name: &str) -> Option<(&Shard, &TensorInfo)> {
        self.shards.iter().find_map(|shard| Some((shard, shard.metadata.info(name)?)))
    }

    pub(super) fn matrix(&self, name: &str) -> Result<EmbeddingMatrix<'_>> {
        let (shard, info) = self.info(name).ok_or_else(|| self.no_tensor(name))?;
        let fault = |got: String| {
            let expected = format!("{name} as a matrix of float32, float16 or bfloat16");
            let help = "pass the model before quantization, or another tensor with --embedding-tensor";
            Error::file(&shard.path, expected, got, help)
        };
        let float_type = float_type(info.dtype).ok_or_else(|| fault(format!("{:?}", info.dtype)))?;
        let &[rows, dim] = &info.shape[..] else { return Err(fault(format!("shape {:?}", info.shape))) };
        if dim == 0 {
            return Err(fault(format!("shape {:?}", info.shape)));
        }
        let (start, end) = info.data_offsets;
        let bytes = &shard.map[shard.data + start..shard.data + end];
        Ok(EmbeddingMatrix { name: name.into(), float_type, rows, dim, bytes })
    }

    /// A tensor of `rows` numbers as a matrix with one column.
    pub(super) fn vector(&self, name: &str, rows: usize) -> Result<EmbeddingMatrix<'_>> {
        let (shard, info) = self.info(name).ok_or_else(|| self.no_tensor(name))?;
        let (start, end) = info.data_offsets;
        let float_type = float_type(info.dtype).filter(|float_type| end - start == rows * float_type.size());
        let Some(float_type) = float_type else {
            let expected = format!("{name} as {rows} numbers in float32, float16 or bfloat16");
            let got = format!("{:?} of shape {:?}", info.dtype, info.shape);
            return Err(Error::file(&shard.path, expected, got, "pass the model before quantization"));
        };
        let bytes = &shard.map[shard.data + start..shard.data + end];
        Ok(EmbeddingMatrix { name: name.into(), float_type, rows, dim: 1, bytes })
    }

    fn find_input(&self, named: Option<&str>) -> Result<String> {
        if let Some(name) = named {
            return if self.has(name) { Ok(name.to_owned()) } else { Err(self.no_tensor(name)) };
        }
        let known = INPUT_NAMES.iter().find(|name| self.has(name)).map(|name| (*name).to_owned());
        known.ok_or_else(|| self.no_tensor(&INPUT_NAMES[..4].join(", ")))
    }

    /// Finds separate output embeddings. Without them, a model uses its input embeddings, which some checkpoints store twice.
    fn find_output(&self) -> Result<Option<String>> {
        let Some(name) = OUTPUT_NAMES.iter().find(|name| self.has(name)) else { return Ok(None) };
        let said = |config: &Value| config["tie_word_embeddings"].as_bool();
        let tied = said(&self.config).or_else(|| said(&self.config["text_config"]));
        if tied == Some(true) {
            return Ok(None);
        }
        let (input, output) = (self.input()?, self.matrix(name)?);
        if (output.rows, output.dim) != (input.rows, input.dim) {
            return Err(Error::mismatch(
                format!("shape of {name} in {}", self.folder.display()),
                format!("{} x {}, as {} has", input.rows, input.dim, self.input),
                format!("{} x {}", output.rows, output.dim),
                "pass the name of the input embeddings with --embedding-tensor",
            ));
        }
        let same = tied.is_none() && output.float_type == input.float_type && output.bytes == input.bytes;
        Ok((!same).then(|| (*name).to_owned()))
    }

    fn no_tensor(&self, wanted: &str) -> Error {
        let mut matrices: Vec<(usize, String)> = Vec::new();
        for shard in &self.shards {
            for name in shard.metadata.offset_keys() {
                if let Some([rows, _]) = shard.metadata.info(&name).map(|info| &info.shape[..]) {
                    matrices.push((*rows, name));
                }
            }
        }
        matrices.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
        let tallest: Vec<String> =
            matrices.into_iter().take(3).map(|(rows, name)| format!("{name} ({rows} rows)")).collect();
        Error::file(
            &self.folder,
            format!("a tensor {wanted}"),
            if tallest.is_empty() { "no matrix".to_owned() } else { format!("others such as {}", tallest.join(", ")) },
            "pass the name of the input embeddings with --embedding-tensor",
        )
    }
}

impl Shard {
    fn open(path: PathBuf) -> Result<Self> {
        let file = open_regular(&path).map_err(|e| Error::io("read", &path, e))?;
        // SAFETY: the file must not change while it is mapped, and checkpoints are not modified while they are read. Only
        // numbers are read, for which every bit pattern is valid.
        #[allow(unsafe_code)]
        let map = unsafe { Mmap::map(&file) }.map_err(|e| Error::io("read", &path, e))?;
        let (header, metadata) = SafeTensors::read_metadata(&map).map_err(|e| {
            let got = format!("{} other bytes ({e})", map.len());
            Error::file(&path, "a whole safetensors file", got, COPY_AGAIN)
        })?;
        Ok(Shard { path, map, metadata, data: 8 + header })
    }
}

fn float_type(dtype: Dtype) -> Option<FloatType> {
    match dtype {
        Dtype::F32 => Some(FloatType::F32),
        Dtype::F16 => Some(FloatType::F16),
        Dtype::BF16 => Some(FloatType::Bf16),
        _ => None,
    }
}

/// The files of a checkpoint, sorted by name.
fn shard_paths(folder: &Path) -> Result<Vec<PathBuf>> {
    let (index, single) = (folder.join(INDEX), folder.join(SINGLE));
    let missing = |path: PathBuf, expected: String| {
        let help = "pass a model's folder in the safetensors format; save_pretrained writes one";
        Error::Missing { path, expected, help: help.into() }
    };
    if !index.is_file() {
        return if single.is_file() { Ok(vec![single]) } else { Err(missing(single, "the model's weights".into())) };
    }
    let json = read_json(&index)?;
    let map = json["weight_map"].as_object();
    let mut names: Vec<&str> = map.into_iter().flatten().filter_map(|(_, file)| file.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    if names.is_empty() {
        return Err(Error::file(&index, "a weight_map", "none", COPY_AGAIN));
    }
    names
        .into_iter()
        .map(|name| {
            let path = folder.join(name);
            // A checkpoint's files are inside its folder.
            let inside = Path::new(name).components().count() == 1 && !name.starts_with('.');
            if inside && path.is_file() { Ok(path) } else { Err(missing(path, format!("a file that {INDEX} names"))) }
        })
        .collect()
}
