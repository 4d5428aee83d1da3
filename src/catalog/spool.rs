//! A catalog that has been read once: the ids in memory, texts and images in a temporary file.
//!
//! Errors in a catalog are found before anything is encoded, and the catalog is not read a second time.

use std::fs::File;
use std::io::{BufReader, BufWriter, Seek, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, AsArray, LargeBinaryBuilder, LargeStringBuilder, ListBuilder, RecordBatch, UInt8Builder};
use arrow::datatypes::{DataType, Field, Schema, UInt8Type};
use arrow::error::ArrowError;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;

use super::batches::in_parts;
use super::content::{CatalogContent, OnBadItem};
use super::{CatalogReader, CatalogSpec, CheckOptions, Finding, ImageSource, ItemBatch};
use crate::error::{Error, Result};
use crate::item_ids::{IdFault, ItemIds};

/// Kinds of images in the temporary file.
const PATH: u8 = 0;
const BYTES: u8 = 1;
const UNUSABLE: u8 = 2;

/// Number of items per batch in [`CatalogSpool::select`].
const SELECTED_AT_ONCE: usize = 8_192;

/// The name of the temporary file in error messages.
const UNNAMED: &str = "the temporary file of the catalog";

/// The items of a catalog, to be read in parts any number of times.
#[derive(Debug)]
pub struct CatalogSpool {
    ids: ItemIds,
    texts: u64,
    images: u64,
    notes: Vec<String>,
    findings: Vec<Finding>,
    content: CatalogContent,
    file: File,
}

impl CatalogSpool {
    /// Reads a catalog once. The temporary file is created in `folder`, or in the system's folder for temporary files.
    /// It is deleted when the spool is dropped.
    ///
    /// # Errors
    /// As [`CatalogReader`]; [`Error::Row`] for a repeated id; [`Error::Io`] for the temporary file.
    pub fn read(spec: &CatalogSpec, folder: Option<&Path>) -> Result<Self> {
        Self::checked(spec, folder, CheckOptions::default())
    }

    /// As [`CatalogSpool::read`], and checks the catalog; see [`CatalogSpool::findings`].
    ///
    /// # Errors
    /// As [`CatalogSpool::read`].
    pub fn checked(spec: &CatalogSpec, folder: Option<&Path>, checks: CheckOptions) -> Result<Self> {
        let mut spool = Self::empty(folder, CatalogContent::new(spec))?;
        let mut writer = spool.writer()?;
        let mut reader = CatalogReader::open(spec)?.with_checks(spec, checks, None);
        while let Some(batch) = reader.next() {
            let batch = batch?;
            spool.content.note(&batch, reader.file());
            spool.append(&mut writer, batch)?;
        }
        finish(writer)?;
        check_unique(&spec.path, reader.id_column(), &spool.ids)?;
        spool.notes = reader.take_notes();
        spool.findings = reader.take_findings(&spool.ids);
        Ok(spool)
    }

    /// A spool without items.
    fn empty(folder: Option<&Path>, content: CatalogContent) -> Result<Self> {
        let file = folder.map_or_else(tempfile::tempfile, tempfile::tempfile_in);
        let file = file.map_err(|e| Error::io("create", folder.unwrap_or(Path::new(UNNAMED)), e))?;
        let (ids, notes, findings) = (ItemIds::default(), Vec::new(), Vec::new());
        Ok(CatalogSpool { ids, texts: 0, images: 0, notes, findings, content, file })
    }

    fn writer(&self) -> Result<SpoolWriter> {
        let file = self.file.try_clone().map_err(unwritten)?;
        StreamWriter::try_new(BufWriter::new(file), &schema()).map_err(unwritten)
    }

    fn append(&mut self, writer: &mut SpoolWriter, batch: ItemBatch) -> Result<()> {
        writer.write(&to_arrow(&batch).map_err(unwritten)?).map_err(unwritten)?;
        self.texts += batch.texts.iter().map(Vec::len).sum::<usize>() as u64;
        self.images += batch.images.iter().map(Vec::len).sum::<usize>() as u64;
        self.ids.append(batch.item_ids);
        Ok(())
    }

    /// Copies the items in `rows` to a new spool. `rows` must be in ascending order.
    ///
    /// # Errors
    /// As [`CatalogSpool::read`], for temporary files.
    pub fn select(&self, rows: &[usize], folder: Option<&Path>) -> Result<Self> {
        let mut chosen = Self::empty(folder, self.content.of_chosen(rows.to_vec()))?;
        let mut writer = chosen.writer()?;
        let mut wanted = rows;
        for batch in self.parts(SELECTED_AT_ONCE)? {
            let batch = batch?;
            let (first, n) = (batch.first_row as usize, batch.item_ids.len());
            let (here, later) = wanted.split_at(wanted.partition_point(|&row| row < first + n));
            wanted = later;
            if here.is_empty() {
                continue;
            }
            let here: Vec<usize> = here.iter().map(|row| row - first).collect();
            let batch = batch.take(&here, chosen.ids.len() as u64);
            chosen.content.note_items(&batch);
            chosen.append(&mut writer, batch)?;
        }
        finish(writer)?;
        Ok(chosen)
    }

