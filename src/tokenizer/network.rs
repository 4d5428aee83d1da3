//! The projection and its inverse: a linear skip connection plus a multilayer perceptron.
//!
//! `f(x) = S x + W_k relu(... relu(W_1 x + b_1) ...) + b_k`. `S` is initialised with the principal axes and the last
//! layer of the perceptron with zero, so training starts from principal component analysis and learns a correction.
//! LC-Rec's recipe has no skip connection.

use ndarray::{Array1, Array2, ArrayView2, CowArray};

use super::rows::multiply;

/// A fully connected layer.
#[derive(Debug, Clone, PartialEq)]
pub struct Layer {
    /// `(out, in)`, as in PyTorch.
    pub weight: Array2<f32>,
    /// `(out,)`.
    pub bias: Array1<f32>,
}

/// A map from rows `(n, in)` to rows `(n, out)`.
#[derive(Debug, Clone, PartialEq)]
pub struct Network {
    /// The linear skip connection, `(out, in)`; always present if there are no layers.
    pub skip: Option<Array2<f32>>,
    /// The layers of the perceptron; none for a linear map.
    pub layers: Vec<Layer>,
}

impl Network {
    /// Applies the network to rows `x (n, in)`.
    pub fn forward(&self, x: ArrayView2<f32>) -> Array2<f32> {
        let mut out = Array2::zeros((x.nrows(), self.shape().1));
        if let Some(skip) = &self.skip {
            multiply(x, skip.t(), false, &mut out);
        }
        let Some((last, hidden)) = self.layers.split_last() else { return out };
        let mut activation = CowArray::from(x);
        for layer in hidden {
            let mut next = Array2::zeros((x.nrows(), layer.weight.nrows()));
            multiply(activation.view(), layer.weight.t(), false, &mut next);
            for mut row in next.rows_mut() {
                ndarray::Zip::from(&mut row).and(&layer.bias).for_each(|v, &b| *v = (*v + b).max(0.0));
            }
            activation = CowArray::from(next);
        }
        multiply(activation.view(), last.weight.t(), true, &mut out);
        out += &last.bias;
        out
    }

    /// The same network with its matrices in the memory layout that [`multiply`] reads.
    pub(super) fn by_input(self) -> Self {
        let by_input = |weight: Array2<f32>| weight.t().as_standard_layout().into_owned().reversed_axes();
        let layer = |layer: Layer| Layer { weight: by_input(layer.weight), bias: layer.bias };
        Network { skip: self.skip.map(by_input), layers: self.layers.into_iter().map(layer).collect() }
    }

    /// Input and output width.
    pub fn shape(&self) -> (usize, usize) {
        match (&self.skip, &self.layers[..]) {
            (Some(skip), _) => (skip.ncols(), skip.nrows()),
            (None, [first, .., last]) => (first.weight.ncols(), last.weight.nrows()),
            (None, [only]) => (only.weight.ncols(), only.weight.nrows()),
            (None, []) => (0, 0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn output_is_the_sum_of_skip_connection_and_perceptron() {
        let network = Network {
            skip: Some(array![[1.0, 0.0]]),
            layers: vec![
                Layer { weight: array![[1.0, 1.0], [-1.0, -1.0]], bias: array![0.0, 0.5] },
                Layer { weight: array![[2.0, 3.0]], bias: array![0.25] },
            ],
        };
        // relu([3, -2.5]) = [3, 0]; 2*3 + 0.25 + skip 1
        assert_eq!(network.forward(array![[1.0, 2.0]].view()), array![[7.25]]);
        let alone = Network { skip: None, ..network };
        assert_eq!((alone.shape(), alone.forward(array![[1.0, 2.0]].view())), ((2, 1), array![[6.25]]));
    }
}
