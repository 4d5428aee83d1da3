//! Reading and writing token tables as Parquet and Arrow.

use std::collections::HashMap;
use std::io::Write;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, FixedSizeListArray, Float32Array, StringArray, UInt16Array,
};
use arrow::datatypes::{DataType, Field, Float32Type, Metadata, Schema, UInt16Type};
use arrow::record_batch::RecordBatch;
use ndarray::{Array2, ArrayView2, s};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::reader::ChunkReader;

use super::columns::{CODES, ERROR, ID, REASSIGNED, SEMANTIC_ID, code_field, of_own_types};
use super::member_columns::{MemberColumns, check_members};
use super::{Occupied, TableMetadata, TokenTable, member_columns, table_metadata};
use crate::artifact::{AtomicFile, Overwrite, open_regular, seal};
use crate::error::{Error, Result};
use crate::guard::guarded;
use crate::item_ids::{IdFault, ItemIds};
use crate::table::{check_pages, check_parquet};

/// Rows per written batch.
const ROWS_AT_ONCE: usize = 65_536;
const REMAKE: &str = "make the table again with `catalex tokenize`";

pub(super) fn write(table: &TokenTable, path: &Path, overwrite: Overwrite) -> Result<()> {
    write_to(table, path, AtomicFile::create(path, overwrite)?)?.commit()
}

/// Writes Parquet to any writer; errors name `path`.
pub(super) fn write_to<W: Write + Send>(table: &TokenTable, path: &Path, out: W) -> Result<W> {
    let failed = |e: parquet::errors::ParquetError| Error::io("write", path, std::io::Error::other(e));
    let pairs = table_metadata::pairs(&table.metadata, table.codes.ncols())
        .into_iter()
        .chain([(seal::KEY, seal::blank())])
        .map(|(key, value)| KeyValue::new(key.into(), value))
        .collect();
    let properties = WriterProperties::builder()
        .set_created_by(concat!("catalex ", env!("CARGO_PKG_VERSION")).into())
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_key_value_metadata(Some(pairs))
        .build();
    let schema = Arc::new(Schema::new(fields(table)));
    let out = seal::SealingWriter::new(out);
    let mut writer = ArrowWriter::try_new(out, schema.clone(), Some(properties)).map_err(failed)?;
    for first in (0..table.codes.nrows()).step_by(ROWS_AT_ONCE) {
        let rows = first..table.codes.nrows().min(first + ROWS_AT_ONCE);
        writer.write(&batch(table, &schema, rows)?).map_err(failed)?;
    }
    // The metadata, which holds the hash, comes last.
    writer.flush().map_err(failed)?;
    writer.inner_mut().hold();
    writer.into_inner().map_err(failed)?.finish().map_err(|e| Error::io("write", path, e))
}

/// The table as one Arrow batch. The schema has the file's metadata.
pub(super) fn to_batch(table: &TokenTable) -> Result<RecordBatch> {
    let metadata: Metadata = table_metadata::pairs(&table.metadata, table.codes.ncols()).into_iter().collect();
    let schema = Arc::new(Schema::new_with_metadata(fields(table), metadata));
    batch(table, &schema, 0..table.codes.nrows())
}

fn fields(table: &TokenTable) -> Vec<Field> {
    let mut fields = vec![
        Field::new(ID, table.item_ids.data_type(), false),
        Field::new(CODES, DataType::FixedSizeList(code_field(), table.codes.ncols() as i32), false),
        Field::new(SEMANTIC_ID, DataType::Utf8, false),
        Field::new(ERROR, DataType::Float32, false),
        Field::new(REASSIGNED, DataType::Boolean, false),
    ];
    fields.extend(table.members.iter().flat_map(member_columns::fields));
    fields
}

fn batch(table: &TokenTable, schema: &Arc<Schema>, rows: Range<usize>) -> Result<RecordBatch> {
    RecordBatch::try_new(schema.clone(), columns(table, rows))
        .map_err(|e| Error::mismatch("columns of the token table", "one value per item", e, "check the table"))
}

