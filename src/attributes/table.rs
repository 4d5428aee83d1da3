//! The attributes of all items of an index, and their file.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Field, Schema};

use super::collect::{ColumnCollector, Misfit, converted};
use super::column::AttributeColumn;
use super::kind::{AttributeKind, AttributeRequest};
use super::{ATTRIBUTES, ID};
use crate::artifact::Overwrite;
use crate::catalog::{AttributeBatch, AttributeReader, CatalogSpec};
use crate::error::{Error, Result};
use crate::item_ids::ItemIds;
use crate::table::{OwnColumn, OwnTable};

const TABLE: OwnTable = OwnTable { kind: "attributes", name: "a table of attributes" };
/// Number of rows per written batch.
const ROWS_AT_ONCE: usize = 65_536;

/// The attributes of items, one row per item.
#[derive(Debug, Clone, Default)]
pub struct Attributes {
    pub(super) item_ids: ItemIds,
    pub(super) columns: Vec<AttributeColumn>,
    /// Number of updates so far.
    pub(super) version: u64,
    /// The rows that the last updates changed, each with the version after the update.
    pub(super) log: VecDeque<(u64, Arc<[u32]>)>,
}

/// The names and types of attributes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AttributeSchema {
    /// Name and type of each attribute.
    pub columns: Vec<(String, AttributeKind)>,
}

impl Attributes {
    /// Reads attributes of all items of a catalog. With `widen`, an integer attribute with fractions becomes a float
    /// attribute.
    ///
    /// # Errors
    /// [`Error::Column`] and [`Error::File`] for a column that cannot be read; [`Error::Row`] for a value that does not
    /// fit the type; [`Error::Config`] for a repeated column.
    pub fn of_catalog(spec: &CatalogSpec, requests: &[AttributeRequest], widen: bool) -> Result<Self> {
        let names: Vec<&str> = requests.iter().map(|request| request.name.as_str()).collect();
        if let Some(at) = (0..names.len()).find(|&at| names[..at].contains(&names[at])) {
            return Err(Error::config("attributes", "each column once", names[at], "name it once"));
        }
        let reader = AttributeReader::open(spec, &names)?;
        let mut collectors: Vec<_> = names.iter().map(|name| ColumnCollector::new(name, reader.untyped())).collect();
        let mut item_ids = ItemIds::default();
        // The first row of each batch, with its place.
        let mut places: Vec<(usize, Arc<Path>, u64)> = Vec::new();
        let at = |places: &[(usize, Arc<Path>, u64)], column: &str, misfit: Misfit| {
            let place = &places[places.partition_point(|place| place.0 <= misfit.row).saturating_sub(1)];
            Error::Row {
                path: place.1.to_path_buf(),
                row: place.2 + (misfit.row - place.0) as u64 + 1,
                column: column.to_owned(),
                expected: misfit.expected,
                got: misfit.got,
                help: "correct the value, or name another type: --attributes COLUMN:TYPE".into(),
            }
        };
        for batch in reader {
            let AttributeBatch { file, first_row, item_ids: ids, columns } = batch?;
            places.push((item_ids.len(), file, first_row));
            item_ids.append(ids);
            for ((collector, column), name) in collectors.iter_mut().zip(&columns).zip(&names) {
                collector.append(column).map_err(|misfit| at(&places, name, misfit))?;
            }
        }
        let finish = |(collector, request): (ColumnCollector, &AttributeRequest)| {
            let column = collector.finish(request.kind, widen, spec.parse_lists);
            column.map_err(|misfit| at(&places, &request.name, misfit))
        };
        let columns = collectors.into_iter().zip(requests).map(finish).collect::<Result<_>>()?;
        Ok(Attributes { item_ids, columns, ..Attributes::default() })
    }

