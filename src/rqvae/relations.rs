//! Relations between modalities: common axes by which a missing modality is predicted, and a projection with cross-modal
//! smoothing.

use ndarray::{Array1, Array2, s};
use tch::{Device, Kind, Tensor};

use super::tensors::{array, double_array, double_tensor, tensor, unreadable};
use crate::error::{Error, Result};
use crate::tokenizer::Completion;

/// Minimum number of items with all modalities from which relations are learned.
const FEWEST: usize = 64;
/// Minimum number of common axes, if the vectors have as many dimensions.
const AXES: usize = 384;
/// Noise per dimension of a modality, relative to its variance per effective dimension. Chosen on the emoji so that most
/// first codes are kept when a modality is missing; a third or three times as much changes little.
const NOISE: f64 = 0.02;
/// Lower bound on the variance of an axis, as a fraction of the total variance.
const SMALLEST: f64 = 1e-7;

/// The common axes of standardised items `x (n, D)` that have all modalities; `None` for too few items, or fewer than two
/// modalities with variance.
pub(super) fn completion(x: &Array2<f32>, dims: &[usize], latent_dim: usize) -> Result<Option<Completion>> {
    let varies = |columns: std::ops::Range<usize>| x.slice(s![.., columns]).iter().any(|&v| v != 0.0);
    let ends: Vec<usize> = (1..=dims.len()).map(|m| dims[..m].iter().sum()).collect();
    if x.nrows() < FEWEST || dims.iter().zip(&ends).filter(|&(&dim, &end)| varies(end - dim..end)).count() < 2 {
        return Ok(None);
    }
    let x = tensor(x);
    let covariance = x.tr().matmul(&x).to_kind(Kind::Double) / x.size()[0] as f64;
    let (values, vectors) = eigenvectors(&covariance)?;
    let axes = latent_dim.max(AXES).min(values.len());
    let floor = SMALLEST * values.iter().sum::<f64>();
    let noise = dims.iter().zip(&ends).map(|(&dim, &end)| {
        let block = covariance.narrow(0, (end - dim) as i64, dim as i64).narrow(1, (end - dim) as i64, dim as i64);
        let (all, squares) = (block.trace().double_value(&[]), block.square().sum(Kind::Double).double_value(&[]));
        // A modality of effective dimension `all^2 / squares` has the variance `squares / all` in each.
        if all > 0.0 { (NOISE * squares / all).max(f64::from(f32::MIN_POSITIVE)) as f32 } else { 1.0 }
    });
    Ok(Some(Completion::new(
        array(&vectors.narrow(0, 0, axes as i64).to_kind(Kind::Float))?,
        values[..axes].iter().map(|v| v.max(floor) as f32).collect(),
        noise.collect(),
        dims.to_vec(),
    )))
}

/// Projection `(latent_dim, D)` and inverse `(D, latent_dim)` with cross-modal smoothing.
///
/// The projection is the principal axes of the smoothed items: to each modality, `agreements` times its prediction from
/// the other modalities is added. Modalities with 0 neither get a prediction nor contribute to any. The inverse is the
/// regression of the unsmoothed items on the latents. Latents have a mean square of 1 per dimension, by one factor for
/// all dimensions.
///
/// Smoothing gives more weight to what several modalities have in common. With common axes `A`, variances `V` and the
/// smoothing map `F`, the items have the covariance `Y Y'`, `Y = F A' V^1/2`. Its leading eigenvectors `Y U e^-1/2` come
/// from the small matrix `Y'Y = U e U'`.
pub(super) fn agreeing_axes(
    completion: &Completion,
    latent_dim: usize,
    agreements: &[f64],
) -> Result<(Tensor, Tensor)> {
    let axes = completion.axes.mapv(f64::from);
    let (count, dim) = axes.dim();
    let deviations = completion.variances.mapv(|v| f64::from(v).sqrt());
    let smoothing = CrossModalSmoothing::new(completion, agreements)?;
    // F A', one modality after the other.
    let mut y = Array2::<f64>::zeros((dim, count));
    for ((columns, predictions), agreement) in
        completion.columns().into_iter().zip(&smoothing.predictions).zip(agreements)
    {
        let own = axes.slice(s![.., columns.clone()]);
        let places = Array2::<f64>::eye(count) + &(predictions.dot(&axes.t()) * *agreement);
        y.slice_mut(s![columns, ..]).assign(&own.t().dot(&places));
    }
    y *= &deviations;
    let (values, vectors) = eigenvectors(&double_tensor(&y.t().dot(&y)))?;
    let keep = latent_dim.min(count);
    let floor = SMALLEST * values.iter().sum::<f64>();
    let values: Array1<f64> = values[..keep].iter().map(|v| v.max(floor)).collect();
    let scale = (keep as f64 / values.sum()).sqrt();
    if !scale.is_finite() {
        let help = "check the features for extreme values";
        return Err(Error::data("principal axes of the features", "vectors that differ", "equal ones", help));
    }
    let turned = double_array(&vectors.narrow(0, 0, keep as i64))?.reversed_axes() / &values.mapv(f64::sqrt);
    let leading = y.dot(&turned);
    // The leading axes of the smoothed items, applied after the smoothing.
    let mut projection = leading.t().to_owned();
    for ((columns, predictions), agreement) in
        completion.columns().into_iter().zip(&smoothing.predictions).zip(agreements)
    {
        let places = leading.slice(s![columns.clone(), ..]).t().dot(&axes.slice(s![.., columns]).t());
        projection += &(places.dot(predictions) * *agreement);
    }
    let inverse = (&axes.t() * &deviations).dot(&turned) / scale;
    Ok((tensor(&(projection * scale).mapv(|v| v as f32)), tensor(&inverse.mapv(|v| v as f32))))
}

