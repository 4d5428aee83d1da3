//! The location of results, and the environment.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::artifact::Overwrite;
use crate::settings::{Range, settings};

/// The location of a result, and how an existing one is handled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct Output {
    /// The file or folder to write.
    pub out: PathBuf,
    /// Whether an existing result of catalex is replaced.
    pub force: bool,
    /// Whether a killed run is continued, if the function supports it.
    pub resume: bool,
    /// Seconds between checkpoints of the training; they are saved at the end of an epoch.
    pub checkpoint_every: u64,
}

impl Default for Output {
    fn default() -> Self {
        Output { out: PathBuf::new(), force: false, resume: false, checkpoint_every: 30 }
    }
}

impl Output {
    /// Output to a path that must not exist.
    pub fn new(out: impl Into<PathBuf>) -> Self {
        Output { out: out.into(), ..Output::default() }
    }

    /// Whether an existing result is replaced or refused.
    pub fn overwrite(&self) -> Overwrite {
        if self.force { Overwrite::Replace } else { Overwrite::Refuse }
    }
}

/// The environment. The library does not read environment variables, so the caller provides these values.
#[derive(Debug, Clone)]
pub struct Environment {
    /// The ONNX Runtime library, which encoders need.
    pub onnx_runtime: PathBuf,
    /// The Hugging Face Hub, for encoders that are given by name instead of a folder.
    #[cfg(feature = "encoders")]
    pub hub: crate::encoder::Hub,
    /// The time in seconds since 1970, for the manifests of indexes. Without it, manifests have no time.
    pub now: Option<u64>,
}

impl Environment {
    /// The time in the format of manifests: RFC 3339 in UTC, such as `2026-11-27T14:31:49Z`.
    pub fn created(&self) -> Option<String> {
        let time = chrono::DateTime::from_timestamp(self.now?.try_into().ok()?, 0)?;
        Some(time.to_rfc3339_opts(chrono::SecondsFormat::Secs, true))
    }
}

impl Default for Environment {
    /// The system's ONNX Runtime, without access to the Hub and without a time.
    fn default() -> Self {
        Environment {
            onnx_runtime: PathBuf::from("libonnxruntime.so"),
            #[cfg(feature = "encoders")]
            hub: crate::encoder::Hub {
                cache: PathBuf::from("huggingface-hub"),
                endpoint: None,
                token: None,
                offline: true,
            },
            now: None,
        }
    }
}

settings! {
    /// The number of threads of a function.
    pub struct ThreadSettings {
        /// Number of threads.
        threads: usize, "N", default "all cores", range Range::Between(1.0, 4096.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn creation_time_is_formatted_in_utc() {
        let created = |now| Environment { now, ..Environment::default() }.created();
        assert_eq!(created(Some(0)).as_deref(), Some("1970-01-01T00:00:00Z"));
        assert_eq!(created(Some(1_795_789_909)).as_deref(), Some("2026-11-27T14:31:49Z"));
        assert_eq!((created(None), created(Some(u64::MAX)), created(Some(1 << 62))), (None, None, None));
    }
}
