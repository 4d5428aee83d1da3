//! Checkpoints: the state of a training on disk, from which an interrupted training resumes to the same result.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tch::Tensor;

use crate::artifact::seal::{self, Seal};
use crate::artifact::{AtomicFile, Overwrite, open_regular, read_regular};
use crate::error::{Error, Result};

/// Keys in the metadata of the file.
const TRAINING: &str = "catalex.training";
const STATE: &str = "catalex.state";

/// Maximum length of a safetensors header that the crate reads.
const MOST_HEADER: u64 = 100_000_000;

/// Where and how often a training saves checkpoints.
#[derive(Debug, Clone)]
pub struct Checkpoints {
    /// The checkpoint file.
    pub path: PathBuf,
    /// Minimum time between checkpoints. They are saved at the end of an epoch.
    pub every: Duration,
    /// Whether to resume from the file, if it exists.
    pub resume: bool,
}

impl Checkpoints {
    /// Removes the file. Call this once the model is saved.
    ///
    /// # Errors
    /// [`Error::File`] for a file that is not a checkpoint; [`Error::Io`].
    pub fn remove(&self) -> Result<()> {
        if self.path.symlink_metadata().is_ok() && !is_checkpoint(&self.path) {
            let help = "move it away, or choose another output path";
            return Err(Error::file(&self.path, "a checkpoint of catalex", "another file", help));
        }
        match std::fs::remove_file(&self.path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Error::io("remove", &self.path, e)),
            _ => Ok(()),
        }
    }
}

/// Whether a file is a checkpoint, from its header alone.
fn is_checkpoint(path: &Path) -> bool {
    let header = || -> std::io::Result<Vec<u8>> {
        let mut file = open_regular(path)?;
        let mut length = [0; 8];
        file.read_exact(&mut length)?;
        let mut header = Vec::new();
        file.take(u64::from_le_bytes(length).min(MOST_HEADER)).read_to_end(&mut header)?;
        Ok(header)
    };
    let header = header().ok().and_then(|bytes| serde_json::from_slice::<serde_json::Value>(&bytes).ok());
    header.is_some_and(|header| header["__metadata__"].get(TRAINING).is_some())
}

/// Saves the checkpoints of one training.
pub(super) struct Keeper<'a> {
    checkpoints: Option<&'a Checkpoints>,
    /// The fingerprint of the settings and features.
    training: String,
    last: Instant,
}

/// A checkpoint that was read.
pub(super) struct Saved {
    path: PathBuf,
    tensors: HashMap<String, Tensor>,
    state: String,
}

impl<'a> Keeper<'a> {
    /// Starts, and returns the checkpoint to resume from, if there is one. `training` is the [`fingerprint`].
    ///
    /// # Errors
    /// [`Error::Artifact`] for a checkpoint that is damaged or of another training; [`Error::File`] for one that exists
    /// although the training is not to be resumed.
    pub(super) fn begin(checkpoints: Option<&'a Checkpoints>, training: String) -> Result<(Self, Option<Saved>)> {
        let saved = match checkpoints {
            Some(checkpoints) if checkpoints.path.exists() => {
                if !checkpoints.resume {
                    return Err(Error::file(
                        &checkpoints.path,
                        "no file",
                        "the checkpoint of an interrupted training",
                        "resume it with --resume, or start over with --force",
                    ));
                }
                Some(Saved::read(&checkpoints.path, &training)?)
            }
            _ => None,
        };
        Ok((Keeper { checkpoints, training, last: Instant::now() }, saved))
    }

