//! Vectors made by another program, as a modality of a catalog's items.

use std::fmt;
use std::path::{Path, PathBuf};

use super::file::open_matrix;
use super::npy::MatrixFile;
use super::ready_rows::{PlacedVectors, ReadyRows};
use super::table::FeatureTable;
use crate::error::{Error, Result, quoted};
use crate::item_ids::ItemIds;

/// The location of precomputed vectors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadyVectors {
    /// Name of their modality.
    pub name: String,
    /// A `.npy` or safetensors matrix, or a Parquet or Arrow table in one file or several.
    pub path: PathBuf,
    /// The table's vector column; required if there are several.
    pub column: Option<String>,
}

/// Precomputed vectors, matched to the items of a catalog.
#[derive(Debug)]
pub struct Ready {
    /// The vectors, one row per item of the catalog.
    pub rows: ReadyRows,
    /// Number of rows whose item is not in the catalog, and the id of one of them.
    pub unknown: (usize, Option<String>),
}

impl ReadyVectors {
    /// Matches the vectors to the items of a catalog. A table with ids, in the column `id` or else in `item_id` or
    /// `id`, is joined by these ids as text. Items without a row or with a null vector lack the modality. Rows of other
    /// items are counted. A matrix, and a table without ids, must have one row per item, in the catalog's order.
    ///
    /// The vectors of a table are copied in the catalog's order to a temporary file in `folder`. A matrix is read in
    /// place. Memory holds the ids and one block.
    ///
    /// # Errors
    /// Errors name file, column and row; [`Error::Mismatch`] for another number of rows, or if no id is in the catalog;
    /// [`Error::Row`] for a repeated id; [`Error::Io`].
    pub fn open(&self, items: &ItemIds, id: Option<&str>, folder: &Path) -> Result<Ready> {
        match open_matrix(&self.path)? {
            Some(matrix) => self.matrix(matrix, items),
            None => self.table(items, id, folder),
        }
    }

    fn matrix(&self, matrix: MatrixFile, items: &ItemIds) -> Result<Ready> {
        if let Some(column) = &self.column {
            let got = format!("column {column} of {}", self.path.display());
            return Err(Error::config("embedding", "a file without a column", got, "a matrix has no columns"));
        }
        self.check_rows(matrix.rows, items)?;
        Ok(Ready { rows: ReadyRows::of_matrix(&self.name, &self.path, matrix), unknown: (0, None) })
    }

    fn table(&self, items: &ItemIds, id: Option<&str>, folder: &Path) -> Result<Ready> {
        let table = FeatureTable::open_columns(&self.path, self.column.as_deref(), id)?;
        let [(_, dim)] = table.shapes[..] else {
            let columns: Vec<&str> = table.shapes.iter().map(|(name, _)| name.as_str()).collect();
            let (path, help) = (self.path.display(), "name one of them");
            return Err(Error::config(
                "embedding",
                format!("{}={path}:COLUMN", self.name),
                format!("a table with the vector columns {}", columns.join(", ")),
                help,
            ));
        };
        let by_id = table.id.is_some();
        if !by_id {
            self.check_rows(table.parts.rows(), items)?;
        }
        let by_text = if by_id { items.rows_by_text() } else { Default::default() };
        let mut placed = PlacedVectors::new(items.len(), dim, folder)?;
        let (mut all, mut unknown): (ItemIds, (usize, Option<String>)) = Default::default();
        for rows in table.rows((0..table.parts.len()).collect()) {
            let (first_row, ids, modalities) = rows?;
            let mut places = Vec::with_capacity(ids.len());
            for (row, &present) in modalities[0].present.iter().enumerate() {
                let place = if by_id { by_text.get(&ids.text(row)).copied() } else { Some(first_row + row) };
                if place.is_none() {
                    unknown.0 += 1;
                    unknown.1.get_or_insert_with(|| ids.text(row));
                }
                places.push(place.filter(|_| present));
            }
            placed.write(modalities[0].vectors.view(), &places)?;
            all.append(ids);
        }
        if by_id && !all.is_empty() {
            table.check_ids(&all)?;
            if unknown.0 == all.len() {
                return Err(self.no_item(items, unknown));
            }
        }
        if !placed.present.contains(&true) {
            let help = "check how the table was written";
            return Err(Error::file(&self.path, "a vector of an item of the catalog", "nulls only", help));
        }
        Ok(Ready { rows: ReadyRows::of_placed(&self.name, placed), unknown })
    }

    fn check_rows(&self, rows: usize, items: &ItemIds) -> Result<()> {
        if rows == items.len() {
            return Ok(());
        }
        let expected = format!("{}, one for each item of the catalog in its order", items.len());
        let help = "make vectors for this catalog, or write them as a Parquet table with item ids";
        Err(Error::mismatch(format!("rows of {}", self.path.display()), expected, rows, help))
    }

