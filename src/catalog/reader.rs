//! Streaming a catalog's items.

use std::path::{Path, PathBuf};

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{DataType, SchemaRef};

use super::clean::clean;
use super::files::{Files, Form, find};
use super::open::{BATCH, PICTURE, PICTURE_ID, Table, json_lines, open, pictures};
use super::{CatalogSpec, ImageSource, ItemBatch, cells};
use crate::error::{Error, Result};
use crate::item_ids::{IdFault, ItemIds};

/// Names under which the id column is found when none is given.
const ID_NAMES: [&str; 2] = ["item_id", "id"];

/// An iterator of a catalog's items, in batches of at most 4,096.
pub struct CatalogReader {
    spec: CatalogSpec,
    /// The part being read.
    table: Table,
    /// The column of the ids, in that part.
    id: String,
    /// Parts that come later.
    later: std::vec::IntoIter<PathBuf>,
    form: Form,
    /// Rows of the parts before, and of this one so far.
    rows_before: u64,
    rows_read: u64,
    /// Rest of an Arrow batch that was longer than ours.
    pending: Option<RecordBatch>,
    done: bool,
}

impl CatalogReader {
    /// Opens a catalog and checks the columns that were asked for. Of several parts, the later ones are checked when
    /// they are come to.
    ///
    /// # Errors
    /// [`Error::Missing`] and [`Error::File`] for the file; [`Error::Column`] for a column that is not there or is
    /// not of a type that can be read.
    pub fn open(spec: &CatalogSpec) -> Result<Self> {
        let mut spec = spec.clone();
        let (table, form, later) = match find(&spec.path)? {
            Files::Pictures(files) => {
                spec.id = Some(PICTURE_ID.to_owned());
                spec.images = vec![PICTURE.to_owned()];
                // The form is that of parts to come, and there are none.
                (pictures(&spec.path, &files)?, Form::Csv, Vec::new())
            }
            Files::Tables(Form::JsonLines, files) => (json_lines(&spec.path, &files)?, Form::JsonLines, Vec::new()),
            Files::Tables(form, mut files) => {
                let later = files.split_off(1);
                (open(form, &files[0])?, form, later)
            }
        };
        let id = check(&spec, &table)?;
        let later = later.into_iter();
        Ok(CatalogReader { spec, table, id, later, form, rows_before: 0, rows_read: 0, pending: None, done: false })
    }

