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
mod encode;
mod init;
mod items;
mod keep;
mod kmeans;
mod lc_rec;
mod lloyd_start;
mod model;
mod outcome;
mod reference;
mod refine;
mod regression;
mod relations;
mod retrain;
mod separation;
mod tensors;
mod trainer;
mod unused;
mod valid_config;

pub use checkpoint::Checkpoints;
pub use encode::encode;
pub use keep::{KEEP_ALL, Kept};
pub use retrain::{Retrained, retrain};
pub use trainer::{Trained, train, train_sharing};

use tch::{Cuda, Device};

use crate::error::{Error, Result};

/// Sets the number of threads that libtorch computes with.
pub fn set_threads(threads: usize) {
    tch::set_num_threads(threads as i32);
}

/// The device with the name `cpu`, `cuda` or `cuda:N`.
fn device(name: &str) -> Result<Device> {
    let unavailable = |reason: String| Error::Unavailable {
        what: format!("device {name}"),
        reason,
        help: "use --device cpu, or a libtorch with CUDA: pip install torch==2.13.0, or set LIBTORCH to its folder"
            .into(),
    };
    let index = match name {
        "cpu" => return Ok(Device::Cpu),
        "cuda" => Some(0),
        _ => name.strip_prefix("cuda:").and_then(|n| n.parse::<usize>().ok()),
    };
    let Some(index) = index else {
        return Err(Error::config("device", "cpu, cuda or cuda:N", name, "omit it for cpu"));
    };
    // libtorch looks for its CUDA library only once, so the library is loaded before the first query.
    let loaded = cuda_part();
    if !Cuda::is_available() {
        return Err(unavailable(match loaded {
            Ok(()) => "libtorch finds no CUDA device".into(),
            Err(reason) => format!("libtorch finds no CUDA device, and libtorch_cuda.so cannot be loaded: {reason}"),
        }));
    }
    if index as i64 >= Cuda::device_count() {
        return Err(unavailable(format!("there are {} CUDA devices", Cuda::device_count())));
    }
    Ok(Device::Cuda(index))
}

/// Loads `libtorch_cuda.so`, which registers the CUDA kernels. The program does not link this library, because it also
/// runs with a libtorch that lacks it.
fn cuda_part() -> std::result::Result<(), String> {
    use std::error::Error as _;

    use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};
    // SAFETY: the library is part of the libtorch that this program has loaded. Its initializers only register kernels,
    // and it is never unloaded.
    #[allow(unsafe_code)]
    let library = unsafe { Library::open(Some("libtorch_cuda.so"), RTLD_NOW | RTLD_GLOBAL) };
    let reason = |e: &libloading::Error| e.source().map_or_else(|| e.to_string(), ToString::to_string);
    library.map(std::mem::forget).map_err(|e| reason(&e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_and_missing_devices_are_refused() {
        assert_eq!(device("cpu").unwrap(), Device::Cpu);
        assert!(device("tpu").unwrap_err().to_string().contains("cuda:N"));
        if !Cuda::is_available() {
            assert!(device("cuda:1").unwrap_err().to_string().contains("no CUDA device"));
        }
    }
}
