//! ONNX Runtime, loaded from a shared library at run time.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use ort::environment::Environment;
use ort::ep::{CUDA, CoreML, ExecutionProvider, ExecutionProviderDispatch};
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};
use ort::session::{Session, SessionInputValue};
use ort::value::{Outlet, Tensor, TensorElementType, ValueType};

use super::device::Device;
use crate::error::{Error, Result};

/// A process can load ONNX Runtime from one file only and create one environment only.
static LOADED: Mutex<Option<(PathBuf, Environment)>> = Mutex::new(None);

/// The loaded library, with the threads and the device of its models.
#[derive(Debug, Clone)]
pub struct Runtime {
    environment: Environment,
    threads: usize,
    device: Device,
    library: PathBuf,
    /// Whether a model can be loaded several times, to compute several batches at the same time.
    side_by_side: bool,
}

const HOW_TO_GET: &str = "run `pip install onnxruntime` in the environment of catalex, or `make setup` in a checkout, \
                          or set ORT_DYLIB_PATH to the library libonnxruntime";

impl Runtime {
    /// Loads the library `dylib`, or reuses it if already loaded. Models run on `threads` CPU threads, unless
    /// [`Runtime::on`] selects another device.
    ///
    /// A small model is loaded several times, each with a share of the threads: batches that are computed at the same
    /// time take less time than one batch on all threads. [`Runtime::one_batch`] switches this off.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if the library is missing, is not ONNX Runtime or is too old, or if the process has
    /// already loaded another one.
    pub fn load(dylib: &Path, threads: usize) -> Result<Self> {
        let unavailable = |reason: String| Error::Unavailable {
            what: format!("ONNX Runtime ({})", dylib.display()),
            reason,
            help: HOW_TO_GET.into(),
        };
        let file = dylib.canonicalize().map_err(|e| unavailable(e.to_string()))?;
        let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
        let environment = match &*loaded {
            Some((earlier, environment)) if *earlier == file => environment.clone(),
            Some((earlier, _)) => {
                return Err(Error::Unavailable {
                    what: format!("ONNX Runtime ({})", dylib.display()),
                    reason: format!("this process has already loaded {}", earlier.display()),
                    help: "use the same library for all encoders, or another process".into(),
                });
            }
            None => {
                let builder = ort::init_from(&file).map_err(|e| unavailable(e.to_string()))?;
                let environment = builder.with_name("catalex").build().map_err(|e| unavailable(e.to_string()))?;
                *loaded = Some((file, environment.clone()));
                environment
            }
        };
        Ok(Runtime { environment, threads, device: Device::Cpu, library: dylib.to_owned(), side_by_side: true })
    }

    /// Loads each model once, with all threads: for batches that arrive one at a time.
    #[must_use]
    pub fn one_batch(self) -> Self {
        Runtime { side_by_side: false, ..self }
    }

    /// Runs the models on another device.
    ///
    /// # Errors
    /// [`Error::Unavailable`] where the library was built without support for it. A missing device is reported when a
    /// model is loaded.
    pub fn on(self, device: Device) -> Result<Self> {
        let (there, provider, get) = match device {
            Device::Cpu => return Ok(Runtime { device, ..self }),
            Device::Cuda(_) => (CUDA::is_available(), CUDA::NAME, "of `pip install onnxruntime-gpu`"),
            Device::CoreMl => (CoreML::is_available(), CoreML::NAME, "of `pip install onnxruntime` on a Mac"),
        };
        if !matches!(there, Ok(true)) {
            return Err(Error::Unavailable {
                what: format!("encoder device {device}"),
                reason: format!("the ONNX Runtime {} has no {provider}", self.library.display()),
                help: format!("set ORT_DYLIB_PATH to the library {get}, or omit --encoder-device"),
            });
        }
        Ok(Runtime { device, ..self })
    }

    fn provider(&self) -> Option<ExecutionProviderDispatch> {
        match self.device {
            Device::Cpu => None,
            Device::Cuda(number) => Some(CUDA::default().with_device_id(i32::from(number)).build()),
            Device::CoreMl => Some(CoreML::default().build()),
        }
    }

    pub(super) fn threads(&self) -> usize {
        self.threads
    }

    /// Whether several sessions of a model can share the threads.
    pub(super) fn shares_threads(&self) -> bool {
        self.side_by_side && self.is_cpu()
    }

    pub(super) fn is_cpu(&self) -> bool {
        self.device == Device::Cpu
    }

