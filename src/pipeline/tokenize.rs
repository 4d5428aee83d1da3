//! From features to a token table.

use super::far_items::report_far;
use super::known_items::{previous_table, warn_of_known};
use super::spec::TokenizeSpec;
use super::{sources, threads};
use crate::artifact::OutputLock;
use crate::error::Result;
use crate::index::resolve_index;
use crate::progress::Progress;
use crate::semantic_id::{CollisionReport, FarItems, TokenizedItems};
use crate::settings::SettingGroup;

/// What [`tokenize`] wrote.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenizeSummary {
    /// Number of items.
    pub items: usize,
    /// Of these, items of the previous table, whose IDs are frozen.
    pub frozen: usize,
    /// What resolving collisions of the items that are not frozen did.
    pub collisions: Option<CollisionReport>,
    /// Items that are far from those of training. `None` if all items are frozen, or the model cannot tell.
    pub far: Option<FarItems>,
}

/// Gives every item of some features a semantic ID by a frozen model, and writes the token table.
///
/// With `previous`, the items of that table keep their IDs and come first. They are not encoded. Only the other items
/// of the features get IDs, which no item of the table has.
///
/// # Errors
/// As [`TokenTable::of_features`](crate::semantic_id::TokenTable::of_features) and
/// [`TokenTable::extended`](crate::semantic_id::TokenTable::extended); for files that are not what the spec says, for
/// an output that exists, and for more far items than `max-far`.
pub fn tokenize(spec: &TokenizeSpec, progress: &dyn Progress) -> Result<TokenizeSummary> {
    spec.tokens.check()?;
    spec.far.check()?;
    let overwrite = spec.output.overwrite();
    let _lock = OutputLock::claim(&spec.output.out, overwrite)?;
    let (format, collisions) = (spec.tokens.token_format(), spec.tokens.collisions()?);
    threads::with_threads(spec.threads, |_| {
        let (model, features) = (resolve_index(&spec.model)?, resolve_index(&spec.features)?);
        let (model, features) = (sources::model(&model)?, sources::features(&features)?);
        let (table, summary) = match &spec.previous {
            Some(path) => {
                let previous = previous_table(path, &spec.tokens)?;
                let frozen = previous.item_ids.len();
                let (table, new) = previous.extended(&features, &model, progress)?;
                let report = |new: &TokenizedItems| report_far(&spec.far, new, &model, progress);
                let far = new.as_ref().map(report).transpose()?.flatten();
                let collisions = new.and_then(|new| new.table.metadata.collisions);
                let items = table.item_ids.len();
                (table, TokenizeSummary { items, frozen, collisions, far })
            }
            None => {
                let tokenized = TokenizedItems::of_features(&features, &model, format, collisions, progress)?;
                let far = report_far(&spec.far, &tokenized, &model, progress)?;
                let table = tokenized.table;
                warn_of_known(spec, &table, progress);
                let (items, collisions) = (table.item_ids.len(), table.metadata.collisions.clone());
                (table, TokenizeSummary { items, frozen: 0, collisions, far })
            }
        };
        table.write(&spec.output.out, overwrite)?;
        Ok(summary)
    })
}
