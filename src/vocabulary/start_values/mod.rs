//! Start values of the embedding rows of new tokens in a language model.
//!
//! The start value of a new row determines how fast the model learns the token. There are three methods for a model
//! without the tokens, and one for a model that was trained on an earlier index:
//!
//! - [`StartMethod::Mean`]: as in Hugging Face, the mean of the old rows plus noise with a small fraction of their covariance.
//!   All new tokens start almost equal. This is the baseline.
//! - [`StartMethod::Grounded`]: the row of a code comes from the texts of its items, in the model's own embeddings.
//! - [`StartMethod::Structured`]: grounded, plus the geometry of the codebooks. Similar codes get similar rows, and codes
//!   without items get meaningful ones.
//!
//! - [`StartMethod::Transferred`]: rows of codes whose items stayed are kept; other codes get means of trained rows.
//!
//! The second and third are fitted to the mean, variance and covariance of the old rows.

mod checkpoint;
mod config;
mod directions;
mod draw;
mod fit;
mod further;
mod matrix;
mod moments;
mod resize;
mod symmetric;
mod texts;
mod transfer;
mod write;

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use ndarray::Array2;

pub(super) use resize::FOLDER as LLM_FOLDER;
pub use write::START_VALUES_FILE;

use super::Vocabulary;
use super::float_type::FloatType;
use super::new_words::NewWords;
use crate::catalog::CatalogSpec;
use crate::error::{Error, Result};
use crate::progress::Progress;
use crate::semantic_id::TokenTable;
use checkpoint::Checkpoint;
use further::FurtherTensors;
use matrix::EmbeddingMatrix;
use texts::ItemTokens;
use transfer::RowTransfer;

/// The method for start values of new rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartMethod {
    /// The mean of the old rows plus noise, as in Hugging Face.
    Mean,
    /// From the items' texts.
    Grounded,
    /// From the items' texts and the codebooks.
    Structured,
    /// From the trained rows of an earlier index.
    Transferred,
}

impl fmt::Display for StartMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            StartMethod::Mean => "mean",
            StartMethod::Grounded => "grounded",
            StartMethod::Structured => "structured",
            StartMethod::Transferred => "transferred",
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

/// The model whose rows are extended, and the sources of the start values.
#[derive(Debug, Clone)]
pub struct StartValues<'a> {
    /// Folder of the model: `config.json` and safetensors.
    pub llm: PathBuf,
    /// Name of the tensor with the input embeddings, if it is unusual.
    pub embedding_tensor: Option<String>,
    /// The method.
    pub method: StartMethod,
    /// The table that the model was trained with; needed for [`StartMethod::Transferred`] only.
    pub trained: Option<&'a TokenTable>,
    /// Catalog with the items' texts; needed for [`StartMethod::Grounded`] and [`StartMethod::Structured`].
    pub catalog: Option<CatalogSpec>,
    /// Hash and codebooks of the model that assigned the codes; needed for [`StartMethod::Structured`], and used by
    /// [`StartMethod::Transferred`] for codes that had no items.
    pub codebooks: Option<(&'a str, &'a [Array2<f32>])>,
    /// Seed of every random draw.
    pub seed: u64,
    /// Whether to write a resized checkpoint.
    pub write_model: bool,
    /// Round its number of rows up to a multiple of this.
    pub pad_to_multiple_of: Option<u32>,
    /// A GGUF file of the same model, to write an extended copy of.
    pub gguf: Option<PathBuf>,
}

/// The tokens that were added to a tokenizer.
pub(super) struct Additions<'a> {
    pub(super) vocabulary: &'a Vocabulary,
    pub(super) table: &'a TokenTable,
    /// Id of the first code.
    pub(super) first_id: u32,
    /// Number of tokens directly before it that no file of the tokenizer contains, but that loading adds. A model can
    /// lack them.
    pub(super) added_on_loading: u32,
    /// All new tokens in the order of their ids: codes, then markers.
    pub(super) new: &'a NewWords,
}

impl Additions<'_> {
    fn len(&self) -> usize {
        self.new.words.len()
    }
}

/// The new rows of a model.
pub(super) struct NewRows {
    /// Input rows.
    pub(super) input: Array2<f32>,
    /// Output rows, if the model has separate ones.
    pub(super) output: Option<Array2<f32>>,
    /// Means of the old rows, for padding rows.
    pub(super) input_mean: Vec<f32>,
    pub(super) output_mean: Option<Vec<f32>>,
    /// Rows and means of other matrices of the checkpoint.
    pub(super) further: Vec<(Array2<f32>, Vec<f32>)>,
    /// Values of each bias `(tokens, 1)`; `None` for biases of new tokens, which start at 0.
    pub(super) biases: Vec<Option<Array2<f32>>>,
    /// The type of the model's weights.
    pub(super) float_type: FloatType,
}

