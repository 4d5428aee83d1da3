//! The attributes of an index: from the catalog of a build, and from generation to generation.

use crate::attributes::Attributes;
use crate::error::Result;
use crate::index::{ATTRIBUTES, Index};
use crate::item_ids::ItemIds;

#[cfg(all(feature = "train", feature = "encoders"))]
impl super::spec::AttributeSettings {
    /// Reads the attributes of all items of a catalog. `None` without the setting.
    ///
    /// # Errors
    /// As [`Attributes::of_catalog`].
    pub(super) fn read(&self, catalog: &crate::catalog::CatalogSpec) -> Result<Option<Attributes>> {
        use crate::attributes::AttributeRequest;
        use crate::error::Error;

        let Some(names) = &self.attributes else { return Ok(None) };
        let requests = names.iter().map(|name| name.parse()).collect::<Result<Vec<AttributeRequest>>>()?;
        if requests.is_empty() {
            return Err(Error::config("attributes", "at least one column", "none", "name it, or omit the setting"));
        }
        Attributes::of_catalog(catalog, &requests, false).map(Some)
    }
}

/// The attributes of an index, if it has any.
///
/// # Errors
/// As [`Attributes::read`].
pub(super) fn attributes_of(index: &Index) -> Result<Option<Attributes>> {
    let has = index.manifest().files.contains_key(ATTRIBUTES);
    has.then(|| Attributes::read(&index.path(ATTRIBUTES))).transpose()
}

/// The attributes of `items` after an append: those of the catalog for the items that it has, and otherwise those of
/// the parent.
///
/// # Errors
/// As [`Attributes::combined`].
pub(super) fn appended(
    parent: Option<&Attributes>,
    catalog: Option<&Attributes>,
    items: &ItemIds,
) -> Result<Option<Attributes>> {
    parent.zip(catalog).map(|(parent, catalog)| parent.combined(catalog, items)).transpose()
}