    /// The attributes in Arrow batches, whose rows are those of a token table. Ids come from the column `id` or, without
    /// one, are the row numbers.
    ///
    /// # Errors
    /// [`Error::Mismatch`] for a column that cannot be read, and without the column `id`.
    pub fn of_arrow(batches: &[RecordBatch], id: Option<&str>) -> Result<Self> {
        let wrong = |what: &str, expected: &dyn std::fmt::Display, got: &dyn std::fmt::Display| {
            Error::mismatch(format!("column {what} of the attributes"), expected, got, "convert the column")
        };
        let rows = batches.iter().map(RecordBatch::num_rows).sum();
        let mut read = Attributes { item_ids: ItemIds::row_numbers(rows), ..Attributes::default() };
        if let Some(id) = id {
            read.item_ids = ItemIds::default();
            for batch in batches {
                let column = batch.column_by_name(id).ok_or_else(|| wrong(id, &"a column of item ids", &"none"))?;
                read.item_ids.append(ItemIds::from_arrow(column).map_err(|e| wrong(id, &"item ids", &e))?);
            }
        }
        let fields = batches.first().map(|batch| batch.schema().fields().clone()).unwrap_or_default();
        for (at, field) in fields.iter().enumerate().filter(|(_, field)| Some(field.name().as_str()) != id) {
            let misfit = |misfit: Misfit| wrong(field.name(), &misfit.expected, &misfit.got);
            let mut collector = ColumnCollector::new(field.name(), false);
            batches.iter().try_for_each(|batch| collector.append(batch.column(at)).map_err(misfit))?;
            read.columns.push(collector.finish(None, false, false).map_err(misfit)?);
        }
        Ok(read)
    }

    /// The items.
    pub fn item_ids(&self) -> &ItemIds {
        &self.item_ids
    }

    /// Number of items.
    pub fn len(&self) -> usize {
        self.item_ids.len()
    }

    /// Whether there are no items.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The attributes.
    pub fn columns(&self) -> &[AttributeColumn] {
        &self.columns
    }

    /// The names and types of the attributes.
    pub fn schema(&self) -> AttributeSchema {
        let columns = self.columns.iter().map(|column| (column.name.clone(), column.kind()));
        AttributeSchema { columns: columns.collect() }
    }

    /// Requests for the same attributes of another catalog. An attribute without any value gets the type of that
    /// catalog.
    pub fn requests(&self) -> Vec<AttributeRequest> {
        let kind = |column: &AttributeColumn| (!column.is_null()).then(|| column.kind());
        let request = |column: &AttributeColumn| AttributeRequest { name: column.name.clone(), kind: kind(column) };
        self.columns.iter().map(request).collect()
    }

    /// The rows of some items, in their order.
    ///
    /// # Errors
    /// [`Error::Item`] for an item without attributes.
    pub fn of_items(&self, items: &ItemIds) -> Result<Self> {
        self.combined(self, items)
    }

    /// The attributes of `items`: those of `newer` for the items that it has, and otherwise those of `self`. Both have
    /// the same attributes. An attribute that is an integer in one and a float in the other becomes a float.
    ///
    /// # Errors
    /// [`Error::Item`] for an item that neither has; [`Error::Column`] for an attribute whose types differ.
    pub fn combined(&self, newer: &Attributes, items: &ItemIds) -> Result<Self> {
        let (new, old) = (items.rows_in(&newer.item_ids), items.rows_in(&self.item_ids));
        if let Some(row) = (0..items.len()).find(|&row| new[row].is_none() && old[row].is_none()) {
            return Err(Error::Item {
                item: items.text(row),
                expected: "an item with attributes".into(),
                got: "none".into(),
                help: "build the index again".into(),
            });
        }
        let mut columns = Vec::with_capacity(self.columns.len());
        for (before, now) in self.columns.iter().zip(&newer.columns) {
            let (before, now) = unified(before, now)?;
            let mut column = AttributeColumn::new(now.name(), now.kind());
            for (new, old) in new.iter().zip(&old) {
                match (new, old) {
                    (Some(row), _) => column.push(now.value(*row)),
                    (None, Some(row)) => column.push(before.value(*row)),
                    (None, None) => {}
                }
            }
            column.shrink();
            columns.push(column);
        }
        Ok(Attributes { item_ids: items.clone(), columns, ..Attributes::default() })
    }

    /// Whether both have the same items with the same values.
    pub fn same_values(&self, other: &Attributes) -> bool {
        let same = |(a, b): (&AttributeColumn, &AttributeColumn)| {
            a.name == b.name && a.kind() == b.kind() && (0..a.len()).all(|row| a.cell(row) == b.cell(row))
        };
        self.item_ids == other.item_ids
            && self.columns.len() == other.columns.len()
            && self.columns.iter().zip(&other.columns).all(same)
    }

