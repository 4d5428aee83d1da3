//! Where results go, and what the machine provides.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::artifact::Overwrite;
use crate::settings::{Range, settings};

/// Where a result is written, and what happens to what is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct Output {
    /// The file or folder to write.
    pub out: PathBuf,
    /// Whether a result of catalex that is already there is replaced.
    pub force: bool,
    /// Whether a killed run is continued, where the function supports that.
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
    /// Output to a place where nothing is.
    pub fn new(out: impl Into<PathBuf>) -> Self {
        Output { out: out.into(), ..Output::default() }
    }

    /// Whether an existing result is replaced or refused.
    pub fn overwrite(&self) -> Overwrite {
        if self.force { Overwrite::Replace } else { Overwrite::Refuse }
    }
}

/// What the machine provides. The library does not read environment variables: the caller finds these.
#[derive(Debug, Clone)]
pub struct Environment {
    /// The ONNX Runtime library, which encoders need.
    pub onnx_runtime: PathBuf,
    /// The Hugging Face Hub, for encoders that are named instead of given as a folder.
    #[cfg(feature = "encoders")]
    pub hub: crate::encoder::Hub,
    /// The time in seconds since 1970, for the manifests of indexes; without it, they have none.
    pub now: Option<u64>,
}

impl Environment {
    /// The time as manifests have it: RFC 3339 in UTC, such as `2026-11-27T14:31:49Z`.
    pub fn created(&self) -> Option<String> {
        let time = chrono::DateTime::from_timestamp(self.now?.try_into().ok()?, 0)?;
        Some(time.to_rfc3339_opts(chrono::SecondsFormat::Secs, true))
    }
}

impl Default for Environment {
    /// The system's ONNX Runtime, no access to the Hub, and no time.
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
    /// On how many threads a function runs.
    pub struct ThreadSettings {
        /// Number of threads.
        threads: usize, "N", default "all cores", range Range::Between(1.0, 4096.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_is_written_in_utc() {
        let created = |now| Environment { now, ..Environment::default() }.created();
        assert_eq!(created(Some(0)).as_deref(), Some("1970-01-01T00:00:00Z"));
        assert_eq!(created(Some(1_795_789_909)).as_deref(), Some("2026-11-27T14:31:49Z"));
        assert_eq!((created(None), created(Some(u64::MAX)), created(Some(1 << 62))), (None, None, None));
    }
}
