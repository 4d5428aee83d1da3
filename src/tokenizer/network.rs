//! The projection and its inverse: a linear map plus a multilayer perceptron that corrects it.
//!
//! `f(x) = S x + W_k relu(... relu(W_1 x + b_1) ...) + b_k`. The linear path `S` starts as the principal axes, the
//! perceptron's last layer as zero, so training starts from principal component analysis and learns what it misses.
//! LC-Rec's recipe has no linear path.

use ndarray::{Array1, Array2, ArrayView2, CowArray};

use super::rows::multiply;

/// A fully connected layer.
#[derive(Debug, Clone, PartialEq)]
pub struct Layer {
    /// `(out, in)`, as PyTorch keeps it.
    pub weight: Array2<f32>,
    /// `(out,)`.
    pub bias: Array1<f32>,
}

/// `(n, in)` to `(n, out)`.
#[derive(Debug, Clone, PartialEq)]
pub struct Network {
    /// The linear path, `(out, in)`; there where there are no layers.
    pub skip: Option<Array2<f32>>,
    /// The perceptron; empty when no hidden widths were asked for and the map is linear.
    pub layers: Vec<Layer>,
}

impl Network {
    /// Runs the network on rows `x (n, in)`.
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

    /// The same network with its matrices in the order that [`multiply`] reads them in.
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
    fn sums_the_linear_path_and_the_perceptron() {
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
