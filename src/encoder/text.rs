//! The text encoder.

use std::path::{Path, PathBuf};

use ndarray::{Array2, ArrayView2};
use ort::session::{Session, SessionInputValue};
use ort::value::Tensor;
use serde::Deserialize;
use tokenizers::{Encoding, Tokenizer, TruncationParams};

use super::pooling::Head;
use super::runtime::{Output, Runtime, choose_output, run};
use super::{read_json, required};
use crate::error::{Error, Result};
use crate::progress::Progress;

/// Most texts of a batch, and most tokens, padding counted: long texts go in smaller batches.
const BATCH_TEXTS: usize = 64;
const BATCH_TOKENS: usize = 4_096;
/// Where the model's folder names no maximum length.
const DEFAULT_LENGTH: usize = 512;

/// A sentence encoder: tokenizer, transformer graph, pooling.
#[derive(Debug)]
pub struct TextEncoder {
    path: PathBuf,
    tokenizer: Tokenizer,
    session: Session,
    inputs: Vec<String>,
    output: Output,
    head: Head,
    truncated: usize,
}

#[derive(Deserialize)]
struct SentenceConfig {
    max_seq_length: Option<usize>,
}

#[derive(Deserialize)]
struct TokenizerConfig {
    // Some models write 1e30 for "no limit".
    model_max_length: Option<f64>,
}

impl TextEncoder {
    /// Loads a folder with `tokenizer.json` and `model.onnx` or `onnx/model.onnx`; pooling, normalisation and maximum
    /// length are what `modules.json`, `1_Pooling/config.json` and `sentence_bert_config.json` say.
    ///
    /// # Errors
    /// [`Error::Missing`] and [`Error::File`] name the file of the folder.
    pub fn load(folder: &Path, runtime: &Runtime) -> Result<Self> {
        let tokenizer_path = required(folder, &["tokenizer.json"], "the tokenizer of a text encoder")?;
        let path = required(folder, &["model.onnx", "onnx/model.onnx"], "the graph of a text encoder")?;
        let wrong = |e: tokenizers::Error| {
            Error::file(
                &tokenizer_path,
                "a Hugging Face tokenizer",
                e,
                "take the file as the model's publisher wrote it",
            )
        };
        let mut tokenizer = Tokenizer::from_file(&tokenizer_path).map_err(wrong)?;
        let max_length = max_length(folder)?;
        // The file's own truncation and padding are those of its last use, not of the model.
        tokenizer
            .with_padding(None)
            .with_truncation(Some(TruncationParams { max_length, ..TruncationParams::default() }))
            .map_err(wrong)?;
        let session = runtime.session(&path)?;
        let inputs: Vec<String> = session.inputs().iter().map(|input| input.name().to_owned()).collect();
        if let Some(unknown) = inputs.iter().find(|name| token_input(name).is_none()) {
            let help = "export the model as a feature extractor";
            return Err(Error::file(
                &path,
                "inputs input_ids, attention_mask, token_type_ids, position_ids",
                unknown,
                help,
            ));
        }
        let output = choose_output(&session, &path, &["sentence_embedding", "last_hidden_state", "token_embeddings"])?;
        let head = Head::of_folder(folder)?;
        Ok(TextEncoder { path, tokenizer, session, inputs, output, head, truncated: 0 })
    }

    /// Length of the vectors.
    pub fn dim(&self) -> usize {
        self.output.dim
    }

    /// How many texts so far were longer than the model reads.
    pub fn truncated(&self) -> usize {
        self.truncated
    }

    /// Vectors `(texts, dim)` in the order of the texts. Texts run in batches of like length, so little is padding.
    ///
    /// # Errors
    /// [`Error::File`] where the model refuses its input.
    pub fn encode(&mut self, texts: &[String], progress: &dyn Progress) -> Result<Array2<f32>> {
        progress.begin("encode text", Some(texts.len() as u64), "texts");
        let encodings = self.tokenizer.encode_batch(texts.iter().map(String::as_str).collect(), true).map_err(|e| {
            Error::file(&self.path, "texts that the tokenizer reads", e, "check the tokenizer's folder")
        })?;
        self.truncated += encodings.iter().filter(|encoding| !encoding.get_overflowing().is_empty()).count();
        let mut order: Vec<usize> = (0..texts.len()).collect();
        order.sort_by_key(|&row| std::cmp::Reverse(encodings[row].len()));
        let mut vectors = Array2::zeros((texts.len(), self.dim()));
        let mut rest = &order[..];
        while let Some(&longest) = rest.first() {
            let fits = (BATCH_TOKENS / encodings[longest].len().max(1)).clamp(1, BATCH_TEXTS).min(rest.len());
            let (rows, later) = rest.split_at(fits);
            self.encode_batch(&encodings, rows, &mut vectors)?;
            progress.advance(rows.len() as u64);
            rest = later;
        }
        progress.end();
        Ok(vectors)
    }

