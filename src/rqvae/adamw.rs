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

/// All tensors and moments in one piece of memory each, of which those of the slots are parts. A step then starts a few
/// kernels instead of a few per tensor, which is what the time of a step on a GPU depends on.
#[derive(Debug)]
struct JoinedSlots {
    tensors: Tensor,
    first: Tensor,
    second: Tensor,
    /// The factor on the learning rate, per number.
    paces: Tensor,
    /// The factor times the weight decay, per number.
    decays: Tensor,
}

/// The optimizer of a set of tensors.
#[derive(Debug, Default)]
pub(super) struct AdamW {
    slots: Vec<AdamWSlot>,
    joined: Option<JoinedSlots>,
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

    /// Moves all tensors into one piece of memory, for [`AdamW::apply`]. Call it after the last tensor was added.
    pub(super) fn join(&mut self) {
        let all = |of: &dyn Fn(&AdamWSlot) -> Tensor| {
            no_grad(|| Tensor::cat(&self.slots.iter().map(|slot| of(slot).reshape(-1)).collect::<Vec<_>>(), 0))
        };
        let constant = |slot: &AdamWSlot, value: f64| slot.first.full_like(value);
        let joined = JoinedSlots {
            tensors: all(&|slot| slot.tensor.detach()),
            first: all(&|slot| slot.first.shallow_clone()),
            second: all(&|slot| slot.second.shallow_clone()),
            paces: all(&|slot| constant(slot, slot.pace)),
            decays: all(&|slot| constant(slot, slot.pace * slot.weight_decay)),
        };
        let mut from = 0;
        for slot in &mut self.slots {
            let (shape, length) = (slot.tensor.size(), slot.tensor.numel() as i64);
            let part = |whole: &Tensor| whole.narrow(0, from, length).view(&shape[..]);
            slot.tensor.set_data(&part(&joined.tensors));
            (slot.first, slot.second) = (part(&joined.first), part(&joined.second));
            from += length;
        }
        self.joined = Some(joined);
    }

    /// One step with these gradients, one per tensor, clipped to the norm `max_norm` over all tensors. Needs
    /// [`AdamW::join`]. As [`AdamW::step_clipped`], but without waiting for the device.
    pub(super) fn apply(&mut self, gradients: &[Tensor], learning_rate: f64, max_norm: f64) {
        let Some(joined) = &mut self.joined else { return };
        self.steps += 1;
        let (correct1, correct2) = (1.0 - BETA1.powi(self.steps), 1.0 - BETA2.powi(self.steps));
        no_grad(|| {
            let mut gradient = Tensor::cat(&gradients.iter().map(|g| g.reshape(-1)).collect::<Vec<_>>(), 0);
            if max_norm.is_finite() {
                let norm = gradient.square().sum(Kind::Double).sqrt();
                gradient *= ((norm + 1e-6).reciprocal() * max_norm).clamp_max(1.0).to_kind(Kind::Float);
            }
            let _ = joined.first.lerp_(&gradient, 1.0 - BETA1);
            let _ = joined.second.g_mul_scalar_(BETA2);
            let _ = joined.second.addcmul_(&(&gradient * (1.0 - BETA2)), &gradient);
            let scale = (&joined.second / correct2).sqrt() + EPSILON;
            let _ = joined.tensors.g_mul_(&(1.0 - &joined.decays * learning_rate));
            let _ = joined.tensors.addcmul_(&(&joined.first / scale * (-learning_rate / correct1)), &joined.paces);
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

    #[test]
    fn joined_tensors_take_the_same_steps() {
        let start = |values: &[f32]| Tensor::from_slice(values).set_requires_grad(true);
        let made = || {
            let tensors = [start(&[3.0, -2.0, 0.5, 1.0]).view([2, 2]).detach(), start(&[4.0, 9.0, -1.0]).detach()];
            let tensors = tensors.map(|tensor| tensor.set_requires_grad(true));
            let mut optimizer = AdamW::default();
            optimizer.add(&tensors[0], 0.1, 1.0);
            optimizer.add(&tensors[1], 0.0, 0.3);
            (tensors, optimizer)
        };
        let loss = |[a, b]: &[Tensor; 2]| {
            (a - 1.0).square().sum(Kind::Float) + (b * a.sum(Kind::Float)).sin().sum(Kind::Float)
        };
        let ((one, mut apart), (other, mut together)) = (made(), made());
        together.join();
        for max_norm in [f64::INFINITY, 0.7, 1e3] {
            for _ in 0..20 {
                apart.step_clipped(&loss(&one), 0.05, max_norm);
                let gradients = Tensor::run_backward(&[loss(&other)], &[&other[0], &other[1]], false, false);
                together.apply(&gradients, 0.05, max_norm);
            }
            for (one, other) in one.iter().zip(&other) {
                let worst = f64::try_from((one - other).abs().max()).unwrap();
                assert!(worst < 1e-5, "{worst} at {max_norm}");
            }
        }
        // The moments of the slots are those that the steps change.
        let moments =
            |optimizer: &AdamW| optimizer.state().1.iter().map(|(_, t)| t.abs().sum(Kind::Double)).collect::<Vec<_>>();
        for (one, other) in moments(&apart).into_iter().zip(moments(&together)) {
            let (one, other) = (one.double_value(&[]), other.double_value(&[]));
            assert!((one - other).abs() < 1e-5 * (1.0 + one), "{one} and {other}");
        }
        together.forget_rows(&other[0], &Tensor::from_slice(&[1i64]));
        let first = &together.joined.as_ref().unwrap().first;
        assert_eq!((first.double_value(&[2]), first.double_value(&[3])), (0.0, 0.0));
        assert!(first.double_value(&[0]) != 0.0 && first.double_value(&[4]) != 0.0);
    }
}
