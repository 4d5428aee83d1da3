//! From features to a token table.

use super::far_items::report_far;
use super::known_items::{previous_table, warn_of_known};
use super::sharing::{MemberSource, SharedIds};
use super::spec::{NAME_BOTH, ReadsTexts, TokenizeSpec, needs};
use super::{sources, threads};
use crate::artifact::OutputLock;
use crate::catalog::CatalogSpec;
use crate::error::{Error, Result};
use crate::index::resolve_index;
use crate::progress::Progress;
use crate::semantic_id::{CollisionReport, FarItems, TokenizedItems};
use crate::settings::SettingGroup;

/// Result of [`tokenize`].
#[derive(Debug, Clone, PartialEq)]
pub struct TokenizeSummary {
    /// Number of items.
    pub items: usize,
    /// Number of items from the previous table, which keep their IDs.
    pub frozen: usize,
    /// Collisions among the other items, and how they were resolved.
    pub collisions: Option<CollisionReport>,
    /// Items that are far from the training items. `None` if all items are from the previous table, or if the model has
    /// no residual errors of held-out items.
    pub far: Option<FarItems>,
}

/// Assigns a semantic ID to every item of `features` with a trained model, and writes the token table.
///
/// With `previous`, the items of that table keep their IDs and come first. They are not encoded again. Only the other
/// items of the features get new IDs, which differ from all IDs of that table.
///
/// # Errors
/// As [`TokenTable::of_features`](crate::semantic_id::TokenTable::of_features) and
/// [`TokenTable::extended`](crate::semantic_id::TokenTable::extended); for files that cannot be read, for an output
/// that exists, and for a larger share of far items than `max-far`.
pub fn tokenize(spec: &TokenizeSpec, progress: &dyn Progress) -> Result<TokenizeSummary> {
    spec.tokens.check()?;
    spec.far.check()?;
    let overwrite = spec.output.overwrite();
    let _lock = OutputLock::claim(&spec.output.out, overwrite)?;
    let (format, collisions) = (spec.tokens.token_format(), spec.tokens.collisions()?);
    let sharing = spec.sharing()?;
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
                let tokenized = match &sharing {
                    None => TokenizedItems::of_features(&features, &model, format, collisions, progress)?,
                    Some(shared) => shared.tokenize(&features, &model, format, progress)?,
                };
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

impl TokenizeSpec {
    /// The capacity of shared IDs and the source of their members' properties; `None` for unique IDs.
    ///
    /// # Errors
    /// As [`MemberSource::read`]; [`Error::Config`] for settings that contradict each other.
    fn sharing(&self) -> Result<Option<SharedIds>> {
        self.sharing.check()?;
        let capacity = self.sharing.capacity(&self.tokens)?;
        if capacity.is_some() && self.previous.is_some() {
            let help = "omit --capacity; append to an index with shared IDs with `catalex append`";
            return Err(Error::config("capacity", "1, together with --previous", "a larger one", help));
        }
        let columns = self.sharing.columns();
        let path = match &self.members.catalog {
            None if columns.is_empty() => None,
            None => return Err(needs("must-differ or member-rank", "catalog", NAME_BOTH)),
            Some(_) if columns.is_empty() => return Err(needs("catalog", "must-differ or member-rank", NAME_BOTH)),
            path => path.clone(),
        };
        self.members.check_reading("catalog", path.is_some())?;
        if let (None, Some(_)) = (&path, &self.members.id) {
            return Err(needs("id", "catalog", NAME_BOTH));
        }
        let Some(capacity) = capacity else { return Ok(None) };
        let catalog =
            CatalogSpec { path: path.unwrap_or_default(), id: self.members.id.clone(), ..CatalogSpec::default() };
        let members = MemberSource::read(&self.sharing, &self.members.reading(catalog), None)?;
        Ok(Some(SharedIds { capacity, members }))
    }
}
