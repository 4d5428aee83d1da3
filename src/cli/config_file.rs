//! `--config`: a TOML file with the same keys as the flags. Flags win; unknown keys are refused.

use std::path::{Path, PathBuf};

use catalex::error::{Error, Result};
use catalex::settings::SettingGroup;
use clap::Args;
use serde_json::{Map, Value};

use super::flags::Flags;

/// Names the file.
#[derive(Debug, Clone, Args)]
pub(super) struct ConfigFile {
    /// TOML file with the same keys as the flags, which win over it.
    #[arg(long = "config", value_name = "FILE")]
    path: Option<PathBuf>,
}

/// The file's keys that no group of options has taken yet.
pub(super) struct Settings {
    path: PathBuf,
    left: Map<String, Value>,
    known: Vec<String>,
}

impl ConfigFile {
    /// Reads the file; without one, there are no keys.
    pub(super) fn read(&self) -> Result<Settings> {
        let Some(path) = &self.path else {
            return Ok(Settings { path: PathBuf::new(), left: Map::new(), known: Vec::new() });
        };
        let text = std::fs::read_to_string(path).map_err(|e| Error::io("read", path, e))?;
        let left = toml::from_str::<Map<String, Value>>(&text).map_err(|e| not_toml(path, &e.to_string()))?;
        Ok(Settings { path: path.clone(), left, known: Vec::new() })
    }
}

fn not_toml(path: &Path, reason: &str) -> Error {
    let reason = reason.split_whitespace().collect::<Vec<_>>().join(" ");
    Error::file(path, "a TOML file of key = value lines", reason, "mend the line")
}

impl Settings {
    /// Completes a group of settings: values of the command line win over those of the file.
    pub(super) fn fill<T: SettingGroup>(&mut self, Flags(given): Flags<T>) -> Result<T> {
        let Ok(Value::Object(mut merged)) = serde_json::to_value(&given) else { return Ok(given) };
        for setting in T::SETTINGS {
            let key = setting.flag();
            if let Some(value) = self.left.remove(&key) {
                merged.entry(key.clone()).or_insert(value);
            }
            self.known.push(key);
        }
        serde_json::from_value(Value::Object(merged))
            .map_err(|e| Error::file(&self.path, "settings of the right type", e, "see `catalex help` for each"))
    }

    /// Checks that every key of the file was some group's.
    pub(super) fn finish(self) -> Result<()> {
        match self.left.keys().next() {
            None => Ok(()),
            Some(key) => Err(Error::config(
                key,
                format!("one of: {}", self.known.join(", ")),
                format!("an unknown key in {}", self.path.display()),
                "mend its spelling or remove it",
            )),
        }
    }
}
