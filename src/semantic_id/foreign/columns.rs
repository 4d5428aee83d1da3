//! Reads tables of ids and codes. The codes are in a list column, a text column, or one column per level.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field};
use serde::Deserialize;

use super::ForeignIds;
use super::raw::RawIds;
use crate::error::{Error, Result};
use crate::item_ids::{IdFault, ItemIds};
use crate::table::{ColumnRequest, TableReader, find_tables};

/// Default names of the id column, and of the column of codes.
const IDS: [&str; 4] = ["item_id", "id", "iid", "parent_asin"];
const CODES: [&str; 6] = ["codebook", "codes", "semantic_ids", "semantic_id", "sid", "sids"];
const EXPECTED: &str = "a table of item ids and codes";

/// Reads a table. Codes are lists of integers or tokens, text such as `1,22,3` or `<a_1><b_22>`, or one column per
/// level.
pub(super) fn read(path: &Path, columns: &ForeignIds, raw: &mut RawIds) -> Result<()> {
    let mut requests = vec![ColumnRequest::named_or(columns.id.as_deref(), &IDS).of_ids()];
    match columns.codes.as_deref() {
        None => requests.push(ColumnRequest::named_or(None, &CODES)),
        Some(names) => requests.extend(names.iter().map(|name| ColumnRequest::required(name))),
    }
    for batch in TableReader::open(path, find_tables(path, EXPECTED)?, requests)? {
        let batch = batch?;
        let found: Vec<(String, ArrayRef)> = batch.columns.into_iter().flatten().collect();
        let Some(((id, ids), codes)) = found.split_first() else { continue };
        let ids = ItemIds::from_arrow(ids).map_err(|fault| id_error(&batch.file, id, batch.first_row, fault))?;
        let lists: Vec<Cells> =
            codes.iter().map(|(name, column)| Cells::of(&batch.file, name, column)).collect::<Result<_>>()?;
        for row in 0..batch.rows {
            match &lists[..] {
                [Cells::Texts(texts)] => {
                    let texts = texts.as_string::<i32>();
                    raw.push_text(ids.text(row), if texts.is_null(row) { "" } else { texts.value(row) });
                }
                lists => {
                    let tokens: Vec<String> = lists.iter().flat_map(|list| list.tokens(row)).collect();
                    raw.push(ids.text(row), tokens.iter().map(String::as_str));
                }
            }
        }
    }
    Ok(())
}

/// A column of codes.
enum Cells {
    Texts(ArrayRef),
    /// Lists of strings.
    Lists(ArrayRef),
}

impl Cells {
    fn of(path: &Path, name: &str, column: &ArrayRef) -> Result<Self> {
        let refuse = |got: String| Error::Column {
            path: path.to_path_buf(),
            column: name.into(),
            expected: "lists of codes, text, or integers".into(),
            got,
            help: "pass the column of the codes, or one column per level, with --codes".into(),
        };
        let to = |wanted: &DataType| cast(column, wanted).map_err(|e| refuse(e.to_string()));
        match column.data_type() {
            DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(..) => {
                let texts = DataType::List(Arc::new(Field::new("item", DataType::Utf8, true)));
                to(&texts).map(Cells::Lists)
            }
            kind if kind.is_integer() || matches!(kind, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View) => {
                to(&DataType::Utf8).map(Cells::Texts)
            }
            DataType::Dictionary(..) => to(&DataType::Utf8).map(Cells::Texts),
            other => Err(refuse(other.to_string())),
        }
    }

    fn tokens(&self, row: usize) -> Vec<String> {
        let text = |values: &dyn Array, at: usize| {
            let values = values.as_string::<i32>();
            if values.is_null(at) { "null".to_owned() } else { values.value(at).to_owned() }
        };
        match self {
            Cells::Texts(values) => vec![text(values, row)],
            Cells::Lists(lists) => {
                let lists = lists.as_list::<i32>();
                if lists.is_null(row) {
                    return Vec::new();
                }
                let values = lists.value(row);
                (0..values.len()).map(|at| text(&values, at)).collect()
            }
        }
    }
}

fn id_error(path: &Path, column: &str, first_row: u64, fault: IdFault) -> Error {
    let (row, got) = match fault {
        IdFault::Null(row) => (row, "null".to_owned()),
        IdFault::Unusable(row, got) => (row, got),
        IdFault::Duplicate(_, row, id) => (row, id),
        IdFault::Type(kind) => {
            return Error::Column {
                path: path.to_path_buf(),
                column: column.into(),
                expected: "item ids: integers or strings".into(),
                got: kind.to_string(),
                help: "pass the column of the item ids with --id".into(),
            };
        }
    };
    Error::Row {
        path: path.to_path_buf(),
        row: first_row + row as u64 + 1,
        column: column.into(),
        expected: "an item id".into(),
        got,
        help: "pass the column of the item ids with --id".into(),
    }
}

/// The part of TorchEasyRec's manifest that is read.
#[derive(Deserialize)]
struct BundleManifest {
    codebook: Vec<usize>,
}

/// The tables at a path, and the codebook sizes of the manifest next to them. TorchEasyRec writes a generation as a
/// folder with `manifest.json` and a folder `item_to_sid`.
pub(super) fn torch_easy_rec(path: &Path) -> Result<(PathBuf, Option<Vec<usize>>)> {
    let inner = path.join("item_to_sid");
    let tables = if inner.is_dir() { inner } else { path.to_path_buf() };
    let places = [path.join("manifest.json"), path.parent().unwrap_or(path).join("manifest.json")];
    let Some(manifest) = places.into_iter().find(|place| place.is_file()) else { return Ok((tables, None)) };
    let text = fs::read(&manifest).map_err(|e| Error::io("read", &manifest, e))?;
    let read: BundleManifest = serde_json::from_slice(&text).map_err(|e| {
        let help = "repair the manifest, or move the folder item_to_sid away from it and pass that folder";
        Error::file(&manifest, "a manifest of TorchEasyRec with codebook sizes", e, help)
    })?;
    Ok((tables, Some(read.codebook)))
}