    /// Saves a checkpoint, if the last one is old enough.
    ///
    /// # Errors
    /// As [`AtomicFile`].
    pub(super) fn save<'t>(
        &mut self,
        tensors: impl FnOnce() -> Vec<(String, &'t Tensor)>,
        state: impl FnOnce() -> serde_json::Value,
    ) -> Result<()> {
        let Some(checkpoints) = self.checkpoints.filter(|c| self.last.elapsed() >= c.every) else { return Ok(()) };
        let path = &checkpoints.path;
        let fault = |e: &dyn std::fmt::Display| {
            Error::artifact(path, "tensors of floats", e, "this is a bug; please report it")
        };
        let mut arrays: Vec<(String, Vec<usize>, Vec<u8>)> = Vec::new();
        for (name, tensor) in tensors() {
            let flat = tensor.detach().to_device(tch::Device::Cpu).contiguous().view(-1);
            let values = Vec::<f32>::try_from(flat).map_err(|e| fault(&e))?;
            let shape = tensor.size().iter().map(|&d| d as usize).collect();
            arrays.push((name, shape, values.iter().flat_map(|v| v.to_le_bytes()).collect()));
        }
        let mut views = Vec::new();
        for (name, shape, bytes) in &arrays {
            views.push((name, TensorView::new(Dtype::F32, shape.clone(), bytes).map_err(|e| fault(&e))?));
        }
        let metadata = [(TRAINING, self.training.clone()), (STATE, state().to_string()), (seal::KEY, seal::blank())];
        let metadata = metadata.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        let mut bytes = safetensors::serialize(views, Some(metadata)).map_err(|e| fault(&e))?;
        seal::seal(&mut bytes).map_err(|e| fault(&e))?;
        let mut file = AtomicFile::create(path, Overwrite::Replace)?;
        file.write_all(&bytes).map_err(|e| Error::io("write", path, e))?;
        file.commit()?;
        self.last = Instant::now();
        Ok(())
    }
}

impl Saved {
    fn read(path: &Path, training: &str) -> Result<Self> {
        const START_OVER: &str = "start over with --force";
        let damaged = |e: &dyn std::fmt::Display| Error::artifact(path, "a checkpoint", e, START_OVER);
        let bytes = read_regular(path).map_err(|e| Error::io("read", path, e))?;
        let (_, header) = SafeTensors::read_metadata(&bytes).map_err(|e| damaged(&e))?;
        let of = |key: &str| header.metadata().as_ref().and_then(|pairs| pairs.get(key)).cloned();
        let (Some(of_training), Some(state)) = (of(TRAINING), of(STATE)) else {
            return Err(damaged(&"a file without the state of a training"));
        };
        if of(seal::KEY).is_none() || seal::check_bytes(&bytes) != Seal::Whole {
            return Err(seal::broken(path, START_OVER));
        }
        if of_training != training {
            let help = "resume with the same settings, features and release of catalex, or start over with --force";
            return Err(Error::artifact(path, "a checkpoint of this training", "one of another training", help));
        }
        let tensors = SafeTensors::deserialize(&bytes).map_err(|e| damaged(&e))?;
        let tensors = tensors.tensors().into_iter().map(|(name, view)| {
            let values: Vec<f32> =
                view.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
            let shape: Vec<i64> = view.shape().iter().map(|&d| d as i64).collect();
            (name, Tensor::from_slice(&values).view(shape.as_slice()))
        });
        Ok(Saved { path: path.to_path_buf(), tensors: tensors.collect(), state })
    }

    /// The part of the checkpoint that is no tensor. `consistent` checks its numbers.
    ///
    /// # Errors
    /// [`Error::Artifact`].
    pub(super) fn state<T: DeserializeOwned>(&self, consistent: impl Fn(&T) -> bool) -> Result<T> {
        let wrong = |got: &dyn std::fmt::Display| {
            Error::artifact(&self.path, "the state of a training", got, "start over with --force")
        };
        let state = serde_json::from_str(&self.state).map_err(|e| wrong(&e))?;
        if consistent(&state) {
            Ok(state)
        } else {
            Err(wrong(&"numbers of epochs and steps that contradict each other"))
        }
    }

    /// A tensor by name.
    ///
    /// # Errors
    /// [`Error::Artifact`] for a missing tensor.
    pub(super) fn tensor(&self, name: &str) -> Result<Tensor> {
        self.optional(name)
            .ok_or_else(|| Error::artifact(&self.path, format!("tensor {name}"), "none", "start over with --force"))
    }

    /// A tensor that may be missing.
    pub(super) fn optional(&self, name: &str) -> Option<Tensor> {
        self.tensors.get(name).map(Tensor::shallow_clone)
    }
}

/// Identifies a training by its version, settings and features.
pub(super) fn fingerprint(config: &impl Serialize, features: &str, items: usize) -> String {
    let version = env!("CARGO_PKG_VERSION");
    serde_json::json!({"catalex": version, "config": config, "features": features, "items": items}).to_string()
}
