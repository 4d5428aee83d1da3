//! LC-Rec's collision handling (arXiv 2311.09049), as published in its `generate_indices.py`, for comparison.
//!
//! In up to 20 rounds, each group of colliding items is assigned to the codes of the last level by Sinkhorn iteration. It
//! ignores which other items have these codes, so new collisions may arise and some remain.

use ndarray::{Array2, ArrayView2, Axis};
use rayon::prelude::*;

use super::groups::{Groups, ranks};
use super::latents::Loaded;
use super::overflow::residual;
use super::report::CollisionReport;
use super::resolve::{Assignment, UnresolvedItems, errors_of_moved, has_collision, sorted};
use crate::error::Result;
use crate::tokenizer::{Quantizer, balanced};

/// Maximum number of rounds over all collisions.
const ROUNDS: usize = 20;
/// Weight of the entropy term.
const EPSILON: f64 = 0.003;
/// Number of Sinkhorn iterations.
const ITERATIONS: usize = 50;

/// Assigns colliding items to the codes of the last level.
pub(super) fn spread(items: &UnresolvedItems, quantizer: &Quantizer) -> Result<Assignment> {
    let &UnresolvedItems { latents, codes, errors, item_ids } = items;
    let rank = ranks(item_ids);
    let last = codes.ncols() - 1;
    let prefixes = Groups::of(codes, last, &rank);
    // Any item with the prefix of a collision may collide in a later round.
    let loaded = latents.load(sorted(prefixes.iter().filter(|group| has_collision(group, codes)).flatten()))?;
    let mut spread = codes.to_owned();
    for _ in 0..ROUNDS {
        let groups = Groups::of(spread.view(), codes.ncols(), &rank);
        let colliding: Vec<&[usize]> = groups.iter().filter(|group| group.len() > 1).collect();
        if colliding.is_empty() {
            break;
        }
        let given: Vec<Vec<usize>> = colliding
            .par_iter()
            .map(|group| last_codes(group, &loaded, spread.view(), quantizer))
            .collect::<Result<_>>()?;
        for (group, given) in colliding.iter().zip(given) {
            for (&row, code) in group.iter().zip(given) {
                spread[[row, last]] = code as u16;
            }
        }
    }
    let reassigned: Vec<bool> = codes.rows().into_iter().zip(spread.rows()).map(|(a, b)| a != b).collect();
    let errors_after = errors_of_moved(&loaded, errors, &reassigned, spread.view(), quantizer.codebooks())?;
    let report = CollisionReport::new(&loaded, (codes, spread.view()), (errors, &errors_after), &rank)?;
    Ok(Assignment { codes: spread, errors: errors_after, reassigned, report })
}

/// The last codes of a group of colliding items.
fn last_codes(group: &[usize], loaded: &Loaded, codes: ArrayView2<u16>, quantizer: &Quantizer) -> Result<Vec<usize>> {
    let (books, last) = (quantizer.codebooks(), codes.ncols() - 1);
    let prefix: Vec<u16> = codes.row(group[0]).iter().take(last).copied().collect();
    let latents = loaded.get(group)?;
    let mut distances = Array2::zeros((group.len(), books[last].nrows()));
    for (mut row, latent) in distances.rows_mut().into_iter().zip(latents.rows()) {
        let rest = residual(latent, &prefix, books).mapv(|v| v as f32);
        row.assign(&books[last].map_axis(Axis(1), |codeword| (&codeword - &rest).mapv(|v| v * v).sum()));
    }
    Ok(balanced(distances.view(), EPSILON, ITERATIONS))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::item_ids::ItemIds;
    use crate::progress::Silent;
    use crate::semantic_id::Collisions;
    use crate::tokenizer::Offsets;
    use ndarray::array;

    #[test]
    fn near_items_are_separated_and_equal_ones_collide() {
        let quantizer =
            Quantizer::new(vec![array![[0.0f32], [10.0]], array![[0.0f32], [1.0], [3.0]]], Offsets::zero([2, 3]));
        let latents = array![[0.1f32], [0.2], [10.0], [10.0]];
        let codes = quantizer.encode(latents.view());
        let ids = ItemIds::row_numbers(4);
        let (latents, errors) = (&latents.view(), &[0.01, 0.04, 0.0, 0.0]);
        let items = UnresolvedItems { latents, codes: codes.view(), errors, item_ids: &ids };
        let settled = Collisions::LcRec.settle(&items, &quantizer, &Silent).unwrap();
        let (assignment, sizes) = (settled.assignment, settled.codebook_sizes);
        assert_eq!(sizes, [2, 3]);
        assert_ne!(assignment.codes.row(0), assignment.codes.row(1), "separated");
        assert_eq!(assignment.codes.row(2), assignment.codes.row(3), "equal items still collide");
        assert_eq!((assignment.report.distinct_before, assignment.report.exact_duplicates), (2, 1));
    }
}
