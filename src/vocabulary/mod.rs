//! The files by which a language model learns the new words: token lists, LC-Rec's index, an extended tokenizer.
//!
//! All `levels x codebook size` tokens are written, level by level, whether or not an item uses them yet: a catalog
//! that grows never renumbers a token.

mod files;
mod hugging_face;
mod token_ids;

use std::fs;
use std::path::Path;

pub use hugging_face::check_tokenizer;
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
/// `vocabulary.json`, and with `tokenizer` an extended copy of that Hugging Face folder in `tokenizer/`.
///
/// # Errors
/// As [`AtomicDir`]; [`Error::Missing`], [`Error::File`] or [`Error::Mismatch`] for a tokenizer that cannot be
/// extended, or that does not encode every semantic ID to one id a level.
pub fn write_vocabulary(
    target: &Path,
    table: &TokenTable,
    tokenizer: Option<&Path>,
    overwrite: Overwrite,
    progress: &dyn Progress,
) -> Result<()> {
    let vocabulary = Vocabulary::new(&table.metadata.codebook_sizes, table.metadata.token_format.clone());
    let folder = AtomicDir::create(target, VOCABULARY_FILE, overwrite)?;
    let ids = tokenizer
        .map(|source| {
            let out = folder.path().join(TOKENIZER_FOLDER);
            fs::create_dir(&out).map_err(|e| Error::io("create", &out, e))?;
            hugging_face::extend(source, &out, &vocabulary, table, progress)
        })
        .transpose()?;
    files::write(folder.path(), &vocabulary, table, ids)?;
    folder.commit()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_level_major_and_of_any_size() {
        let vocabulary = Vocabulary::new(&[2, 3], TokenFormat::default());
        assert_eq!(vocabulary.tokens().collect::<Vec<_>>(), ["<a_0>", "<a_1>", "<b_0>", "<b_1>", "<b_2>"]);
        assert_eq!((vocabulary.len(), vocabulary.offset(1), vocabulary.index(1, 2)), (5, 2, 4));
        assert_eq!(Vocabulary::new(&[65_536], TokenFormat::default()).tokens().last().unwrap(), "<a_65535>");
    }
}
