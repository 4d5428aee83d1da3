//! Matches the codes of one table to the codes of another, so that as many items as possible keep their code.

use ndarray::Array2;
use rayon::prelude::*;

use crate::semantic_id::matching::cheapest;

/// Maximum codebook size for exact matching. Larger codebooks are matched greedily.
const EXACT: usize = 1_024;

/// The matching of the codes of one level.
#[derive(Debug)]
pub(super) struct LevelRenaming {
    /// The new code of each old code. An old code without a match keeps its name.
    pub(super) new_code: Vec<u16>,
    /// Old code, new code and number of items of each renamed code, in descending order of items.
    pub(super) renamed: Vec<(u16, u16, u32)>,
    /// Number of common items per old code.
    pub(super) before: Vec<u32>,
    /// Number of common items per new code.
    pub(super) after: Vec<u32>,
    /// Whether the matching is exact rather than greedy.
    pub(super) is_exact: bool,
}

/// Matches the codes of a level, so that as many items as possible have the new code that matches their old code. Among
/// equally good matchings, codes keep their names. `pairs` holds the old and new code of each item and is sorted in
/// place.
pub(super) fn level_renaming(pairs: &mut [(u16, u16)], sizes: (usize, usize)) -> LevelRenaming {
    pairs.par_sort_unstable();
    let (mut before, mut after) = (vec![0u32; sizes.0], vec![0u32; sizes.1]);
    let mut counts: Vec<(u16, u16, u32)> = Vec::new();
    for run in pairs.chunk_by(|a, b| a == b) {
        let (old, new) = run[0];
        before[usize::from(old)] += run.len() as u32;
        after[usize::from(new)] += run.len() as u32;
        counts.push((old, new, run.len() as u32));
    }
    let is_exact = sizes.0.max(sizes.1) <= EXACT;
    let matched = if is_exact { best(&counts, sizes) } else { greedy(counts, sizes) };
    let mut new_code: Vec<u16> = (0..sizes.0).map(|code| code as u16).collect();
    let mut renamed = Vec::new();
    for (old, new, items) in matched {
        new_code[usize::from(old)] = new;
        if old != new {
            renamed.push((old, new, items));
        }
    }
    renamed.sort_by_key(|&(old, _, items)| (std::cmp::Reverse(items), old));
    LevelRenaming { new_code, renamed, before, after, is_exact }
}

/// The exact matching, by minimum-cost assignment.
fn best(counts: &[(u16, u16, u32)], sizes: (usize, usize)) -> Vec<(u16, u16, u32)> {
    let size = sizes.0.max(sizes.1);
    let mut items = Array2::<u32>::zeros((size, size));
    counts.iter().for_each(|&(old, new, count)| items[[usize::from(old), usize::from(new)]] = count);
    // Kept names break ties: all of them together count less than one item.
    let weight = size as f64 + 1.0;
    let cost = Array2::from_shape_fn((size, size), |at| -(weight * f64::from(items[at]) + f64::from(at.0 == at.1)));
    let favourite = |row: usize| {
        let mut best = row;
        (0..size).for_each(|column| {
            if cost[[row, column]] < cost[[row, best]] {
                best = column
            }
        });
        best
    };
    let wanted: Vec<usize> = (0..size).map(favourite).collect();
    let matched = cheapest(cost.view(), &vec![1; size], &wanted);
    let pair = |(old, new): (usize, &Vec<usize>)| Some((old, *new.first()?));
    let pairs = matched.iter().enumerate().filter_map(pair).filter(|&at| items[at] > 0);
    pairs.map(|at| (at.0 as u16, at.1 as u16, items[at])).collect()
}

/// The greedy matching: repeatedly takes the pair with the most items whose codes are both unmatched.
fn greedy(mut counts: Vec<(u16, u16, u32)>, sizes: (usize, usize)) -> Vec<(u16, u16, u32)> {
    counts.par_sort_unstable_by_key(|&(old, new, items)| (std::cmp::Reverse(items), old != new, old, new));
    let (mut taken, mut given) = (vec![false; sizes.0], vec![false; sizes.1]);
    counts.retain(|&(old, new, _)| {
        let free = !taken[usize::from(old)] && !given[usize::from(new)];
        if free {
            (taken[usize::from(old)], given[usize::from(new)]) = (true, true);
        }
        free
    });
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn renaming(pairs: &[(u16, u16)], size: usize) -> LevelRenaming {
        level_renaming(&mut pairs.to_vec(), (size, size))
    }

    #[test]
    fn a_permutation_is_found_by_both_methods() {
        for size in [8, 2 * EXACT] {
            let pairs: Vec<(u16, u16)> = (0..80).map(|item| (item % 8, (item * 3 + 1) % 8)).collect();
            let found = renaming(&pairs, size);
            assert_eq!((found.is_exact, &found.new_code[..8]), (size == 8, &[1u16, 4, 7, 2, 5, 0, 3, 6][..]));
            assert_eq!((found.renamed.len(), found.renamed[0]), (8, (0, 1, 10)));
            assert_eq!((found.before[7], found.after[7]), (10, 10));
        }
    }

    #[test]
    fn codes_keep_their_names_on_ties() {
        // Codes 0 and 1 are tied. Code 3 has no items. The only item of code 2 moved to code 1, which is matched to
        // itself.
        let found = renaming(&[(0, 0), (0, 1), (1, 0), (1, 1), (2, 1)], 4);
        assert_eq!((found.new_code, found.renamed), (vec![0, 1, 2, 3], vec![]));
    }

    #[test]
    fn the_exact_matching_keeps_more_items_than_the_greedy_one() {
        // Greedy matching keeps 5 + 0 items, exact matching 4 + 4.
        let pairs: Vec<(u16, u16)> = [vec![(0, 0); 5], vec![(0, 1); 4], vec![(1, 0); 4]].concat();
        assert_eq!(renaming(&pairs, 2).renamed, [(0, 1, 4), (1, 0, 4)]);
    }

    #[test]
    fn all_kept_names_together_count_less_than_one_item() {
        let pairs = [(0, 0), (1, 1), (2, 2), (0, 1), (0, 1), (1, 2), (2, 0)];
        assert_eq!(renaming(&pairs, 3).renamed, [(0, 1, 2), (1, 2, 1), (2, 0, 1)]);
    }
}