    fn no_item(&self, items: &ItemIds, (rows, item): (usize, Option<String>)) -> Error {
        let catalogs = if items.is_empty() { String::new() } else { items.text(0) };
        Error::mismatch(
            format!("item ids of {}", self.path.display()),
            format!("ids of the catalog, such as {}", quoted(&catalogs)),
            format!("{rows} other ids, such as {}", quoted(&item.unwrap_or_default())),
            "name the catalog's id column with --id, or write the table with the catalog's ids",
        )
    }
}

impl fmt::Display for ReadyVectors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.name, self.path.display())?;
        self.column.iter().try_for_each(|column| write!(f, ":{column}"))
    }
}

impl std::str::FromStr for ReadyVectors {
    type Err = Error;

    /// Parses `NAME=FILE` or `NAME=FILE:COLUMN`. If a file with the whole name exists, the colon belongs to its name.
    fn from_str(text: &str) -> Result<Self> {
        let wrong = |help: &str| Error::config("embedding", "NAME=FILE or NAME=FILE:COLUMN", text, help);
        let Some((name, file)) = text.split_once('=').filter(|(name, file)| !(name.is_empty() || file.is_empty()))
        else {
            return Err(wrong("give the modality a name, such as llama=vectors.npy"));
        };
        if name == super::ID {
            return Err(wrong("choose another name; this is the name of the id column"));
        }
        let whole = Path::new(file);
        let (path, column) = match file.rsplit_once(':') {
            Some((path, column)) if !whole.exists() && !column.is_empty() && !path.is_empty() => (path, Some(column)),
            _ => (file, None),
        };
        Ok(ReadyVectors { name: name.into(), path: path.into(), column: column.map(str::to_owned) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::artifact::Overwrite;
    use crate::features::{Features, Modality, ModalityRows};
    use ndarray::array;

    fn vectors(path: &Path, column: Option<&str>) -> ReadyVectors {
        ReadyVectors { name: "llama".into(), path: path.into(), column: column.map(str::to_owned) }
    }

    #[test]
    fn a_flag_has_a_name_a_file_and_an_optional_column() {
        let read = |text: &str| text.parse::<ReadyVectors>();
        let flag = read("llama=a=b/x.parquet:qwen").unwrap();
        assert_eq!((flag.name.as_str(), flag.path.as_path()), ("llama", Path::new("a=b/x.parquet")));
        assert_eq!((flag.column.as_deref(), flag.to_string().as_str()), (Some("qwen"), "llama=a=b/x.parquet:qwen"));
        assert_eq!(read("llama=x.npy").unwrap().column, None);
        let folder = tempfile::tempdir().unwrap();
        let odd = folder.path().join("x:y.npy");
        std::fs::write(&odd, "").unwrap();
        assert_eq!(read(&format!("llama={}", odd.display())).unwrap(), vectors(&odd, None));
        for wrong in ["x.npy", "=x.npy", "llama=", "item_id=x.npy"] {
            assert!(read(wrong).unwrap_err().to_string().contains("NAME=FILE"), "{wrong}");
        }
    }

    #[test]
    fn rows_are_found_by_id_whatever_their_order_and_type() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.parquet");
        let modality = |name: &str, present: Vec<bool>| Modality {
            name: name.into(),
            vectors: array![[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]],
            present,
        };
        let modalities = vec![modality("a", vec![true, false, true]), modality("b", vec![true; 3])];
        let features = Features::new(ItemIds::Integers(vec![9, 8, 7]), modalities).unwrap();
        features.write(&path, Overwrite::Refuse).unwrap();
        let items = ItemIds::Strings(["7", "8", "5"].map(str::to_owned).into());
        let mut ready = vectors(&path, Some("a")).open(&items, None, folder.path()).unwrap();
        let read = ready.rows.rows(0..3).unwrap();
        assert_eq!(read.present, [true, false, false]);
        assert_eq!(read.vectors, array![[5.0, 6.0], [0.0, 0.0], [0.0, 0.0]]);
        assert_eq!((read.name.as_str(), ready.unknown), ("llama", (1, Some("9".into()))));
        let fails =
            |column, items: &ItemIds| vectors(&path, column).open(items, None, folder.path()).unwrap_err().to_string();
        assert!(fails(None, &items).contains("the vector columns a, b"));
        assert!(fails(Some("c"), &items).contains("name one of: a, b"));
        assert!(fails(Some("a"), &ItemIds::row_numbers(3)).contains("3 other ids, such as \"9\""));
        assert!(fails(Some("a"), &ItemIds::Integers(vec![8])).contains("nulls only"));
    }
}
