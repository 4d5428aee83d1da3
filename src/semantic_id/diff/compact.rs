//! The ids and codes of a token table in a compact layout, for the comparison of large tables.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, AsArray};
use arrow::datatypes::{DataType, Int64Type, UInt16Type};
use arrow::record_batch::RecordBatch;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder};

use crate::artifact::open_regular;
use crate::error::{Error, Result};
use crate::guard::guarded;
use crate::item_ids::ItemIds;
use crate::semantic_id::columns::{CODES, ID};
use crate::semantic_id::{TableMetadata, TokenTable, table_metadata};
use crate::table::{check_pages, check_parquet};

const REMAKE: &str = "make the table again with `catalex tokenize`";
/// Rows per decoded batch.
const ROWS_AT_ONCE: usize = 65_536;

/// The ids and codes of a token table.
#[derive(Debug, Clone)]
pub struct CompactTable {
    ids: CompactIds,
    /// The concatenated codes of all rows.
    codes: Vec<u16>,
    /// The metadata of the table.
    pub metadata: TableMetadata,
}

/// Ids, without one allocation per id.
#[derive(Debug, Clone)]
enum CompactIds {
    Integers(Vec<i64>),
    /// All ids as concatenated text, and the end of each id.
    Texts(Vec<u8>, Vec<u64>),
}

impl CompactTable {
    /// Reads the ids and codes of a token table's file. Checks the file's hash, the types of both columns, and that
    /// every code is within its codebook.
    ///
    /// # Errors
    /// Errors name the file, the column and the row.
    pub fn read(path: &Path) -> Result<Self> {
        if !path.exists() {
            return Err(Error::Missing {
                path: path.to_path_buf(),
                expected: "a token table or an index".into(),
                help: "check the path; `catalex tokenize` and `catalex build` write token tables".into(),
            });
        }
        if path.is_dir() {
            return Err(Error::file(path, "a token table or an index", "another folder", "pass the table inside it"));
        }
        guarded(|| parsed(path)).unwrap_or_else(|e| Err(damaged(path, &e.to_string())))
    }

    /// The ids and codes of a table in memory.
    pub fn of_table(table: &TokenTable) -> Self {
        let mut compact = CompactTable::empty(matches!(table.item_ids, ItemIds::Integers(_)), table.metadata.clone());
        match &table.item_ids {
            ItemIds::Integers(ids) => compact.ids = CompactIds::Integers(ids.clone()),
            ItemIds::Strings(ids) => ids.iter().for_each(|id| compact.push_text(id)),
        }
        compact.codes = table.codes.iter().copied().collect();
        compact
    }

    fn empty(integers: bool, metadata: TableMetadata) -> Self {
        let ids = if integers { CompactIds::Integers(Vec::new()) } else { CompactIds::Texts(Vec::new(), Vec::new()) };
        CompactTable { ids, codes: Vec::new(), metadata }
    }

    fn push_text(&mut self, id: &str) {
        if let CompactIds::Texts(bytes, ends) = &mut self.ids {
            bytes.extend_from_slice(id.as_bytes());
            ends.push(bytes.len() as u64);
        }
    }

    /// Number of items.
    pub fn len(&self) -> usize {
        match &self.ids {
            CompactIds::Integers(ids) => ids.len(),
            CompactIds::Texts(_, ends) => ends.len(),
        }
    }

    /// Whether there are no items.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of levels.
    pub fn levels(&self) -> usize {
        self.metadata.codebook_sizes.len()
    }

    /// The codes of a row.
    pub fn codes(&self, row: usize) -> &[u16] {
        let levels = self.levels();
        &self.codes[row * levels..(row + 1) * levels]
    }

    /// The semantic ID of a row.
    pub fn semantic_id(&self, row: usize) -> String {
        self.metadata.token_format.semantic_id(self.codes(row))
    }

    /// The id of a row, as text.
    pub fn id(&self, row: usize) -> String {
        match &self.ids {
            CompactIds::Integers(ids) => ids[row].to_string(),
            CompactIds::Texts(..) => self.with_text(row, |text| String::from_utf8_lossy(text).into_owned()),
        }
    }

    /// Calls `use_text` with the id of a row as text. Does not allocate.
    pub(super) fn with_text<T>(&self, row: usize, use_text: impl FnOnce(&[u8]) -> T) -> T {
        match &self.ids {
            CompactIds::Integers(ids) => {
                use std::io::Write;
                let mut buffer = [0u8; 20];
                let mut left = &mut buffer[..];
                // 20 bytes hold every 64-bit integer.
                let _ = write!(left, "{}", ids[row]);
                let length = 20 - left.len();
                use_text(&buffer[..length])
            }
            CompactIds::Texts(bytes, ends) => {
                let start = if row == 0 { 0 } else { ends[row - 1] };
                use_text(&bytes[start as usize..ends[row] as usize])
            }
        }
    }

