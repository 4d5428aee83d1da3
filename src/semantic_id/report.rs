//! Statistics of collision resolution.

use ndarray::{ArrayView2, s};
use serde::{Deserialize, Serialize};

use super::assign::classes;
use super::groups::Groups;
use super::latents::Loaded;
use crate::error::Result;

/// Statistics of the collision resolution of a catalog.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CollisionReport {
    /// Number of items.
    pub items: usize,
    /// Distinct semantic IDs before resolution.
    pub distinct_before: usize,
    /// `(items - distinct_before) / items`.
    pub collision_rate: f64,
    /// Items whose codes were changed.
    pub moved: usize,
    /// Of these, items that had to leave an overfull prefix.
    pub moved_to_other_prefix: usize,
    /// Largest number of items with equal codes before resolution.
    pub largest_group: usize,
    /// Exact duplicates: items whose latent is bit for bit equal to an earlier item's. No quantizer can separate them.
    pub exact_duplicates: usize,
    /// Mean squared distance of the latents from the sums of their codewords, before resolution.
    pub residual_error_before: f64,
    /// The same after resolution.
    pub residual_error_after: f64,
    /// `(after - before) / before`.
    pub added_distortion: f64,
}

impl CollisionReport {
    /// Compares codes `(n, levels)` and squared errors `(n,)` before and after resolution. `loaded` has the latents of all
    /// colliding items.
    pub(super) fn new(
        loaded: &Loaded,
        (codes, unique): (ArrayView2<u16>, ArrayView2<u16>),
        (errors_before, errors_after): (&[f32], &[f32]),
        rank: &[usize],
    ) -> Result<Self> {
        let (n, levels) = codes.dim();
        let full = Groups::of(codes, levels, rank);
        let differing = |depth: usize| {
            let upper = s![.., ..depth];
            let (before, after) = (codes.slice(upper), unique.slice(upper));
            before.rows().into_iter().zip(after.rows()).filter(|(a, b)| a != b).count()
        };
        let mut exact_duplicates = 0;
        for group in full.iter().filter(|group| group.len() > 1) {
            exact_duplicates += group.len() - classes(group, loaded.get(group)?.view(), codes).0.len();
        }
        let mean = |errors: &[f32]| errors.iter().map(|&e| f64::from(e)).sum::<f64>() / errors.len().max(1) as f64;
        let (before, after) = (mean(errors_before), mean(errors_after));
        Ok(CollisionReport {
            items: n,
            distinct_before: full.len(),
            collision_rate: if n > 0 { (n - full.len()) as f64 / n as f64 } else { 0.0 },
            moved: differing(levels),
            moved_to_other_prefix: differing(levels - 1),
            largest_group: full.largest(),
            exact_duplicates,
            residual_error_before: before,
            residual_error_after: after,
            added_distortion: if before > 0.0 { (after - before) / before } else { 0.0 },
        })
    }
}
