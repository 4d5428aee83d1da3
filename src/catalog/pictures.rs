//! Which files a catalog is: tables, or the pictures of a folder.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};

use crate::error::{Error, Result, shortened};
use crate::table::{TABLE_EXTENSIONS, TableFiles, damaged, find_tables, has_table_extension, tables_of, visible_files};

/// The columns that a folder of pictures is read as.
pub(super) const PICTURE_ID: &str = "item_id";
/// See [`PICTURE_ID`].
pub(super) const PICTURE: &str = "image";
/// Extensions of pictures.
const PICTURE_EXTENSIONS: [&str; 15] =
    ["png", "apng", "jpg", "jpeg", "jpe", "jfif", "jif", "pjpeg", "pjp", "webp", "gif", "bmp", "dib", "tif", "tiff"];

/// Names that a message gives of each extension, and extensions that it names.
const SHOWN: usize = 2;
const MOST_KINDS: usize = 6;

/// The files of a catalog.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum CatalogFiles {
    /// Pictures of a folder, in the order of their names.
    Pictures(Vec<PathBuf>),
    /// Tables.
    Tables(TableFiles),
}

/// Finds the files of a catalog: a table, a folder or pattern of tables, or a folder of pictures.
pub(super) fn find_catalog(path: &Path) -> Result<CatalogFiles> {
    if !path.is_dir() {
        let expected =
            "a catalog: Parquet, Arrow, CSV or JSON Lines, a folder or a pattern of these, or a folder of pictures";
        return find_tables(path, expected).map(CatalogFiles::Tables);
    }
    let files = visible_files(path)?;
    let (pictures, others): (Vec<PathBuf>, Vec<PathBuf>) = files.into_iter().partition(|file| is_picture(file));
    let (tables, others): (Vec<PathBuf>, Vec<PathBuf>) = others.into_iter().partition(|file| has_table_extension(file));
    match (pictures.is_empty(), tables.is_empty()) {
        (true, true) => {
            let (tables, pictures) = (TABLE_EXTENSIONS.join(", "), PICTURE_EXTENSIONS.join(", "));
            let expected = format!("a folder of tables ({tables}) or pictures ({pictures})");
            let help = "name the catalog's table, or a folder that holds tables or pictures";
            let got = if others.is_empty() { String::new() } else { format!(", but {}", by_extension(&others)) };
            Err(Error::file(path, expected, format!("none of these{got}"), help))
        }
        (false, true) => Ok(CatalogFiles::Pictures(pictures)),
        (true, false) => tables_of(path, tables).map(CatalogFiles::Tables),
        (false, false) => {
            let got = format!("{} pictures and {} tables", pictures.len(), tables.len());
            Err(Error::file(path, "a folder of either pictures or tables", got, "name the table itself"))
        }
    }
}

fn is_picture(file: &Path) -> bool {
    extension(file).is_some_and(|extension| PICTURE_EXTENSIONS.contains(&extension.as_str()))
}

fn extension(file: &Path) -> Option<String> {
    file.extension().map(|extension| extension.to_string_lossy().to_lowercase())
}

/// What a folder of pictures holds beside them, in one sentence; none for a folder of pictures only, and for tables.
///
/// # Errors
/// [`Error::Io`] for a folder that cannot be read.
pub fn passed_over(path: &Path) -> Result<Option<String>> {
    if !path.is_dir() {
        return Ok(None);
    }
    let (pictures, others): (Vec<PathBuf>, Vec<PathBuf>) =
        visible_files(path)?.into_iter().partition(|f| is_picture(f));
    let mut folders = 0;
    for entry in std::fs::read_dir(path).map_err(|e| Error::io("read", path, e))? {
        let entry = entry.map_err(|e| Error::io("read", path, e))?;
        folders += usize::from(!entry.file_name().to_string_lossy().starts_with(['.', '_']) && entry.path().is_dir());
    }
    if pictures.is_empty() || (others.is_empty() && folders == 0) {
        return Ok(None);
    }
    let mut found = Vec::new();
    if !others.is_empty() {
        found.push(by_extension(&others));
    }
    if folders > 0 {
        found.push(format!("{folders} folders"));
    }
    let (found, read) = (found.join(", "), PICTURE_EXTENSIONS.join(", "));
    Ok(Some(format!("{}: left out {found}; pictures are files of the folder itself with {read}", path.display())))
}

/// Counts files by their extension: `2 .avif (a.avif, b.avif), 1 .txt (notes.txt)`.
fn by_extension(files: &[PathBuf]) -> String {
    let mut groups: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for file in files {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let kind = extension(file).map_or("without extension".into(), |extension| format!(".{extension}"));
        groups.entry(kind).or_default().push(shortened(&name));
    }
    let group = |(kind, names): (&String, &Vec<String>)| {
        let more = if names.len() > SHOWN { ", ..." } else { "" };
        format!("{} {} ({}{more})", names.len(), shortened(kind), names[..names.len().min(SHOWN)].join(", "))
    };
    let mut said: Vec<String> = groups.iter().take(MOST_KINDS).map(group).collect();
    if groups.len() > MOST_KINDS {
        let rest: usize = groups.values().skip(MOST_KINDS).map(Vec::len).sum();
        said.push(format!("{rest} others"));
    }
    said.join(", ")
}

/// The pictures of a folder as a table. The id is the file's name without its extension.
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
    fn a_folder_holds_tables_or_pictures() {
        let folder = tempfile::tempdir().unwrap();
        let says = || find_catalog(folder.path()).unwrap_err().to_string();
        assert!(says().contains("none of these"));
        fs::write(folder.path().join("a.csv.gz"), "id\n1\n").unwrap();
        assert!(
            matches!(find_catalog(folder.path()).unwrap(), CatalogFiles::Tables(tables) if tables.files.len() == 1)
        );
        fs::write(folder.path().join("B.PNG"), "x").unwrap();
        assert!(says().contains("1 pictures and 1 tables"));
        fs::remove_file(folder.path().join("a.csv.gz")).unwrap();
        let pictures = CatalogFiles::Pictures(vec![folder.path().join("B.PNG")]);
        assert_eq!(find_catalog(folder.path()).unwrap(), pictures);
    }

    #[test]
    fn what_a_folder_of_pictures_holds_beside_them_is_counted() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a.jpg", "b.jfif", "c.JPE", "d.apng", "e.dib", "_SUCCESS", ".x"] {
            fs::write(folder.path().join(name), "x").unwrap();
        }
        let CatalogFiles::Pictures(found) = find_catalog(folder.path()).unwrap() else { panic!("no pictures") };
        assert_eq!((found.len(), passed_over(folder.path()).unwrap()), (5, None));
        for name in ["f.avif", "g.avif", "h.AVIF", "notes.txt", "README"] {
            fs::write(folder.path().join(name), "x").unwrap();
        }
        fs::create_dir(folder.path().join("more")).unwrap();
        let said = passed_over(folder.path()).unwrap().unwrap();
        let expected =
            "left out 3 .avif (f.avif, g.avif, ...), 1 .txt (notes.txt), 1 without extension (README), 1 folders;";
        assert!(said.contains(expected), "{said}");
        let other = tempfile::tempdir().unwrap();
        fs::write(other.path().join("a.heic"), "x").unwrap();
        let error = find_catalog(other.path()).unwrap_err().to_string();
        assert!(error.contains("none of these, but 1 .heic (a.heic)"), "{error}");
    }
}