    /// Encodes the rows, of which the first is the longest.
    fn encode_batch(&mut self, encodings: &[Encoding], rows: &[usize], vectors: &mut Array2<f32>) -> Result<()> {
        let (n, length) = (rows.len(), encodings[rows[0]].len().max(1));
        let padded = |values: fn(&Encoding) -> &[u32]| {
            let mut out = Array2::<i64>::zeros((n, length));
            for (mut row, &at) in out.rows_mut().into_iter().zip(rows) {
                row.iter_mut().zip(values(&encodings[at])).for_each(|(out, &value)| *out = i64::from(value));
            }
            out
        };
        let mask = padded(Encoding::get_attention_mask);
        let mut inputs: Vec<(String, SessionInputValue)> = Vec::new();
        for name in &self.inputs {
            let values = match token_input(name) {
                Some(TokenInput::Ids) => padded(Encoding::get_ids),
                Some(TokenInput::Types) => padded(Encoding::get_type_ids),
                Some(TokenInput::Positions) => Array2::from_shape_fn((n, length), |(_, at)| at as i64),
                _ => mask.clone(),
            };
            let tensor = Tensor::from_array(([n, length], values.into_raw_vec_and_offset().0))
                .map_err(|e| Error::file(&self.path, "a batch of token ids", e, "check the tokenizer's folder"))?;
            inputs.push((name.clone(), tensor.into()));
        }
        let (shape, values) = run(&mut self.session, &self.path, inputs, &self.output)?;
        let fits = shape.first() == Some(&n) && shape.last() == Some(&self.output.dim);
        let per_item = values.len() / n;
        let tokens = if self.output.rank == 3 { per_item / self.output.dim } else { 1 };
        if !fits || tokens * self.output.dim != per_item {
            let help = "check that the model is a text encoder";
            return Err(Error::file(
                &self.path,
                format!("{n} outputs of {} numbers", self.output.dim),
                format!("{shape:?}"),
                help,
            ));
        }
        for ((values, &row), mask) in values.chunks_exact(per_item).zip(rows).zip(mask.rows()) {
            let mut out = vectors.row_mut(row);
            let view = ArrayView2::from_shape((tokens, self.output.dim), values).map_err(|e| {
                Error::file(&self.path, "one vector a token", e, "check that the model is a text encoder")
            })?;
            if self.output.rank == 3 {
                self.head.pool(view, &mask.to_vec(), out);
            } else {
                out.assign(&view.row(0));
                self.head.finish(out);
            }
        }
        Ok(())
    }
}

enum TokenInput {
    Ids,
    Mask,
    Types,
    Positions,
}

fn token_input(name: &str) -> Option<TokenInput> {
    match name {
        "input_ids" => Some(TokenInput::Ids),
        "attention_mask" => Some(TokenInput::Mask),
        "token_type_ids" => Some(TokenInput::Types),
        "position_ids" => Some(TokenInput::Positions),
        _ => None,
    }
}

fn max_length(folder: &Path) -> Result<usize> {
    let sentence = read_json::<SentenceConfig>(&folder.join("sentence_bert_config.json"))?;
    if let Some(length) = sentence.and_then(|config| config.max_seq_length).filter(|&length| length > 0) {
        return Ok(length);
    }
    let tokenizer = read_json::<TokenizerConfig>(&folder.join("tokenizer_config.json"))?;
    let length = tokenizer.and_then(|config| config.model_max_length).filter(|length| (1.0..1e6).contains(length));
    Ok(length.map_or(DEFAULT_LENGTH, |length| length as usize))
}
