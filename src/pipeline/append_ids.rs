//! The IDs of the new and changed items of an append.

use ndarray::{Array2, Axis, s};

use super::append_members::AppendedMembers;
use super::append_plan::{AppendPlan, FreshItem, Freshness, ParentIndex};
use super::far_items::report_far;
use super::spec::{ChangedItems, FarSettings, OverflowItems};
use super::suffixes::suffixed;
use crate::error::Result;
use crate::features::{FeatureSource, SelectedRows, for_each_block};
use crate::item_ids::ItemIds;
use crate::progress::Progress;
use crate::semantic_id::{Collisions, FarItems, MemberFacts, QuantizedItems, TokenTable, TokenizedItems};
use crate::tokenizer::Tokenizer;

/// The IDs of encoded items, in their order.
pub(super) struct FreshIds {
    /// `(n, levels)`, with the levels of the token table.
    pub(super) codes: Array2<u16>,
    /// Squared distance of each item's latent from the sum of its codewords.
    pub(super) errors: Vec<f32>,
    /// Whether an item's codes differ from the nearest codes.
    pub(super) reassigned: Vec<bool>,
    /// Added distortion: the increase of the error over that of the nearest codes.
    pub(super) added: Vec<f32>,
    /// Whether an item was assigned a new ID. Otherwise, it has the ID that the index records for it.
    pub(super) placed: Vec<bool>,
    /// Items that are far from the training items, if the model has residual errors to compare with.
    pub(super) far: Option<FarItems>,
    /// Codebook sizes of the next token table. The disambiguating level can have more codes than in the parent.
    pub(super) codebook_sizes: Vec<usize>,
}

impl FreshIds {
    /// Assigns IDs to `items`. `features` has their vectors, in the same order. A changed item keeps its ID, unless
    /// changed items are to be reassigned and a nearer ID is free. An item that was deleted before gets its earlier ID
    /// again. With shared IDs (`members`, and the number of the next generation), both give up an ID whose other members
    /// are of another class.
    ///
    /// # Errors
    /// As [`TokenTable::placed`] and [`suffixed`].
    pub(super) fn new(
        parent: &ParentIndex,
        plan: &AppendPlan,
        items: &[FreshItem],
        features: Option<&dyn FeatureSource>,
        model: &Tokenizer,
        members: Option<(&AppendedMembers, u64)>,
        (far, overflow, progress): (&FarSettings, OverflowItems, &dyn Progress),
    ) -> Result<Self> {
        let (table, n) = (&parent.table, items.len());
        let leaving = members.map_or_else(|| vec![false; n], |(members, _)| members.leaving(parent, plan, items));
        let mut ids = FreshIds {
            codes: Array2::zeros((n, table.codes.ncols())),
            errors: vec![0.0; n],
            reassigned: vec![false; n],
            added: vec![0.0; n],
            placed: vec![false; n],
            far: None,
            codebook_sizes: table.metadata.codebook_sizes.clone(),
        };
        let Some(features) = features else { return Ok(ids) };
        let reassigns =
            |item: &FreshItem| matches!(item.is, Freshness::Changed(_)) && plan.changed == ChangedItems::Reassign;
        let is_placed = |at: usize| items[at].is == Freshness::New || reassigns(&items[at]) || leaving[at];
        let place: Vec<usize> = (0..n).filter(|&at| is_placed(at)).collect();
        for (at, item) in items.iter().enumerate() {
            let given = match item.is {
                Freshness::New => continue,
                Freshness::Returning(stone) => parent.tombstones.codes.row(stone),
                Freshness::Changed(row) => table.codes.row(row),
            };
            ids.codes.row_mut(at).assign(&given);
        }
        let levels = model.config().levels();
        let nearest = ids.measure(features, model, levels)?;
        if !place.is_empty() {
            let new = SelectedRows::new(features, place.clone())?;
            let own: Vec<Option<usize>> = place.iter().map(|&at| items[at].is.row()).collect();
            let assigned = match members {
                None => assigned(parent, &new, model, &own, (overflow, progress))?,
                Some((members, number)) => {
                    let rows: Vec<usize> = place.iter().map(|&at| items[at].row).collect();
                    let facts = |_: &ItemIds| Ok(members.facts.take(&rows));
                    let seats = |facts: &MemberFacts| members.seats(parent, plan, (items, &leaving), number, facts);
                    let format = table.metadata.token_format.clone();
                    TokenizedItems::sharing(&new, model, format, members.capacity, facts, seats, progress)?
                }
            };
            for (row, &at) in place.iter().enumerate() {
                // A changed item gives up its ID only for a nearer one.
                let error = assigned.table.residual_error[row];
                if reassigns(&items[at]) && !leaving[at] && ids.errors[at] <= error {
                    continue;
                }
                ids.codes.row_mut(at).assign(&assigned.table.codes.row(row));
                (ids.errors[at], ids.placed[at]) = (error, true);
                ids.reassigned[at] = assigned.table.reassigned[row];
            }
            ids.far = report_far(far, &assigned, model, progress)?;
        }
        if let (Some(size), Some(highest)) =
            (ids.codebook_sizes.last_mut(), ids.codes.columns().into_iter().next_back())
        {
            *size = highest.iter().map(|&code| usize::from(code) + 1).max().unwrap_or(0).max(*size);
        }
        for (at, (quantized, error)) in nearest.iter().enumerate() {
            ids.added[at] = ids.errors[at] - error;
            if !ids.placed[at] {
                ids.reassigned[at] = ids.codes.slice(s![at, ..levels]).iter().ne(quantized);
            }
        }
        Ok(ids)
    }

    /// Sets the errors of all items with their current codes, and returns the nearest codes with their errors.
    fn measure(
        &mut self,
        features: &dyn FeatureSource,
        model: &Tokenizer,
        levels: usize,
    ) -> Result<Vec<(Vec<u16>, f32)>> {
        let mut nearest = Vec::with_capacity(self.errors.len());
        for_each_block(features, |block| {
            let items = QuantizedItems::of(&block.features, model)?;
            let rows = block.first_row..block.first_row + block.features.len();
            let codes = self.codes.slice(s![rows.clone(), ..levels]);
            let errors = model.latent_errors(items.latents.view(), codes)?;
            for (error, at) in errors.iter().zip(rows) {
                self.errors[at] = *error;
            }
            nearest.extend(items.codes.axis_iter(Axis(0)).map(|codes| codes.to_vec()).zip(items.errors));
            Ok(())
        })?;
        Ok(nearest)
    }
}

/// New IDs for all items of `features`, by the collision policy of the token table. For each item, `own` has its row in
/// the index, or `None` for an item that is not in the index.
fn assigned(
    parent: &ParentIndex,
    features: &dyn FeatureSource,
    model: &Tokenizer,
    own: &[Option<usize>],
    (overflow, progress): (OverflowItems, &dyn Progress),
) -> Result<TokenizedItems> {
    let format = parent.table.metadata.token_format.clone();
    match parent.table.metadata.policy {
        Collisions::Resolve | Collisions::LcRec => {
            TokenTable::placed(features, model, format, &parent.occupied, progress)
        }
        policy @ (Collisions::Keep | Collisions::Share { .. }) => {
            TokenizedItems::of_features(features, model, format, policy, progress)
        }
        Collisions::Suffix => {
            let mut items = TokenizedItems::of_features(features, model, format, Collisions::Keep, progress)?;
            items.table.codes = suffixed(parent, &items.table, own, overflow)?;
            Ok(items)
        }
    }
}
