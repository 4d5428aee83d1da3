//! Reads a catalog and checks it.

use super::checks::{AreCut, CatalogChecks};
use super::pictures::{CatalogFiles, find_catalog};
use super::{CatalogReader, CatalogSpec, CheckOptions, Finding, cells};
use crate::error::Result;
use crate::item_ids::ItemIds;
use crate::table::columns_of;

impl CatalogReader {
    /// Enables checks of the rows that are read.
    pub(super) fn with_checks(mut self, spec: &CatalogSpec, options: CheckOptions, are_cut: Option<AreCut>) -> Self {
        self.checks = Some(CatalogChecks::new(spec, options, are_cut));
        self
    }

    /// The findings in the rows read so far.
    pub(super) fn take_findings(&mut self, ids: &ItemIds) -> Vec<Finding> {
        self.checks.take().map(|checks| checks.findings(ids)).unwrap_or_default()
    }
}

impl CatalogSpec {
    /// Reads the catalog once and checks it. Memory holds the ids and some bytes per item. `are_cut` determines which
    /// texts the text encoder truncates; without it, the number of tokens is estimated.
    ///
    /// # Errors
    /// As [`CatalogReader`]; [`Error::Row`](crate::Error::Row) for a repeated id.
    pub fn check(&self, options: CheckOptions, are_cut: Option<AreCut>) -> Result<(ItemIds, Vec<Finding>)> {
        let mut reader = CatalogReader::open(self)?.with_checks(self, options, are_cut);
        let mut ids = ItemIds::default();
        for batch in &mut reader {
            ids.append(batch?.item_ids);
        }
        super::check_unique(&self.path, reader.id_column(), &ids)?;
        let found = reader.take_findings(&ids);
        Ok((ids, found))
    }
}

/// The columns of a catalog that can be read as texts, without vectors. A folder of images has none.
///
/// # Errors
/// [`Error::Missing`](crate::Error::Missing) and [`Error::File`](crate::Error::File) for the file.
pub fn text_columns(spec: &CatalogSpec) -> Result<Vec<String>> {
    let CatalogFiles::Tables(files) = find_catalog(&spec.path)? else { return Ok(Vec::new()) };
    let columns = columns_of(&files, spec.csv)?.into_iter();
    let fits = columns.filter(|(_, data_type)| {
        data_type.as_ref().is_none_or(|data_type| cells::is_text(data_type) && !cells::is_vector(data_type))
    });
    Ok(fits.map(|(name, _)| name).collect())
}
