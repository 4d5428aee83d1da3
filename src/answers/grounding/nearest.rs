//! The best items of an answer.

use ndarray::ArrayView1;

use super::GroundedItem;
use super::distances::Distances;

/// Candidates beyond those that are wanted: what single precision may have put in the wrong order is among them.
const SPARE: usize = 16;

/// The `top` best, by squared distances that single precision gave, with each item's factor.
pub(super) fn best(
    distances: &Distances,
    answer: ArrayView1<f32>,
    squares: &[f32],
    factors: Option<&[f32]>,
    top: usize,
) -> Vec<GroundedItem> {
    // The scale is that of the exact nearest and farthest.
    let nearest = lowest(squares.iter().copied(), SPARE);
    let farthest = lowest(squares.iter().map(|square| -square), SPARE);
    let exact = |(_, item): &(f32, usize)| distances.exact(answer, *item);
    let least = nearest.iter().map(exact).fold(f64::INFINITY, f64::min);
    let range = farthest.iter().map(exact).fold(least, f64::max) - least;
    let candidates = match factors {
        None => lowest(squares.iter().copied(), top + SPARE),
        Some(factors) => {
            let least = least as f32;
            // The range is the same for all items, so ranking does without it.
            let scores = squares.iter().zip(factors).map(|(square, factor)| (square.sqrt() - least).max(0.0) * factor);
            lowest(scores, top + SPARE)
        }
    };
    let mut found: Vec<GroundedItem> = candidates
        .into_iter()
        .map(|(_, item)| {
            let distance = distances.exact(answer, item);
            let normalised = if range > 0.0 { (distance - least).max(0.0) / range } else { 0.0 };
            let score = normalised * factors.map_or(1.0, |factors| f64::from(factors[item]));
            GroundedItem { item, distance, score }
        })
        .collect();
    found.sort_by(|a, b| a.score.total_cmp(&b.score).then(a.distance.total_cmp(&b.distance)).then(a.item.cmp(&b.item)));
    found.truncate(top);
    found
}

/// The `k` lowest values with their places, in no order; of equal ones the first.
fn lowest(values: impl Iterator<Item = f32>, k: usize) -> Vec<(f32, usize)> {
    // The highest of the kept ones is what has to be beaten; it stands on top of a heap.
    let mut heap: std::collections::BinaryHeap<Ordered> = std::collections::BinaryHeap::with_capacity(k + 1);
    let mut bar = f32::INFINITY;
    for (place, value) in values.enumerate() {
        if value < bar || heap.len() < k {
            heap.push(Ordered(value, place));
            if heap.len() > k {
                heap.pop();
            }
            if heap.len() == k {
                bar = heap.peek().map_or(f32::INFINITY, |top| top.0);
            }
        }
    }
    heap.into_iter().map(|Ordered(value, place)| (value, place)).collect()
}

#[derive(PartialEq)]
struct Ordered(f32, usize);

impl Eq for Ordered {}

impl Ord for Ordered {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0).then(self.1.cmp(&other.1))
    }
}

impl PartialOrd for Ordered {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
