//! Overfull prefixes, which have more items than free last-level codes: some of their items move to other prefixes.
//!
//! Items move in the order of their added distortion, the smallest first, each to the nearest prefix with room: first among
//! those that differ only in the last code of the prefix, then in earlier codes.

use std::collections::HashMap;

use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis, s};
use rayon::prelude::*;

use super::latents::Loaded;
use super::occupied::Occupied;
use crate::error::Result;

/// Number of nearest codes with room that the search follows to the last level.
const BREADTH: usize = 8;

/// Moves items out of overfull prefixes by changing their `codes (n, levels)`. `groups` are the rows of each overfull
/// prefix, `rank` is the rank of each row by item id, which breaks ties, and `room` has the counts of all items.
///
/// # Errors
/// As [`Loaded::get`].
pub(super) fn relocate(
    latents: &Loaded,
    codes: &mut Array2<u16>,
    codebooks: &[Array2<f32>],
    groups: &[Vec<usize>],
    rank: &[usize],
    mut room: Room<'_>,
) -> Result<()> {
    let Some(last) = codebooks.last().filter(|_| codebooks.len() > 1).map(Array2::nrows) else { return Ok(()) };
    let search = PrefixSearch::new(codebooks);
    for group in groups {
        let latents = latents.get(group)?;
        let taken = room.taken_under(codes.row(group[0]));
        let mut leaving: Vec<Leaving> = group
            .par_iter()
            .enumerate()
            .map(|(at, &row)| {
                let places = search.find(latents.row(at), codes.row(row), &room);
                // If the prefix has no free code, all items leave.
                let here = search.own_cost(latents.row(at), codes.row(row), room.occupied).unwrap_or(0.0);
                let loss = places.first().map_or(f32::INFINITY, |place| place.cost - here);
                Leaving { loss, row, at, places }
            })
            .collect();
        leaving.sort_by(|a, b| a.loss.total_cmp(&b.loss).then(rank[a.row].cmp(&rank[b.row])));
        for Leaving { row, at, places, .. } in leaving.into_iter().take((group.len() + taken).saturating_sub(last)) {
            // Prefixes only fill up as items move: the first that still has room is the best.
            let place = places.into_iter().find(|place| room.has_all(&place.codes));
            let place = place.or_else(|| search.find(latents.row(at), codes.row(row), &room).into_iter().next());
            if let Some(place) = place {
                room.change(codes.row(row), -1);
                codes.row_mut(row).assign(&Array1::from(place.codes));
                room.change(codes.row(row), 1);
            }
        }
    }
    Ok(())
}

/// An item of an overfull prefix.
struct Leaving {
    /// The added distortion if it moves.
    loss: f32,
    row: usize,
    /// Its index in the group.
    at: usize,
    /// Its candidates, the best first.
    places: Vec<FreePlace>,
}

/// Codes that an item can move to, and its squared distance there.
struct FreePlace {
    cost: f32,
    codes: Vec<u16>,
}

/// Number of items under each prefix without the last level, per depth, and the taken codes.
pub(super) struct Room<'a> {
    counts: HashMap<u128, i64>,
    occupied: &'a Occupied,
    /// Capacity of a prefix by its depth.
    capacity: Vec<i64>,
}

impl<'a> Room<'a> {
    fn empty(codebooks: &[Array2<f32>], occupied: &'a Occupied) -> Self {
        let below = |depth: usize| {
            codebooks[depth..].iter().fold(1i64, |product, book| product.saturating_mul(book.nrows() as i64))
        };
        Room { counts: HashMap::new(), occupied, capacity: (0..codebooks.len()).map(below).collect() }
    }

    /// Counts the items with codes `(n, levels)`.
    pub(super) fn count(codes: ArrayView2<u16>, codebooks: &[Array2<f32>], occupied: &'a Occupied) -> Self {
        let mut room = Self::empty(codebooks, occupied);
        for row in codes.rows() {
            room.change(row, 1);
        }
        room
    }

    /// From given counts: `counts (p,)` items under each of `prefixes (p, levels - 1)`.
    pub(super) fn of_counts(
        prefixes: ArrayView2<u16>,
        counts: &[i64],
        codebooks: &[Array2<f32>],
        occupied: &'a Occupied,
    ) -> Self {
        let mut room = Self::empty(codebooks, occupied);
        for (prefix, &count) in prefixes.rows().into_iter().zip(counts) {
            room.change_prefix(prefix, count);
        }
        room
    }

    fn change(&mut self, codes: ArrayView1<u16>, by: i64) {
        self.change_prefix(codes.slice(s![..codes.len() - 1]), by);
    }

    fn change_prefix(&mut self, prefix: ArrayView1<u16>, by: i64) {
        let mut key = EMPTY;
        for &code in prefix {
            key = longer(key, code);
            *self.counts.entry(key).or_insert(0) += by;
        }
    }

    /// Whether a prefix of this depth has room.
    fn has(&self, key: u128, depth: usize) -> bool {
        let taken = self.occupied.under_key(key ^ (EMPTY << (16 * depth)), depth) as i64;
        taken + self.counts.get(&key).copied().unwrap_or(0) < self.capacity[depth]
    }

    /// Number of taken codes with the same prefix of all codes but the last.
    fn taken_under(&self, codes: ArrayView1<u16>) -> usize {
        self.occupied.under(&codes.iter().take(codes.len() - 1).copied().collect::<Vec<_>>())
    }

