//! The files by which a language model learns the new words: token lists, LC-Rec's index, an extended tokenizer.
//!
//! All `levels x codebook size` tokens are written, level by level, whether or not an item uses them yet: a catalog
//! that grows never renumbers a token.

mod facets;
mod files;
mod gguf;
mod hugging_face;
mod json_edit;
mod options;
mod record;
mod sentencepiece;
mod source;
mod start_values;
#[cfg(test)]
mod tests;
mod token_ids;
mod verify;

use std::fs;
use std::path::Path;

pub use facets::{FacetTokenizer, trans_rec};
pub use hugging_face::check_options;
pub use options::VocabularyOptions;
pub use start_values::{START_VALUES_FILE, StartMethod, StartValues};
pub use token_ids::TokenIds;

use crate::artifact::{AtomicDir, Overwrite};
use crate::error::{Error, Result};
use crate::progress::Progress;
use crate::semantic_id::{TokenFormat, TokenTable};

/// The file by which a vocabulary folder is known.
pub const VOCABULARY_FILE: &str = "vocabulary.json";
/// The folder of the extended tokenizer inside it.
pub const TOKENIZER_FOLDER: &str = "tokenizer";
const FORMAT_VERSION: u32 = 1;

/// All tokens of a model, in the order in which they are appended to a tokenizer: level-major.
#[derive(Debug, Clone, PartialEq)]
pub struct Vocabulary {
    sizes: Vec<usize>,
    format: TokenFormat,
}

impl Vocabulary {
    /// The vocabulary of codebooks of these sizes.
    pub fn new(sizes: &[usize], format: TokenFormat) -> Self {
        Vocabulary { sizes: sizes.to_vec(), format }
    }

    /// Number of tokens.
    pub fn len(&self) -> usize {
        self.sizes.iter().sum()
    }

    /// Whether there is no token.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Place of a level's first token.
    pub fn offset(&self, level: usize) -> usize {
        self.sizes.iter().take(level).sum()
    }

    /// Place of a code's token.
    pub fn index(&self, level: usize, code: u16) -> usize {
        self.offset(level) + usize::from(code)
    }

    /// The tokens in order.
    pub fn tokens(&self) -> impl Iterator<Item = String> {
        self.sizes.iter().enumerate().flat_map(move |(level, &size)| {
            // Codes are at most 65,535, so every size fits.
            (0..size).map(move |code| self.format.token(level, code as u16))
        })
    }
}

/// Writes the vocabulary folder of a token table: `new_tokens.json`, `new_tokens.txt`, `index.json`,
/// `vocabulary.json`, with [`VocabularyOptions::tokenizer`] an extended copy of that Hugging Face folder in `tokenizer/`,
/// and with [`VocabularyOptions::start_values`] [`START_VALUES_FILE`] and what else they ask for.
///
/// # Errors
/// As [`AtomicDir`]; [`Error::Config`] for options that contradict each other; [`Error::Missing`], [`Error::File`],
/// [`Error::Item`] or [`Error::Mismatch`] for a tokenizer that cannot be extended, that would not encode every semantic
/// ID to one id a level, or that would encode ordinary text in another way than before, and for a language model that
/// does not fit.
pub fn write_vocabulary(
    target: &Path,
    table: &TokenTable,
    options: &VocabularyOptions,
    overwrite: Overwrite,
    progress: &dyn Progress,
) -> Result<()> {
    let vocabulary = Vocabulary::new(&table.metadata.codebook_sizes, table.metadata.token_format.clone());
    let new = options.words(&vocabulary)?;
    let folder = AtomicDir::create(target, VOCABULARY_FILE, overwrite)?;
    let tokenizer = folder.path().join(TOKENIZER_FOLDER);
    let extended = options
        .tokenizer
        .as_deref()
        .map(|source| {
            fs::create_dir(&tokenizer).map_err(|e| Error::io("create", &tokenizer, e))?;
            hugging_face::extend(source, &tokenizer, &new, table, progress)
        })
        .transpose()?;
    if let (Some(extended), Some(start_values)) = (&extended, &options.start_values) {
        let additions =
            start_values::Additions { vocabulary: &vocabulary, table, new: &new, first_id: extended.ids.first_id };
        start_values::write(folder.path(), &tokenizer, &additions, start_values, progress)?;
    }
    files::write(folder.path(), &vocabulary, &new, table, options, extended.as_ref())?;
    folder.commit()
}