    /// Writes `attributes.parquet`.
    ///
    /// # Errors
    /// As [`crate::artifact::AtomicFile`].
    pub fn write(&self, path: &Path, overwrite: Overwrite) -> Result<()> {
        let id = Field::new(ID, self.item_ids.data_type(), false);
        let others = self.columns.iter().map(|column| Field::new(&column.name, column.kind().data_type(), true));
        let fields: Vec<Field> = std::iter::once(id).chain(others).collect();
        let schema = Arc::new(Schema::new(fields.clone()));
        let starts = (0..self.len()).step_by(ROWS_AT_ONCE);
        let batches = starts.map(|from| {
            let rows = from..self.len().min(from + ROWS_AT_ONCE);
            let ids = self.item_ids.take(&rows.clone().collect::<Vec<_>>()).to_arrow();
            let others = self.columns.iter().map(|column| column.to_arrow(rows.clone()));
            RecordBatch::try_new(schema.clone(), std::iter::once(ids).chain(others).collect())
                .map_err(|e| Error::mismatch("attributes", "one value per item", e, "please report this"))
        });
        TABLE.write(path, fields, batches, overwrite)
    }

    /// Reads `attributes.parquet`.
    ///
    /// # Errors
    /// [`Error::Artifact`] for a file of another kind, or one that has changed since it was written.
    pub fn read(path: &Path) -> Result<Self> {
        let wrong = |got: String| Error::artifact(path, TABLE.name, got, "restore it from a copy");
        let mut read = Attributes::default();
        let mut collectors: Vec<ColumnCollector> = Vec::new();
        let mut kinds = Vec::new();
        for batch in TABLE.read(path, &[OwnColumn::ids(ID)])? {
            let (schema, columns) = (batch.schema(), batch.columns());
            if collectors.is_empty() {
                for field in schema.fields().iter().filter(|field| field.name() != ID) {
                    let kind = AttributeKind::of_stored(field.data_type());
                    let unknown = || wrong(format!("a column {} of type {}", field.name(), field.data_type()));
                    kinds.push(kind.ok_or_else(unknown)?);
                    collectors.push(ColumnCollector::new(field.name(), false));
                }
            }
            let named = schema.fields().iter().zip(columns);
            let (ids, others): (Vec<_>, Vec<_>) = named.partition(|(field, _)| field.name() == ID);
            for (_, ids) in ids {
                read.item_ids.append(ItemIds::from_arrow(ids).map_err(|e| wrong(format!("item ids with {e}")))?);
            }
            for ((_, column), collector) in others.into_iter().zip(&mut collectors) {
                collector.append(column).map_err(|misfit| wrong(misfit.got))?;
            }
        }
        for (collector, kind) in collectors.into_iter().zip(kinds) {
            read.columns.push(collector.finish(Some(kind), false, false).map_err(|misfit| wrong(misfit.got))?);
        }
        Ok(read)
    }
}

/// Two columns of the same attribute with the same type.
fn unified(before: &AttributeColumn, now: &AttributeColumn) -> Result<(AttributeColumn, AttributeColumn)> {
    use AttributeKind as K;
    let kind = match (before.kind(), now.kind()) {
        (a, b) if a == b => a,
        (K::Integer | K::Float, K::Integer | K::Float) => K::Float,
        (a, _) if now.is_null() => a,
        (_, b) if before.is_null() => b,
        (a, b) => {
            return Err(Error::Column {
                path: ATTRIBUTES.into(),
                column: now.name.clone(),
                expected: format!("{a}, as in the index"),
                got: b.to_string(),
                help: "correct the catalog, or build the index again".into(),
            });
        }
    };
    let of = |column: &AttributeColumn| {
        if column.is_null() && column.kind() != kind {
            let mut nulls = AttributeColumn::new(&column.name, kind);
            (0..column.len()).for_each(|_| nulls.push(super::AttributeValue::Null));
            return Ok(nulls);
        }
        converted(column, kind)
            .map_err(|misfit| Error::mismatch("attributes", misfit.expected, misfit.got, "please report this"))
    };
    Ok((of(before)?, of(now)?))
}
