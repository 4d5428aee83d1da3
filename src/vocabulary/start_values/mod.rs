//! Start values of the rows that a language model's embedding matrix gets for the new tokens.
//!
//! A model that is given a new token has to learn it from a row of numbers, and where that row starts decides how soon.
//! Three ways to start are at hand:
//!
//! - [`StartMethod::Mean`]: Hugging Face's draw, the mean of the old rows and a trace of their covariance. All new tokens start
//!   as one and the same word; the baseline.
//! - [`StartMethod::Grounded`]: a code's row from the texts of the items under it, in the model's own embeddings.
//! - [`StartMethod::Structured`]: that and the codebooks' geometry, so that near codes get near rows and codes that no item
//!   has yet get sensible ones.
//!
//! The last two are fitted to the old rows: the same mean, spread and covariance.

mod checkpoint;
mod directions;
mod draw;
mod fit;
mod matrix;
mod moments;
mod resize;
mod symmetric;
mod texts;
mod write;

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use ndarray::Array2;

pub(super) use matrix::Number;
pub use write::START_VALUES_FILE;

use super::Vocabulary;
use super::options::NewWords;
use crate::catalog::CatalogSpec;
use crate::error::{Error, Result};
use crate::progress::Progress;
use crate::semantic_id::TokenTable;
use checkpoint::Checkpoint;
use matrix::EmbeddingMatrix;
use texts::ItemTokens;

/// How new rows start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartMethod {
    /// As Hugging Face draws them.
    Mean,
    /// From the items' texts.
    Grounded,
    /// From the items' texts and the codebooks.
    Structured,
}

impl fmt::Display for StartMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            StartMethod::Mean => "mean",
            StartMethod::Grounded => "grounded",
            StartMethod::Structured => "structured",
        })
    }
}

impl FromStr for StartMethod {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        [StartMethod::Mean, StartMethod::Grounded, StartMethod::Structured]
            .into_iter()
            .find(|method| method.to_string() == text)
            .ok_or_else(|| Error::config("start-values", "mean, grounded or structured", text, "choose one of them"))
    }
}

/// Whose rows to make, and from what.
#[derive(Debug, Clone)]
pub struct StartValues<'a> {
    /// Folder of the model: `config.json` and safetensors.
    pub llm: PathBuf,
    /// Tensor of the input rows, where it has an uncommon name.
    pub embedding_tensor: Option<String>,
    /// How new rows start.
    pub method: StartMethod,
    /// The items' texts; [`StartMethod::Mean`] does without.
    pub catalog: Option<CatalogSpec>,
    /// Hash and codebooks of the model that gave the codes; only [`StartMethod::Structured`] needs them.
    pub codebooks: Option<(&'a str, &'a [Array2<f32>])>,
    /// Seed of every draw.
    pub seed: u64,
    /// Whether to write a resized checkpoint beside.
    pub write_model: bool,
    /// Its number of rows is made a multiple of this.
    pub pad_to_multiple_of: Option<u32>,
    /// A GGUF file of the same model, to write a copy of with the tokens and rows added.
    pub gguf: Option<PathBuf>,
}

/// The tokens that a tokenizer was given.
pub(super) struct Additions<'a> {
    pub(super) vocabulary: &'a Vocabulary,
    pub(super) table: &'a TokenTable,
    /// Id of the first code.
    pub(super) first_id: u32,
    /// All of them, in the order of their ids: codes, then markers.
    pub(super) new: &'a NewWords,
}

impl Additions<'_> {
    fn len(&self) -> usize {
        self.new.words.len()
    }
}

/// The new rows of a model.
pub(super) struct NewRows {
    /// What they are for.
    pub(super) input: Array2<f32>,
    /// Output rows, where the model has other ones.
    pub(super) output: Option<Array2<f32>>,
    /// The old rows' means, for rows that pad.
    pub(super) input_mean: Vec<f32>,
    pub(super) output_mean: Option<Vec<f32>>,
    /// As what they are stored in the model.
    pub(super) number: Number,
}