    /// Takes the notes about the catalog for the user, such as skipped files.
    pub fn take_notes(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notes)
    }

    /// The items' ids, in the catalog's order.
    pub fn ids(&self) -> &ItemIds {
        &self.ids
    }

    /// The likely mistakes in the catalog.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// Number of passages of text.
    pub fn texts(&self) -> u64 {
        self.texts
    }

    /// Number of images.
    pub fn images(&self) -> u64 {
        self.images
    }

    /// The file of an item, and its 1-based row in it.
    pub fn place(&self, row: usize) -> (&Path, u64) {
        self.content.place(row)
    }

    /// The error for the first image that is neither a path nor bytes, if there is one.
    pub fn unusable_image(&self) -> Option<Error> {
        self.content.unusable_image()
    }

    /// Rows of the items without text, image and precomputed vector (`has_vector`).
    ///
    /// # Errors
    /// [`Error::Row`] for the first such item if such items are errors, or if there are no other items.
    pub fn bare_items(&self, has_vector: impl Fn(usize) -> bool, on_bad_item: OnBadItem) -> Result<Vec<usize>> {
        self.content.bare_items(&self.ids, has_vector, on_bad_item)
    }

    /// The items in batches of `items`; the last may be shorter.
    ///
    /// # Errors
    /// [`Error::Io`] for the temporary file.
    pub fn parts(&self, items: usize) -> Result<impl Iterator<Item = Result<ItemBatch>> + '_> {
        let failed =
            |e: &dyn std::fmt::Display| Error::io("read", Path::new(UNNAMED), std::io::Error::other(e.to_string()));
        let mut file = self.file.try_clone().map_err(|e| failed(&e))?;
        file.rewind().map_err(|e| failed(&e))?;
        let reader = StreamReader::try_new(BufReader::new(file), None).map_err(|e| failed(&e))?;
        let mut first_row = 0;
        let batches = reader.map(move |batch| {
            let batch = batch.map_err(|e| failed(&e))?;
            let rows: Vec<usize> = (first_row..first_row + batch.num_rows()).collect();
            let items = of_arrow(&batch, first_row as u64, self.ids.take(&rows));
            first_row += batch.num_rows();
            Ok(items)
        });
        Ok(in_parts(batches, items))
    }
}

type SpoolWriter = StreamWriter<BufWriter<File>>;

fn finish(writer: SpoolWriter) -> Result<()> {
    writer.into_inner().map_err(unwritten)?.flush().map_err(unwritten)
}

fn unwritten(e: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::io("write", Path::new(UNNAMED), std::io::Error::other(e))
}

/// Columns of the temporary file: the texts of each item, the kinds of its images ([`PATH`], ...), and the images.
fn schema() -> Schema {
    let list = |name: &str, of| Field::new_list(name, Field::new_list_field(of, true), false);
    Schema::new(vec![
        list("texts", DataType::LargeUtf8),
        list("kinds", DataType::UInt8),
        list("images", DataType::LargeBinary),
    ])
}

fn to_arrow(batch: &ItemBatch) -> std::result::Result<RecordBatch, ArrowError> {
    let mut texts = ListBuilder::new(LargeStringBuilder::new());
    let mut kinds = ListBuilder::new(UInt8Builder::new());
    let mut images = ListBuilder::new(LargeBinaryBuilder::new());
    for (passages, sources) in batch.texts.iter().zip(&batch.images) {
        passages.iter().for_each(|passage| texts.values().append_value(passage));
        texts.append(true);
        for source in sources {
            let (kind, data) = match source {
                ImageSource::Path(path) => (PATH, path.as_os_str().as_bytes()),
                ImageSource::Bytes(bytes) => (BYTES, bytes.as_slice()),
                ImageSource::Unusable(reason) => (UNUSABLE, reason.as_bytes()),
            };
            kinds.values().append_value(kind);
            images.values().append_value(data);
        }
        kinds.append(true);
        images.append(true);
    }
    let columns: Vec<arrow::array::ArrayRef> =
        vec![Arc::new(texts.finish()), Arc::new(kinds.finish()), Arc::new(images.finish())];
    RecordBatch::try_new(Arc::new(schema()), columns)
}

