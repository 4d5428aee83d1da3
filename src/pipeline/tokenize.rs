//! From features to a token table.

use super::spec::TokenizeSpec;
use super::{sources, threads};
use crate::artifact::OutputLock;
use crate::error::Result;
use crate::index::resolve_index;
use crate::progress::Progress;
use crate::semantic_id::{CollisionReport, TokenTable};
use crate::settings::SettingGroup;

/// What [`tokenize`] wrote.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenizeSummary {
    /// Number of items.
    pub items: usize,
    /// What resolving collisions did.
    pub collisions: Option<CollisionReport>,
}

/// Gives every item of some features a semantic ID by a frozen model, and writes the token table.
///
/// # Errors
/// As [`TokenTable::of_features`]; for files that are not what the spec says, and for an output that exists.
pub fn tokenize(spec: &TokenizeSpec, progress: &dyn Progress) -> Result<TokenizeSummary> {
    spec.tokens.check()?;
    let overwrite = spec.output.overwrite();
    let _lock = OutputLock::claim(&spec.output.out, overwrite)?;
    let (format, collisions) = (spec.tokens.token_format(), spec.tokens.collisions()?);
    threads::with_threads(spec.threads, |_| {
        let (model, features) = (resolve_index(&spec.model)?, resolve_index(&spec.features)?);
        let (model, features) = (sources::model(&model)?, sources::features(&features)?);
        let table = TokenTable::of_features(&features, &model, format, collisions, progress)?;
        table.write(&spec.output.out, overwrite)?;
        Ok(TokenizeSummary { items: table.item_ids.len(), collisions: table.metadata.collisions })
    })
}
