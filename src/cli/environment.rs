//! What environment variables say of the machine: ONNX Runtime and the Hugging Face Hub.

#[cfg(feature = "encoders")]
mod variables {
    use std::path::{Path, PathBuf};

    use catalex::pipeline::{Environment, Hub};

    fn set(name: &str) -> Option<String> {
        std::env::var(name).ok().filter(|value| !value.is_empty())
    }

    /// The user's cache folder.
    fn cache_home() -> Option<PathBuf> {
        set("XDG_CACHE_HOME").map(PathBuf::from).or_else(|| set("HOME").map(|home| Path::new(&home).join(".cache")))
    }

    /// The Hub, by the variables of Hugging Face's own programs.
    fn hub() -> Hub {
        let home = || set("HF_HOME").map(PathBuf::from).or_else(|| cache_home().map(|cache| cache.join("huggingface")));
        let cache = set("HF_HUB_CACHE").map(PathBuf::from).or_else(|| home().map(|home| home.join("hub")));
        let offline = set("HF_HUB_OFFLINE").map(|value| value.to_lowercase());
        Hub {
            cache: cache.unwrap_or_else(|| PathBuf::from("huggingface-hub")),
            endpoint: set("HF_ENDPOINT"),
            token: set("HF_TOKEN"),
            offline: offline.is_some_and(|value| ["1", "on", "yes", "true"].contains(&value.as_str())),
        }
    }

    /// The ONNX Runtime library: `ORT_DYLIB_PATH`, else the one that `make setup` fetched, else the system's.
    fn onnx_runtime() -> PathBuf {
        if let Some(path) = set("ORT_DYLIB_PATH") {
            return PathBuf::from(path);
        }
        let cache = set("CATALEX_CACHE").map(PathBuf::from).or_else(|| cache_home().map(|cache| cache.join("catalex")));
        let fetched =
            cache.map(|cache| cache.join("onnxruntime-1.32.0/libonnxruntime.so")).filter(|path| path.is_file());
        fetched.unwrap_or_else(|| PathBuf::from("libonnxruntime.so"))
    }

    pub(in crate::cli) fn environment() -> Environment {
        Environment { onnx_runtime: onnx_runtime(), hub: hub() }
    }
}

#[cfg(not(feature = "encoders"))]
mod variables {
    /// Nothing of the environment is needed without encoders.
    pub(in crate::cli) fn environment() -> catalex::pipeline::Environment {
        catalex::pipeline::Environment::default()
    }
}

pub(super) use variables::environment;