/// Computes the rows and writes the requested files into `folder`. The extended tokenizer is in `tokenizer`.
///
/// # Errors
/// [`Error::Missing`] and [`Error::File`] for a model or GGUF file that cannot be read; [`Error::Mismatch`] where model,
/// tokenizer, catalog, table and codebooks do not match; [`Error::Config`] where a method lacks its input.
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
    let transfer =
        options.trained.map(|before| RowTransfer::new(before, table, options.codebooks.map(|(_, books)| books)));
    let transfer = transfer.transpose()?;
    let old = match &transfer {
        Some(_) => check_trained_rows(&input, new, &options.llm)?,
        None => check_rows(&input, new, &options.llm)?,
    };
    let further = if options.write_model { FurtherTensors::of(&checkpoint)? } else { FurtherTensors::default() };
    let tokens = match (options.method, &options.catalog) {
        (StartMethod::Mean | StartMethod::Transferred, _) => None,
        (_, Some(catalog)) => Some(ItemTokens::read(catalog, table, &tokenizer.join("tokenizer.json"), old, progress)?),
        (method, None) => {
            let help = "pass the catalog and its text columns, or --start-values mean";
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
        if let Some(transfer) = &transfer {
            return Ok((transfer.rows(matrix, new), moments::moments(matrix, old).mean.to_vec()));
        }
        let seed = draw::seed_of(options.seed, part);
        rows_of(matrix, old, new, tokens.as_ref(), options, seed)
    };
    let (new_input, input_mean) = make(&input, 0)?;
    let output = checkpoint.output()?.map(|matrix| make(&matrix, 1)).transpose()?;
    let (output, output_mean) = output.unzip();
    let matrices = further.matrices.iter().zip(2..);
    let more = matrices.map(|(name, part)| make(&checkpoint.matrix(name)?, part)).collect::<Result<_>>()?;
    progress.end();
    let float_type = input.float_type;
    let mut biases = Vec::new();
    for name in &further.biases {
        let bias = transfer.as_ref().map(|transfer| Ok(transfer.rows(&checkpoint.vector(name, input.rows)?, new)));
        biases.push(bias.transpose()?);
    }
    let rows = NewRows { input: new_input, output, input_mean, output_mean, further: more, biases, float_type };
    let kept = transfer.as_ref().map(RowTransfer::kept);
    write::write(folder, &checkpoint, new, &rows, options, kept.as_deref())?;
    if options.write_model {
        let multiple = options.pad_to_multiple_of.unwrap_or(1);
        let resizing = resize::Resizing::new(&checkpoint, &further, first_id, &rows, multiple)?;
        resizing.write(&folder.join(resize::FOLDER), tokenizer, progress)?;
    }
    if let Some(gguf) = &options.gguf {
        let (target, output) = (folder.join(super::gguf::FILE), rows.output.as_ref());
        super::gguf::extend(gguf, &target, first_id, &new.new.words, &rows.input, output)?;
    }
    Ok(())
}

/// New rows for one matrix, and the mean of its old rows.
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

/// Checks that the model of the codebooks, where needed, is the model of the table.
fn check_model(table: &TokenTable, options: &StartValues) -> Result<()> {
    let Some((hash, _)) = options.codebooks else {
        if options.method != StartMethod::Structured {
            return Ok(());
        }
        let help = "pass the model with --model, or --start-values grounded";
        return Err(Error::config(
            "model",
            "the model that assigned the codes, for --start-values structured",
            "none",
            help,
        ));
    };
    if hash != table.metadata.model_hash {
        return Err(Error::mismatch(
            "the model of the token table",
            format!("model {}", table.metadata.model_hash),
            format!("model {hash}"),
            "pass the model of the table with --model",
        ));
    }
    Ok(())
}

/// The number of rows before the codes, of a model that was trained with their tokens.
fn check_trained_rows(matrix: &EmbeddingMatrix, new: &Additions, llm: &Path) -> Result<usize> {
    let end = new.first_id as usize + new.len();
    if new.first_id > 0 && end <= matrix.rows {
        return Ok(new.first_id as usize);
    }
    Err(Error::mismatch(
        format!("rows of {} in {}", matrix.name, llm.display()),
        format!("{end} or more: the tokens of the codes have ids from {} on", new.first_id),
        matrix.rows,
        "pass the fine-tuned model, merged with its adapters, with --llm, or omit --from for a model without the tokens",
    ))
}

/// The number of old rows with tokens. A model has at least one row per id of its tokenizer, except for tokens that
/// loading adds, and only few more rows.
fn check_rows(matrix: &EmbeddingMatrix, new: &Additions, llm: &Path) -> Result<usize> {
    /// Maximum number of padding rows of known models.
    const MAX_PADDING: usize = 1_024;
    let ids = new.first_id as usize;
    let spare = (matrix.rows + new.added_on_loading as usize).checked_sub(ids);
    if ids == 0 || spare.is_none_or(|spare| spare > MAX_PADDING && spare * 20 > matrix.rows) {
        return Err(Error::mismatch(
            format!("rows of {} in {}", matrix.name, llm.display()),
            format!("{ids}, one per id of the tokenizer, or slightly more"),
            matrix.rows,
            "pass the tokenizer and the model of the same folder",
        ));
    }
    Ok(ids.min(matrix.rows))
}
