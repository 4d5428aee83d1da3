//! `--config`: a TOML file with the same keys as the flags. Flags take precedence; unknown keys are an error.
//!
//! [`Settings::fill`] reads declared settings from the file. [`with_file`] adds the other flags of a verb (`out`,
//! `force`, `report`) to the command line before it is parsed.

use std::ffi::OsString;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use catalex::error::{Error, Result};
use catalex::settings::{SettingGroup, SettingKind};
use clap::{Arg, Args, Command};
use serde_json::{Map, Value};

use super::flags::{Flags, is_declared};

/// Maximum size of a `--config` file, in bytes.
const MAX_CONFIG: u64 = 1 << 20;

/// The flag that names the file.
#[derive(Debug, Clone, Args)]
pub(super) struct ConfigFile {
    /// TOML file of settings. Its keys are flag names. Flags on the command line take precedence.
    #[arg(long = "config", value_name = "FILE")]
    path: Option<PathBuf>,
}

/// The keys of the file that no group of settings has used yet.
pub(super) struct Settings {
    path: PathBuf,
    left: Map<String, Value>,
    known: Vec<String>,
}

/// The flags of the verb that are not declared settings. [`with_file`] handles their values.
static UNDECLARED: OnceLock<Vec<String>> = OnceLock::new();

/// Adds the flags from the `--config` file to the command line. Flags on the command line take precedence.
/// [`ConfigFile::read`] reports a file that cannot be read.
pub(super) fn with_file(mut command: Command, arguments: Vec<OsString>) -> Vec<OsString> {
    command.build();
    let verb = |argument: &OsString| command.find_subcommand(argument);
    let Some((at, verb)) = arguments.iter().enumerate().skip(1).find_map(|(at, text)| Some((at, verb(text)?))) else {
        return arguments;
    };
    let undeclared: Vec<&Arg> = verb.get_arguments().filter(|arg| is_undeclared(arg)).collect();
    let names = undeclared.iter().filter_map(|arg| arg.get_long().map(str::to_owned)).collect();
    let _ = UNDECLARED.set(names);
    let given: Vec<&str> = arguments[at..].iter().filter_map(|text| text.to_str()).collect();
    let file = given.iter().enumerate().find_map(|(at, text)| match *text {
        "--config" => given.get(at + 1).copied(),
        text => text.strip_prefix("--config="),
    });
    let Some(Ok(keys)) = file.map(|path| keys(Path::new(path))) else { return arguments };
    let mut more: Vec<OsString> = Vec::new();
    for arg in undeclared {
        let Some((name, value)) = arg.get_long().and_then(|name| Some((name, keys.get(name)?))) else { continue };
        let flag = format!("--{name}");
        if given.iter().any(|text| *text == flag || text.starts_with(&format!("{flag}="))) {
            continue;
        }
        match value {
            Value::Bool(false) if !arg.get_action().takes_values() => {}
            Value::Bool(true) if !arg.get_action().takes_values() => more.push(flag.into()),
            Value::Array(values) => more.extend(values.iter().map(|value| format!("{flag}={}", text(value)).into())),
            value => more.push(format!("{flag}={}", text(value)).into()),
        }
    }
    [&arguments[..=at], &more, &arguments[at + 1..]].concat()
}

