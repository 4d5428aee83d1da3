//! Assigns the items of a prefix to different free codes of the last level, at the minimum total squared distance.
//!
//! Groups of items with one prefix are independent of each other. Several share one matrix product.

use std::collections::HashMap;

use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis, s};

use super::latents::Loaded;
use super::matching::cheapest;
use super::occupied::Occupied;
use super::overflow::residual;
use crate::error::Result;
use crate::tokenizer::Quantizer;

/// Groups whose matching would take more steps than this, about ten seconds, are assigned item by item.
const MAX_STEPS: usize = 1 << 33;

/// Maximum number of items per matrix product, unless one group has more.
const ITEMS_AT_ONCE: usize = 1_024;
/// Maximum number of values in such a product, 64 MB, unless one group needs more.
const NUMBERS_AT_ONCE: usize = 1 << 23;

/// Divides groups into batches of one matrix product with `codes` columns each. The result does not depend on the
/// batches.
pub(super) fn batches<'a, 'g>(groups: &'a [&'g [usize]], codes: usize) -> Vec<&'a [&'g [usize]]> {
    let at_once = (NUMBERS_AT_ONCE / codes.max(1)).clamp(1, ITEMS_AT_ONCE);
    let mut batches = Vec::new();
    let (mut start, mut items) = (0, 0);
    for (at, group) in groups.iter().enumerate() {
        if items > 0 && items + group.len() > at_once {
            batches.push(&groups[start..at]);
            (start, items) = (at, 0);
        }
        items += group.len();
    }
    if start < groups.len() {
        batches.push(&groups[start..]);
    }
    batches
}

/// Rows of a group with equal latents and codes, which the matching treats as one. In the order of their first rows;
/// also returns the index of the first row of each class in the group.
pub(super) fn classes(
    group: &[usize],
    latents: ArrayView2<f32>,
    codes: ArrayView2<u16>,
) -> (Vec<Vec<usize>>, Vec<usize>) {
    let mut place = HashMap::new();
    let (mut classes, mut firsts): (Vec<Vec<usize>>, Vec<usize>) = (Vec::new(), Vec::new());
    for (in_group, (&row, latent)) in group.iter().zip(latents.rows()).enumerate() {
        let bits: Vec<u32> = latent.iter().map(|v| v.to_bits()).collect();
        let at = *place.entry((bits, codes[[row, codes.ncols() - 1]])).or_insert(classes.len());
        match classes.get_mut(at) {
            Some(class) => class.push(row),
            None => {
                classes.push(vec![row]);
                firsts.push(in_group);
            }
        }
    }
    (classes, firsts)
}

/// The codewords of the last level in double precision.
pub(super) struct LastLevel<'a> {
    quantizer: &'a Quantizer,
    occupied: &'a Occupied,
    level: usize,
    /// `(size, latent_dim)`.
    book: Array2<f64>,
    /// Squared norm of each codeword.
    lengths: Array1<f64>,
}

/// A group in a matrix product.
struct Group {
    prefix: Vec<u16>,
    /// The free last codes, ascending.
    free: Vec<usize>,
    classes: Vec<Vec<usize>>,
    /// `(classes, latent_dim)`.
    latents: Array2<f32>,
}

impl<'a> LastLevel<'a> {
    pub(super) fn of(quantizer: &'a Quantizer, occupied: &'a Occupied) -> Self {
        let level = quantizer.codebooks().len() - 1;
        let book = quantizer.codebooks()[level].mapv(f64::from);
        let lengths = book.map_axis(Axis(1), |codeword| codeword.dot(&codeword));
        LastLevel { quantizer, occupied, level, book, lengths }
    }

    /// Assigns a last code to every row of these groups. The rows of a group share a prefix, and are not more than its
    /// free codes. Returns pairs of row and code.
    pub(super) fn assign(
        &self,
        groups: &[&[usize]],
        loaded: &Loaded,
        codes: ArrayView2<u16>,
    ) -> Result<Vec<(usize, u16)>> {
        let prepare = |group: &&[usize]| {
            let latents = loaded.get(group)?;
            let (classes, firsts) = classes(group, latents.view(), codes);
            let prefix: Vec<u16> = codes.row(group[0]).iter().take(self.level).copied().collect();
            let free = self.occupied.free(&prefix, self.book.nrows());
            let free = free.iter().enumerate().filter_map(|(code, &free)| free.then_some(code)).collect();
            Ok(Group { prefix, free, classes, latents: latents.select(Axis(0), &firsts) })
        };
        let groups: Vec<Group> = groups.iter().map(prepare).collect::<Result<_>>()?;
        let mut points = Array2::zeros((groups.iter().map(|g| g.classes.len()).sum(), self.book.ncols()));
        let latents = groups.iter().flat_map(|group| group.latents.rows().into_iter().map(|row| (&group.prefix, row)));
        for (mut point, (prefix, latent)) in points.rows_mut().into_iter().zip(latents) {
            point.assign(&residual(latent, prefix, self.quantizer.codebooks()));
        }
        // Whether a group is too large for matching must not depend on the other groups in its batch. A group with more
        // items than a batch is alone, and then the matrix of its distances is not computed.
        let mut costs = if groups.iter().any(|group| self.is_matched(group)) {
            self.squared_distances(points.view())
        } else {
            Array2::zeros((0, 0))
        };
        let mut given = Vec::new();
        let mut from = 0;
        for group in &groups {
            let rows = s![from..from + group.classes.len(), ..];
            if self.is_matched(group) {
                let mut cost = costs.slice_mut(rows);
                cost += &self.quantizer.offsets_after(&group.prefix).mapv(f64::from);
                self.match_group(group, cost.view(), codes, &mut given);
            } else {
                given.extend(self.one_by_one(group, points.slice(rows)));
            }
            from += group.classes.len();
        }
        Ok(given)
    }

