//! Finds items without content, and images that cannot be read, before anything is encoded.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::image_cells::IMAGE_TEXTS;
use super::{CatalogSpec, ImageSource, ItemBatch};
use crate::error::{Error, Result, shortened};
use crate::item_ids::ItemIds;

/// Handling of an item without content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnBadItem {
    /// Stop with an error that names the item.
    #[default]
    Error,
    /// Leave the item out and list it.
    Skip,
}

impl FromStr for OnBadItem {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "error" => Ok(OnBadItem::Error),
            "skip" => Ok(OnBadItem::Skip),
            _ => Err(Error::config("on-bad-item", "error or skip", name, "omit it to stop at the first such item")),
        }
    }
}

/// Where each file of a catalog begins.
#[derive(Debug, Default, Clone)]
pub(super) struct FileStarts(Vec<(PathBuf, usize)>);

impl FileStarts {
    /// Records the file of the item at `row`.
    pub(super) fn note(&mut self, file: &Path, row: usize) {
        if self.0.last().is_none_or(|(last, _)| last != file) {
            self.0.push((file.to_path_buf(), row));
        }
    }

    /// The file of an item, and its 1-based row there.
    fn place(&self, row: usize) -> (&Path, u64) {
        let after = self.0.partition_point(|(_, start)| *start <= row);
        let (file, start) = self.0.get(after.saturating_sub(1)).map_or((Path::new(""), 0), |(f, s)| (f.as_path(), *s));
        (file, (row - start) as u64 + 1)
    }
}

/// Records the items without content and the images that cannot be read, for checks before encoding.
#[derive(Debug)]
pub(super) struct CatalogContent {
    starts: FileStarts,
    /// The row of each item in the whole catalog. `None` if the record covers the whole catalog.
    chosen: Option<Vec<usize>>,
    /// Rows of items that have neither text nor image.
    bare: Vec<usize>,
    /// The first item whose image is neither a path nor bytes, and a description of the cell.
    unusable: Option<(usize, String)>,
    /// The text and image columns, for error messages.
    columns: [String; 2],
}

impl CatalogContent {
    pub(super) fn new(spec: &CatalogSpec) -> Self {
        let columns = [spec.text.columns().join(", "), spec.images.join(", ")];
        CatalogContent { starts: FileStarts::default(), chosen: None, bare: Vec::new(), unusable: None, columns }
    }

    /// Records the content of a batch from `file`.
    pub(super) fn note(&mut self, batch: &ItemBatch, file: &Path) {
        self.starts.note(file, batch.first_row as usize);
        self.note_items(batch);
    }

    /// An empty record for the items at rows `chosen` of this record.
    pub(super) fn of_chosen(&self, chosen: Vec<usize>) -> Self {
        let (starts, columns) = (self.starts.clone(), self.columns.clone());
        let chosen = match &self.chosen {
            Some(earlier) => chosen.into_iter().map(|row| earlier[row]).collect(),
            None => chosen,
        };
        CatalogContent { starts, chosen: Some(chosen), bare: Vec::new(), unusable: None, columns }
    }

    /// Records the items of a batch that have no content, and the first unusable image.
    pub(super) fn note_items(&mut self, batch: &ItemBatch) {
        let first = batch.first_row as usize;
        for (row, (texts, images)) in (first..).zip(batch.texts.iter().zip(&batch.images)) {
            if texts.is_empty() && images.is_empty() {
                self.bare.push(row);
            }
            if self.unusable.is_none() {
                self.unusable = images.iter().find_map(|image| match image {
                    ImageSource::Unusable(reason) => Some((row, reason.clone())),
                    _ => None,
                });
            }
        }
    }

    /// The file of an item, and its 1-based row in it.
    pub(super) fn place(&self, row: usize) -> (&Path, u64) {
        self.starts.place(self.chosen.as_ref().map_or(row, |chosen| chosen[row]))
    }

    /// The error for the first image that is neither a path nor bytes, if there is one.
    pub(super) fn unusable_image(&self) -> Option<Error> {
        let (row, reason) = self.unusable.as_ref()?;
        let (path, row) = self.place(*row);
        Some(Error::Row {
            path: path.to_path_buf(),
            row,
            column: self.columns[1].clone(),
            expected: IMAGE_TEXTS.into(),
            got: reason.clone(),
            help: "correct the cell, leave it empty, or pass --on-bad-image missing".into(),
        })
    }

    /// See [`super::CatalogSpool::bare_items`].
    pub(super) fn bare_items(
        &self,
        ids: &ItemIds,
        has_vector: impl Fn(usize) -> bool,
        on_bad_item: OnBadItem,
    ) -> Result<Vec<usize>> {
        let rows: Vec<usize> = self.bare.iter().copied().filter(|&row| !has_vector(row)).collect();
        let all = rows.len() == ids.len() && self.chosen.is_none();
        let Some(&first) = rows.first().filter(|_| all || on_bad_item == OnBadItem::Error) else { return Ok(rows) };
        let (path, row) = self.place(first);
        let id = shortened(&ids.text(first));
        let others = if rows.len() > 1 { format!(", and for {} more items", rows.len() - 1) } else { String::new() };
        let named: Vec<&str> = self.columns.iter().map(String::as_str).filter(|names| !names.is_empty()).collect();
        let help = match all {
            true => "name the columns with --text and --image, or precomputed vectors with --embedding",
            false => "add the missing content, remove such items, or pass --on-bad-item skip to leave these items out",
        };
        Err(Error::Row {
            path: path.to_path_buf(),
            row,
            column: if named.is_empty() { "id".into() } else { named.join(", ") },
            expected: "an item with a text, an image or a vector".into(),
            got: format!("none for item {id}{others}"),
            help: help.into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{CatalogSpool, TextSpec};

    #[test]
    fn an_item_without_content_is_named_with_its_file_and_row() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.csv"), "id,t,image\nx,Pen,\ny,,y.png\n").unwrap();
        std::fs::write(folder.path().join("b.csv"), "id,t,image\nz,Ink,\n\u{1b}[2J,,\nw,<br>,\n").unwrap();
        let spec = CatalogSpec {
            path: folder.path().to_path_buf(),
            text: TextSpec::Joined(vec!["t".into()]),
            images: vec!["image".into()],
            ..CatalogSpec::default()
        };
        let spool = CatalogSpool::read(&spec, Some(folder.path())).unwrap();
        assert_eq!(spool.bare_items(|row| row == 3, OnBadItem::Skip).unwrap(), [4]);
        let error = spool.bare_items(|_| false, OnBadItem::Error).unwrap_err().to_string();
        assert!(error.contains("b.csv, row 2, column \"t, image\"") && error.contains("for 1 more"), "{error}");
        assert!(error.contains("item \\u{1b}[2J") && error.contains("--on-bad-item skip"), "{error}");
    }
}
