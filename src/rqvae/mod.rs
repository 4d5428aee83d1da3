//! Training: the residual-quantized variational autoencoder (RQ-VAE) of Lee et al. (CVPR 2022, arXiv 2203.01941), as
//! LC-Rec (arXiv 2311.09049) uses it to index items.
//!
//! It goes the other way round than the published recipes, which learn everything by gradient descent from a random
//! start and lose codes, error and structure on the way.
//!
//! 1. The projection starts as the principal axes, so the codebooks describe the data and not random features of it.
//! 2. Codebooks start level by level as k-means on the latents of the *whole* training set; at the first level, codes
//!    that are too full are cut.
//! 3. They are refined together: all codewords of all levels as one ridge regression on the codes, in turn with greedy
//!    encoding, while offsets even out the use of codes and gather near items under one prefix.
//! 4. Gradient descent trains projection, codebooks and inverse projection together, codewords by the gradient of the
//!    reconstruction beside the usual codebook loss. What it gains on held-out items is kept, if it does.
//!
//! 5. Codes that nothing uses are placed anew, and items that would share all codes are told apart by offsets on the
//!    last one.
//!
//! [`train`] gives a frozen [`crate::tokenizer::Tokenizer`]; libtorch does not leave this module.

mod adamw;
mod balance;
mod checkpoint;
mod config;
mod crowding;
mod data;
mod descent;
mod encode;
mod init;
mod kmeans;
mod lc_rec;
mod model;
mod recipe;
mod refine;
mod regression;
mod relations;
mod separation;
mod settings;
mod trainer;
mod unused;
mod valid_config;

pub use checkpoint::Checkpoints;
pub use config::{Method, TrainConfig};
pub use encode::encode;
pub use recipe::Recipe;
pub use trainer::{EpochFigures, Trained, train};
pub use valid_config::ValidTrainConfig;

use tch::{Cuda, Device};

use crate::error::{Error, Result};

/// Sets the number of threads that libtorch computes with.
pub fn set_threads(threads: usize) {
    tch::set_num_threads(threads as i32);
}

/// The device that `cpu`, `cuda` or `cuda:N` names.
fn device(name: &str) -> Result<Device> {
    let unavailable = |reason: String| Error::Unavailable {
        what: format!("device {name}"),
        reason,
        help: "use --device cpu, or build with LIBTORCH pointing at a libtorch with CUDA".into(),
    };
    let index = match name {
        "cpu" => return Ok(Device::Cpu),
        "cuda" => Some(0),
        _ => name.strip_prefix("cuda:").and_then(|n| n.parse::<usize>().ok()),
    };
    let Some(index) = index else {
        return Err(Error::config("device", "cpu, cuda or cuda:N", name, "leave it out for cpu"));
    };
    if !Cuda::is_available() {
        return Err(unavailable("this libtorch finds no CUDA device".into()));
    }
    if index as i64 >= Cuda::device_count() {
        return Err(unavailable(format!("there are {} CUDA devices", Cuda::device_count())));
    }
    Ok(Device::Cuda(index))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_named_or_refused() {
        assert_eq!(device("cpu").unwrap(), Device::Cpu);
        assert!(device("tpu").unwrap_err().to_string().contains("cuda:N"));
        if !Cuda::is_available() {
            assert!(device("cuda:1").unwrap_err().to_string().contains("no CUDA device"));
        }
    }
}