/// A range of rows as Arrow columns.
fn columns(table: &TokenTable, rows: Range<usize>) -> Vec<ArrayRef> {
    let codes = table.codes.slice(s![rows.clone(), ..]);
    let values = Arc::new(UInt16Array::from_iter_values(codes.iter().copied()));
    let mut columns: Vec<ArrayRef> = vec![
        table.item_ids.take(&rows.clone().collect::<Vec<_>>()).to_arrow(),
        Arc::new(FixedSizeListArray::new(code_field(), table.codes.ncols() as i32, values, None)),
        Arc::new(StringArray::from_iter_values(rows.clone().map(|row| table.semantic_id(row)))),
        Arc::new(Float32Array::from(table.residual_error[rows.clone()].to_vec())),
        Arc::new(BooleanArray::from(table.reassigned[rows.clone()].to_vec())),
    ];
    columns.extend(table.members.iter().flat_map(|members| member_columns::columns(members, rows.clone())));
    columns
}

pub(super) fn read(path: &Path) -> Result<TokenTable> {
    if !path.exists() {
        return Err(Error::Missing {
            path: path.to_path_buf(),
            expected: "a token table".into(),
            help: "check the path; `catalex tokenize` and `catalex build` write token tables".into(),
        });
    }
    if path.is_dir() {
        return Err(Error::file(path, "a token table or an index", "another folder", "pass the table inside it"));
    }
    parquet(path, open_regular(path).map_err(|e| Error::io("read", path, e))?)
}

/// Reads Parquet from a file or from memory; errors name `path`. A panic of the Parquet library is an error, too.
pub(super) fn parquet<R: ChunkReader + 'static>(path: &Path, file: R) -> Result<TokenTable> {
    guarded(|| parsed(path, file)).unwrap_or_else(|e| Err(Error::artifact(path, "a token table in Parquet", e, REMAKE)))
}

fn parsed<R: ChunkReader + 'static>(path: &Path, file: R) -> Result<TokenTable> {
    let damaged = |e: &dyn std::fmt::Display| Error::artifact(path, "a token table in Parquet", e, REMAKE);
    let metadata = ArrowReaderMetadata::load(&file, ArrowReaderOptions::default()).map_err(|e| damaged(&e))?;
    check_parquet(path, &file, metadata.metadata(), REMAKE)?;
    let file = Arc::new(file);
    let pages = check_pages(path, &file, metadata.metadata(), None).map_err(|e| match e {
        Error::File { got, .. } => damaged(&got),
        other => other,
    })?;
    pages.refuse_long_values(path, metadata.schema())?;
    let file = Arc::into_inner(file).ok_or_else(|| damaged(&"a file that is still being read"))?;
    let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata);
    let pairs = builder.metadata().file_metadata().key_value_metadata().cloned().unwrap_or_default();
    let pairs = pairs.into_iter().filter_map(|pair| Some((pair.key, pair.value?))).collect();
    let metadata = table_metadata::read(path, &pairs)?;
    let batches = builder.build().map_err(|e| damaged(&e))?;
    of_described(path, batches.map(|batch| batch.map_err(|e| damaged(&e))), metadata)
}

