//! ONNX Runtime, loaded from a shared library at run time.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use ort::environment::Environment;
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};
use ort::session::{Session, SessionInputValue};
use ort::value::{Outlet, ValueType};

use crate::error::{Error, Result};

/// A process can load ONNX Runtime once, from one file, and make one environment of it in its life.
static LOADED: Mutex<Option<(PathBuf, Environment)>> = Mutex::new(None);

/// The loaded library and the threads its models run on.
#[derive(Debug, Clone)]
pub struct Runtime {
    environment: Environment,
    threads: usize,
}

const HOW_TO_GET: &str = "run `make setup` in a checkout of catalex, or set ORT_DYLIB_PATH to the libonnxruntime that \
                          `pip install onnxruntime` brings";

impl Runtime {
    /// Loads the library `dylib`, or takes it as an earlier call loaded it; models will run on `threads` threads.
    ///
    /// # Errors
    /// [`Error::Unavailable`] where it is missing, is no ONNX Runtime, or is too old, and where this process has already
    /// loaded another one.
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
                    help: "use one library for all encoders, or another process".into(),
                });
            }
            None => {
                let builder = ort::init_from(&file).map_err(|e| unavailable(e.to_string()))?;
                let environment = builder.with_name("catalex").build().map_err(|e| unavailable(e.to_string()))?;
                *loaded = Some((file, environment.clone()));
                environment
            }
        };
        Ok(Runtime { environment, threads })
    }

    /// Opens a model.
    pub(super) fn session(&self, path: &Path) -> Result<Session> {
        let wrong = |e: String| {
            let help = "export the model again, or take a newer ONNX Runtime where it asks for one";
            Error::file(path, "an ONNX model", e.lines().next().unwrap_or_default(), help)
        };
        let configure = |builder: SessionBuilder| -> std::result::Result<SessionBuilder, ort::Error> {
            Ok(builder.with_intra_threads(self.threads)?.with_optimization_level(GraphOptimizationLevel::All)?)
        };
        let builder = Session::builder(&self.environment).map_err(|e| wrong(e.to_string()))?;
        let mut builder = configure(builder).map_err(|e| wrong(e.to_string()))?;
        builder.commit_from_file(path).map_err(|e| wrong(e.to_string()))
    }
}

/// Dimensions of a tensor in- or output; -1 where it varies.
pub(super) fn shape(outlet: &Outlet) -> Vec<i64> {
    match outlet.dtype() {
        ValueType::Tensor { shape, .. } => shape.iter().copied().collect(),
        _ => Vec::new(),
    }
}

/// Which of a model's outputs holds what an item is encoded to.
#[derive(Debug, Clone)]
pub(super) struct Output {
    pub(super) name: String,
    /// 2 for one vector an item, 3 for one a token.
    pub(super) rank: usize,
    /// Length of the vectors.
    pub(super) dim: usize,
}

/// Names under which models give one vector an item, then those of one vector a token.
const POOLED: [&str; 5] = ["sentence_embedding", "image_embeds", "text_embeds", "pooler_output", "embeddings"];

/// Chooses the output of a model: of the names in `preferred`, else the first of 2 or 3 dimensions.
pub(super) fn choose_output(session: &Session, path: &Path, preferred: &[&str]) -> Result<Output> {
    let outputs = session.outputs();
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
    Ok(Output { name: output.name().to_owned(), rank: shape.len(), dim })
}

/// Runs a model and copies the chosen output: its shape and values.
pub(super) fn run(
    session: &mut Session,
    path: &Path,
    inputs: Vec<(String, SessionInputValue<'_>)>,
    output: &Output,
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
