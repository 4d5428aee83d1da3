//! Reads the texts, thumbnails and labels of a report from the catalog, in one pass.

use std::path::Path;

use super::spec::{ReadsTexts, ReportColumns};
use crate::catalog::{CatalogJoin, CatalogSpec, ItemBatch, MissingItems};
use crate::error::Result;
use crate::progress::Progress;
use crate::quality::{Cards, Pictures, picture_order, report_rows};
use crate::semantic_id::TokenTable;

/// The content that was read.
#[derive(Debug, Default)]
pub(super) struct ReportItems {
    /// Texts and images.
    pub(super) cards: Cards,
    /// Labels by row of the table; empty for items without a label. `None` if no label column was given.
    pub(super) labels: Option<Vec<String>>,
}

impl ReportItems {
    /// Reads a catalog for the report of a table. `more` are rows whose texts are needed in addition to those that the
    /// report shows.
    ///
    /// # Errors
    /// As [`CatalogJoin::read`].
    pub(super) fn read(
        table: &TokenTable,
        catalog: &CatalogSpec,
        label: Option<&str>,
        more: &[usize],
        progress: &dyn Progress,
    ) -> Result<Self> {
        // A folder of images has no columns to name.
        let with_pictures = !catalog.images.is_empty() || catalog.path.is_dir();
        let with_texts = !catalog.text.is_empty();
        let mut catalog = catalog.clone();
        catalog.fields = label.into_iter().map(str::to_owned).collect();
        let shown = if with_texts { [&report_rows(table)[..], more].concat() } else { Vec::new() };
        let mut thumbnails = with_pictures.then(|| Thumbnails::new(table, picture_order(table)));
        let join = match (label, &thumbnails) {
            (Some(_), _) => CatalogJoin::new(&table.item_ids),
            (None, Some(thumbnails)) => {
                CatalogJoin::of_rows(&table.item_ids, &[&shown[..], &thumbnails.wanted].concat())
            }
            (None, None) if with_texts => CatalogJoin::of_rows(&table.item_ids, &shown),
            (None, None) => return Ok(ReportItems::default()),
        };
        let mut is_shown = vec![false; table.item_ids.len()];
        shown.iter().for_each(|&row| is_shown[row] = true);
        let mut labels = label.map(|_| vec![String::new(); table.item_ids.len()]);
        let mut cards = Cards::default();
        if let Some(thumbnails) = &thumbnails {
            progress.begin("thumbnails", Some(thumbnails.wanted.len() as u64), "images");
        }
        join.read(&catalog, MissingItems::Warn, progress, |batch, pairs| {
            for &(at, row) in pairs {
                if is_shown[row] {
                    cards.texts.insert(row, batch.texts[at].join(". "));
                }
                if let Some(labels) = &mut labels {
                    labels[row] = batch.fields[at][0].join(", ");
                }
            }
            match &mut thumbnails {
                Some(thumbnails) => thumbnails.add(&batch, pairs, progress),
                None => Ok(()),
            }
        })?;
        if let Some(thumbnails) = thumbnails {
            progress.end();
            cards.pictures = thumbnails.sheets(progress)?;
        }
        Ok(ReportItems { cards, labels })
    }
}

impl ReportColumns {
    /// The catalog to read for a report, if one was named.
    pub(super) fn catalog_spec(&self) -> Option<CatalogSpec> {
        let text = crate::catalog::TextSpec::Joined(self.text.clone().unwrap_or_default());
        let (id, images) = (self.id.clone(), self.image.clone().unwrap_or_default());
        let path = self.catalog.clone()?;
        Some(self.reading(CatalogSpec { path, id, text, images, ..CatalogSpec::default() }))
    }
}

/// The name of a catalog in a report: the file name, or the folder name if the file name is generic.
pub(super) fn title(path: &Path) -> String {
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    let folder = path.parent().and_then(Path::file_name).map(|folder| folder.to_string_lossy());
    match folder {
        Some(folder) if ["catalog", "items", "products", "data", "tokens"].contains(&&*name) => folder.into_owned(),
        _ => name.into_owned(),
    }
}

/// Thumbnails of the items whose images the report shows.
#[cfg(feature = "encoders")]
struct Thumbnails {
    /// Rows of the table, the most wanted first.
    wanted: Vec<usize>,
    /// Place in `wanted` of each row.
    place: Vec<Option<usize>>,
    tiles: Vec<Option<crate::encoder::Thumbnail>>,
    unreadable: usize,
}

#[cfg(feature = "encoders")]
impl Thumbnails {
    fn new(table: &TokenTable, wanted: Vec<usize>) -> Self {
        let mut place = vec![None; table.item_ids.len()];
        wanted.iter().enumerate().for_each(|(at, &row)| place[row] = Some(at));
        Thumbnails { tiles: vec![None; wanted.len()], wanted, place, unreadable: 0 }
    }

    fn add(&mut self, batch: &ItemBatch, pairs: &[(usize, usize)], progress: &dyn Progress) -> Result<()> {
        use rayon::prelude::*;

        let first = |&(at, row): &(usize, usize)| Some((self.place[row]?, batch.images[at].first()?));
        let there: Vec<_> = pairs.iter().filter_map(first).collect();
        let made: Vec<_> = there.par_iter().map(|&(at, source)| (at, crate::encoder::Thumbnail::of(source))).collect();
        self.unreadable += made.iter().filter(|(_, tile)| tile.is_none()).count();
        progress.advance(made.len() as u64);
        made.into_iter().for_each(|(at, tile)| self.tiles[at] = tile);
        Ok(())
    }

    fn sheets(self, progress: &dyn Progress) -> Result<Option<Pictures>> {
        use rayon::prelude::*;

        use crate::encoder::{ACROSS, TILE, Thumbnail};

        if self.unreadable > 0 {
            progress.warn(&format!(
                "{} images cannot be read; the report shows their items without an image",
                self.unreadable
            ));
        }
        let both = self.wanted.into_iter().zip(self.tiles).filter_map(|(row, tile)| Some((row, tile?)));
        let (rows, tiles): (Vec<usize>, Vec<Thumbnail>) = both.unzip();
        let sheets: Vec<Vec<u8>> =
            tiles.par_chunks((ACROSS * ACROSS) as usize).map(Thumbnail::sheet).collect::<Result<_>>()?;
        Ok((!sheets.is_empty()).then_some(Pictures { tile: TILE, across: ACROSS, sheets, rows }))
    }
}

#[cfg(not(feature = "encoders"))]
struct Thumbnails {
    wanted: Vec<usize>,
}

#[cfg(not(feature = "encoders"))]
impl Thumbnails {
    fn new(_table: &TokenTable, wanted: Vec<usize>) -> Self {
        Thumbnails { wanted }
    }

    fn add(&mut self, _batch: &ItemBatch, _pairs: &[(usize, usize)], _progress: &dyn Progress) -> Result<()> {
        Err(super::not_built("reading images", "encoders"))
    }

    fn sheets(self, _progress: &dyn Progress) -> Result<Option<Pictures>> {
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_name_the_catalog() {
        assert_eq!(title(Path::new("fixtures/emoji/catalog.parquet")), "emoji");
        assert_eq!(title(Path::new("shop/shoes.csv")), "shoes");
        assert_eq!(title(Path::new("catalog.csv")), "catalog");
    }
}