/// Makes the rows and writes what was asked for into `folder`, whose extended tokenizer is in `tokenizer`.
///
/// # Errors
/// [`Error::Missing`] and [`Error::File`] for a model or GGUF file that cannot be read; [`Error::Mismatch`] where model,
/// tokenizer, catalog, table and codebooks do not belong together; [`Error::Config`] where a method lacks its input.
pub(super) fn write(
    folder: &Path,
    tokenizer: &Path,
    new: &Additions,
    options: &StartValues,
    progress: &dyn Progress,
) -> Result<()> {
    let (table, first_id) = (new.table, new.first_id);
    check_model(table, options)?;
    let checkpoint = Checkpoint::open(&options.llm, options.embedding_tensor.as_deref())?;
    let input = checkpoint.input()?;
    let old = check_rows(&input, first_id, &options.llm)?;
    let tokens = match (options.method, &options.catalog) {
        (StartMethod::Mean, _) => None,
        (_, Some(catalog)) => Some(ItemTokens::read(catalog, table, &tokenizer.join("tokenizer.json"), old, progress)?),
        (method, None) => {
            let help = "name the catalog and its columns of text, or ask for --start-values mean";
            return Err(Error::config(
                "catalog",
                format!("the items' texts for --start-values {method}"),
                "none",
                help,
            ));
        }
    };
    progress.begin("start values", None, "rows");
    let make = |matrix: &EmbeddingMatrix, part: u64| {
        let seed = draw::seed_of(options.seed, part);
        rows_of(matrix, old, new, tokens.as_ref(), options, seed)
    };
    let (new_input, input_mean) = make(&input, 0)?;
    let output = checkpoint.output()?.map(|matrix| make(&matrix, 1)).transpose()?;
    let (output, output_mean) = output.unzip();
    progress.end();
    let rows = NewRows { input: new_input, output, input_mean, output_mean, number: input.number };
    write::write(folder, &checkpoint, new, &rows, options)?;
    if options.write_model {
        resize::write(&folder.join(resize::FOLDER), &checkpoint, tokenizer, first_id, &rows, options, progress)?;
    }
    if let Some(gguf) = &options.gguf {
        let (target, output) = (folder.join(super::gguf::FILE), rows.output.as_ref());
        super::gguf::extend(gguf, &target, first_id, &new.new.words, &rows.input, output)?;
    }
    Ok(())
}

/// New rows for one matrix, and the mean of its old ones.
fn rows_of(
    matrix: &EmbeddingMatrix,
    old: usize,
    new: &Additions,
    tokens: Option<&ItemTokens>,
    options: &StartValues,
    seed: u64,
) -> Result<(Array2<f32>, Vec<f32>)> {
    let moments = moments::moments(matrix, old);
    let mean = moments.mean.to_vec();
    let Some(tokens) = tokens else {
        let rows = draw::like_hugging_face(matrix, old, &moments, new.len(), seed);
        return Ok((rows, mean));
    };
    let mut directions = directions::of_texts(new, tokens, matrix);
    if let (StartMethod::Structured, Some((_, codebooks))) = (options.method, options.codebooks) {
        directions::with_geometry(&mut directions, new, codebooks)?;
    }
    Ok((fit::fit(&directions, new, matrix, old, &moments, seed)?, mean))
}

/// The model that gave the codes, where it is needed, must be the table's.
fn check_model(table: &TokenTable, options: &StartValues) -> Result<()> {
    if options.method != StartMethod::Structured {
        return Ok(());
    }
    let Some((hash, _)) = options.codebooks else {
        let help = "name the model with --model, or ask for --start-values grounded";
        return Err(Error::config(
            "model",
            "the model that gave the codes, for --start-values structured",
            "none",
            help,
        ));
    };
    if hash != table.metadata.model_hash {
        return Err(Error::mismatch(
            "the model of the token table",
            format!("model {}", table.metadata.model_hash),
            format!("model {hash}"),
            "name with --model the one that the table was made with",
        ));
    }
    Ok(())
}

/// How many old rows belong to words: a tokenizer has at most as many ids as its model has rows, and not far fewer.
fn check_rows(matrix: &EmbeddingMatrix, first_id: u32, llm: &Path) -> Result<usize> {
    /// Rows by which models pad their matrices, the most that are known of.
    const MOST_PADDING: usize = 1_024;
    let ids = first_id as usize;
    let spare = matrix.rows.checked_sub(ids);
    if ids == 0 || spare.is_none_or(|spare| spare > MOST_PADDING && spare * 20 > matrix.rows) {
        return Err(Error::mismatch(
            format!("rows of {} in {}", matrix.name, llm.display()),
            format!("{ids}, one for each id of the tokenizer, and a few more at most"),
            matrix.rows,
            "name the tokenizer and the model of one and the same folder",
        ));
    }
    Ok(ids)
}
