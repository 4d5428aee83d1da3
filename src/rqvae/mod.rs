//! Training: the residual-quantized variational autoencoder (RQ-VAE) of Lee et al. (CVPR 2022, arXiv 2203.01941), as
//! LC-Rec (arXiv 2311.09049) uses it to index items.
//!
//! Three things differ from the published recipes, each because of what they suffer from. The projection starts as the
//! principal axes and learns a correction, so the first codebooks describe the data and not random features of it.
//! Codebooks are initialised level by level by k-means on the latents of the *whole* training set, so none collapses.
//! Codewords get the gradient of the reconstruction directly, beside the usual codebook loss.
//!
//! [`train`] gives a frozen [`crate::tokenizer::Tokenizer`]; libtorch does not leave this module.

mod adamw;
mod config;
mod encode;
mod init;
mod kmeans;
mod model;
mod trainer;

pub use config::{TrainConfig, ValidTrainConfig};
pub use encode::encode;
pub use trainer::{EpochFigures, Trained, train};

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