    /// Loads a model.
    pub(super) fn session(&self, path: &Path, threads: usize) -> Result<Session> {
        let wrong = |e: String| {
            let help = "export the model again, or use a newer ONNX Runtime";
            Error::file(path, "an ONNX model", e.lines().next().unwrap_or_default(), help)
        };
        let configure = |builder: SessionBuilder| -> std::result::Result<SessionBuilder, ort::Error> {
            Ok(builder.with_intra_threads(threads)?.with_optimization_level(GraphOptimizationLevel::All)?)
        };
        let builder = Session::builder(&self.environment).map_err(|e| wrong(e.to_string()))?;
        let mut builder = configure(builder).map_err(|e| wrong(e.to_string()))?;
        if let Some(provider) = self.provider() {
            builder =
                builder.with_execution_providers([provider.error_on_failure()]).map_err(|e| Error::Unavailable {
                    what: format!("encoder device {}", self.device),
                    reason: e.to_string().lines().next().unwrap_or_default().to_owned(),
                    help: "check its driver and libraries, or omit --encoder-device".into(),
                })?;
        }
        builder.commit_from_file(path).map_err(|e| wrong(e.to_string()))
    }
}

/// The dimensions of an input or output tensor; -1 for a variable one.
pub(super) fn shape(outlet: &Outlet) -> Vec<i64> {
    match outlet.dtype() {
        ValueType::Tensor { shape, .. } => shape.iter().copied().collect(),
        _ => Vec::new(),
    }
}

/// The element type of an input or output tensor.
pub(super) fn element(outlet: &Outlet) -> Option<TensorElementType> {
    match outlet.dtype() {
        ValueType::Tensor { ty, .. } => Some(*ty),
        _ => None,
    }
}

/// Row-major numbers as an input of the declared type: float16 or float32.
pub(super) fn floats(
    shape: &[usize],
    values: Vec<f32>,
    element: Option<TensorElementType>,
) -> ort::Result<SessionInputValue<'static>> {
    Ok(match element {
        Some(TensorElementType::Float16) => {
            let half: Vec<half::f16> = values.into_iter().map(half::f16::from_f32).collect();
            Tensor::from_array((shape, half))?.into()
        }
        _ => Tensor::from_array((shape, values))?.into(),
    })
}

/// The output of a model that has the vectors.
#[derive(Debug, Clone)]
pub(super) struct NetworkOutput {
    pub(super) name: String,
    /// 3 for one vector per token, otherwise one vector per item.
    pub(super) rank: usize,
    /// Length of the vectors.
    pub(super) dim: usize,
}

/// Common names of outputs with one vector per item.
const POOLED: [&str; 5] = ["sentence_embedding", "image_embeds", "text_embeds", "pooler_output", "embeddings"];

/// Chooses the output of a model: by the names in `preferred`, otherwise the first with 2 or 3 dimensions. A pooled feature
/// map `(items, dim, 1, 1)` counts as 2 dimensions.
pub(super) fn choose_output(session: &Session, path: &Path, preferred: &[&str]) -> Result<NetworkOutput> {
    let outputs = session.outputs();
    let shape = |o: &Outlet| match shape(o)[..] {
        [items, dim, 1, 1] => vec![items, dim],
        ref shape => shape.to_vec(),
    };
    let usable = |o: &&Outlet| matches!(shape(o).len(), 2 | 3);
    let by_name =
        preferred.iter().chain(&POOLED).find_map(|name| outputs.iter().find(|o| o.name() == *name && usable(o)));
    let Some(output) = by_name.or_else(|| outputs.iter().find(usable)) else {
        let got = outputs.iter().map(|o| format!("{} {:?}", o.name(), shape(o))).collect::<Vec<_>>().join(", ");
        return Err(Error::file(path, "an output of 2 or 3 dimensions", got, "export the model without its task head"));
    };
    let shape = shape(output);
    let Some(dim) = shape.last().and_then(|&d| usize::try_from(d).ok()).filter(|&d| d > 0) else {
        let got = format!("{} {shape:?}", output.name());
        return Err(Error::file(
            path,
            "an output of known length",
            got,
            "export the model with a fixed last dimension",
        ));
    };
    Ok(NetworkOutput { name: output.name().to_owned(), rank: shape.len(), dim })
}

/// Runs a model and returns the shape and values of an output.
pub(super) fn run(
    session: &mut Session,
    path: &Path,
    inputs: Vec<(String, SessionInputValue<'_>)>,
    output: &NetworkOutput,
) -> Result<(Vec<usize>, Vec<f32>)> {
    let failed = |e: String| {
        Error::file(path, "a model that runs on this input", e, "check that the model is an encoder of this kind")
    };
    let outputs = session.run(inputs).map_err(|e| failed(e.to_string()))?;
    let Some(value) = outputs.get(output.name.as_str()) else {
        return Err(failed(format!("no output {}", output.name)));
    };
    if let Ok((shape, values)) = value.try_extract_tensor::<f32>() {
        return Ok((shape.iter().map(|&d| d as usize).collect(), values.to_vec()));
    }
    let (shape, values) = value.try_extract_tensor::<half::f16>().map_err(|e| failed(e.to_string()))?;
    Ok((shape.iter().map(|&d| d as usize).collect(), values.iter().map(|v| v.to_f32()).collect()))
}
