//! Sinkhorn's iteration on a device.

use tch::{Kind, Tensor};

/// For a smaller weight of the entropy, products of the factors can leave the range of double precision.
const LEAST_EPSILON: f64 = 0.003;

/// As [`balanced`](crate::tokenizer::balanced), for `distances (n, size)` on a device.
///
/// The factors of rows and columns are updated by products with a matrix, which start few kernels. Where the numbers
/// would leave the range of double precision, their logarithms are updated, as in `balanced`.
pub(super) fn balanced_on_device(distances: &Tensor, epsilon: f64, iterations: usize) -> Tensor {
    let (least, most) = (distances.min().to_kind(Kind::Double), distances.max().to_kind(Kind::Double));
    let middle = (&most + least) / 2.0;
    let amplitude = most - &middle + 1e-5;
    let scores = (distances.to_kind(Kind::Double) - middle) / (amplitude * -epsilon);
    let plan = if epsilon < LEAST_EPSILON {
        let mut by_column = Tensor::zeros([1, scores.size()[1]], (Kind::Double, scores.device()));
        for _ in 0..iterations {
            let by_row = -(&scores + &by_column).logsumexp(1, true);
            by_column = -(&scores + by_row).logsumexp(0, true);
        }
        scores + by_column
    } else {
        let plan = (&scores - scores.amax(1, true)).exp();
        let across = plan.tr().contiguous();
        let mut by_column = Tensor::ones([scores.size()[1]], (Kind::Double, scores.device()));
        for _ in 0..iterations {
            let by_row = plan.mv(&by_column).reciprocal();
            by_column = across.mv(&by_row).reciprocal();
        }
        plan * by_column
    };
    // Of equal shares the lowest code: libtorch returns the first of several greatest numbers.
    plan.argmax(1, false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rqvae::tensors::{integers, tensor};
    use crate::tokenizer::balanced;
    use ndarray::{Array2, array};
    use rand::{Rng, SeedableRng};
    use rand_xoshiro::Xoshiro256Plus;

    #[test]
    fn the_codes_are_those_of_the_iteration_on_the_host() {
        let mut rng = Xoshiro256Plus::seed_from_u64(1);
        let large = Array2::from_shape_fn((600, 40), |(_, code)| rng.gen_range(0.0f32..1.0) + code as f32 * 0.1);
        let crowded = array![[0.0, 9.0, 9.5], [0.0, 2.0, 8.0], [0.0, 7.0, 3.0]];
        for distances in [large, crowded, Array2::from_elem((5, 4), 2.0)] {
            for epsilon in [0.5, 0.05, 0.003, 0.001, 1e-5] {
                let on_device = integers(&balanced_on_device(&tensor(&distances), epsilon, 50)).unwrap();
                let on_host = balanced(distances.view(), epsilon, 50);
                let differ = on_host.iter().zip(&on_device).filter(|&(&a, &b)| a as i64 != b).count();
                assert!(differ * 200 <= on_host.len(), "{differ} of {} codes at {epsilon}", on_host.len());
            }
        }
    }
}