/// A table from Arrow batches with the file's columns, which are read one after another.
fn of_described(
    path: &Path,
    batches: impl IntoIterator<Item = Result<RecordBatch>>,
    metadata: TableMetadata,
) -> Result<TokenTable> {
    let damaged = |e: &dyn std::fmt::Display| Error::artifact(path, "a token table", e, REMAKE);
    let levels = metadata.codebook_sizes.len();
    let of_codes = format!("fixed_size_list<uint16>[{levels}]");
    let (mut item_ids, mut codes) = (ItemIds::default(), Vec::new());
    let (mut residual_error, mut reassigned) = (Vec::new(), Vec::new());
    let mut members = MemberColumns::of_policy(metadata.policy);
    for batch in batches {
        let (batch, first) = (batch?, residual_error.len());
        let column = |name: &str, expected: &str, fits: &dyn Fn(&DataType) -> bool| {
            column(path, &batch, first, name, expected, fits)
        };
        let ids = column(ID, "integers or strings", &|t| matches!(t, DataType::Int64 | DataType::Utf8))?;
        let ids = ItemIds::from_arrow(ids).map_err(|fault| id_error(path, fault.after(first)))?;
        let lists = column(
            CODES,
            &of_codes,
            &|t| matches!(t, DataType::FixedSizeList(f, n) if *f.data_type() == DataType::UInt16 && *n as usize == levels),
        )?;
        let lists = lists.as_fixed_size_list().values().as_primitive::<UInt16Type>();
        let errors = column(ERROR, "float32", &|t| *t == DataType::Float32)?.as_primitive::<Float32Type>();
        let moved = column(REASSIGNED, "boolean", &|t| *t == DataType::Boolean)?.as_boolean();
        let written = column(SEMANTIC_ID, "utf8", &|t| *t == DataType::Utf8)?.as_string::<i32>();
        let rows = ArrayView2::from_shape((batch.num_rows(), levels), lists.values());
        check_rows(path, first, rows.map_err(|e| damaged(&e))?, written, &metadata)?;
        if let Some(members) = &mut members {
            members.read(&batch, &column)?;
        }
        item_ids.append(ids);
        codes.extend_from_slice(lists.values());
        residual_error.extend_from_slice(errors.values());
        reassigned.extend(moved.iter().map(|value| value.unwrap_or(false)));
    }
    if residual_error.is_empty() {
        return Err(Error::artifact(path, "at least one item", "an empty table", REMAKE));
    }
    item_ids.check_unique().map_err(|f| id_error(path, f))?;
    let codes = Array2::from_shape_vec((residual_error.len(), levels), codes).map_err(|e| damaged(&e))?;
    let members = members.map(MemberColumns::finish);
    let table = TokenTable { item_ids, codes, residual_error, reassigned, members, metadata };
    check_unique_codes(path, &table)?;
    check_members(&table).map_err(|(row, column, expected, got)| row_error(path, row, column, expected, got))?;
    Ok(table)
}

/// A column of a batch without nulls. `first` is the row of the batch in the table.
fn column<'a>(
    path: &Path,
    batch: &'a RecordBatch,
    first: usize,
    name: &str,
    expected: &str,
    fits: &dyn Fn(&DataType) -> bool,
) -> Result<&'a ArrayRef> {
    let refuse = |got: String| Error::Column {
        path: path.to_path_buf(),
        column: name.into(),
        expected: expected.into(),
        got,
        help: REMAKE.into(),
    };
    let column = batch.column_by_name(name).ok_or_else(|| refuse("no such column".into()))?;
    if !fits(column.data_type()) {
        return Err(refuse(column.data_type().to_string()));
    }
    match (0..column.len()).find(|&row| column.is_null(row)) {
        None => Ok(column),
        Some(row) => Err(row_error(path, first + row, name, expected.into(), "null".into())),
    }
}

/// A table from Arrow batches of any program; `like` replaces missing metadata.
pub(super) fn of_foreign(
    path: &Path,
    schema: &Arc<Schema>,
    batches: &[RecordBatch],
    like: Option<&TableMetadata>,
) -> Result<TokenTable> {
    let metadata = like.map_or_else(|| table_metadata::read(path, schema.metadata()), |like| Ok(like.clone()))?;
    let batches = of_own_types(batches, metadata.codebook_sizes.len())
        .map_err(|e| Error::artifact(path, "a token table", e, REMAKE))?;
    of_described(path, batches.into_iter().map(Ok), metadata)
}

fn row_error(path: &Path, row: usize, column: &str, expected: String, got: String) -> Error {
    let help = REMAKE.into();
    Error::Row { path: path.to_path_buf(), row: row as u64 + 1, column: column.into(), expected, got, help }
}

fn id_error(path: &Path, fault: IdFault) -> Error {
    match fault {
        IdFault::Null(row) => row_error(path, row, ID, "an item id".into(), "null".into()),
        IdFault::Unusable(row, got) => row_error(path, row, ID, "an integer or a string that is not empty".into(), got),
        IdFault::Duplicate(first, row, id) => {
            row_error(path, row, ID, "an id not used before".into(), format!("{id}, also in row {}", first + 1))
        }
        IdFault::Type(t) => Error::Column {
            path: path.to_path_buf(),
            column: ID.into(),
            expected: "integers or strings".into(),
            got: t.to_string(),
            help: REMAKE.into(),
        },
    }
}

