//! Training of the residual-quantized variational autoencoder (RQ-VAE) of Lee et al. (CVPR 2022, arXiv 2203.01941), as
//! LC-Rec (arXiv 2311.09049) uses it to index items.
//!
//! Published recipes learn everything by gradient descent from random weights, and lose codes, accuracy and structure on
//! the way. This module initialises the model close to its optimum instead:
//!
//! 1. The projection starts as the principal axes, so that the codebooks describe the data and not random features.
//! 2. The codebooks start as k-means on the latents of the *whole* training set, level by level. At the first level,
//!    overfull codes are split.
//! 3. Joint refinement alternates greedy encoding with a ridge regression that fits the codewords of all levels to the
//!    codes. Offsets on the codes equalise their use and keep similar items under one prefix.
//! 4. Gradient descent trains projection, codebooks and inverse projection together. Its result is kept if it improves
//!    the error on held-out items.
//! 5. Unused codes are moved to badly represented items, and offsets on the last code separate items with identical codes.
//!
//! [`train`] returns a frozen [`crate::tokenizer::Tokenizer`]. libtorch is used in this module only. The settings are in
//! [`crate::training`], the reasons and measurements in `docs/quantizer.md`.

mod adamw;
mod balance;
mod checkpoint;
mod crowding;
mod data;
mod descent;
mod device;
mod direct;
mod encode;
mod halving;
mod init;
mod items;
mod keep;
mod kmeans;
mod lc_rec;
mod lloyd_start;
mod model;
mod outcome;
mod points;
mod reference;
mod refine;
mod regression;
mod relations;
mod retrain;
mod separation;
mod sinkhorn;
mod tensors;
#[cfg(test)]
mod tests;
mod trainer;
mod unused;
mod valid_config;

pub use checkpoint::Checkpoints;
pub use encode::encode;
pub use keep::{KEEP_ALL, Kept};
pub use retrain::{Retrained, retrain};
pub use trainer::{Trained, train, train_sharing};

/// Sets the number of threads that libtorch computes with.
pub fn set_threads(threads: usize) {
    tch::set_num_threads(threads as i32);
}