/// The linear maps that predict each modality from the others.
struct CrossModalSmoothing {
    /// For each modality, the expected coordinates on the common axes given the other modalities, `(axes, D)`.
    predictions: Vec<Array2<f64>>,
}

impl CrossModalSmoothing {
    fn new(completion: &Completion, agreements: &[f64]) -> Result<Self> {
        let predictions = (0..agreements.len()).map(|modality| {
            if agreements[modality] == 0.0 {
                return Ok(Array2::zeros(completion.axes.dim()));
            }
            let present: Vec<bool> = agreements.iter().enumerate().map(|(m, &a)| m != modality && a > 0.0).collect();
            Ok(completion.expectation(&present)?.mapv(f64::from))
        });
        Ok(CrossModalSmoothing { predictions: predictions.collect::<Result<_>>()? })
    }
}

/// Eigenvalues of a symmetric matrix in descending order, and the eigenvectors as rows.
fn eigenvectors(matrix: &Tensor) -> Result<(Vec<f64>, Tensor)> {
    let (values, vectors) = matrix.to_device(Device::Cpu).f_linalg_eigh("L").map_err(|e| {
        let help = "check the features for extreme values";
        Error::data("common axes of the modalities", "vectors that differ", e, help)
    })?;
    let values = Vec::<f64>::try_from(values.flip([0])).map_err(unreadable)?;
    Ok((values, vectors.tr().flip([0]).contiguous()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng, SeedableRng};
    use rand_xoshiro::Xoshiro256Plus;

    /// Items whose 14 values depend on 3 common factors, and noise.
    fn caused(n: usize) -> Array2<f32> {
        let mut rng = Xoshiro256Plus::seed_from_u64(3);
        let mixing = Array2::from_shape_simple_fn((3, 14), || rng.gen_range(-1.0f32..1.0));
        let causes = Array2::from_shape_simple_fn((n, 3), || rng.gen_range(-1.0f32..1.0));
        causes.dot(&mixing) + Array2::from_shape_simple_fn((n, 14), || rng.gen_range(-0.1f32..0.1))
    }

    #[test]
    fn a_missing_modality_is_predicted_and_the_inverse_restores_items() {
        let x = caused(500);
        let completion = completion(&x, &[6, 8], 8).unwrap().unwrap();
        let mut without = x.clone();
        without.slice_mut(s![.., 6..]).fill(0.0);
        let present = Array2::from_shape_fn((500, 2), |(_, m)| m == 0);
        completion.fill(&mut without, present.view()).unwrap();
        let of = |x: &Array2<f32>| x.slice(s![.., 6..]).iter().map(|v| v * v).sum::<f32>();
        let left = of(&(&without - &x)) / of(&x);
        assert!(left < 0.1, "{left} of the variance is not predicted");
        for agreement in [0.0, 0.6] {
            let (projection, inverse) = agreeing_axes(&completion, 8, &[agreement; 2]).unwrap();
            let z = tensor(&x).matmul(&projection.tr());
            let mean_square = z.square().mean(Kind::Double).double_value(&[]);
            assert!((mean_square - 1.0).abs() < 0.05, "{mean_square}");
            let back = array(&z.matmul(&inverse.tr())).unwrap();
            let left = (&back - &x).mapv(|v| v * v).sum() / x.mapv(|v| v * v).sum();
            assert!(left < 0.05, "{left} of the variance is lost");
        }
    }

    #[test]
    fn a_modality_without_agreement_is_excluded_from_smoothing() {
        let completion = completion(&caused(500), &[4, 4, 6], 8).unwrap().unwrap();
        let smoothing = CrossModalSmoothing::new(&completion, &[0.6, 0.6, 0.0]).unwrap();
        let predicted = |modality: usize, from: std::ops::Range<usize>| {
            smoothing.predictions[modality].slice(s![.., from]).iter().any(|&v| v != 0.0)
        };
        assert!(predicted(0, 4..8) && predicted(1, 0..4));
        assert!(!predicted(0, 8..14) && !predicted(1, 8..14) && !predicted(2, 0..14));
    }

    #[test]
    fn nothing_is_learned_from_few_items_or_one_modality() {
        assert!(completion(&caused(40), &[6, 8], 8).unwrap().is_none());
        assert!(completion(&caused(400), &[14], 8).unwrap().is_none());
        let mut flat = caused(400);
        flat.slice_mut(s![.., 6..]).fill(0.0);
        assert!(completion(&flat, &[6, 8], 8).unwrap().is_none());
    }
}