fn of_arrow(batch: &RecordBatch, first_row: u64, item_ids: ItemIds) -> ItemBatch {
    let column = |at: usize| batch.column(at).as_list::<i32>();
    let (texts, kinds, images) = (column(0), column(1), column(2));
    let passages = |row: usize| {
        let passages = texts.value(row);
        let passages = passages.as_string::<i64>();
        (0..passages.len()).map(|at| passages.value(at).to_owned()).collect()
    };
    let sources = |row: usize| {
        let (kinds, images) = (kinds.value(row), images.value(row));
        let (kinds, images) = (kinds.as_primitive::<UInt8Type>(), images.as_binary::<i64>());
        let source = |at: usize| match (kinds.value(at), images.value(at)) {
            (BYTES, bytes) => ImageSource::Bytes(bytes.to_vec()),
            (UNUSABLE, reason) => ImageSource::Unusable(String::from_utf8_lossy(reason).into_owned()),
            (_, path) => ImageSource::Path(std::ffi::OsString::from_vec(path.to_vec()).into()),
        };
        (0..images.len()).map(source).collect()
    };
    let rows = batch.num_rows();
    ItemBatch {
        first_row,
        item_ids,
        texts: (0..rows).map(passages).collect(),
        fields: vec![Vec::new(); rows],
        images: (0..rows).map(sources).collect(),
    }
}

/// Checks that the ids of a catalog are unique.
///
/// # Errors
/// [`Error::Row`] for the first repeated id.
pub fn check_unique(catalog: &Path, column: &str, ids: &ItemIds) -> Result<()> {
    match ids.check_unique() {
        Ok(()) => Ok(()),
        Err(IdFault::Duplicate(first, row, id)) => Err(Error::Row {
            path: catalog.to_path_buf(),
            row: row as u64 + 1,
            column: column.to_owned(),
            expected: "an id not used before".into(),
            got: format!("{id}, also in row {}", first + 1),
            help: "remove or rename one of the items".into(),
        }),
        Err(_) => Err(Error::mismatch("item ids", "one per item", "nulls", "give every item an id")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::TextSpec;

    #[test]
    fn a_spool_returns_the_same_items_as_the_catalog() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.csv");
        let lines = (0..5_000).map(|i| format!("{i},{},x{i}.png\n", if i % 3 == 0 { "" } else { "Pen" }));
        std::fs::write(&path, format!("id,t,image\n{}", lines.collect::<String>())).unwrap();
        let spec = CatalogSpec {
            path,
            text: TextSpec::Joined(vec!["t".into()]),
            images: vec!["image".into()],
            ..CatalogSpec::default()
        };
        let spool = CatalogSpool::read(&spec, Some(folder.path())).unwrap();
        assert_eq!((spool.ids().len(), spool.texts(), spool.images()), (5_000, 3_333, 5_000));
        for items in [1_000, 5_000] {
            let direct = CatalogReader::open(&spec).unwrap().in_parts(items);
            for (a, b) in direct.zip(spool.parts(items).unwrap()) {
                assert_eq!(a.unwrap(), b.unwrap());
            }
        }
    }

    #[test]
    fn select_copies_the_given_items() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.csv");
        let lines = (0..20_000).map(|i| format!("{i},{}\n", if i % 3 == 0 { "" } else { "Pen" }));
        std::fs::write(&path, format!("id,t\n{}", lines.collect::<String>())).unwrap();
        let spec = CatalogSpec { path, text: TextSpec::Joined(vec!["t".into()]), ..CatalogSpec::default() };
        let whole = CatalogSpool::read(&spec, Some(folder.path())).unwrap();
        let rows = [7, 9, 8_190, 8_200, 19_999];
        let some = whole.select(&rows, Some(folder.path())).unwrap();
        assert_eq!((some.ids(), some.texts(), some.images()), (&whole.ids().take(&rows), 3, 0));
        let parts: Vec<ItemBatch> = some.parts(2).unwrap().map(Result::unwrap).collect();
        assert_eq!(parts.iter().map(|part| part.first_row).collect::<Vec<_>>(), [0, 2, 4]);
        assert_eq!(
            (&parts[0].texts[..], parts[2].item_ids.text(0)),
            (&[vec!["Pen".into()], vec![]][..], "19999".into())
        );
        assert_eq!(some.bare_items(|_| false, OnBadItem::Skip).unwrap(), [1, 2]);
        assert_eq!(some.place(1).1, 10);
        assert_eq!(some.select(&[1], None).unwrap().place(0).1, 10);
        assert!(whole.select(&[], None).unwrap().ids().is_empty());
    }

    #[test]
    fn a_repeated_id_names_its_rows() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.csv");
        std::fs::write(&path, "item_id\na\nb\na\n").unwrap();
        let spec = CatalogSpec { path, ..CatalogSpec::default() };
        let error = CatalogSpool::read(&spec, Some(folder.path())).unwrap_err().to_string();
        assert!(error.contains("row 3, column \"item_id\"") && error.contains("also in row 1"), "{error}");
    }
}
