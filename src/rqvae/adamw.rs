//! AdamW (Loshchilov and Hutter, 2019).
//!
//! The optimizers that tch wraps give no access to their moments. Two things need it: revived codewords must start without
//! moments, and checkpoints store and restore them.

use tch::{Kind, Tensor, no_grad};

use crate::error::Result;

const BETA1: f64 = 0.9;
const BETA2: f64 = 0.999;
const EPSILON: f64 = 1e-8;

/// A trained tensor with its moments.
#[derive(Debug)]
struct AdamWSlot {
    tensor: Tensor,
    first: Tensor,
    second: Tensor,
    weight_decay: f64,
    /// Factor on the learning rate of this tensor.
    pace: f64,
}

/// The optimizer of a set of tensors.
#[derive(Debug, Default)]
pub(super) struct AdamW {
    slots: Vec<AdamWSlot>,
    steps: i32,
}

impl AdamW {
    /// Adds a tensor that requires gradients, with `pace` as the factor on its learning rate. Adam's steps do not depend on
    /// the scale of a tensor, so a tensor of small numbers needs a smaller learning rate.
    pub(super) fn add(&mut self, tensor: &Tensor, weight_decay: f64, pace: f64) {
        self.slots.push(AdamWSlot {
            tensor: tensor.shallow_clone(),
            first: tensor.zeros_like(),
            second: tensor.zeros_like(),
            weight_decay,
            pace,
        });
    }

    /// One step of gradient descent on `loss`.
    pub(super) fn step(&mut self, loss: &Tensor, learning_rate: f64) {
        self.step_clipped(loss, learning_rate, f64::INFINITY);
    }

    /// One step on `loss` with gradients clipped to the norm `max_norm` over all tensors.
    pub(super) fn step_clipped(&mut self, loss: &Tensor, learning_rate: f64, max_norm: f64) {
        let tensors: Vec<_> = self.slots.iter().map(|slot| &slot.tensor).collect();
        let mut gradients = Tensor::run_backward(&[loss], &tensors, false, false);
        if max_norm.is_finite() {
            let squares = gradients.iter().map(|g| g.square().sum(Kind::Double).double_value(&[]));
            let norm = squares.sum::<f64>().sqrt();
            if norm > max_norm {
                gradients.iter_mut().for_each(|g| *g = &*g * (max_norm / (norm + 1e-6)));
            }
        }
        self.steps += 1;
        let (correct1, correct2) = (1.0 - BETA1.powi(self.steps), 1.0 - BETA2.powi(self.steps));
        no_grad(|| {
            for (slot, gradient) in self.slots.iter_mut().zip(&gradients) {
                let _ = slot.first.lerp_(gradient, 1.0 - BETA1);
                let _ = slot.second.g_mul_scalar_(BETA2);
                let _ = slot.second.addcmul_(&(gradient * (1.0 - BETA2)), gradient);
                let rate = learning_rate * slot.pace;
                let scale = (&slot.second / correct2).sqrt() + EPSILON;
                let _ = slot.tensor.g_mul_scalar_(1.0 - rate * slot.weight_decay);
                let _ = slot.tensor.g_sub_(&(&slot.first / scale * (rate / correct1)));
            }
        });
    }

    /// The number of steps, and both moments of every tensor by name.
    pub(super) fn state(&self) -> (i32, Vec<(String, &Tensor)>) {
        let slots = self.slots.iter().enumerate();
        let moments =
            slots.flat_map(|(i, slot)| [(format!("first.{i}"), &slot.first), (format!("second.{i}"), &slot.second)]);
        (self.steps, moments.collect())
    }

    /// Restores an [`AdamW::state`].
    ///
    /// # Errors
    /// Those of `saved`, which returns a tensor by name.
    pub(super) fn restore(&mut self, steps: i32, saved: impl Fn(&str) -> Result<Tensor>) -> Result<()> {
        self.steps = steps;
        for (i, slot) in self.slots.iter_mut().enumerate() {
            for (name, moment) in [("first", &mut slot.first), ("second", &mut slot.second)] {
                let saved = saved(&format!("{name}.{i}"))?;
                no_grad(|| moment.copy_(&saved));
            }
        }
        Ok(())
    }

    /// Resets the moments of some rows of a tensor.
    pub(super) fn forget_rows(&mut self, tensor: &Tensor, rows: &Tensor) {
        for slot in self.slots.iter_mut().filter(|slot| slot.tensor.data_ptr() == tensor.data_ptr()) {
            let _ = slot.first.index_fill_(0, rows, 0.0);
            let _ = slot.second.index_fill_(0, rows, 0.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_minimum_of_a_quadratic_function() {
        let x = Tensor::from_slice(&[3.0f32, -2.0]).set_requires_grad(true);
        let mut optimizer = AdamW::default();
        optimizer.add(&x, 0.0, 1.0);
        for _ in 0..500 {
            let loss = (&x - 1.0).square().sum(Kind::Float);
            optimizer.step(&loss, 0.05);
        }
        let worst = f64::try_from((&x - 1.0).abs().max()).unwrap();
        assert!(worst < 1e-2, "{worst}");
    }
}
