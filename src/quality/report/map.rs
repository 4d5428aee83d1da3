//! The map of the catalog: the latents' projection on their two principal axes.

use ndarray::{Array1, Array2, ArrayView2, Axis};

use super::rows::map_rows;
use crate::error::Result;
use crate::features::{FeatureSource, gather_rows};
use crate::semantic_id::TokenTable;
use crate::tokenizer::{ModelInput, Tokenizer};

/// Steps of the power iteration for the principal axes.
const STEPS: usize = 300;
/// Coordinates run from 0 to this.
pub(super) const EXTENT: f64 = 1_000.0;

/// Items as points in a plane.
#[derive(Debug, Clone, PartialEq)]
pub struct Map {
    /// The rows of the items, in the order of their codes.
    pub(super) rows: Vec<usize>,
    pub(super) x: Vec<u16>,
    pub(super) y: Vec<u16>,
    /// Fraction of the latents' variance that the plane shows.
    pub(super) shown: f64,
}

impl Map {
    /// Places the items of a table, of more than 20,000 a sample; model and features must be the table's. Reads the
    /// features once and keeps only the vectors of these items.
    ///
    /// # Errors
    /// As [`FeatureSource::blocks`] and [`Tokenizer::encode`].
    pub fn of_items(table: &TokenTable, model: &Tokenizer, features: &dyn FeatureSource) -> Result<Self> {
        let rows = map_rows(table);
        let mut ascending: Vec<usize> = (0..rows.len()).collect();
        ascending.sort_unstable_by_key(|&at| rows[at]);
        let sorted: Vec<usize> = ascending.iter().map(|&at| rows[at]).collect();
        let encoded = ModelInput::new(model, features)?.encode(&gather_rows(features, &sorted)?)?;
        let mut latents = Array2::zeros(encoded.latents.dim());
        for (&at, latent) in ascending.iter().zip(encoded.latents.rows()) {
            latents.row_mut(at).assign(&latent);
        }
        let (plane, shown) = principal_plane(latents.view());
        let (x, y) = to_extent(&plane);
        Ok(Map { rows, x, y, shown })
    }
}

/// The coordinates `(n, 2)` on the two principal axes, and the fraction of the variance along them.
fn principal_plane(points: ArrayView2<f32>) -> (Array2<f64>, f64) {
    let mut points = points.mapv(f64::from);
    if let Some(mean) = points.mean_axis(Axis(0)) {
        points -= &mean;
    }
    let scatter = points.t().dot(&points);
    let spread = scatter.diag().sum();
    let dim = points.ncols();
    // Any start works that is not orthogonal to an axis; a fixed one gives the same map everywhere.
    let mut axes = Array2::from_shape_fn((dim, 2), |(i, j)| 1.0 / ((i + 1) as f64).powi(j as i32) + 0.01 * i as f64);
    orthonormalize(&mut axes);
    for _ in 0..STEPS {
        axes = scatter.dot(&axes);
        orthonormalize(&mut axes);
    }
    for mut axis in axes.columns_mut() {
        // The sign of an axis is arbitrary: make its largest component positive.
        let largest = axis.iter().copied().fold(0.0f64, |best, v| if v.abs() > best.abs() { v } else { best });
        if largest < 0.0 {
            axis.mapv_inplace(|v| -v);
        }
    }
    let plane = points.dot(&axes);
    let shown = plane.iter().map(|v| v * v).sum::<f64>();
    (plane, if spread > 0.0 { shown / spread } else { 0.0 })
}

/// Makes two columns orthonormal; a column of length zero stays zero.
fn orthonormalize(axes: &mut Array2<f64>) {
    let unit = |v: Array1<f64>| {
        let length = v.dot(&v).sqrt();
        if length > 1e-12 { v / length } else { v * 0.0 }
    };
    let first = unit(axes.column(0).to_owned());
    let along = first.dot(&axes.column(1));
    let second = unit(&axes.column(1) - &(&first * along));
    axes.column_mut(0).assign(&first);
    axes.column_mut(1).assign(&second);
}

/// Integer coordinates from 0 to [`EXTENT`], centred, with one scale for both axes and `y` pointing down.
fn to_extent(plane: &Array2<f64>) -> (Vec<u16>, Vec<u16>) {
    let ends = |axis: usize| {
        plane.column(axis).iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), &v| (low.min(v), high.max(v)))
    };
    let (x, y) = (ends(0), ends(1));
    let range = (x.1 - x.0).max(y.1 - y.0).max(f64::MIN_POSITIVE);
    let place = |v: f64, (low, high): (f64, f64)| (EXTENT * (0.5 + (v - 0.5 * (low + high)) / range)).round() as u16;
    let column = |axis: usize, ends, sign: f64| plane.column(axis).iter().map(|&v| place(sign * v, ends)).collect();
    (column(0, x, 1.0), column(1, (-y.1, -y.0), -1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn points_of_a_plane_keep_their_proportions() {
        // A 4 x 2 rectangle, tilted in space: axes along (3, 4, 0) / 5 and (0, 0, 1).
        let points = array![[1.2f32, 1.6, 1.0], [1.2, 1.6, -1.0], [-1.2, -1.6, 1.0], [-1.2, -1.6, -1.0]];
        let (plane, shown) = principal_plane(points.view());
        assert!((shown - 1.0).abs() < 1e-6, "{shown}");
        assert!((plane[[0, 0]] - 2.0).abs() < 1e-6 && (plane[[0, 1]] - 1.0).abs() < 1e-6, "{plane}");
        assert_eq!(to_extent(&plane), (vec![1_000, 1_000, 0, 0], vec![250, 750, 250, 750]));
    }

    #[test]
    fn equal_points_have_the_same_position() {
        let (plane, shown) = principal_plane(Array2::ones((3, 4)).view());
        assert_eq!(shown, 0.0);
        assert_eq!(to_extent(&plane), (vec![500; 3], vec![500; 3]));
        assert_eq!(principal_plane(Array2::ones((3, 1)).view()).0.dim(), (3, 2));
    }
}
