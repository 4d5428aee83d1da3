//! Exact cosine neighbours in the features: what the prefixes are measured against.
//!
//! Each modality of an item is brought to length one, so that none outvotes another by its units; nothing is centred,
//! as encoders are trained for the cosine of their vectors as they are.

use ndarray::{Array2, Axis, s};
use rayon::prelude::*;

use crate::features::Features;
use crate::progress::Progress;

/// Items that are compared with the queries at once.
const BLOCK: usize = 2_048;
/// Queries that one thread compares at once.
const CHUNK: usize = 256;

/// The `k` nearest items of each query, the nearest first, of equally near ones the lowest row; never the query itself.
pub(super) fn nearest(features: &Features, queries: &[usize], k: usize, progress: &dyn Progress) -> Vec<Vec<usize>> {
    let n = features.len();
    progress.begin("compare neighbours", Some(n as u64), "items");
    let wanted = directions(features, queries);
    let mut found: Vec<Vec<(f32, usize)>> = vec![Vec::with_capacity(k + 1); queries.len()];
    for from in (0..n).step_by(BLOCK) {
        let rows: Vec<usize> = (from..n.min(from + BLOCK)).collect();
        let block = directions(features, &rows);
        let chunks = found.par_chunks_mut(CHUNK).zip(wanted.axis_chunks_iter(Axis(0), CHUNK).into_par_iter());
        chunks.zip(queries.par_chunks(CHUNK)).for_each(|((found, wanted), queries)| {
            let cosines = wanted.dot(&block.t());
            for ((best, cosines), &query) in found.iter_mut().zip(cosines.rows()).zip(queries) {
                for (&cosine, &row) in cosines.iter().zip(&rows) {
                    let enters = best.len() < k || best.last().is_some_and(|&(worst, _)| cosine > worst);
                    if enters && row != query {
                        let place = best.partition_point(|&(other, _)| other >= cosine);
                        best.insert(place, (cosine, row));
                        best.truncate(k);
                    }
                }
            }
        });
        progress.advance(rows.len() as u64);
    }
    progress.end();
    found.into_iter().map(|best| best.into_iter().map(|(_, row)| row).collect()).collect()
}

/// Vectors of length one `(rows, sum of dims)`: modalities at equal lengths, side by side.
fn directions(features: &Features, rows: &[usize]) -> Array2<f32> {
    let mut out = Array2::zeros((rows.len(), features.dims().iter().sum()));
    out.axis_iter_mut(Axis(0)).into_par_iter().zip(rows).for_each(|(mut out, &row)| {
        let there = features.modalities().iter().filter(|m| m.present[row]).count().max(1) as f64;
        let mut start = 0;
        for modality in features.modalities() {
            let vector = modality.vectors.row(row);
            let length = vector.iter().map(|&v| f64::from(v) * f64::from(v)).sum::<f64>().sqrt();
            if length > 0.0 {
                let factor = 1.0 / (length * there.sqrt());
                let mut part = out.slice_mut(s![start..start + modality.dim()]);
                part.zip_mut_with(&vector, |o, &v| *o = (f64::from(v) * factor) as f32);
            }
            start += modality.dim();
        }
    });
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::Modality;
    use crate::item_ids::ItemIds;
    use crate::progress::Silent;
    use ndarray::array;

    #[test]
    fn modalities_count_alike_and_ties_go_to_the_lowest_row() {
        // In text 0 and 1 agree; in pictures, a thousand times as long, 0 and 2 do; 3 has no picture.
        let text = array![[1.0, 0.0], [2.0, 0.0], [0.0, 1.0], [1.0, 0.0]];
        let image = array![[0.0, 900.0], [900.0, 0.0], [0.0, 10.0], [0.0, 0.0]];
        let modality =
            |name: &str, vectors: Array2<f32>, present: Vec<bool>| Modality { name: name.into(), vectors, present };
        let modalities =
            vec![modality("text", text, vec![true; 4]), modality("image", image, vec![true, true, true, false])];
        let features = Features::new(ItemIds::row_numbers(4), modalities).unwrap();
        // Cosines with 0: one half, one half, and 1 / sqrt 2 of the one that has a text only.
        assert_eq!(nearest(&features, &[0, 2], 3, &Silent), [vec![3, 1, 2], vec![0, 1, 3]]);
        assert_eq!(nearest(&features, &[0], 1, &Silent), [vec![3]]);
    }
}
