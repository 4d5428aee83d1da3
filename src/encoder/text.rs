//! The text encoder.

use std::fs;
use std::path::{Path, PathBuf};

use ndarray::{Array2, ArrayView1, ArrayView2, ArrayViewMut2, Axis};
use ort::session::Session;
use tokenizers::{Tokenizer, TruncationDirection, TruncationParams};

use super::folder::{EncoderKind, graph};
use super::journal::BatchJournal;
use super::pooling::PoolingHead;
use super::runtime::{NetworkOutput, Runtime, choose_output, run};
use super::sessions::Sessions;
use super::text_inputs::{TextBatch, TextInputs};
use super::text_reader::{TextReader, TokenizedText, lower_case};
use super::text_settings::{TextSettings, inside};
use crate::error::{Error, Result};
use crate::progress::Progress;
use crate::text_tokenizer::{self, guarded};

/// Maximum number of texts per batch.
const BATCH_TEXTS: usize = 64;
/// Maximum number of tokens per batch, including padding.
const BATCH_TOKENS: usize = 4_096;
/// The same for small models on the CPU: the activations of such a batch stay in the cache of a core.
const SMALL_MODEL_TOKENS: usize = 512;
/// Number of texts that are sorted by length together.
const WINDOW: usize = 2_048;

/// Options for a text encoder's folder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TextOptions {
    /// The graph, in the folder or its `onnx/`. Required if there are several.
    pub onnx_file: Option<String>,
    /// Prefix of every text, instead of the folder's default prompt.
    pub prompt: Option<String>,
}

/// A sentence encoder: tokenizer, transformer graph, pooling.
#[derive(Debug)]
pub struct TextEncoder {
    reader: TextReader,
    network: TextNetwork,
    sessions: Sessions,
    truncated: usize,
}

#[derive(Debug)]
struct TextNetwork {
    path: PathBuf,
    settings: TextSettings,
    /// Number of prompt tokens that pooling excludes.
    skip: usize,
    /// Maximum number of tokens per batch.
    batch_tokens: usize,
    inputs: TextInputs,
    output: NetworkOutput,
    head: PoolingHead,
}

impl TextEncoder {
    /// Loads a folder with `tokenizer.json` and `model.onnx` or `onnx/model.onnx`, or the text tower of a two-tower model,
    /// `text_model.onnx`. Pooling, normalization, prompt, padding and maximum length are read from `modules.json`,
    /// `1_Pooling/config.json`, `config_sentence_transformers.json`, `sentence_bert_config.json`,
    /// `tokenizer_config.json` and `config.json`.
    ///
    /// # Errors
    /// [`Error::Missing`] and [`Error::File`] for a file of the folder; [`Error::Config`] where it has several graphs and
    /// none is selected.
    pub fn load(folder: &Path, options: &TextOptions, runtime: &Runtime) -> Result<Self> {
        let head = PoolingHead::of_folder(folder)?;
        let tokenizer_path = inside(folder, &head.transformer, "tokenizer.json");
        if !tokenizer_path.is_file() {
            return Err(Error::Missing {
                path: tokenizer_path,
                expected: "the tokenizer of a text encoder".into(),
                help: "pass the folder of an encoder that was exported for ONNX Runtime".into(),
            });
        }
        let path = graph(folder, EncoderKind::Text, options.onnx_file.as_deref())?;
        let wrong = |e: String| {
            let help = "use the original file of the model";
            Error::file(&tokenizer_path, "a Hugging Face tokenizer", e, help)
        };
        let text = fs::read_to_string(&tokenizer_path).map_err(|e| Error::io("read", &tokenizer_path, e))?;
        let (tokenizer, sessions) = rayon::join(|| text_tokenizer::parse(&text), || Sessions::load(runtime, &path));
        let mut tokenizer = tokenizer.map_err(wrong)?;
        let mut settings = TextSettings::read(folder, &head.transformer, &tokenizer, options.prompt.as_deref())?;
        // The text towers of CLIP and SigLIP pool inside the graph.
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let pooled_inside = name.starts_with(EncoderKind::Text.tower()) || settings.always_full;
        let sessions = sessions?;
        let inputs = TextInputs::of(sessions.first(), &path)?;
        if let Some(length) = inputs.length {
            (settings.max_length, settings.always_full) = (length, true);
        }
        // The truncation and padding in the file are those of its last use, not of the model.
        let direction = if settings.cut_left { TruncationDirection::Left } else { TruncationDirection::Right };
        let truncation = TruncationParams { max_length: settings.max_length, direction, ..TruncationParams::default() };
        tokenizer.with_padding(None).with_truncation(Some(truncation)).map_err(|e| wrong(e.to_string()))?;
        if settings.lower_case {
            lower_case(&mut tokenizer);
        }
        let prompt = || guarded(|| prompt_tokens(&tokenizer, &settings.prompt).map_err(|e| e.to_string()));
        let skip = if head.include_prompt { 0 } else { prompt().map_err(wrong)? };
        let pooled = if pooled_inside { "pooler_output" } else { "last_hidden_state" };
        let preferred = ["sentence_embedding", "text_embeds", pooled, "last_hidden_state", "token_embeddings"];
        let output = choose_output(sessions.first(), &path, &preferred)?;
        let reader = TextReader {
            tokenizer,
            prompt: settings.prompt.clone(),
            max_length: settings.max_length,
            cut_left: settings.cut_left,
            path: path.clone(),
        };
        let batch_tokens = if sessions.is_small() { SMALL_MODEL_TOKENS } else { BATCH_TOKENS };
        Ok(TextEncoder {
            reader,
            network: TextNetwork { path, settings, skip, batch_tokens, inputs, output, head },
            sessions,
            truncated: 0,
        })
    }

