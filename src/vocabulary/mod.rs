//! The tokens of semantic IDs in a language model: token lists, LC-Rec's index, an extended tokenizer, start values of new
//! embedding rows.
//!
//! All `levels x codebook size` tokens are written, level by level, whether or not an item uses them. A growing catalog
//! therefore never renumbers a token.

mod against_table;
mod description;
mod facets;
mod files;
mod float_type;
mod folder;
mod gguf;
mod holes;
mod hugging_face;
mod json_edit;
mod json_tokenizer;
mod new_words;
mod options;
mod record;
mod sentencepiece;
mod source;
mod special_tokens;
mod start_values;
#[cfg(test)]
mod tests;
mod token_ids;
mod verify;

use std::fs;
use std::path::Path;

pub use against_table::{check_description, check_vocabulary};
pub use facets::{FacetTokenizer, trans_rec};
pub use files::write_index_json;
pub use hugging_face::check_options;
pub use options::VocabularyOptions;
pub use start_values::{START_VALUES_FILE, StartMethod, StartValues};
pub use token_ids::TokenIds;

use crate::artifact::{AtomicDir, FolderKind, Overwrite};
use crate::error::{Error, Result};
use crate::progress::Progress;
use crate::semantic_id::{TokenFormat, TokenTable};

/// The description of a vocabulary folder, which also identifies it.
pub const VOCABULARY_FILE: &str = "vocabulary.json";
/// The subfolder of the extended tokenizer.
pub const TOKENIZER_FOLDER: &str = "tokenizer";
const FORMAT_VERSION: u32 = 1;

/// A vocabulary folder. The content of its tokenizer and its language model depends on the originals.
const KIND: FolderKind = FolderKind {
    marker: VOCABULARY_FILE,
    keys: &["format_version", "token_format", "codebook_sizes"],
    lists: |_, file| match file.split_once('/') {
        Some((folder, _)) => [TOKENIZER_FOLDER, start_values::LLM_FOLDER].contains(&folder),
        None => {
            let lists = ["new_tokens.json", "new_tokens.txt", "llamafactory.yaml", "index.json"];
            lists.contains(&file) || [START_VALUES_FILE, gguf::FILE].contains(&file)
        }
    },
};

/// All tokens of a model, in the order in which they are appended to a tokenizer: level by level.
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

    /// Whether the vocabulary is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Index of a level's first token.
    pub fn offset(&self, level: usize) -> usize {
        self.sizes.iter().take(level).sum()
    }

    /// Index of a code's token.
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

/// Writes the vocabulary folder of a token table: `new_tokens.json`, `new_tokens.txt`, `index.json` and `vocabulary.json`.
/// [`VocabularyOptions::tokenizer`] adds an extended copy of that Hugging Face folder in `tokenizer/`, and
/// [`VocabularyOptions::start_values`] adds [`START_VALUES_FILE`] and the other files that they request.
///
/// # Errors
/// As [`AtomicDir`]; [`Error::Config`] for options that contradict each other; [`Error::Missing`], [`Error::File`],
/// [`Error::Item`] or [`Error::Mismatch`] for a tokenizer that cannot be extended, that would not encode every semantic
/// ID to one id per level, or that would encode ordinary text differently than before, and for a language model that does
/// not match.
pub fn write_vocabulary(
    target: &Path,
    table: &TokenTable,
    options: &VocabularyOptions,
    overwrite: Overwrite,
    progress: &dyn Progress,
) -> Result<()> {
    let vocabulary = Vocabulary::new(&table.metadata.codebook_sizes, table.metadata.token_format.clone());
    let new = options.words(&vocabulary)?;
    let folder = AtomicDir::create(target, &KIND, overwrite)?;
    let tokenizer = folder.path().join(TOKENIZER_FOLDER);
    let extended = options
        .tokenizer
        .as_deref()
        .map(|source| {
            fs::create_dir(&tokenizer).map_err(|e| Error::io("create", &tokenizer, e))?;
            let trained = options.start_values.as_ref().and_then(|start_values| start_values.trained);
            hugging_face::extend(source, &tokenizer, &new, table, trained, progress)
        })
        .transpose()?;
    if let (Some(extended), Some(start_values)) = (&extended, &options.start_values) {
        let (first_id, added_on_loading) = (extended.ids.first_id, extended.added_on_loading);
        let additions =
            start_values::Additions { vocabulary: &vocabulary, table, new: &new, first_id, added_on_loading };
        start_values::write(folder.path(), &tokenizer, &additions, start_values, progress)?;
    }
    files::write(folder.path(), &vocabulary, &new, table, options, extended.as_ref())?;
    folder.commit()
}
