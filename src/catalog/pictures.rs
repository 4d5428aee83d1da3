//! The files of a catalog: tables, or the images of a folder.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};

use crate::error::{Error, Result};
use crate::table::{TABLE_EXTENSIONS, TableFiles, TableFolder, damaged, find_tables, tables_of_folder};

/// The columns of a folder of images.
pub(super) const PICTURE_ID: &str = "item_id";
/// See [`PICTURE_ID`].
pub(super) const PICTURE: &str = "image";
/// Extensions of image files.
const PICTURE_EXTENSIONS: [&str; 15] =
    ["png", "apng", "jpg", "jpeg", "jpe", "jfif", "jif", "pjpeg", "pjp", "webp", "gif", "bmp", "dib", "tif", "tiff"];

/// The files of a catalog.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum CatalogFiles {
    /// The images of a folder, sorted by name, and a note about skipped entries.
    Pictures(Vec<PathBuf>, Option<String>),
    /// Tables.
    Tables(TableFiles),
}

/// Finds the files of a catalog: a table, a folder or pattern of tables, or a folder of images.
pub(super) fn find_catalog(path: &Path) -> Result<CatalogFiles> {
    if !path.is_dir() {
        let expected =
            "a catalog: Parquet, Arrow, CSV or JSON Lines, a folder or a pattern of these, or a folder of images";
        return find_tables(path, expected).map(CatalogFiles::Tables);
    }
    let mut folder = TableFolder::read(path)?;
    let pictures = folder.take(|file| file.parent() == Some(path) && is_picture(file));
    match (pictures.is_empty(), folder.tables.is_empty()) {
        (true, true) => {
            let (tables, pictures) = (TABLE_EXTENSIONS.join(", "), PICTURE_EXTENSIONS.join(", "));
            let expected = format!("a folder of tables ({tables}) or images ({pictures})");
            let help = "name the catalog's table, or a folder that contains tables or images";
            Err(Error::file(path, expected, folder.nothing(), help))
        }
        (false, true) => Ok(CatalogFiles::Pictures(pictures, folder.note(path))),
        (true, false) => tables_of_folder(path, folder).map(CatalogFiles::Tables),
        (false, false) => {
            let got = format!("{} images and {} tables", pictures.len(), folder.tables.len());
            Err(Error::file(path, "a folder with either images or tables", got, "name the table itself"))
        }
    }
}

fn is_picture(file: &Path) -> bool {
    extension(file).is_some_and(|extension| PICTURE_EXTENSIONS.contains(&extension.as_str()))
}

fn extension(file: &Path) -> Option<String> {
    file.extension().map(|extension| extension.to_string_lossy().to_lowercase())
}

/// The images of a folder as a table. The id is the file's name without its extension.
pub(super) fn picture_table(folder: &Path, files: &[PathBuf]) -> Result<RecordBatch> {
    let schema =
        Schema::new(vec![Field::new(PICTURE_ID, DataType::Utf8, false), Field::new(PICTURE, DataType::Utf8, false)]);
    let text = |part: fn(&Path) -> Option<&std::ffi::OsStr>| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(files.iter().map(|f| part(f).unwrap_or_default().to_string_lossy())))
    };
    RecordBatch::try_new(Arc::new(schema), vec![text(Path::file_stem), text(Path::file_name)])
        .map_err(|e| damaged(folder, e))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_folder_contains_tables_or_images() {
        let folder = tempfile::tempdir().unwrap();
        let says = || find_catalog(folder.path()).unwrap_err().to_string();
        assert!(says().contains("none of these"));
        fs::write(folder.path().join("a.csv.gz"), "id\n1\n").unwrap();
        assert!(
            matches!(find_catalog(folder.path()).unwrap(), CatalogFiles::Tables(tables) if tables.files.len() == 1)
        );
        fs::write(folder.path().join("B.PNG"), "x").unwrap();
        assert!(says().contains("1 images and 1 tables"));
        fs::remove_file(folder.path().join("a.csv.gz")).unwrap();
        for name in ["c.jfif", "d.jpe", "e.avif"] {
            fs::write(folder.path().join(name), "x").unwrap();
        }
        let files = ["B.PNG", "c.jfif", "d.jpe"].map(|name| folder.path().join(name)).to_vec();
        let note = format!("{}: skipped 1 other file (e.avif)", folder.path().display());
        let pictures = CatalogFiles::Pictures(files, Some(note));
        assert_eq!(find_catalog(folder.path()).unwrap(), pictures);
    }
}
