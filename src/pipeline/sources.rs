//! The kind of a path: an index, or one of its parts alone.

use std::path::Path;

use crate::constraint::tokens_of;
use crate::error::Result;
use crate::features::FeatureFile;
use crate::index::{FEATURES, Index, MODEL, TOKENS, VOCABULARY};
use crate::semantic_id::TokenTable;
use crate::tokenizer::Tokenizer;
use crate::vocabulary::{TOKENIZER_FOLDER, TokenIds};

/// A token table, or that of an index.
pub(super) fn token_table(path: &Path) -> Result<TokenTable> {
    if Index::is_index(path) { TokenTable::read(&Index::open(path)?.path(TOKENS)) } else { TokenTable::read(path) }
}

/// A model, or that of an index.
pub(super) fn model(path: &Path) -> Result<Tokenizer> {
    if Index::is_index(path) { Tokenizer::load(&Index::open(path)?.path(MODEL)) } else { Tokenizer::load(path) }
}

/// Features, or those of an index.
pub(super) fn features(path: &Path) -> Result<FeatureFile> {
    if Index::is_index(path) { FeatureFile::open(&Index::open(path)?.path(FEATURES)) } else { FeatureFile::open(path) }
}

/// The token ids of a vocabulary folder; without one, those of the index at `tokens`, if it has a tokenizer.
pub(super) fn token_ids(vocabulary: Option<&Path>, tokens: &Path, table: &TokenTable) -> Result<Option<TokenIds>> {
    if let Some(folder) = vocabulary {
        return tokens_of(table, folder).map(Some);
    }
    let folder = tokens.join(VOCABULARY);
    let has_tokenizer = Index::is_index(tokens) && folder.join(TOKENIZER_FOLDER).is_dir();
    if has_tokenizer { tokens_of(table, &folder).map(Some) } else { Ok(None) }
}
