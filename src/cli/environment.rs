//! Reads environment variables: ONNX Runtime, the Hugging Face Hub and the time.

use std::time::{SystemTime, UNIX_EPOCH};

use catalex::Error;
use catalex::pipeline::Environment;

#[cfg(feature = "encoders")]
pub(super) use variables::{locate_encoders, models_folder};

/// The environment.
///
/// # Errors
/// [`Error::Config`] if `SOURCE_DATE_EPOCH` is not a whole number of seconds.
pub(super) fn environment() -> Result<Environment, Error> {
    Ok(Environment { now: now()?, ..variables::environment() })
}

/// Seconds since 1970: `SOURCE_DATE_EPOCH` if it is set, for reproducible outputs, and the clock otherwise.
fn now() -> Result<Option<u64>, Error> {
    const NAME: &str = "SOURCE_DATE_EPOCH";
    let clock = || SystemTime::now().duration_since(UNIX_EPOCH).ok().map(|time| time.as_secs());
    let Some(set) = std::env::var_os(NAME).filter(|value| !value.is_empty()) else { return Ok(clock()) };
    let text = set.to_string_lossy();
    let seconds = text.parse().map_err(|_| {
        Error::config(NAME, "a whole number of seconds since 1970", &text, "set it to a number, or unset it")
    });
    seconds.map(Some)
}

#[cfg(feature = "encoders")]
mod variables {
    use std::path::{Path, PathBuf};

    use catalex::Error;
    use catalex::pipeline::{Environment, Hub, PACKAGED};
    use catalex::settings::SettingGroup;
    use serde_json::{Map, Value};

    /// Settings that take an encoder or a tokenizer. The folder of a text encoder contains a tokenizer.
    const ENCODERS: [&str; 3] = ["text_encoder", "image_encoder", "tokenizer"];

    fn set(name: &str) -> Option<String> {
        std::env::var(name).ok().filter(|value| !value.is_empty())
    }

    /// The user's cache folder.
    fn cache_home() -> Option<PathBuf> {
        set("XDG_CACHE_HOME").map(PathBuf::from).or_else(|| set("HOME").map(|home| Path::new(&home).join(".cache")))
    }

    /// The Hub, configured by the environment variables of Hugging Face's own tools.
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

    /// The cache folder of catalex.
    fn own_cache() -> Option<PathBuf> {
        set("CATALEX_CACHE").map(PathBuf::from).or_else(|| cache_home().map(|cache| cache.join("catalex")))
    }

    /// The folder of fetched encoders.
    pub(in crate::cli) fn models_folder() -> PathBuf {
        let cache = || own_cache().map(|cache| cache.join("models"));
        set("CATALEX_MODELS").map(PathBuf::from).or_else(cache).unwrap_or_else(|| PathBuf::from("catalex-models"))
    }

    /// Replaces names of fetched encoders with their folders, in the settings that take an encoder or a tokenizer.
    ///
    /// # Errors
    /// [`Error::Config`] for [`PACKAGED`], if it has not been fetched.
    pub(in crate::cli) fn locate_encoders<T: SettingGroup>(given: &mut Map<String, Value>) -> Result<(), Error> {
        for setting in T::SETTINGS.iter().filter(|setting| ENCODERS.contains(&setting.field)) {
            let Some(Value::String(name)) = given.get_mut(&setting.flag()) else { continue };
            if name.is_empty()
                || Path::new(name.as_str()).exists()
                || name.contains(['/', '\\'])
                || name.starts_with('.')
            {
                continue;
            }
            let folder = models_folder().join(name.as_str());
            match folder.to_str() {
                Some(path) if folder.is_dir() => *name = path.to_owned(),
                _ if name == PACKAGED => {
                    let got = format!("{name}, which exists neither here nor in {}", models_folder().display());
                    let help = format!("run `catalex models fetch {PACKAGED}`");
                    return Err(Error::config(setting.flag(), "a folder, or the name of a fetched encoder", got, help));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The library of the Python package onnxruntime, if this program is in `site-packages/catalex/bin`.
    fn installed() -> Option<PathBuf> {
        let program = std::env::current_exe().ok()?;
        let folder = program.ancestors().nth(3)?.join("onnxruntime/capi");
        let names = std::fs::read_dir(&folder).ok()?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let library = names.filter(|name| name.starts_with("libonnxruntime.so")).min()?;
        Some(folder.join(library))
    }

    /// The ONNX Runtime library: `ORT_DYLIB_PATH`, else the library of the Python package onnxruntime, else the library
    /// that `make setup` downloaded, else the system's.
    fn onnx_runtime() -> PathBuf {
        if let Some(path) = set("ORT_DYLIB_PATH") {
            return PathBuf::from(path);
        }
        if let Some(library) = installed() {
            return library;
        }
        let fetched =
            own_cache().map(|cache| cache.join("onnxruntime-1.32.0/libonnxruntime.so")).filter(|path| path.is_file());
        fetched.unwrap_or_else(|| PathBuf::from("libonnxruntime.so"))
    }

    pub(super) fn environment() -> Environment {
        Environment { onnx_runtime: onnx_runtime(), hub: hub(), ..Environment::default() }
    }
}

#[cfg(not(feature = "encoders"))]
mod variables {
    /// Only encoders need libraries and the Hub.
    pub(super) fn environment() -> catalex::pipeline::Environment {
        catalex::pipeline::Environment::default()
    }
}
