//! Vectors that were made elsewhere, as a modality of a catalog's items.

use std::fmt;
use std::path::{Path, PathBuf};

use ndarray::{Array2, s};

use super::Modality;
use super::file::open_matrix;
use super::npy::MatrixFile;
use super::table::FeatureTable;
use crate::error::{Error, Result};
use crate::item_ids::ItemIds;

/// Where they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadyVectors {
    /// Name of the modality they become.
    pub name: String,
    /// A `.npy` or safetensors matrix, or a Parquet or Arrow table.
    pub path: PathBuf,
    /// The table's column of vectors; without one, there must be one only.
    pub column: Option<String>,
}

/// What was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Ready {
    /// A row an item of the catalog.
    pub modality: Modality,
    /// Rows of items that the catalog does not have, and one of these.
    pub unknown: (usize, Option<String>),
}

impl ReadyVectors {
    /// The vectors of a catalog's items. A table with ids, in the column `id` or else in `item_id` or `id`, is matched by
    /// these as text: items without a row, or with null, lack the modality, rows of other items are counted. A matrix, and
    /// a table without ids, must have a row an item, in the catalog's order.
    ///
    /// # Errors
    /// Errors name file, column and row; [`Error::Mismatch`] for another number of rows, or where no id is the catalog's;
    /// [`Error::Row`] for an id that stands twice.
    pub fn read(&self, items: &ItemIds, id: Option<&str>) -> Result<Ready> {
        match open_matrix(&self.path)? {
            Some(matrix) => self.matrix(matrix, items),
            None => self.table(items, id),
        }
    }

    fn matrix(&self, matrix: MatrixFile, items: &ItemIds) -> Result<Ready> {
        if let Some(column) = &self.column {
            let got = format!("column {column} of {}", self.path.display());
            return Err(Error::config("embedding", "a file without a column", got, "a matrix has no columns"));
        }
        self.check_rows(matrix.rows, items)?;
        let mut vectors = Array2::zeros((items.len(), matrix.shapes()[0].1));
        for part in 0..matrix.parts() {
            let block = matrix.block(&self.path, part)?;
            let rows = block.first_row..block.first_row + block.features.len();
            vectors.slice_mut(s![rows, ..]).assign(&block.features.modalities()[0].vectors);
        }
        Ok(self.ready(vectors, vec![true; items.len()], (0, None)))
    }

    fn table(&self, items: &ItemIds, id: Option<&str>) -> Result<Ready> {
        let table = FeatureTable::open_columns(&self.path, self.column.as_deref(), id)?;
        let [(_, dim)] = table.shapes[..] else {
            let columns: Vec<&str> = table.shapes.iter().map(|(name, _)| name.as_str()).collect();
            let (path, help) = (self.path.display(), "say which");
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
        let places = if by_id { items.rows_by_text() } else { Default::default() };
        let (mut vectors, mut present) = (Array2::zeros((items.len(), dim)), vec![false; items.len()]);
        let (mut all, mut unknown): (ItemIds, (usize, Option<String>)) = Default::default();
        for rows in table.rows((0..table.parts.len()).collect()) {
            let (first_row, ids, modalities) = rows?;
            for (row, vector) in modalities[0].vectors.rows().into_iter().enumerate() {
                let place = if by_id { places.get(&ids.text(row)).copied() } else { Some(first_row + row) };
                match place {
                    Some(place) if modalities[0].present[row] => {
                        vectors.row_mut(place).assign(&vector);
                        present[place] = true;
                    }
                    Some(_) => {}
                    None => {
                        unknown.0 += 1;
                        unknown.1.get_or_insert_with(|| ids.text(row));
                    }
                }
            }
            all.append(ids);
        }
        if by_id && !all.is_empty() {
            table.check_ids(&all)?;
            if unknown.0 == all.len() {
                return Err(self.no_item(items, unknown));
            }
        }
        if !present.contains(&true) {
            let help = "check how the table was written";
            return Err(Error::file(&self.path, "a vector of an item of the catalog", "nulls only", help));
        }
        Ok(self.ready(vectors, present, unknown))
    }

    fn ready(&self, vectors: Array2<f32>, present: Vec<bool>, unknown: (usize, Option<String>)) -> Ready {
        Ready { modality: Modality { name: self.name.clone(), vectors, present }, unknown }
    }

    fn check_rows(&self, rows: usize, items: &ItemIds) -> Result<()> {
        if rows == items.len() {
            return Ok(());
        }
        let expected = format!("{}, one for each item of the catalog in its order", items.len());
        let help = "make the vectors of this catalog, or write a Parquet table with their item ids";
        Err(Error::mismatch(format!("rows of {}", self.path.display()), expected, rows, help))
    }

    fn no_item(&self, items: &ItemIds, (rows, item): (usize, Option<String>)) -> Error {
        let catalogs = if items.is_empty() { String::new() } else { items.text(0) };
        Error::mismatch(
            format!("item ids of {}", self.path.display()),
            format!("ids of the catalog, such as {catalogs:?}"),
            format!("{rows} others, such as {:?}", item.unwrap_or_default()),
            "name the catalog's column of ids with --id, or write the table with the catalog's ids",
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

    /// Reads `NAME=FILE` or `NAME=FILE:COLUMN`. A file whose own name has a colon is taken as it is, if it is there.
    fn from_str(text: &str) -> Result<Self> {
        let wrong = |help: &str| Error::config("embedding", "NAME=FILE or NAME=FILE:COLUMN", text, help);
        let Some((name, file)) = text.split_once('=').filter(|(name, file)| !(name.is_empty() || file.is_empty()))
        else {
            return Err(wrong("give the modality a name, as llama=vectors.npy"));
        };
        if name == super::ID {
            return Err(wrong("choose another name: that is the column of the ids"));
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
    use crate::features::Features;
    use ndarray::array;

    fn vectors(path: &Path, column: Option<&str>) -> ReadyVectors {
        ReadyVectors { name: "llama".into(), path: path.into(), column: column.map(str::to_owned) }
    }

    #[test]
    fn a_flag_is_a_name_a_file_and_perhaps_a_column() {
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
        let ready = vectors(&path, Some("a")).read(&items, None).unwrap();
        assert_eq!(ready.modality.present, [true, false, false]);
        assert_eq!(ready.modality.vectors, array![[5.0, 6.0], [0.0, 0.0], [0.0, 0.0]]);
        assert_eq!((ready.modality.name.as_str(), ready.unknown), ("llama", (1, Some("9".into()))));
        let fails = |column, items: &ItemIds| vectors(&path, column).read(items, None).unwrap_err().to_string();
        assert!(fails(None, &items).contains("the vector columns a, b"));
        assert!(fails(Some("c"), &items).contains("name one of: a, b"));
        assert!(fails(Some("a"), &ItemIds::row_numbers(3)).contains("3 others, such as \"9\""));
        assert!(fails(Some("a"), &ItemIds::Integers(vec![8])).contains("nulls only"));
    }
}
