//! The columns of ranking features, and the Parquet file that has them.

use std::fmt;
use std::ops::Range;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, Int64Array, ListArray};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, Metadata, Schema};
use arrow::record_batch::RecordBatch;
use ndarray::s;
use serde::Serialize;

use super::{PrefixIds, SubwordVocabulary};
use crate::artifact::Overwrite;
use crate::error::{Error, Result};
use crate::progress::Progress;
use crate::semantic_id::TokenTable;
use crate::table::{OwnColumn, OwnTable};

/// The kind of the file, in its metadata.
pub(crate) const RANKING_FEATURES: &str = "ranking-features";
const TABLE: OwnTable = OwnTable { kind: RANKING_FEATURES, name: "ranking features" };
const ITEM: &str = "item_id";
const MODEL_KEY: &str = "catalex.model_hash";
const SIZES_KEY: &str = "catalex.codebook_sizes";
const COLUMNS_KEY: &str = "catalex.columns";
const SUBWORDS_KEY: &str = "catalex.subword_vocabulary";
/// The cardinality, in the metadata of a field.
const CARDINALITY_KEY: &str = "catalex.cardinality";
/// Rows per written batch.
const ROWS_AT_ONCE: usize = 65_536;

/// How semantic IDs become features.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RankingForm {
    /// One column per level.
    Levels,
    /// One column per depth, for the prefix of that many codes.
    PrefixNgrams,
    /// One column of lists of pieces.
    Subwords,
}

impl RankingForm {
    const ALL: [(RankingForm, &'static str); 3] = [
        (RankingForm::Levels, "levels"),
        (RankingForm::PrefixNgrams, "prefix-ngrams"),
        (RankingForm::Subwords, "subwords"),
    ];
}

impl fmt::Display for RankingForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::ALL.iter().find(|(form, _)| form == self).map_or("", |(_, name)| name);
        f.write_str(name)
    }
}

impl FromStr for RankingForm {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::ALL.iter().find(|(_, known)| *known == name).map(|(form, _)| *form).ok_or_else(|| {
            let known = Self::ALL.map(|(_, name)| name).join(", ");
            Error::config("form", format!("one of {known}"), format!("{name:?}"), "check its spelling")
        })
    }
}

/// A column of ranking features, except that of the item ids.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RankingColumn {
    /// Name: `level_0`, `prefix_1` or `subwords`.
    pub name: String,
    /// The form that it belongs to.
    pub form: RankingForm,
    /// Arrow type: `int32`, `int64` or `list<int32>`.
    #[serde(rename = "type")]
    pub arrow_type: &'static str,
    /// Number of possible values, which are `0..cardinality`: the rows of an embedding table.
    pub cardinality: u64,
    /// Whether values are hashes, so that different prefixes may share one.
    pub hashed: bool,
}

/// Ranking features of the items of a token table.
#[derive(Debug, Clone)]
pub struct RankingFeatures<'a> {
    /// The items and their codes.
    pub table: &'a TokenTable,
    /// The forms, in the order of the columns.
    pub forms: &'a [RankingForm],
    /// The ids of prefixes.
    pub prefixes: &'a PrefixIds,
    /// The vocabulary of [`RankingForm::Subwords`], and the SHA-256 of its file.
    pub subwords: Option<(&'a SubwordVocabulary, &'a str)>,
}