    fn next_arrow_batch(&mut self) -> Option<Result<RecordBatch>> {
        loop {
            let batch = match self.pending.take() {
                Some(batch) => batch,
                None => match self.table.batches.next() {
                    Some(Ok(batch)) => batch,
                    Some(Err(e)) => return Some(Err(self.unreadable(&e))),
                    None => match self.next_part()? {
                        Ok(()) => continue,
                        Err(e) => return Some(Err(e)),
                    },
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

    fn next_part(&mut self) -> Option<Result<()>> {
        let part = self.later.next()?;
        let opened = open(self.form, &part).and_then(|table| Ok((check(&self.spec, &table)?, table)));
        Some(opened.map(|(id, table)| {
            self.rows_before += self.rows_read;
            self.rows_read = 0;
            (self.id, self.table) = (id, table);
        }))
    }

    fn unreadable(&self, error: &arrow::error::ArrowError) -> Error {
        let got = format!("a damaged part after row {} ({error})", self.rows_read);
        Error::file(&self.table.path, "a readable table", got, "mend that row, or write the file again")
    }

    fn items(&self, batch: &RecordBatch) -> Result<ItemBatch> {
        let column = |name: &str| -> Result<&ArrayRef> {
            batch.column_by_name(name).ok_or_else(|| no_such_column(&self.table.path, name, &batch.schema()))
        };
        let item_ids = ItemIds::from_arrow(column(&self.id)?).map_err(|fault| self.id_error(fault))?;
        let fields = self.spec.text.columns().into_iter().map(|name| self.field(column(name)?));
        let fields: Vec<Vec<Vec<String>>> = fields.collect::<Result<_>>()?;
        let wanted = self.spec.fields.iter().map(|name| self.field(column(name)?));
        let mut wanted: Vec<Vec<Vec<String>>> = wanted.collect::<Result<_>>()?;
        let mut parts = |row: usize| wanted.iter_mut().map(|field| std::mem::take(&mut field[row])).collect();
        let passages = |row: usize| {
            let of_row: Vec<&[String]> = fields.iter().map(|field| field[row].as_slice()).collect();
            self.spec.text.passages(&of_row)
        };
        let mut images: Vec<Vec<ImageSource>> = vec![Vec::new(); batch.num_rows()];
        for name in &self.spec.images {
            let more = cells::images(column(name)?, &self.table.folder).map_err(|e| self.unreadable(&e))?;
            images.iter_mut().zip(more).for_each(|(images, more)| images.extend(more));
        }
        let first_row = self.rows_before + self.rows_read;
        let texts = (0..batch.num_rows()).map(passages).collect();
        let fields = (0..batch.num_rows()).map(&mut parts).collect();
        Ok(ItemBatch { first_row, item_ids, texts, fields, images })
    }

    /// The parts of a column's cells, cleaned, without empty ones.
    fn field(&self, column: &ArrayRef) -> Result<Vec<Vec<String>>> {
        let mut cells = cells::texts(column).map_err(|e| self.unreadable(&e))?;
        for parts in &mut cells {
            if !self.spec.raw_text {
                parts.iter_mut().for_each(|part| *part = clean(part));
            }
            parts.retain(|part| !part.trim().is_empty());
        }
        Ok(cells)
    }

    fn id_error(&self, fault: IdFault) -> Error {
        match fault {
            IdFault::Null(row) | IdFault::Duplicate(_, row, _) => Error::Row {
                path: self.table.path.clone(),
                row: self.rows_read + row as u64 + 1,
                column: self.id.clone(),
                expected: "an item id".into(),
                got: "null".into(),
                help: "give every item an id".into(),
            },
            IdFault::Type(found) => {
                let help = "name another column with --id";
                column_error(&self.table.path, &self.id, "integers or strings", found.to_string(), help)
            }
        }
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
            // An empty catalog is an error once, at its end.
            return (self.rows_before + self.rows_read == 0).then(|| {
                let got = "a table without rows";
                Err(Error::file(&self.spec.path, "a catalog with items", got, "check how it was written"))
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

/// Checks a part's columns, and finds that of the ids.
fn check(spec: &CatalogSpec, table: &Table) -> Result<String> {
    let (path, schema) = (&table.path, &table.schema);
    let id = id_column(spec, table)?;
    let fits = |name: &str, expected: &str, fits: fn(&DataType) -> bool| match schema.field_with_name(name) {
        Ok(field) if fits(field.data_type()) => Ok(()),
        Ok(field) => Err(column_error(path, name, expected, field.data_type().to_string(), "name another column")),
        Err(_) => Err(no_such_column(path, name, schema)),
    };
    for name in spec.text.columns().into_iter().chain(spec.fields.iter().map(String::as_str)) {
        fits(name, cells::TEXT_TYPES, cells::is_text)?;
    }
    for name in &spec.images {
        fits(name, cells::IMAGE_TYPES, cells::is_image)?;
    }
    Ok(id)
}

fn id_column(spec: &CatalogSpec, table: &Table) -> Result<String> {
    let wanted: Vec<&str> = spec.id.as_deref().map_or(ID_NAMES.to_vec(), |id| vec![id]);
    if let Some(name) = wanted.iter().find(|name| table.schema.field_with_name(name).is_ok()) {
        return Ok((*name).to_owned());
    }
    Err(no_such_column(&table.path, spec.id.as_deref().unwrap_or("id"), &table.schema))
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
    use crate::catalog::TextSpec;
    use std::fs;

    fn spec(path: &Path, text: &[&str]) -> CatalogSpec {
        let text = TextSpec::Joined(text.iter().map(|t| (*t).to_owned()).collect());
        CatalogSpec { path: path.into(), text, ..CatalogSpec::default() }
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
        assert_eq!(items[0].texts, [vec!["A, bold. x"], vec![]]);
        let raw = CatalogSpec { raw_text: true, ..spec(&csv, &["title"]) };
        assert_eq!(read(&raw).unwrap()[0].texts[0], ["A, <b>bold</b>"]);
        let fields = CatalogSpec { fields: vec!["tags".into(), "title".into()], ..spec(&jsonl, &[]) };
        let items = read(&fields).unwrap();
        assert_eq!(items[0].fields, [vec![vec!["x"], vec!["A, bold"]], vec![vec![], vec![]]]);
        assert_eq!(items[0].texts, [vec![""; 0], vec![]]);
    }

    #[test]
    fn parts_are_read_one_after_the_other() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a.csv"), "id,t,image\nx,1,x.png\n").unwrap();
        fs::write(folder.path().join("b.csv"), "image,t,id\n,2,y\ny.png,,z\n").unwrap();
        let both = CatalogSpec { images: vec!["image".into()], ..spec(folder.path(), &["t"]) };
        let items = read(&both).unwrap();
        assert_eq!(items.iter().map(|batch| batch.first_row).collect::<Vec<_>>(), [0, 1]);
        assert_eq!(items[1].item_ids, ItemIds::Strings(vec!["y".into(), "z".into()]));
        assert_eq!(items[1].texts, [vec!["2"], vec![]]);
        assert_eq!(items[1].images[1], [ImageSource::Path(folder.path().join("y.png"))]);
        // The part that is wrong is named, with its own row.
        fs::write(folder.path().join("c.csv"), "id,t,image\nv,1,\n,2,\n").unwrap();
        let error = read(&both).unwrap_err().to_string();
        assert!(error.contains("c.csv, row 2"), "{error}");
        fs::write(folder.path().join("c.csv"), "id,text\nv,1\n").unwrap();
        assert!(read(&both).unwrap_err().to_string().contains("c.csv, column \"t\""));
    }

    #[test]
    fn a_folder_of_pictures_is_a_catalog() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b.png", "a.jpg", "notes.txt"] {
            fs::write(folder.path().join(name), "x").unwrap();
        }
        let items = read(&spec(folder.path(), &[])).unwrap();
        assert_eq!(items[0].item_ids, ItemIds::Strings(vec!["a".into(), "b".into()]));
        assert_eq!(items[0].images[1], [ImageSource::Path(folder.path().join("b.png"))]);
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
        assert!(says("f.jsonl", "{\"id\": 1, \"t\": {\"x\": 1}}\n", &["t"]).contains("lists of these"));
        assert!(says("g.jsonl", "{\"id\": 1\n", &[]).contains("object in line 1"));
        assert!(says("h.jsonl", "[{\"id\": 1}]", &[]).contains("one object a line"));
        assert!(says("i.parquet", "no parquet", &[]).contains("damaged"));
        assert!(says("j.txt", "x", &[]).contains(".parquet"));
    }
}
