//! Streaming a catalog's items.

use std::path::Path;

use arrow::array::ArrayRef;

use super::checks::CatalogChecks;
use super::clean::clean;
use super::column_errors::{id_error, not_text};
use super::lists::expand_lists;
use super::pictures::{CatalogFiles, PICTURE, PICTURE_ID, find_catalog, picture_table};
use super::roles::{ID_NAMES, check, requests, roles};
use super::{CatalogSpec, ImageSource, ItemBatch, cells, image_cells};
use crate::error::{Error, Result};
use crate::item_ids::ItemIds;
use crate::table::{TableBatch, TableReader, damaged};

/// An iterator over a catalog's items, in batches of at most 4,096. Only the columns that the spec names are decoded.
///
/// Ids of JSON Lines, and of files with different types, can change from integers to strings in a later batch. They
/// never change back, and [`ItemIds::append`] joins both as strings.
pub struct CatalogReader {
    spec: CatalogSpec,
    table: TableReader,
    notes: Vec<String>,
    /// Items so far.
    rows_read: u64,
    /// Whether an earlier batch had string ids.
    ids_are_strings: bool,
    pub(super) checks: Option<CatalogChecks>,
    done: bool,
}

impl CatalogReader {
    /// Opens a catalog and checks the columns of its first file. The columns of a later file are checked when
    /// it is opened.
    ///
    /// # Errors
    /// [`Error::Missing`] and [`Error::File`] for the file; [`Error::Column`] for a column that is absent or has a type
    /// that cannot be read.
    pub fn open(spec: &CatalogSpec) -> Result<Self> {
        let mut spec = spec.clone();
        let mut notes = Vec::new();
        let table = match find_catalog(&spec.path)? {
            CatalogFiles::Pictures(files, note) => {
                notes.extend(note);
                spec.id = Some(PICTURE_ID.to_owned());
                spec.images = vec![PICTURE.to_owned()];
                TableReader::in_memory(&spec.path, picture_table(&spec.path, &files)?, requests(&spec))?
            }
            CatalogFiles::Tables(files) => {
                TableReader::open(&spec.path, files.with_dialect(spec.csv), requests(&spec))?
            }
        };
        for (role, column) in roles(&spec).into_iter().zip(table.columns()) {
            if let Some((name, data_type)) = column {
                check(table.file(), role, name, data_type)?;
            }
        }
        Ok(CatalogReader { spec, table, notes, rows_read: 0, ids_are_strings: false, checks: None, done: false })
    }

    /// Takes the notes about the catalog so far, such as skipped files. Reading can add further notes.
    pub fn take_notes(&mut self) -> Vec<String> {
        self.notes.append(&mut self.table.notes().take());
        std::mem::take(&mut self.notes)
    }

    /// The column of the ids.
    pub fn id_column(&self) -> &str {
        self.table.columns().next().flatten().map_or(ID_NAMES[1], |(name, _)| name)
    }

    /// The file of the last batch.
    pub(super) fn file(&self) -> &Path {
        self.table.file()
    }

    fn items(&mut self, batch: TableBatch) -> Result<ItemBatch> {
        for (role, column) in roles(&self.spec).into_iter().zip(&batch.columns) {
            if let Some((name, column)) = column {
                check(&batch.file, role, name, column.data_type())?;
            }
        }
        let item_ids = self.ids(&batch)?;
        let (texts, fields) = (self.spec.text.columns().len(), self.spec.fields.len());
        let mut checks = self.checks.take();
        let mut values = |range: std::ops::Range<usize>| {
            let columns =
                range.clone().zip(&batch.columns[range]).filter_map(|(at, column)| Some((at, column.as_ref()?)));
            columns
                .map(|(at, (name, column))| {
                    self.field(&batch, name, column, checks.as_mut().map(|checks| (at - 1, checks)))
                })
                .collect::<Result<Vec<_>>>()
        };
        let text_fields: Vec<Vec<Vec<String>>> = values(1..1 + texts)?;
        let mut separate: Vec<Vec<Vec<String>>> = values(1 + texts..1 + texts + fields)?;
        let passages = |row: usize| {
            let of_row: Vec<&[String]> = text_fields.iter().map(|field| field[row].as_slice()).collect();
            self.spec.text.passages(&of_row)
        };
        let mut images: Vec<Vec<ImageSource>> = vec![Vec::new(); batch.rows];
        for (_, column) in batch.columns[1 + texts + fields..].iter().flatten() {
            let more = image_cells::images(column, &batch.folder).map_err(|e| damaged(&batch.file, e))?;
            images.iter_mut().zip(more).for_each(|(images, more)| images.extend(more));
        }
        let texts: Vec<Vec<String>> = (0..batch.rows).map(passages).collect();
        if let Some(checks) = &mut checks {
            checks.items(&texts, &images)?;
        }
        self.checks = checks;
        let mut parts = |row: usize| separate.iter_mut().map(|field| std::mem::take(&mut field[row])).collect();
        let fields = (0..batch.rows).map(&mut parts).collect();
        let first_row = self.rows_read;
        self.rows_read += batch.rows as u64;
        Ok(ItemBatch { first_row, item_ids, texts, fields, images })
    }

