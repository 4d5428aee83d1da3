//! How much of the features the codes keep.

use ndarray::{Array2, ArrayView2, Axis, s};
use serde::Serialize;

use crate::error::{Error, Result};
use crate::features::{Block, FeatureSource};
use crate::item_ids::ItemIds;
use crate::semantic_id::TokenTable;
use crate::tokenizer::{ModelInput, Tokenizer};

/// Relative reconstruction error `|x - x'|^2 / |x - mean|^2` over all items, in standardised units.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Reconstruction {
    /// With the codes that the quantizer gives.
    pub before_resolution: f64,
    /// With the codes of the table.
    pub after_resolution: f64,
    /// The error of the items that were held out of training; `None` if there were none. The other figures include the
    /// items that the model was trained on, whose error is smaller than that of new items.
    pub held_out: Option<HeldOutError>,
}

/// The relative reconstruction error of the items that were held out of training, with the codes that the quantizer
/// assigns.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct HeldOutError {
    /// Number of held-out items.
    pub items: usize,
    /// Relative reconstruction error of the held-out items.
    pub error: f64,
}

impl HeldOutError {
    fn of(model: &Tokenizer) -> Option<Self> {
        let training = model.config().training.as_ref().filter(|training| training.held_out > 0)?;
        let error = training.best()?.error;
        error.is_finite().then_some(HeldOutError { items: training.held_out, error })
    }
}

/// The sums behind [`Reconstruction`], over blocks in row order.
pub(super) struct ReconstructionSums<'a> {
    table: &'a TokenTable,
    input: ModelInput<'a>,
    /// Squared distances from the mean, and from the reconstructions by the codes before and after collision
    /// resolution.
    sums: [f64; 3],
}

impl<'a> ReconstructionSums<'a> {
    /// # Errors
    /// [`Error::Mismatch`] if the model is not the table's, or the features are not those of the model.
    pub(super) fn new(table: &'a TokenTable, model: &'a Tokenizer, features: &dyn FeatureSource) -> Result<Self> {
        if model.hash() != table.metadata.model_hash {
            let help = "pass the model that made the table";
            return Err(Error::mismatch("model of the token table", &table.metadata.model_hash, model.hash(), help));
        }
        if features.rows() != table.item_ids.len() {
            return Err(other_items(table, features.rows()));
        }
        Ok(ReconstructionSums { table, input: ModelInput::new(model, features)?, sums: [0.0; 3] })
    }

    /// Adds the items of a block.
    ///
    /// # Errors
    /// [`Error::Mismatch`] if they are not the table's; as [`Tokenizer::encode`].
    pub(super) fn add(&mut self, block: &Block) -> Result<()> {
        let rows = block.first_row..block.first_row + block.features.len();
        if !are_at(block.features.item_ids(), &self.table.item_ids, rows.start) {
            return Err(other_items(self.table, self.table.item_ids.len()));
        }
        let model = self.input.model();
        let (x, present) = self.input.arrays(&block.features)?;
        let raw = model.codes(x.view(), Some(present.view()))?;
        let resolved = self.table.quantized();
        let resolved = resolved.slice(s![rows, ..]);
        let standardized = model.standardization().apply_with_gaps(x.view(), Some(present.view()));
        drop(x);
        let dims = &model.standardization().dims;
        let mut before = model.decode_standardized(raw.view())? - &standardized;
        clear_gaps(&mut before, present.view(), dims);
        // Most items keep their codes: only the others are decoded again.
        let moved: Vec<usize> = (0..raw.nrows()).filter(|&at| raw.row(at) != resolved.row(at)).collect();
        let mut moved_after =
            model.decode_standardized(resolved.select(Axis(0), &moved).view())? - &standardized.select(Axis(0), &moved);
        clear_gaps(&mut moved_after, present.select(Axis(0), &moved).view(), dims);
        let mut after = before.clone();
        for (&at, row) in moved.iter().zip(moved_after.rows()) {
            after.row_mut(at).assign(&row);
        }
        // Each sum is sequential, in row order. Three in one loop take no longer than one: additions wait for each other.
        let square = |v: f32| f64::from(v) * f64::from(v);
        for ((&x, &before), &after) in standardized.iter().zip(&before).zip(&after) {
            self.sums[0] += square(x);
            self.sums[1] += square(before);
            self.sums[2] += square(after);
        }
        Ok(())
    }

    pub(super) fn finish(self) -> Reconstruction {
        let [spread, before, after] = self.sums;
        let held_out = HeldOutError::of(self.input.model());
        Reconstruction { before_resolution: before / spread, after_resolution: after / spread, held_out }
    }
}

fn other_items(table: &TokenTable, got: usize) -> Error {
    Error::mismatch(
        "items of the features",
        format!("the {} items of the token table, in its order", table.item_ids.len()),
        format!("{got} others"),
        "name the features that the table was made from",
    )
}

/// Whether `part` are the ids of `whole` from a row on.
fn are_at(part: &ItemIds, whole: &ItemIds, first: usize) -> bool {
    let rows = first..first + part.len();
    match (part, whole) {
        (ItemIds::Integers(part), ItemIds::Integers(whole)) => whole.get(rows) == Some(part),
        (ItemIds::Strings(part), ItemIds::Strings(whole)) => whole.get(rows) == Some(part),
        _ => false,
    }
}

/// Sets the error of missing vectors to zero.
fn clear_gaps(errors: &mut Array2<f32>, present: ArrayView2<bool>, dims: &[usize]) {
    let mut start = 0;
    for (m, &dim) in dims.iter().enumerate() {
        for (mut row, _) in errors.rows_mut().into_iter().zip(present.column(m)).filter(|(_, has)| !**has) {
            row.slice_mut(s![start..start + dim]).fill(0.0);
        }
        start += dim;
    }
}
