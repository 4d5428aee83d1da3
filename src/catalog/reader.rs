//! Streaming a catalog's items.

use std::path::{Path, PathBuf};

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{DataType, SchemaRef};

use super::open::{BATCH, PICTURE, PICTURE_ID, Table, open};
use super::text::clean;
use super::{CatalogSpec, ItemBatch, cells};
use crate::error::{Error, Result};
use crate::item_ids::{IdFault, ItemIds};

/// Names under which the id column is found when none is given.
const ID_NAMES: [&str; 2] = ["item_id", "id"];

/// An iterator of a catalog's items, in batches of at most 4,096.
pub struct CatalogReader {
    path: PathBuf,
    /// What relative picture paths start from.
    folder: PathBuf,
    table: Table,
    id: String,
    text: Vec<String>,
    image: Option<String>,
    rows_read: u64,
    /// Parts of an Arrow batch that was longer than ours.
    pending: Option<RecordBatch>,
    done: bool,
}

impl CatalogReader {
    /// Opens a catalog and checks the columns that were asked for.
    ///
    /// # Errors
    /// [`Error::Missing`] and [`Error::File`] for the file; [`Error::Column`] for a column that is not there or is
    /// not of a type that can be read.
    pub fn open(spec: &CatalogSpec) -> Result<Self> {
        let path = spec.path.clone();
        let table = open(&path)?;
        let is_folder = path.is_dir();
        let (id, image) = if is_folder {
            (PICTURE_ID.to_owned(), Some(PICTURE.to_owned()))
        } else {
            (id_column(spec, &table.schema)?, spec.image.clone())
        };
        let check = |name: &str, expected: &str, fits: fn(&DataType) -> bool| match table.schema.field_with_name(name) {
            Ok(field) if fits(field.data_type()) => Ok(()),
            Ok(field) => Err(column_error(&path, name, expected, field.data_type().to_string(), "name another column")),
            Err(_) => Err(no_such_column(&path, name, &table.schema)),
        };
        for name in &spec.text {
            check(name, cells::TEXT_TYPES, cells::is_text)?;
        }
        if let Some(name) = &image {
            check(name, cells::IMAGE_TYPES, cells::is_image)?;
        }
        let folder = if is_folder { path.clone() } else { path.parent().unwrap_or(Path::new("")).to_path_buf() };
        let (text, rows_read) = (spec.text.clone(), 0);
        Ok(CatalogReader { path, folder, table, id, text, image, rows_read, pending: None, done: false })
    }

    /// Number of items, where the file says so without being read.
    pub fn total_rows(&self) -> Option<u64> {
        self.table.rows
    }

    fn next_arrow_batch(&mut self) -> Option<Result<RecordBatch>> {
        loop {
            let batch = match self.pending.take() {
                Some(batch) => batch,
                None => match self.table.batches.next()? {
                    Ok(batch) => batch,
                    Err(e) => return Some(Err(self.unreadable(&e))),
                },
            };
            if batch.num_rows() > BATCH {
                self.pending = Some(batch.slice(BATCH, batch.num_rows() - BATCH));
                return Some(Ok(batch.slice(0, BATCH)));
            }
            if batch.num_rows() > 0 {
                return Some(Ok(batch));
            }
        }
    }

    fn unreadable(&self, error: &arrow::error::ArrowError) -> Error {
        let got = format!("a damaged part after row {} ({error})", self.rows_read);
        Error::file(&self.path, "a readable table", got, "mend that row, or write the file again")
    }

    fn items(&self, batch: &RecordBatch) -> Result<ItemBatch> {
        let rows = batch.num_rows();
        let column = |name: &str| -> Result<&ArrayRef> {
            batch.column_by_name(name).ok_or_else(|| no_such_column(&self.path, name, &batch.schema()))
        };
        let item_ids = ItemIds::from_arrow(column(&self.id)?).map_err(|fault| match fault {
            IdFault::Null(row) | IdFault::Duplicate(_, row, _) => Error::Row {
                path: self.path.clone(),
                row: self.rows_read + row as u64 + 1,
                column: self.id.clone(),
                expected: "an item id".into(),
                got: "null".into(),
                help: "give every item an id".into(),
            },
            IdFault::Type(t) => column_error(
                &self.path,
                &self.id,
                "integers or strings",
                t.to_string(),
                "name another column with --id",
            ),
        })?;
        let mut texts = vec![String::new(); rows];
        for name in &self.text {
            for (text, part) in texts.iter_mut().zip(cells::texts(column(name)?).map_err(|e| self.unreadable(&e))?) {
                let part = clean(&part);
                if !part.is_empty() {
                    if !text.is_empty() {
                        text.push_str(". ");
                    }
                    text.push_str(&part);
                }
            }
        }
        let images = match &self.image {
            Some(name) => cells::images(column(name)?, &self.folder).map_err(|e| self.unreadable(&e))?,
            None => vec![None; rows],
        };
        Ok(ItemBatch { first_row: self.rows_read, item_ids, texts, images })
    }
}