    fn ids(&mut self, batch: &TableBatch) -> Result<ItemIds> {
        let Some(Some((name, column))) = batch.columns.first() else {
            return Err(damaged(&batch.file, "a batch without ids"));
        };
        let ids = ItemIds::from_arrow(column).map_err(|fault| id_error(batch, name, fault))?;
        let ids = if self.ids_are_strings { ids.into_strings() } else { ids };
        self.ids_are_strings = matches!(ids, ItemIds::Strings(_));
        Ok(ids)
    }

    /// The parts of a column's cells, cleaned, without empty parts.
    fn field(
        &self,
        batch: &TableBatch,
        name: &str,
        column: &ArrayRef,
        mut checks: Option<(usize, &mut CatalogChecks)>,
    ) -> Result<Vec<Vec<String>>> {
        let mut cells = cells::texts(column).map_err(|e| not_text(batch, name, e))?;
        if let Some((at, checks)) = checks.as_mut().filter(|_| !self.spec.parse_lists) {
            checks.raw(*at, &cells);
        }
        for parts in &mut cells {
            if self.spec.parse_lists {
                expand_lists(parts);
            }
            if !self.spec.raw_text {
                parts.iter_mut().for_each(|part| *part = clean(part));
            }
            parts.retain(|part| !part.trim().is_empty());
        }
        if let Some((at, checks)) = checks {
            checks.cleaned(at, &cells);
        }
        Ok(cells)
    }
}

