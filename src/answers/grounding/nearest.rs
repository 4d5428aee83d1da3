//! The best items of an answer.

use ndarray::ArrayView1;

use super::GroundedItem;
use super::distances::Distances;

/// Additional candidates that are recomputed in double precision, because single precision may misorder them.
const SPARE: usize = 16;

/// The `top` best items, given squared distances in single precision and a factor per item.
pub(super) fn best(
    distances: &Distances,
    answer: ArrayView1<f32>,
    squares: &[f32],
    factors: Option<&[f32]>,
    top: usize,
) -> Vec<GroundedItem> {
    // Scores are normalized by the exact smallest and largest distance.
    let nearest = lowest(squares.iter().copied(), SPARE);
    let farthest = lowest(squares.iter().map(|square| -square), SPARE);
    let exact = |(_, item): &(f32, usize)| distances.exact(answer, *item);
    let least = nearest.iter().map(exact).fold(f64::INFINITY, f64::min);
    let range = farthest.iter().map(exact).fold(least, f64::max) - least;
    let candidates = match factors {
        None => lowest(squares.iter().copied(), top + SPARE),
        Some(factors) => {
            let least = least as f32;
            // The range is the same for all items and does not change the order.
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

/// The `k` lowest values with their indices, unordered; of equal values the first.
fn lowest(values: impl Iterator<Item = f32>, k: usize) -> Vec<(f32, usize)> {
    // A max-heap of the kept values: a new value must be below its top.
    let mut heap: std::collections::BinaryHeap<OrderedDistance> = std::collections::BinaryHeap::with_capacity(k + 1);
    let mut bar = f32::INFINITY;
    for (index, value) in values.enumerate() {
        if value < bar || heap.len() < k {
            heap.push(OrderedDistance(value, index));
            if heap.len() > k {
                heap.pop();
            }
            if heap.len() == k {
                bar = heap.peek().map_or(f32::INFINITY, |top| top.0);
            }
        }
    }
    heap.into_iter().map(|OrderedDistance(value, index)| (value, index)).collect()
}

#[derive(PartialEq)]
struct OrderedDistance(f32, usize);

impl Eq for OrderedDistance {}

impl Ord for OrderedDistance {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0).then(self.1.cmp(&other.1))
    }
}

impl PartialOrd for OrderedDistance {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