/// Checks that codes are within their codebooks, and that the written IDs match them. `first` is the first row.
fn check_rows(
    path: &Path,
    first: usize,
    rows: ArrayView2<u16>,
    written: &StringArray,
    metadata: &TableMetadata,
) -> Result<()> {
    for (at, codes) in rows.rows().into_iter().enumerate() {
        for (level, (&code, &size)) in codes.iter().zip(&metadata.codebook_sizes).enumerate() {
            if usize::from(code) >= size {
                let expected = format!("codes below {size} at level {level}");
                return Err(row_error(path, first + at, CODES, expected, code.to_string()));
            }
        }
        let (id, got) = (metadata.token_format.semantic_id(&codes.to_vec()), written.value(at));
        if got != id {
            return Err(row_error(path, first + at, SEMANTIC_ID, format!("{id}, from the codes"), got.into()));
        }
    }
    Ok(())
}

/// Checks that no two items have the same codes, unless the policy allows it.
fn check_unique_codes(path: &Path, table: &TokenTable) -> Result<()> {
    let rows = table.codes.nrows();
    if !table.metadata.policy.unique()
        || Occupied::of_codes(table.codes.view(), &table.metadata.codebook_sizes)?.len() == rows
    {
        return Ok(());
    }
    let mut seen = HashMap::with_capacity(rows);
    for (row, codes) in table.codes.rows().into_iter().enumerate() {
        if let Some(first) = seen.insert(codes, row) {
            let got = format!("{}, also in row {}", table.semantic_id(row), first + 1);
            return Err(row_error(path, row, CODES, "codes that no other item has".into(), got));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::semantic_id::{Collisions, TokenFormat};
    use ndarray::array;

    fn table() -> TokenTable {
        TokenTable {
            members: None,
            item_ids: ItemIds::Strings(vec!["x".into(), "y".into()]),
            codes: array![[1, 0, 3], [1, 0, 2]],
            residual_error: vec![0.5, 0.25],
            reassigned: vec![false, true],
            metadata: TableMetadata {
                model_hash: "abc".into(),
                codebook_sizes: vec![2, 2, 4],
                token_format: TokenFormat::default(),
                policy: Collisions::Resolve,
                collisions: None,
            },
        }
    }

    #[test]
    fn a_table_round_trips_and_writing_is_deterministic() {
        let folder = tempfile::tempdir().unwrap();
        let (a, b) = (folder.path().join("a"), folder.path().join("b"));
        table().write(&a, Overwrite::Refuse).unwrap();
        table().write(&b, Overwrite::Refuse).unwrap();
        assert_eq!(TokenTable::read(&a).unwrap(), table());
        let bytes = table().to_bytes().unwrap();
        assert_eq!(TokenTable::of_bytes(bytes.clone()).unwrap(), table());
        assert_eq!((std::fs::read(a).unwrap(), std::fs::read(b).unwrap()), (bytes.clone(), bytes));
    }

    #[test]
    fn a_table_round_trips_through_arrow() {
        let batch = table().to_batch().unwrap();
        let parts = [batch.slice(0, 1), batch.slice(1, 1)];
        assert_eq!(TokenTable::of_batches(&batch.schema(), &parts).unwrap(), table());
        let bare = Arc::new(Schema::new(batch.schema().fields().clone()));
        let message = TokenTable::of_batches(&bare, &parts).unwrap_err().to_string();
        assert!(message.contains("catalex.format_version"), "{message}");
    }

    #[test]
    fn wrong_tables_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let says = |change: &dyn Fn(&mut TokenTable)| {
            let path = folder.path().join("t");
            let mut table = table();
            change(&mut table);
            table.write(&path, Overwrite::Replace).unwrap();
            TokenTable::read(&path).unwrap_err().to_string()
        };
        assert!(says(&|t| t.codes[[0, 2]] = 2).contains("also in row 1"));
        assert!(says(&|t| t.codes[[1, 0]] = 2).contains("codes below 2 at level 0"));
        assert!(says(&|t| t.item_ids = ItemIds::Integers(vec![5, 5])).contains("row 2"));
        assert!(says(&|t| t.metadata.codebook_sizes.truncate(2)).contains("metadata catalex.levels"));
    }

    #[test]
    fn equal_codes_are_valid_if_collisions_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let mut kept = table();
        kept.codes[[0, 2]] = 2;
        kept.metadata.policy = Collisions::Keep;
        let path = folder.path().join("t");
        kept.write(&path, Overwrite::Refuse).unwrap();
        assert_eq!(TokenTable::read(&path).unwrap(), kept);
    }
}