    /// Length of the vectors.
    pub fn dim(&self) -> usize {
        self.network.dim()
    }

    /// Maximum number of tokens of a text; longer texts are truncated.
    pub fn max_length(&self) -> usize {
        self.network.settings.max_length
    }

    /// Number of texts so far that exceeded the maximum length.
    pub fn truncated(&self) -> usize {
        self.truncated
    }

    /// Whether each of the texts exceeds the maximum length.
    ///
    /// # Errors
    /// [`Error::File`] if the tokenizer fails on a text.
    pub fn are_cut(&self, texts: &[String]) -> Result<Vec<bool>> {
        Ok(self.reader.read(texts)?.into_iter().map(|text| text.is_cut).collect())
    }

    /// Encodes texts into vectors `(texts, dim)`. Within a window of 2,048 texts, those of similar length form a
    /// batch, which minimizes padding. The next window is tokenized meanwhile.
    ///
    /// # Errors
    /// [`Error::File`] where the model fails on its input.
    pub fn encode(&mut self, texts: &[String], progress: &dyn Progress) -> Result<Array2<f32>> {
        self.encode_kept(texts, None, progress)
    }

    /// [`TextEncoder::encode`], with batches that are read from a journal and stored in it.
    pub(super) fn encode_kept(
        &mut self,
        texts: &[String],
        mut journal: Option<&mut BatchJournal>,
        progress: &dyn Progress,
    ) -> Result<Array2<f32>> {
        progress.begin("encode text", Some(texts.len() as u64), "texts");
        let mut vectors = Array2::zeros((texts.len(), self.dim()));
        let TextEncoder { reader, network, sessions, truncated } = self;
        let mut windows = texts.chunks(WINDOW);
        let mut ready = windows.next().map(|window| reader.read(window));
        for mut vectors in vectors.axis_chunks_iter_mut(Axis(0), WINDOW) {
            let Some(encodings) = ready.take().transpose()? else { break };
            let following = windows.next();
            let read = || following.map(|window| reader.read(window));
            let journal = journal.as_deref_mut();
            let (done, next) =
                rayon::join(|| network.encode(sessions, &encodings, &mut vectors, journal, progress), read);
            done?;
            *truncated += encodings.iter().filter(|text| text.is_cut).count();
            ready = next;
        }
        progress.end();
        Ok(vectors)
    }
}

impl TextNetwork {
    fn dim(&self) -> usize {
        if self.output.rank == 3 { self.output.dim * self.head.poolings.len() } else { self.output.dim }
    }

    /// Encodes the texts of a window.
    fn encode(
        &self,
        sessions: &mut Sessions,
        encodings: &[TokenizedText],
        vectors: &mut ArrayViewMut2<f32>,
        mut journal: Option<&mut BatchJournal>,
        progress: &dyn Progress,
    ) -> Result<()> {
        let order = longest_first(encodings);
        let batches = self.batches(encodings, &order);
        let mut done = 0;
        while let Some(rows) = batches.get(done) {
            let Some(kept) = journal.as_mut().and_then(|journal| journal.next()) else { break };
            assign(rows, &kept.vectors, vectors);
            progress.advance(rows.len() as u64);
            done += 1;
        }
        let compute = |session: &mut Session, rows: &[usize]| self.vectors(session, encodings, rows);
        sessions.run(
            &batches[done..],
            |rows| *rows,
            compute,
            |rows, found| {
                let found = found.into_raw_vec_and_offset().0;
                assign(rows, &found, vectors);
                if let Some(journal) = &mut journal {
                    journal.keep(&[], &found)?;
                }
                progress.advance(rows.len() as u64);
                Ok(())
            },
        )
    }