    /// Whether all prefixes of some codes have room.
    fn has_all(&self, codes: &[u16]) -> bool {
        let mut key = EMPTY;
        codes.iter().take(codes.len() - 1).enumerate().all(|(at, &code)| {
            key = longer(key, code);
            self.has(key, at + 1)
        })
    }
}

/// The key of the empty prefix. Up to seven codes of 16 bits follow the leading one, which marks the length.
const EMPTY: u128 = 1;

fn longer(key: u128, code: u16) -> u128 {
    key << 16 | u128::from(code)
}

fn key_of(prefix: &[u16]) -> u128 {
    prefix.iter().fold(EMPTY, |key, &code| longer(key, code))
}

/// The search for prefixes with room: codebooks with the squared norms of their codewords.
struct PrefixSearch<'a> {
    codebooks: &'a [Array2<f32>],
    lengths: Vec<Array1<f32>>,
}

impl<'a> PrefixSearch<'a> {
    fn new(codebooks: &'a [Array2<f32>]) -> Self {
        let lengths = |book: &Array2<f32>| book.map_axis(Axis(1), |codeword| codeword.dot(&codeword));
        PrefixSearch { codebooks, lengths: codebooks.iter().map(lengths).collect() }
    }

    /// Free places for a latent outside its own prefix, the nearest first; empty if all prefixes are full.
    fn find(&self, latent: ArrayView1<f32>, codes: ArrayView1<u16>, room: &Room<'_>) -> Vec<FreePlace> {
        for depth in (0..self.codebooks.len() - 1).rev() {
            let prefix: Vec<u16> = codes.iter().take(depth).copied().collect();
            let nearest = self.nearest_with_room(latent, &prefix, room, Some(codes[depth]), BREADTH);
            let place = |code: u16| {
                let mut codes = prefix.clone();
                codes.push(code);
                self.descend(latent, &mut codes, room).map(|cost| FreePlace { cost, codes })
            };
            let mut places: Vec<FreePlace> = nearest.into_iter().filter_map(place).collect();
            if !places.is_empty() {
                places.sort_by(|a, b| a.cost.total_cmp(&b.cost));
                return places;
            }
        }
        Vec::new()
    }

    /// Completes a prefix with the nearest codes that have room; returns the remaining squared distance.
    fn descend(&self, latent: ArrayView1<f32>, place: &mut Vec<u16>, room: &Room<'_>) -> Option<f32> {
        while place.len() < self.codebooks.len() - 1 {
            let code = *self.nearest_with_room(latent, place, room, None, 1).first()?;
            place.push(code);
        }
        let (code, cost) = self.nearest_free(latent, place, room.occupied)?;
        place.push(code);
        Some(cost)
    }

    /// The `most` nearest codes after a prefix among those that have room.
    fn nearest_with_room(
        &self,
        latent: ArrayView1<f32>,
        prefix: &[u16],
        room: &Room<'_>,
        not: Option<u16>,
        most: usize,
    ) -> Vec<u16> {
        let distances = self.distances(latent, prefix);
        let mut order: Vec<usize> = (0..distances.len()).collect();
        order.sort_by(|&a, &b| distances[a].total_cmp(&distances[b]));
        let key = key_of(prefix);
        let has = |code: &u16| Some(*code) != not && room.has(longer(key, *code), prefix.len() + 1);
        order.into_iter().map(|code| code as u16).filter(has).take(most).collect()
    }

    /// Squared distances of the codewords after a prefix from the residual.
    fn distances(&self, latent: ArrayView1<f32>, prefix: &[u16]) -> Array1<f32> {
        let rest = residual(latent, prefix, self.codebooks).mapv(|v| v as f32);
        let mut distances = self.codebooks[prefix.len()].dot(&rest);
        distances *= -2.0;
        distances += &self.lengths[prefix.len()];
        distances += rest.dot(&rest);
        distances
    }

    /// The nearest free last code under a prefix, and its squared distance. `None` if no code is free.
    fn nearest_free(&self, latent: ArrayView1<f32>, prefix: &[u16], occupied: &Occupied) -> Option<(u16, f32)> {
        let distances = self.distances(latent, prefix);
        let free = occupied.free(prefix, distances.len());
        let found = distances.iter().enumerate().filter(|&(code, _)| free[code]).min_by(|a, b| a.1.total_cmp(b.1));
        found.map(|(code, &cost)| (code as u16, cost))
    }

    /// The squared distance to the nearest free code under the item's own prefix. `None` if no code is free.
    fn own_cost(&self, latent: ArrayView1<f32>, codes: ArrayView1<u16>, occupied: &Occupied) -> Option<f32> {
        let prefix: Vec<u16> = codes.iter().take(codes.len() - 1).copied().collect();
        self.nearest_free(latent, &prefix, occupied).map(|(_, cost)| cost)
    }
}

/// The residual of a latent after the codes of a prefix.
pub(super) fn residual(latent: ArrayView1<f32>, prefix: &[u16], codebooks: &[Array2<f32>]) -> Array1<f64> {
    let mut rest = latent.mapv(f64::from);
    for (book, &code) in codebooks.iter().zip(prefix) {
        rest.iter_mut().zip(book.row(usize::from(code))).for_each(|(r, &c)| *r -= f64::from(c));
    }
    rest
}