impl RankingFeatures<'_> {
    /// The codebook sizes of the model's levels.
    fn sizes(&self) -> &[usize] {
        &self.table.metadata.codebook_sizes[..self.table.quantized().ncols()]
    }

    /// The columns after that of the item ids.
    pub fn columns(&self) -> Vec<RankingColumn> {
        let column =
            |form, name, arrow_type, cardinality, hashed| RankingColumn { name, form, arrow_type, cardinality, hashed };
        let of_form = |&form: &RankingForm| -> Vec<RankingColumn> {
            let sizes = self.sizes().iter().enumerate();
            match form {
                RankingForm::Levels => sizes
                    .map(|(level, &size)| column(form, format!("level_{level}"), "int32", size as u64, false))
                    .collect(),
                RankingForm::PrefixNgrams => (1..=self.sizes().len())
                    .map(|depth| {
                        let (cardinality, hashed) = (self.prefixes.cardinality(depth), self.prefixes.hashed(depth));
                        column(form, format!("prefix_{depth}"), "int64", cardinality, hashed)
                    })
                    .collect(),
                RankingForm::Subwords => {
                    let pieces = self.subwords.map_or(0, |(vocabulary, _)| vocabulary.pieces());
                    vec![column(form, "subwords".into(), "list<int32>", pieces as u64, false)]
                }
            }
        };
        self.forms.iter().flat_map(of_form).collect()
    }

    /// The Arrow fields. Each feature has its cardinality in its metadata.
    fn fields(&self) -> Vec<Field> {
        let mut fields = vec![Field::new(ITEM, self.table.item_ids.data_type(), false)];
        fields.extend(self.columns().into_iter().map(|column| {
            let data_type = match column.form {
                RankingForm::Levels => DataType::Int32,
                RankingForm::PrefixNgrams => DataType::Int64,
                RankingForm::Subwords => DataType::List(piece_field()),
            };
            let metadata: Metadata = [(CARDINALITY_KEY, column.cardinality.to_string())].into_iter().collect();
            Field::new(column.name, data_type, false).with_metadata(metadata)
        }));
        fields
    }

    /// Some rows as an Arrow batch.
    ///
    /// # Errors
    /// [`Error::Mismatch`] if the parts of the token table differ in length.
    pub fn batch(&self, rows: Range<usize>) -> Result<RecordBatch> {
        let codes = self.table.quantized();
        let codes = codes.slice(s![rows.clone(), ..]);
        let mut columns: Vec<ArrayRef> = vec![self.table.item_ids.take(&rows.collect::<Vec<_>>()).to_arrow()];
        for form in self.forms {
            match form {
                RankingForm::Levels => columns.extend(codes.columns().into_iter().map(|column| -> ArrayRef {
                    Arc::new(Int32Array::from_iter_values(column.iter().map(|&code| i32::from(code))))
                })),
                RankingForm::PrefixNgrams => {
                    let mut ids = vec![Vec::with_capacity(codes.nrows()); codes.ncols()];
                    for row in codes.rows() {
                        let row = row.to_vec();
                        ids.iter_mut().zip(self.prefixes.ids(&row)).for_each(|(column, id)| column.push(id));
                    }
                    columns.extend(ids.into_iter().map(|ids| -> ArrayRef { Arc::new(Int64Array::from(ids)) }));
                }
                RankingForm::Subwords => {
                    let (mut pieces, mut lengths) = (Vec::new(), Vec::with_capacity(codes.nrows()));
                    for row in codes.rows() {
                        let before = pieces.len();
                        if let Some((vocabulary, _)) = self.subwords {
                            vocabulary.segment(&row.to_vec(), &mut pieces);
                        }
                        lengths.push(pieces.len() - before);
                    }
                    let (pieces, offsets) = (Arc::new(Int32Array::from(pieces)), OffsetBuffer::from_lengths(lengths));
                    columns.push(Arc::new(ListArray::new(piece_field(), offsets, pieces, None)));
                }
            }
        }
        RecordBatch::try_new(Arc::new(Schema::new(self.fields())), columns).map_err(|e| {
            Error::mismatch("columns of ranking features", "one value per item", e, "check the token table")
        })
    }

    /// Writes the features of all items as Parquet, batch by batch. The same features give the same bytes.
    ///
    /// # Errors
    /// As [`crate::artifact::AtomicFile`] and [`RankingFeatures::batch`].
    pub fn write(&self, path: &Path, overwrite: Overwrite, progress: &dyn Progress) -> Result<()> {
        let items = self.table.item_ids.len();
        let mut pairs = vec![
            (MODEL_KEY, self.table.metadata.model_hash.clone()),
            (SIZES_KEY, serde_json::json!(self.sizes()).to_string()),
            (COLUMNS_KEY, serde_json::json!(self.columns()).to_string()),
        ];
        pairs.extend(self.subwords.map(|(_, hash)| (SUBWORDS_KEY, hash.to_owned())));
        progress.begin("write ranking features", Some(items as u64), "items");
        let batches = (0..items).step_by(ROWS_AT_ONCE).map(|first| {
            let rows = first..items.min(first + ROWS_AT_ONCE);
            progress.advance(rows.len() as u64);
            self.batch(rows)
        });
        TABLE.write_with(path, self.fields(), pairs, batches, overwrite)?;
        progress.end();
        Ok(())
    }
}

/// Checks a file of ranking features: its seal, its kind and version, and its item ids.
///
/// # Errors
/// As for tables of an index.
pub fn check_ranking_features(path: &Path) -> Result<()> {
    TABLE.read(path, &[OwnColumn::ids(ITEM)]).map(drop)
}

fn piece_field() -> Arc<Field> {
    Arc::new(Field::new("item", DataType::Int32, false))
}
