//! Inputs that are given as an index, or as a file or folder of their own.

use std::path::Path;

use crate::constraint::tokens_of;
use crate::error::Result;
use crate::features::{FeatureFile, LayeredFeatures};
use crate::index::{FEATURES, FEATURES_ADDED, Index, MODEL, TOKENS, VOCABULARY};
use crate::semantic_id::TokenTable;
use crate::tokenizer::Tokenizer;
use crate::vocabulary::{TOKENIZER_FOLDER, TokenIds};

/// Reads a token table, or the one of an index.
pub(super) fn token_table(path: &Path) -> Result<TokenTable> {
    if Index::is_index(path) {
        TokenTable::read(&Index::open_for(path, &[TOKENS])?.path(TOKENS))
    } else {
        TokenTable::read(path)
    }
}

/// Loads a model, or the one of an index.
pub(super) fn model(path: &Path) -> Result<Tokenizer> {
    if Index::is_index(path) {
        Tokenizer::load(&Index::open_for(path, &[MODEL])?.path(MODEL))
    } else {
        Tokenizer::load(path)
    }
}

/// Opens features, or those of an index.
pub(super) fn features(path: &Path) -> Result<LayeredFeatures> {
    if !Index::is_index(path) {
        return Ok(LayeredFeatures::of_file(FeatureFile::open(path)?));
    }
    let index = Index::open_for(path, &[TOKENS, FEATURES, FEATURES_ADDED])?;
    index.features(&TokenTable::read(&index.path(TOKENS))?.item_ids)
}

/// The token ids of a vocabulary folder, if it has a tokenizer.
pub(super) fn own_token_ids(vocabulary: &Path) -> Result<Option<TokenIds>> {
    vocabulary.join(TOKENIZER_FOLDER).is_dir().then(|| TokenIds::read(vocabulary)).transpose()
}

/// The token ids of a vocabulary folder. Without a folder, those of the index at `tokens`, if it has a tokenizer.
pub(super) fn token_ids(vocabulary: Option<&Path>, tokens: &Path, table: &TokenTable) -> Result<Option<TokenIds>> {
    if let Some(folder) = vocabulary {
        return tokens_of(table, folder).map(Some);
    }
    let folder = tokens.join(VOCABULARY);
    let has_tokenizer = Index::is_index(tokens) && folder.join(TOKENIZER_FOLDER).is_dir();
    if has_tokenizer { tokens_of(table, &folder).map(Some) } else { Ok(None) }
}