    fn append(&mut self, path: &Path, batch: &RecordBatch) -> Result<()> {
        let first = self.len();
        let lists = batch.column(1).as_fixed_size_list();
        let ids = batch.column(0);
        for (name, column) in [(ID, ids), (CODES, batch.column(1))] {
            if column.null_count() > 0 {
                let row = (0..column.len()).find(|&row| column.is_null(row)).unwrap_or(0);
                return Err(row_error(path, first + row, name, "a value", "null"));
            }
        }
        match &mut self.ids {
            CompactIds::Integers(all) => all.extend_from_slice(ids.as_primitive::<Int64Type>().values()),
            CompactIds::Texts(..) => ids.as_string::<i32>().iter().flatten().for_each(|id| self.push_text(id)),
        }
        let levels = self.levels();
        let values = lists.values().as_primitive::<UInt16Type>();
        let codes = &values.values()[lists.value_offset_at(0)..][..batch.num_rows() * levels];
        for (level, &size) in self.metadata.codebook_sizes.iter().enumerate() {
            if let Some(row) = (0..batch.num_rows()).find(|&row| usize::from(codes[row * levels + level]) >= size) {
                let got = codes[row * levels + level];
                let expected = format!("codes below {size} at level {level}");
                return Err(row_error(path, first + row, CODES, &expected, &got.to_string()));
            }
        }
        self.codes.extend_from_slice(codes);
        Ok(())
    }
}

fn parsed(path: &Path) -> Result<CompactTable> {
    let file = open_regular(path).map_err(|e| Error::io("read", path, e))?;
    let metadata =
        ArrowReaderMetadata::load(&file, ArrowReaderOptions::default()).map_err(|e| damaged(path, &e.to_string()))?;
    check_parquet(path, &file, metadata.metadata(), REMAKE)?;
    let pairs = metadata.metadata().file_metadata().key_value_metadata().cloned().unwrap_or_default();
    let pairs = pairs.into_iter().filter_map(|pair| Some((pair.key, pair.value?))).collect();
    let of_table = table_metadata::read(path, &pairs)?;
    let (schema, levels) = (metadata.schema().clone(), of_table.codebook_sizes.len());
    let wanted = |name: &str, expected: &str, fits: &dyn Fn(&DataType) -> bool| match schema.fields().find(name) {
        Some((place, field)) if fits(field.data_type()) => Ok(place),
        Some((_, field)) => Err(column_error(path, name, expected, field.data_type().to_string())),
        None => Err(column_error(path, name, expected, "no such column".into())),
    };
    let id = wanted(ID, "integers or strings", &|t| matches!(t, DataType::Int64 | DataType::Utf8))?;
    let integers = *schema.field(id).data_type() == DataType::Int64;
    let codes = wanted(
        CODES,
        &format!("fixed_size_list<uint16>[{levels}]"),
        &|t| matches!(t, DataType::FixedSizeList(f, n) if *f.data_type() == DataType::UInt16 && *n as usize == levels),
    )?;
    let file = Arc::new(file);
    let pages = check_pages(path, &file, metadata.metadata(), Some(&[id, codes])).map_err(|e| match e {
        Error::File { got, .. } => damaged(path, &got),
        other => other,
    })?;
    pages.refuse_long_values(path, &schema)?;
    let file = Arc::into_inner(file).ok_or_else(|| damaged(path, "a file that is still being read"))?;
    let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata);
    let projection = ProjectionMask::roots(builder.parquet_schema(), [id, codes]);
    let reader = builder.with_projection(projection).with_batch_size(ROWS_AT_ONCE).build();
    let mut table = CompactTable::empty(integers, of_table);
    for batch in reader.map_err(|e| damaged(path, &e.to_string()))? {
        let batch = batch.map_err(|e| damaged(path, &e.to_string()))?;
        // A batch has its columns in the order of the file.
        let batch = if id < codes { Ok(batch) } else { batch.project(&[1, 0]) };
        table.append(path, &batch.map_err(|e| damaged(path, &e.to_string()))?)?;
    }
    if table.is_empty() {
        return Err(Error::artifact(path, "at least one item", "an empty table", REMAKE));
    }
    Ok(table)
}

fn damaged(path: &Path, reason: &str) -> Error {
    Error::artifact(path, "a token table in Parquet", reason, REMAKE)
}

fn column_error(path: &Path, name: &str, expected: &str, got: String) -> Error {
    Error::Column { path: path.to_path_buf(), column: name.into(), expected: expected.into(), got, help: REMAKE.into() }
}

pub(super) fn row_error(path: &Path, row: usize, column: &str, expected: &str, got: &str) -> Error {
    Error::Row {
        path: path.to_path_buf(),
        row: row as u64 + 1,
        column: column.into(),
        expected: expected.into(),
        got: got.into(),
        help: REMAKE.into(),
    }
}