    fn is_matched(&self, group: &Group) -> bool {
        group.classes.len().saturating_pow(2).saturating_mul(group.free.len()) <= MAX_STEPS
    }

    fn match_group(&self, group: &Group, cost: ArrayView2<f64>, codes: ArrayView2<u16>, given: &mut Vec<(usize, u16)>) {
        let all_free = group.free.len() == cost.ncols();
        let mut cost = if all_free { cost.to_owned() } else { cost.select(Axis(1), &group.free) };
        let rows = group.classes.iter().zip(group.latents.rows()).zip(cost.rows_mut());
        let wanted: Vec<usize> = rows
            .map(|((class, latent), mut cost)| {
                let (best, least) = lowest(cost.view());
                // The quantizer computes in f32: its nearest code counts as nearest within the rounding error.
                let given = group.free.binary_search(&usize::from(codes[[class[0], self.level]]));
                let Ok(given) = given else { return best };
                if cost[given] <= least + 1e-5 * (least.abs() + f64::from(latent.dot(&latent))) {
                    cost[given] = least;
                    given
                } else {
                    best
                }
            })
            .collect();
        if let ([rows], [wanted]) = (&group.classes[..], &wanted[..]) {
            // Equal items take the cheapest codes.
            let mut order: Vec<usize> = (0..cost.ncols()).collect();
            order.sort_by(|&a, &b| cost[[0, a]].total_cmp(&cost[[0, b]]).then((b == *wanted).cmp(&(a == *wanted))));
            given.extend(rows.iter().copied().zip(order.into_iter().map(|column| group.free[column] as u16)));
            return;
        }
        let supply: Vec<usize> = group.classes.iter().map(Vec::len).collect();
        for (rows, columns) in group.classes.iter().zip(cheapest(cost.view(), &supply, &wanted)) {
            given.extend(rows.iter().copied().zip(columns.into_iter().map(|column| group.free[column] as u16)));
        }
    }

    /// Each item in turn takes the nearest free code, for groups that are too large for matching.
    fn one_by_one(&self, group: &Group, points: ArrayView2<f64>) -> Vec<(usize, u16)> {
        let offsets = self.quantizer.offsets_after(&group.prefix).mapv(f64::from);
        let mut taken = vec![false; self.book.nrows()];
        self.occupied.last_codes(&group.prefix).for_each(|code| taken[usize::from(code)] = true);
        let mut given = Vec::new();
        for (rows, point) in group.classes.iter().zip(points.axis_chunks_iter(Axis(0), 1)) {
            let cost = self.squared_distances(point).row(0).to_owned() + &offsets;
            let mut order: Vec<usize> = (0..self.book.nrows()).filter(|&code| !taken[code]).collect();
            order.sort_by(|&a, &b| cost[a].total_cmp(&cost[b]));
            for (&row, &code) in rows.iter().zip(&order) {
                taken[code] = true;
                given.push((row, code as u16));
            }
        }
        given
    }

    /// Squared distances `(n, size)` of `points (n, latent_dim)`.
    fn squared_distances(&self, points: ArrayView2<f64>) -> Array2<f64> {
        let mut cost = points.dot(&self.book.t());
        for (mut row, point) in cost.rows_mut().into_iter().zip(points.rows()) {
            let length = point.dot(&point);
            row.iter_mut().zip(&self.lengths).for_each(|(d, &l)| *d = (length + l - 2.0 * *d).max(0.0));
        }
        cost
    }
}

fn lowest(values: ArrayView1<f64>) -> (usize, f64) {
    values.iter().enumerate().fold((0, f64::INFINITY), |best, (i, &v)| if v < best.1 { (i, v) } else { best })
}