fn is_undeclared(arg: &Arg) -> bool {
    arg.get_long().is_some_and(|name| !["config", "help", "version"].contains(&name)) && !is_declared(arg)
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The keys and values of a file, with keys in the spelling of flags.
fn keys(path: &Path) -> Result<Map<String, Value>> {
    let table = text_of(path)?.parse::<toml::Table>().map_err(|e| not_toml(path, &e.to_string()))?;
    table.into_iter().map(|(key, value)| Ok((key.replace('_', "-"), json(path, &key, value)?))).collect()
}

/// The text of a file. The file is read twice, so it must not be a pipe: the second read would return nothing.
fn text_of(path: &Path) -> Result<String> {
    let about = std::fs::metadata(path).map_err(|e| Error::io("read", path, e))?;
    if !about.is_file() {
        return Err(Error::file(path, "a file", "a folder, a pipe or a device", "pass a regular file"));
    }
    let file = std::fs::File::open(path).map_err(|e| Error::io("read", path, e))?;
    let mut bytes = Vec::new();
    file.take(MAX_CONFIG + 1).read_to_end(&mut bytes).map_err(|e| Error::io("read", path, e))?;
    if bytes.len() as u64 > MAX_CONFIG {
        let expected = format!("a settings file of at most {} MiB", MAX_CONFIG >> 20);
        return Err(Error::file(path, expected, "a larger file", "check the path"));
    }
    String::from_utf8(bytes).map_err(|e| {
        let got = format!("an invalid byte at offset {}", e.utf8_error().valid_up_to());
        Error::file(path, "text in UTF-8", got, "save the file in UTF-8")
    })
}

/// Converts a TOML value to JSON, which has no NaN, infinity or dates.
fn json(path: &Path, key: &str, value: toml::Value) -> Result<Value> {
    Ok(match value {
        toml::Value::Float(number) if !number.is_finite() => {
            let got = format!("{number} in {}", path.display());
            return Err(Error::config(key, "a finite number", got, "omit it for the default"));
        }
        toml::Value::Float(number) => number.into(),
        toml::Value::String(text) => text.into(),
        toml::Value::Integer(number) => number.into(),
        toml::Value::Boolean(switch) => switch.into(),
        toml::Value::Datetime(date) => date.to_string().into(),
        toml::Value::Array(values) => {
            values.into_iter().map(|value| json(path, key, value)).collect::<Result<Vec<_>>>()?.into()
        }
        toml::Value::Table(table) => Value::Object(
            table
                .into_iter()
                .map(|(inner, value)| Ok((inner.clone(), json(path, &format!("{key}.{inner}"), value)?)))
                .collect::<Result<_>>()?,
        ),
    })
}

impl ConfigFile {
    /// Reads the file. If no file is given, there are no keys.
    pub(super) fn read(&self) -> Result<Settings> {
        let known = UNDECLARED.get().cloned().unwrap_or_default();
        let Some(path) = &self.path else {
            return Ok(Settings { path: PathBuf::new(), left: Map::new(), known });
        };
        let mut left = keys(path)?;
        left.retain(|key, _| !known.contains(key));
        Ok(Settings { path: path.clone(), left, known })
    }
}

fn not_toml(path: &Path, reason: &str) -> Error {
    let reason = reason.split_whitespace().collect::<Vec<_>>().join(" ");
    Error::file(path, "a TOML file of key = value lines", reason, "fix the line")
}

impl Settings {
    /// Completes a group of settings with values from the file. Values on the command line take precedence.
    pub(super) fn fill<T: SettingGroup>(&mut self, Flags(given): Flags<T>) -> Result<T> {
        let Ok(Value::Object(mut merged)) = serde_json::to_value(&given) else { return Ok(given) };
        for setting in T::SETTINGS {
            let key = setting.flag();
            if let Some(value) = self.left.remove(&key) {
                let value = listed(setting.kind, value);
                let alone = Map::from_iter([(key.clone(), value.clone())]);
                if serde_json::from_value::<T>(Value::Object(alone)).is_err() {
                    let got = format!("{value} in {}", self.path.display());
                    return Err(Error::config(key, expected(setting.kind), got, "see `catalex help VERB`"));
                }
                merged.entry(key.clone()).or_insert(value);
            }
            self.known.push(key);
        }
        #[cfg(feature = "encoders")]
        super::environment::locate_encoders::<T>(&mut merged)?;
        serde_json::from_value(Value::Object(merged))
            .map_err(|e| Error::file(&self.path, "settings of the right type", e, "see `catalex help VERB`"))
    }

    /// Checks that every key of the file belongs to a group of settings.
    pub(super) fn finish(self) -> Result<()> {
        match self.left.keys().next() {
            None => Ok(()),
            Some(key) => Err(Error::config(
                key,
                format!("one of: {}", self.known.join(", ")),
                format!("an unknown key in {}", self.path.display()),
                "correct its spelling or remove it",
            )),
        }
    }
}

/// Wraps a single value in a list if the setting is a list.
fn listed(kind: SettingKind, value: Value) -> Value {
    match (kind, value) {
        (_, list @ Value::Array(_)) => list,
        (SettingKind::Integers | SettingKind::Texts | SettingKind::RepeatedTexts, value) => Value::Array(vec![value]),
        (_, value) => value,
    }
}

fn expected(kind: SettingKind) -> &'static str {
    match kind {
        SettingKind::Integer => "a whole number that is not negative",
        SettingKind::Number => "a number",
        SettingKind::Text => "a text in quotes",
        SettingKind::Switch => "true or false",
        SettingKind::Integers => "a whole number that is not negative, or a list of them",
        SettingKind::Texts | SettingKind::RepeatedTexts => "a text in quotes, or a list of them",
        SettingKind::Weights => "a table of numbers, such as { text = 1.0, image = 0.5 }",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use catalex::training::TrainSettings;
    use clap::CommandFactory;

    fn written(text: &str) -> (tempfile::NamedTempFile, ConfigFile) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let config = ConfigFile { path: Some(file.path().to_path_buf()) };
        (file, config)
    }

    fn train(text: &str) -> std::result::Result<TrainSettings, String> {
        let (_file, config) = written(text);
        let read = || -> Result<TrainSettings> {
            let mut settings = config.read()?;
            let train: TrainSettings = settings.fill(Flags::default())?;
            settings.finish()?;
            train.config().map(|_| train)
        };
        read().map_err(|e| e.to_string())
    }

    #[test]
    fn large_files_and_other_encodings_are_refused() {
        assert!(train(&format!("levels = 3\n#{}", "x".repeat(1 << 19))).is_ok());
        assert!(train(&"# levels = 3\n".repeat(100_000)).unwrap_err().contains("at most 1 MiB"));
        let (file, config) = written("");
        std::fs::write(file.path(), b"# caf\xE9\nlevels = 3\n").unwrap();
        let error = config.read().err().unwrap().to_string();
        assert!(error.contains("expected text in UTF-8, got an invalid byte at offset 5"), "{error}");
    }

    #[test]
    fn single_values_and_both_spellings_are_accepted() {
        let sizes = |text: &str| train(text).unwrap().codebook_size;
        assert_eq!(sizes("codebook-size = 8"), Some(vec![8]));
        assert_eq!(sizes("codebook_size = [8, 16]\nlevels = 2"), Some(vec![8, 16]));
    }

    #[test]
    fn every_wrong_value_names_its_key() {
        for (text, key) in [
            ("learning-rate = nan", "learning-rate"),
            ("ridge = inf", "ridge"),
            ("weight = { text = nan }", "weight.text"),
            ("levels = \"four\"", "levels"),
            ("levels = -1", "levels"),
            ("levels = 4294967296", "levels"),
            ("epochs = 9223372036854775807", "epochs"),
            ("hidden = 9223372036854775807", "hidden"),
            ("hidden = [64, \"x\"]", "hidden"),
            ("codebook-size = 1.5", "codebook-size"),
            ("device = 3", "device"),
            ("ridges = 3", "ridges"),
        ] {
            let message = train(text).unwrap_err();
            assert!(message.starts_with(&format!("setting {key}: expected")), "{text}: {message}");
        }
        let message = train("levels = ").unwrap_err();
        assert!(message.contains("TOML"), "{message}");
    }

    /// The file can set every flag of every verb.
    #[test]
    fn the_configuration_file_can_set_every_flag_of_every_verb() {
        let mut command = crate::cli::Cli::command();
        command.build();
        let mut walked = 0;
        for verb in command.get_subcommands().filter(|verb| verb.get_name() != "help") {
            let name = verb.get_name();
            assert!(verb.get_arguments().any(|arg| arg.get_long() == Some("config")), "{name} has no --config");
            for arg in verb.get_arguments().filter(|arg| is_undeclared(arg)) {
                let (flag, takes) = (arg.get_long().unwrap(), arg.get_action().takes_values());
                let (file, _) = written(&format!("{flag} = {}", if takes { "\"x\"" } else { "true" }));
                let path = file.path().to_string_lossy().into_owned();
                let line = |more: &[&str]| {
                    let words = [&["catalex", name, "--config", &path], more].concat();
                    with_file(crate::cli::Cli::command(), words.into_iter().map(OsString::from).collect())
                };
                let written = if takes { format!("--{flag}=x") } else { format!("--{flag}") };
                assert!(line(&[]).iter().any(|text| *text == *written), "{name}: {flag}");
                let given = format!("--{flag}=y");
                assert_eq!(line(&[&given]).len(), 5, "{name}: {flag} on the command line wins");
                walked += 1;
            }
        }
        assert!(walked > 30, "{walked}");
    }
}