    /// Splits rows, the longest first, into batches of limited size.
    fn batches<'a>(&self, encodings: &[TokenizedText], order: &'a [usize]) -> Vec<&'a [usize]> {
        let mut batches = Vec::new();
        let mut rest = order;
        while let Some(&longest) = rest.first() {
            let most = self.inputs.texts.unwrap_or((self.batch_tokens / self.length(&encodings[longest])).max(1));
            let (rows, later) = rest.split_at(most.min(self.inputs.texts.unwrap_or(BATCH_TEXTS)).min(rest.len()));
            batches.push(rows);
            rest = later;
        }
        batches
    }

    /// Length of the texts in a batch, including padding, given its longest text.
    fn length(&self, longest: &TokenizedText) -> usize {
        if self.settings.always_full { self.settings.max_length } else { longest.ids.len().max(1) }
    }

    /// Vectors `(rows, dim)` of a batch; its first row is the longest.
    fn vectors(&self, session: &mut Session, encodings: &[TokenizedText], rows: &[usize]) -> Result<Array2<f32>> {
        let tokens: Vec<_> = rows.iter().map(|&at| (&encodings[at].ids[..], &encodings[at].types[..])).collect();
        let n = self.inputs.texts.unwrap_or(rows.len());
        let batch = TextBatch::new(&tokens, n, self.length(&encodings[rows[0]]), &self.settings);
        let inputs = self
            .inputs
            .values(&batch)
            .map_err(|e| Error::file(&self.path, "a batch of token ids", e, "check the tokenizer's folder"))?;
        let (shape, values) = run(session, &self.path, inputs, &self.output)?;
        let fits = shape.first() == Some(&n) && (self.output.rank == 2 || shape.last() == Some(&self.output.dim));
        let per_item = values.len() / n;
        let tokens = if self.output.rank == 3 { per_item / self.output.dim } else { 1 };
        let masked = self.output.rank == 2 || tokens == batch.mask.ncols();
        if !fits || !masked || tokens * self.output.dim != per_item {
            let help = "check that the model is a text encoder";
            return Err(Error::file(
                &self.path,
                format!("{n} outputs of {} numbers", self.output.dim),
                format!("{shape:?}"),
                help,
            ));
        }
        let mut vectors = Array2::zeros((rows.len(), self.dim()));
        for ((mut out, values), mask) in
            vectors.rows_mut().into_iter().zip(values.chunks_exact(per_item)).zip(batch.mask.rows())
        {
            let view = ArrayView2::from_shape((tokens, self.output.dim), values).map_err(|e| {
                Error::file(&self.path, "one vector per token", e, "check that the model is a text encoder")
            })?;
            if self.output.rank == 3 {
                self.head.pool(view, &mask.to_vec(), self.skip, out);
            } else {
                out.assign(&view.row(0));
                self.head.finish(out);
            }
        }
        Ok(vectors)
    }
}

/// The rows of texts, in descending order of their lengths.
fn longest_first(encodings: &[TokenizedText]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..encodings.len()).collect();
    order.sort_by_key(|&row| std::cmp::Reverse(encodings[row].ids.len()));
    order
}

/// Copies the vectors of a batch to its rows.
fn assign(rows: &[usize], found: &[f32], vectors: &mut ArrayViewMut2<f32>) {
    for (&row, vector) in rows.iter().zip(found.chunks_exact(vectors.ncols().max(1))) {
        vectors.row_mut(row).assign(&ArrayView1::from(vector));
    }
}

/// Number of tokens of the prompt, without a special token at the end.
fn prompt_tokens(tokenizer: &Tokenizer, prompt: &str) -> tokenizers::Result<usize> {
    if prompt.is_empty() {
        return Ok(0);
    }
    let encoding = tokenizer.encode(prompt, true)?;
    let ends_special = encoding.get_special_tokens_mask().last() == Some(&1);
    Ok(encoding.len() - usize::from(ends_special))
}
