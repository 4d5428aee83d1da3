//! Prefixes with more items than last-level codes: who leaves, and where to.
//!
//! The items that lose least by leaving leave, in that order, each to the prefix with room that suits it best: first
//! among those that differ in the last code of the prefix only, then further up.

use std::collections::HashMap;

use ndarray::{Array1, Array2, ArrayView1, ArrayView2};
use rayon::prelude::*;

use super::latents::Loaded;
use crate::error::Result;

/// How many of the nearest codes with room are followed down to the last level.
const BREADTH: usize = 8;

/// Moves items out of prefixes that are too full, by changing their `codes (n, levels)`. `groups` are the rows of each
/// overfull prefix, `rank` the place of each row in the order of the item ids, which breaks ties.
pub(super) fn relocate(
    latents: &Loaded,
    codes: &mut Array2<u16>,
    codebooks: &[Array2<f32>],
    groups: &[Vec<usize>],
    rank: &[usize],
) -> Result<()> {
    let Some(last) = codebooks.last().filter(|_| codebooks.len() > 1).map(Array2::nrows) else { return Ok(()) };
    let mut room = Room::count(codes.view(), codebooks);
    for group in groups {
        let latents = latents.get(group)?;
        let mut leaving: Vec<(f64, usize, usize)> = group
            .par_iter()
            .enumerate()
            .map(|(at, &row)| {
                let place = find(latents.row(at), codes.row(row), codebooks, &room);
                let here = own_cost(latents.row(at), codes.row(row), codebooks);
                (place.map_or(f64::INFINITY, |(cost, _)| cost - here), row, at)
            })
            .collect();
        leaving.sort_by(|a, b| a.0.total_cmp(&b.0).then(rank[a.1].cmp(&rank[b.1])));
        for &(_, row, at) in leaving.iter().take(group.len().saturating_sub(last)) {
            // Places fill up as items move, so each looks again.
            if let Some((_, place)) = find(latents.row(at), codes.row(row), codebooks, &room) {
                room.change(codes.row(row), -1);
                codes.row_mut(row).assign(&Array1::from(place));
                room.change(codes.row(row), 1);
            }
        }
    }
    Ok(())
}

/// Items under each prefix of each depth above the last level.
struct Room {
    counts: HashMap<Vec<u16>, i64>,
    /// Capacity of a prefix by its depth.
    capacity: Vec<i64>,
}

impl Room {
    fn count(codes: ArrayView2<u16>, codebooks: &[Array2<f32>]) -> Self {
        let levels = codebooks.len();
        let below = |depth: usize| {
            codebooks[depth..].iter().fold(1i64, |product, book| product.saturating_mul(book.nrows() as i64))
        };
        let mut room = Room { counts: HashMap::new(), capacity: (0..levels).map(below).collect() };
        for row in codes.rows() {
            room.change(row, 1);
        }
        room
    }

    fn change(&mut self, codes: ArrayView1<u16>, by: i64) {
        for depth in 1..codes.len() {
            *self.counts.entry(codes.iter().take(depth).copied().collect()).or_insert(0) += by;
        }
    }

    fn has(&self, prefix: &[u16]) -> bool {
        self.counts.get(prefix).is_none_or(|&count| count < self.capacity[prefix.len()])
    }
}

/// The cheapest place that was found for a latent outside its own prefix, and its squared distance there.
fn find(
    latent: ArrayView1<f32>,
    codes: ArrayView1<u16>,
    codebooks: &[Array2<f32>],
    room: &Room,
) -> Option<(f64, Vec<u16>)> {
    let levels = codebooks.len();
    for depth in (0..levels - 1).rev() {
        let prefix: Vec<u16> = codes.iter().take(depth).copied().collect();
        let rest = residual(latent, &prefix, codebooks);
        let mut best: Option<(f64, Vec<u16>)> = None;
        for code in nearest_with_room(&rest, &prefix, &codebooks[depth], room, Some(codes[depth])).take(BREADTH) {
            let mut place = prefix.clone();
            place.push(code);
            if let Some(cost) = descend(latent, &mut place, codebooks, room)
                && best.as_ref().is_none_or(|(least, _)| cost < *least)
            {
                best = Some((cost, place));
            }
        }
        if best.is_some() {
            return best;
        }
    }
    None
}

/// Completes a prefix by the nearest codes with room; returns the squared distance that is left.
fn descend(latent: ArrayView1<f32>, place: &mut Vec<u16>, codebooks: &[Array2<f32>], room: &Room) -> Option<f64> {
    while place.len() < codebooks.len() - 1 {
        let rest = residual(latent, place, codebooks);
        let code = nearest_with_room(&rest, place, &codebooks[place.len()], room, None).next()?;
        place.push(code);
    }
    let rest = residual(latent, place, codebooks);
    let distances = distances(&rest, &codebooks[place.len()]);
    let (code, &cost) = distances.iter().enumerate().min_by(|a, b| a.1.total_cmp(b.1))?;
    place.push(code as u16);
    Some(cost)
}

/// Codes of a level from the nearest on, of those whose prefix has room.
fn nearest_with_room<'a>(
    rest: &Array1<f64>,
    prefix: &[u16],
    book: &Array2<f32>,
    room: &'a Room,
    not: Option<u16>,
) -> impl Iterator<Item = u16> + use<'a> {
    let distances = distances(rest, book);
    let mut order: Vec<usize> = (0..distances.len()).collect();
    order.sort_by(|&a, &b| distances[a].total_cmp(&distances[b]));
    let prefix = prefix.to_vec();
    order.into_iter().map(|code| code as u16).filter(move |&code| {
        let mut longer = prefix.clone();
        longer.push(code);
        Some(code) != not && room.has(&longer)
    })
}

fn distances(rest: &Array1<f64>, book: &Array2<f32>) -> Array1<f64> {
    let squared = |codeword: ArrayView1<f32>| rest.iter().zip(codeword).map(|(r, &c)| (r - f64::from(c)).powi(2)).sum();
    book.map_axis(ndarray::Axis(1), squared)
}

fn own_cost(latent: ArrayView1<f32>, codes: ArrayView1<u16>, codebooks: &[Array2<f32>]) -> f64 {
    let prefix: Vec<u16> = codes.iter().take(codes.len() - 1).copied().collect();
    let rest = residual(latent, &prefix, codebooks);
    distances(&rest, &codebooks[prefix.len()]).iter().copied().fold(f64::INFINITY, f64::min)
}

/// What a prefix leaves of a latent.
pub(super) fn residual(latent: ArrayView1<f32>, prefix: &[u16], codebooks: &[Array2<f32>]) -> Array1<f64> {
    let mut rest = latent.mapv(f64::from);
    for (book, &code) in codebooks.iter().zip(prefix) {
        rest.iter_mut().zip(book.row(usize::from(code))).for_each(|(r, &c)| *r -= f64::from(c));
    }
    rest
}