impl Iterator for CatalogReader {
    type Item = Result<ItemBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let Some(batch) = self.next_arrow_batch() else {
            self.done = true;
            // An empty table is an error once, at its end.
            return (self.rows_read == 0).then(|| {
                Err(Error::file(&self.path, "a catalog with items", "a table without rows", "check how it was written"))
            });
        };
        let items = batch.and_then(|batch| self.items(&batch));
        match &items {
            Ok(items) => self.rows_read += items.item_ids.len() as u64,
            Err(_) => self.done = true,
        }
        Some(items)
    }
}

fn id_column(spec: &CatalogSpec, schema: &SchemaRef) -> Result<String> {
    let wanted: Vec<&str> = spec.id.as_deref().map_or(ID_NAMES.to_vec(), |id| vec![id]);
    if let Some(name) = wanted.iter().find(|name| schema.field_with_name(name).is_ok()) {
        return Ok((*name).to_owned());
    }
    let name = spec.id.as_deref().unwrap_or("id");
    Err(no_such_column(&spec.path, name, schema))
}

fn no_such_column(path: &Path, name: &str, schema: &SchemaRef) -> Error {
    let there: Vec<&str> = schema.fields().iter().map(|f| f.name().as_str()).collect();
    column_error(
        path,
        name,
        &format!("one of: {}", there.join(", ")),
        "no such column".into(),
        "name one that is there",
    )
}

fn column_error(path: &Path, column: &str, expected: &str, got: String, help: &str) -> Error {
    Error::Column { path: path.to_path_buf(), column: column.into(), expected: expected.into(), got, help: help.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::ImageSource;
    use std::fs;

    fn spec(path: &Path, text: &[&str]) -> CatalogSpec {
        CatalogSpec { path: path.into(), id: None, text: text.iter().map(|t| (*t).to_owned()).collect(), image: None }
    }

    fn read(spec: &CatalogSpec) -> Result<Vec<ItemBatch>> {
        CatalogReader::open(spec)?.collect()
    }

    #[test]
    fn csv_and_jsonl_give_the_same_items() {
        let folder = tempfile::tempdir().unwrap();
        let (csv, jsonl) = (folder.path().join("a.csv"), folder.path().join("a.jsonl"));
        fs::write(&csv, "id,title,tags\n007,\"A, <b>bold</b>\",x\n8,,\n").unwrap();
        fs::write(
            &jsonl,
            "{\"id\":\"007\",\"title\":\"A, <b>bold</b>\",\"tags\":[\"x\"]}\n{\"id\":\"8\",\"title\":null}\n",
        )
        .unwrap();
        let items = read(&spec(&csv, &["title", "tags"])).unwrap();
        assert_eq!(items, read(&spec(&jsonl, &["title", "tags"])).unwrap());
        assert_eq!(items[0].item_ids, ItemIds::Strings(vec!["007".into(), "8".into()]));
        assert_eq!(items[0].texts, ["A, bold. x", ""]);
    }

    #[test]
    fn a_folder_of_pictures_is_a_catalog() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b.png", "a.jpg", "notes.txt"] {
            fs::write(folder.path().join(name), "x").unwrap();
        }
        let items = read(&spec(folder.path(), &[])).unwrap();
        assert_eq!(items[0].item_ids, ItemIds::Strings(vec!["a".into(), "b".into()]));
        assert_eq!(items[0].images[1], Some(ImageSource::Path(folder.path().join("b.png"))));
    }

    #[test]
    fn faults_say_where() {
        let folder = tempfile::tempdir().unwrap();
        let says = |name: &str, content: &str, text: &[&str]| {
            let path = folder.path().join(name);
            fs::write(&path, content).unwrap();
            read(&spec(&path, text)).unwrap_err().to_string()
        };
        assert!(says("a.csv", "id,t\n1,x\n2,y,z\n", &["t"]).contains("line 3"));
        assert!(says("b.csv", "id,t\n", &["t"]).contains("without rows"));
        assert!(says("c.csv", "id,t\n1,x\n", &["title"]).contains("one of: id, t"));
        assert!(says("d.csv", "id,t\n,x\n", &["t"]).contains("row 1"));
        assert!(says("e.csv", "", &["t"]).contains("empty file"));
        assert!(says("f.jsonl", "{\"id\": 1, \"t\": {\"x\": 1}}\n", &["t"]).contains("lists of strings"));
        assert!(says("g.jsonl", "{\"id\": 1\n", &[]).contains("object in line 1"));
        assert!(says("h.jsonl", "[{\"id\": 1}]", &[]).contains("one object a line"));
        assert!(says("i.parquet", "no parquet", &[]).contains("damaged"));
        assert!(says("j.txt", "x", &[]).contains(".parquet"));
    }
}
