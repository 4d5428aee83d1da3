//! The device that training computes on.

use tch::{Cuda, Device};

use crate::error::{Error, Result};
use crate::guard::guarded;

/// Where training computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TrainingPlace {
    pub(super) device: Device,
    /// Whether latents are matrices of ndarray in host memory; otherwise they are tensors on the device.
    pub(super) on_host: bool,
}

impl TrainingPlace {
    /// The CPU.
    pub(super) const HOST: TrainingPlace = TrainingPlace { device: Device::Cpu, on_host: true };
}

/// Parts of libtorch's messages that say that memory ran out.
const NO_MEMORY: [&str; 4] = ["out of memory", "ALLOC_FAILED", "can't allocate memory", "not enough memory"];

/// Runs `work`, which computes on the device with this name. A failure of libtorch on a CUDA device becomes an error:
/// the calls of libtorch panic, because every one of them may run out of memory.
///
/// # Errors
/// Those of `work`; [`Error::Unavailable`] for a failure of libtorch.
pub(super) fn on_device<T>(name: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    if name == "cpu" { work() } else { caught(name, work) }
}

/// [`on_device`] for any device.
fn caught<T>(name: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    guarded(work).unwrap_or_else(|failure| Err(failed(name, failure.message())))
}

/// The error for a failure of libtorch with this message.
fn failed(name: &str, message: &str) -> Error {
    // The message of a panic quotes that of libtorch, which lists the places in its source after the first line.
    let reason = message.split_once("Torch(\"").map_or(message, |(_, said)| said);
    let reason = reason.split("\\n").next().unwrap_or(reason).trim_end_matches("\")").to_owned();
    if NO_MEMORY.iter().any(|part| message.contains(part)) {
        let help = "lower --sample-items, --latent-dim or --batch-size, or use --device cpu (docs/gpu.md)";
        return Error::Unavailable { what: format!("more memory on device {name}"), reason, help: help.into() };
    }
    let help = "use --device cpu; if another program computes on this device without errors, please report this";
    Error::Unavailable { what: format!("device {name}"), reason, help: help.into() }
}

/// The name of a device on which tests run what a GPU runs: libtorch's CPU.
#[cfg(test)]
pub(super) const TENSORS: &str = "tensors";

/// The device with the name `cpu`, `cuda` or `cuda:N`.
///
/// # Errors
/// [`Error::Config`] for another name; [`Error::Unavailable`] for a device that does not exist.
pub(super) fn place(name: &str) -> Result<TrainingPlace> {
    let unavailable = |reason: String| Error::Unavailable {
        what: format!("device {name}"),
        reason,
        help: "use --device cpu, or a libtorch with CUDA: pip install torch==2.13.0, or set LIBTORCH to its folder"
            .into(),
    };
    #[cfg(test)]
    if name == TENSORS {
        return Ok(TrainingPlace { device: Device::Cpu, on_host: false });
    }
    let index = match name {
        "cpu" => return Ok(TrainingPlace::HOST),
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
    Ok(TrainingPlace { device: Device::Cuda(index), on_host: false })
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
    use tch::{Kind, Tensor};

    #[test]
    fn a_failure_of_libtorch_becomes_an_error_that_says_what_to_do() {
        let failing = |work: &dyn Fn() -> Tensor| caught("cuda", || Ok(work())).unwrap_err().to_string();
        let large = failing(&|| Tensor::zeros([1 << 46], (Kind::Float, Device::Cpu)));
        assert!(large.starts_with("more memory on device cuda is not available: "), "{large}");
        assert!(large.contains("lower --sample-items") && !large.contains("\\n"), "{large}");
        let shapes = failing(&|| Tensor::from_slice(&[1.0f32, 2.0]) + Tensor::from_slice(&[1.0f32, 2.0, 3.0]));
        assert!(shapes.starts_with("device cuda is not available: The size of tensor a"), "{shapes}");
        // As libtorch reports it for a GPU.
        let said = "called `Result::unwrap()` on an `Err` value: Torch(\"CUDA out of memory. Tried to allocate 2.00 GiB. \
                    GPU 0 has a total capacity of 8 GiB.\\nException raised from malloc at x.cpp:1 (most recent\")";
        let expected = "more memory on device cuda:1 is not available: CUDA out of memory. Tried to allocate 2.00 GiB. \
                        GPU 0 has a total capacity of 8 GiB.; lower --sample-items";
        assert!(failed("cuda:1", said).to_string().starts_with(expected), "{}", failed("cuda:1", said));
    }

    #[test]
    fn errors_and_results_of_the_work_are_passed_on() {
        assert_eq!(caught("cuda", || Ok(7)).unwrap(), 7);
        let error = caught("cuda", || Err::<(), _>(Error::config("device", "a", "b", "c"))).unwrap_err();
        assert_eq!(error.to_string(), "setting device: expected a, got b; c");
    }

    #[test]
    fn unknown_and_missing_devices_are_refused() {
        assert_eq!(place("cpu").unwrap(), TrainingPlace::HOST);
        assert!(place("tpu").unwrap_err().to_string().contains("cuda:N"));
        if !Cuda::is_available() {
            assert!(place("cuda:1").unwrap_err().to_string().contains("no CUDA device"));
        }
    }
}