impl Iterator for CatalogReader {
    type Item = Result<ItemBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let Some(batch) = self.table.next() else {
            self.done = true;
            // An empty catalog is reported once, at its end.
            return (self.rows_read == 0).then(|| {
                let got = "a table without rows";
                Err(Error::file(&self.spec.path, "a catalog with items", got, "check how it was written"))
            });
        };
        let items = batch.and_then(|batch| self.items(batch));
        self.done = items.is_err();
        Some(items)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::TextSpec;
    use crate::table::samples;
    use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
    use std::fs;
    use std::path::Path;

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
        fs::write(&csv, "id,title\n1,\"['Pens &amp; Ink', None, '']\"\n2,[]\n3,[new]\n").unwrap();
        let parsed = CatalogSpec { parse_lists: true, ..spec(&csv, &["title"]) };
        assert_eq!(read(&parsed).unwrap()[0].texts, [vec!["Pens & Ink"], vec![], vec!["[new]"]]);
        assert_eq!(read(&spec(&csv, &["title"])).unwrap()[0].texts[1], ["[]"]);
        let fields = CatalogSpec { fields: vec!["tags".into(), "title".into()], ..spec(&jsonl, &[]) };
        let items = read(&fields).unwrap();
        assert_eq!(items[0].fields, [vec![vec!["x"], vec!["A, bold"]], vec![vec![], vec![]]]);
        assert_eq!(items[0].texts, [vec![""; 0], vec![]]);
    }

    #[test]
    fn every_format_and_compression_gives_the_same_items() {
        let folder = tempfile::tempdir().unwrap();
        let part = |rows: std::ops::Range<i64>| {
            let title = StringArray::from_iter_values(rows.clone().map(|row| format!("pen {row}")));
            let columns: Vec<(&str, ArrayRef)> = vec![
                ("unused", std::sync::Arc::new(title.clone())),
                ("id", std::sync::Arc::new(Int64Array::from_iter_values(rows))),
                ("title", std::sync::Arc::new(title)),
            ];
            RecordBatch::try_from_iter(columns).unwrap()
        };
        let mut paths = samples::binary_tables(folder.path(), &[part(0..4), part(4..6)]);
        let json: String = (0..6).map(|row| format!("{{\"title\":\"pen {row}\",\"id\":{row}}}\n")).collect();
        paths.extend(samples::compressed(folder.path(), "a.jsonl", json.as_bytes()));
        let items = |path: &Path| -> (ItemIds, Vec<Vec<String>>) {
            let batches: Result<Vec<ItemBatch>> =
                CatalogReader::open(&spec(path, &["title"])).unwrap().in_parts(9).collect();
            let batch = batches.unwrap().remove(0);
            (batch.item_ids, batch.texts)
        };
        for path in &paths {
            let texts: Vec<Vec<String>> = (0..6).map(|row| vec![format!("pen {row}")]).collect();
            assert_eq!(items(path), (ItemIds::Integers((0..6).collect()), texts), "{}", path.display());
        }
        let csv: String = (0..6).map(|row| format!("{row},pen {row}\n")).collect();
        for path in samples::compressed(folder.path(), "a.csv", format!("id,title\n{csv}").as_bytes()) {
            assert_eq!(items(&path).0, ItemIds::Strings((0..6).map(|row| row.to_string()).collect()));
        }
    }

    #[test]
    fn ids_are_integers_only_if_all_are() {
        let folder = tempfile::tempdir().unwrap();
        let line = |id: &str| format!("{{\"id\":{id}}}\n");
        let numbers: String = (0..5_000).map(|id| line(&id.to_string())).collect();
        let ids = |content: String| {
            let path = folder.path().join("a.jsonl");
            fs::write(&path, content).unwrap();
            CatalogReader::open(&spec(&path, &[])).unwrap().in_parts(20_000).next().unwrap().unwrap().item_ids
        };
        assert_eq!(ids(numbers.clone()), ItemIds::Integers((0..5_000).collect()));
        let strings = ItemIds::Strings((0..5_000).map(|id| id.to_string()).chain(["x".into()]).collect());
        assert_eq!(ids(numbers.clone() + &line("\"x\"")), strings);
        // After a batch with string ids, all batches have string ids.
        fs::write(folder.path().join("a.jsonl"), line("\"x\"") + &numbers).unwrap();
        let batches = read(&spec(&folder.path().join("a.jsonl"), &[])).unwrap();
        assert!(batches.iter().all(|batch| matches!(batch.item_ids, ItemIds::Strings(_))) && batches.len() == 2);
        // The same for the files of a folder.
        let files = folder.path().join("files");
        fs::create_dir(&files).unwrap();
        fs::write(files.join("a.jsonl"), line("7")).unwrap();
        fs::write(files.join("b.jsonl"), line("\"8a\"")).unwrap();
        let all = CatalogReader::open(&spec(&files, &[])).unwrap().in_parts(9).next().unwrap().unwrap();
        assert_eq!(all.item_ids, ItemIds::Strings(vec!["7".into(), "8a".into()]));
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
        // The error names the file with the fault, and the row within this file.
        fs::write(folder.path().join("c.csv"), "id,t,image\nv,1,\n,2,\n").unwrap();
        let error = read(&both).unwrap_err().to_string();
        assert!(error.contains("c.csv, row 2"), "{error}");
        fs::write(folder.path().join("c.csv"), "id,text\nv,1\n").unwrap();
        assert!(read(&both).unwrap_err().to_string().contains("c.csv, column \"t\""));
    }

    #[test]
    fn a_folder_of_images_is_a_catalog() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b.png", "a.jpg", "notes.txt"] {
            fs::write(folder.path().join(name), "x").unwrap();
        }
        let items = read(&spec(folder.path(), &[])).unwrap();
        assert_eq!(items[0].item_ids, ItemIds::Strings(vec!["a".into(), "b".into()]));
        assert_eq!(items[0].images[1], [ImageSource::Path(folder.path().join("b.png"))]);
    }

    #[test]
    fn faults_name_their_location() {
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
        assert!(says("h.jsonl", "[{\"id\": 1}]", &[]).contains("one object per line"));
        assert!(says("i.parquet", "no parquet", &[]).contains("damaged"));
        assert!(says("j.txt", "x", &[]).contains(".parquet"));
    }
}
