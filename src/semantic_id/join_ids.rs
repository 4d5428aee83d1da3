//! Items that join shared IDs under any prefix, if there are not enough free IDs.

use std::collections::BTreeMap;

use ndarray::Array2;
use rayon::prelude::*;

use super::groups::ranks;
use super::latents::Loaded;
use super::members::MemberFacts;
use super::resolve::UnresolvedItems;
use super::taken_seats::{Seat, TakenSeats, key_of};
use crate::error::Result;
use crate::tokenizer::Quantizer;

/// Lets items join IDs of their class under any prefix.
pub(super) struct Joining<'a> {
    pub(super) loaded: &'a Loaded,
    pub(super) facts: &'a MemberFacts,
    pub(super) quantizer: &'a Quantizer,
    pub(super) capacity: u16,
}

impl Joining<'_> {
    /// Items that lose least join first, until the lots of the others fit in `free` IDs. Returns the others.
    pub(super) fn join(
        &self,
        rows: &[usize],
        items: &UnresolvedItems,
        shared: &mut Array2<u16>,
        taken: &mut TakenSeats,
        free: usize,
    ) -> Result<Vec<usize>> {
        let mut open: Vec<(u128, Seat)> = taken
            .seats
            .iter()
            .map(|(&key, &seat)| (key, seat))
            .filter(|(_, seat)| seat.members < self.capacity)
            .collect();
        open.sort_unstable_by_key(|(key, _)| *key);
        let levels = shared.ncols();
        let codes = Array2::from_shape_fn((open.len(), levels), |(at, level)| {
            (open[at].0 >> (16 * (levels - 1 - level))) as u16
        });
        let points = self.quantizer.decode(codes.view());
        let nearest = |row: usize, open: &[(u128, Seat)]| -> Result<Option<(usize, f32)>> {
            let latent = self.loaded.get(&[row])?;
            let class = self.facts.class(row);
            let cost = |at: usize| {
                points.row(at).iter().zip(latent.row(0)).map(|(point, value)| (point - value).powi(2)).sum::<f32>()
            };
            let fitting = (0..open.len()).filter(|&at| open[at].1.takes(class, self.capacity));
            Ok(fitting.map(|at| (at, cost(at))).min_by(|a, b| a.1.total_cmp(&b.1)))
        };
        let mut losses: Vec<(f32, usize)> = rows
            .par_iter()
            .map(|&row| {
                let cost = nearest(row, &open)?.map_or(f32::INFINITY, |(_, cost)| cost);
                Ok((cost - items.errors[row], row))
            })
            .collect::<Result<_>>()?;
        let ranks = ranks(items.item_ids);
        losses.sort_by(|a, b| a.0.total_cmp(&b.0).then(ranks[a.1].cmp(&ranks[b.1])));
        let capacity = usize::from(self.capacity);
        let kind = |row: usize| (key_of(items.codes.row(row)), self.facts.class(row));
        let mut sizes: BTreeMap<(u128, u32), usize> = BTreeMap::new();
        rows.iter().for_each(|&row| *sizes.entry(kind(row)).or_default() += 1);
        let mut lots: usize = sizes.values().map(|size| size.div_ceil(capacity)).sum();
        let mut rest = Vec::new();
        for (_, row) in losses {
            let place = if lots > free { nearest(row, &open)? } else { None };
            let Some((at, _)) = place else {
                rest.push(row);
                continue;
            };
            shared.row_mut(row).assign(&codes.row(at));
            open[at].1.members += 1;
            taken.add(open[at].0, self.facts.class(row), self.capacity);
            let size = sizes.entry(kind(row)).or_default();
            lots -= size.div_ceil(capacity) - (*size - 1).div_ceil(capacity);
            *size -= 1;
        }
        Ok(rest)
    }
}
