//! Conversion between matrices of ndarray and tensors of libtorch.

use ndarray::{Array1, Array2};
use tch::{Device, Tensor};

use crate::error::{Error, Result};

/// Rows per block where a network runs without gradients.
pub(super) const ROWS_AT_ONCE: i64 = 8_192;

/// A copy of a matrix as a tensor.
pub(super) fn tensor(array: &Array2<f32>) -> Tensor {
    let shape = [array.nrows() as i64, array.ncols() as i64];
    match array.as_slice() {
        Some(values) => Tensor::from_slice(values).view(shape),
        None => Tensor::from_slice(&array.iter().copied().collect::<Vec<_>>()).view(shape),
    }
}

/// A copy of a vector as a 1-D tensor.
pub(super) fn tensor_of_vector(vector: &Array1<f32>) -> Tensor {
    Tensor::from_slice(&vector.iter().copied().collect::<Vec<_>>())
}

/// A copy of a 2-D tensor as a matrix.
pub(super) fn array(tensor: &Tensor) -> Result<Array2<f32>> {
    let shape: Vec<usize> = tensor.size().iter().map(|&d| d as usize).collect();
    let [rows, columns] = shape[..] else { return Err(unreadable(format!("shape {shape:?}"))) };
    Array2::from_shape_vec((rows, columns), values(tensor)?).map_err(unreadable)
}

/// A copy of a 1-D tensor as a vector.
pub(super) fn vector(tensor: &Tensor) -> Result<Array1<f32>> {
    Ok(Array1::from(values(tensor)?))
}

fn values(tensor: &Tensor) -> Result<Vec<f32>> {
    Vec::try_from(tensor.detach().to_device(Device::Cpu).contiguous().view(-1)).map_err(unreadable)
}

/// [`tensor`] in double precision.
pub(super) fn double_tensor(array: &Array2<f64>) -> Tensor {
    let shape = [array.nrows() as i64, array.ncols() as i64];
    Tensor::from_slice(&array.iter().copied().collect::<Vec<_>>()).view(shape)
}

/// [`array`] in double precision.
pub(super) fn double_array(tensor: &Tensor) -> Result<Array2<f64>> {
    let shape = (tensor.size()[0] as usize, tensor.size()[1] as usize);
    Array2::from_shape_vec(shape, double_values(tensor)?).map_err(unreadable)
}

/// A copy of the numbers of a tensor of double precision.
pub(super) fn double_values(tensor: &Tensor) -> Result<Vec<f64>> {
    Vec::try_from(tensor.to_device(Device::Cpu).contiguous().view(-1)).map_err(unreadable)
}

/// A copy of a tensor of integers.
pub(super) fn integers(tensor: &Tensor) -> Result<Vec<i64>> {
    let expected = |e| Error::mismatch("a tensor of the trainer", "64-bit integers", e, REPORT);
    Vec::try_from(tensor.to_device(Device::Cpu).contiguous().view(-1)).map_err(expected)
}

const REPORT: &str = "this is a bug in catalex or libtorch; please report it";

/// The error for a tensor of another type or shape than the code expects.
pub(super) fn unreadable(e: impl ToString) -> Error {
    Error::mismatch("a tensor of the trainer", "floating-point numbers", e.to_string(), REPORT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn copies_keep_shape_and_values_also_of_transposed_matrices() {
        let matrix = array![[1.0f32, 2.0, 3.0], [4.0, 5.0, 6.0]];
        assert_eq!(super::array(&tensor(&matrix)).unwrap(), matrix);
        assert_eq!(super::array(&tensor(&matrix.t().to_owned()).tr()).unwrap(), matrix);
        let turned = matrix.clone().reversed_axes();
        assert_eq!(super::array(&tensor(&turned)).unwrap(), turned);
        let doubles = matrix.mapv(f64::from);
        assert_eq!(double_array(&double_tensor(&doubles)).unwrap(), doubles);
        assert_eq!(vector(&tensor_of_vector(&array![1.0, 2.0])).unwrap(), array![1.0, 2.0]);
        assert_eq!(integers(&Tensor::from_slice(&[3i64, 4])).unwrap(), [3, 4]);
    }

    #[test]
    fn a_tensor_of_another_shape_is_an_error() {
        assert!(super::array(&Tensor::from_slice(&[1.0f32])).is_err());
    }
}
