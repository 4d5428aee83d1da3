//! The flags of declared settings, and the same keys in a `--config` file.

use std::ffi::OsString;

use catalex::settings::{Setting, SettingGroup, SettingKind};
use clap::builder::{OsStringValueParser, ValueParser};
use clap::error::ErrorKind;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};
use serde_json::{Map, Value};

/// A group of settings as flags of a verb.
#[derive(Debug, Clone, Default)]
pub(super) struct Flags<T>(pub(super) T);

impl<T: SettingGroup> Args for Flags<T> {
    fn augment_args(command: Command) -> Command {
        T::SETTINGS.iter().fold(command, |command, setting| command.arg(flag(setting)))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl<T: SettingGroup> FromArgMatches for Flags<T> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut given = Map::new();
        for setting in T::SETTINGS {
            let Some(raw) = matches.get_many::<OsString>(setting.field) else { continue };
            let texts = raw.map(|text| text.to_str().map(str::to_owned).ok_or("text in UTF-8".to_owned()));
            let value = texts.collect::<Result<Vec<_>, _>>().and_then(|texts| value(setting.kind, &texts));
            given.insert(setting.flag(), value.map_err(|expected| wrong(setting, &expected))?);
        }
        let refused = |e: serde_json::Error| clap::Error::raw(ErrorKind::ValueValidation, format!("{e}\n"));
        serde_json::from_value(Value::Object(given)).map(Flags).map_err(refused)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

fn flag(setting: &'static Setting) -> Arg {
    let default = if setting.default.is_empty() { String::new() } else { format!(" [default: {}]", setting.default) };
    let help = setting.help().strip_suffix('.').filter(|_| !default.is_empty()).unwrap_or(setting.help());
    let arg = Arg::new(setting.field)
        .long(setting.flag())
        .value_name(setting.value_name)
        .help(format!("{help}{default}"))
        .value_parser(ValueParser::new(OsStringValueParser::new()));
    match setting.kind {
        SettingKind::Switch => {
            arg.value_name("BOOL").num_args(0..=1).require_equals(true).default_missing_value("true")
        }
        SettingKind::Integers | SettingKind::Texts => arg.value_delimiter(',').action(ArgAction::Append),
        SettingKind::RepeatedTexts => arg.action(ArgAction::Append),
        SettingKind::Integer | SettingKind::Number | SettingKind::Text | SettingKind::Weights => arg,
    }
}

/// The value of a flag as JSON, or what was expected.
fn value(kind: SettingKind, texts: &[String]) -> Result<Value, String> {
    let first = texts.first().map(String::as_str).unwrap_or_default();
    let integer =
        |text: &str| text.parse::<u64>().map(Value::from).map_err(|_| format!("a whole number, got {text:?}"));
    let number = |text: &str| match text.parse::<f64>() {
        Ok(number) if number.is_finite() => Ok(Value::from(number)),
        _ => Err(format!("a finite number, got {text:?}")),
    };
    match kind {
        SettingKind::Integer => integer(first),
        SettingKind::Number => number(first),
        SettingKind::Text => Ok(Value::from(first)),
        SettingKind::Switch => {
            first.parse::<bool>().map(Value::from).map_err(|_| format!("true or false, got {first:?}"))
        }
        SettingKind::Integers => texts.iter().map(|text| integer(text)).collect::<Result<Vec<_>, _>>().map(Value::from),
        SettingKind::Texts | SettingKind::RepeatedTexts => Ok(Value::from(texts.to_vec())),
        SettingKind::Weights => {
            let pair = |part: &str| {
                let (name, weight) = part.split_once('=').ok_or(format!("NAME=NUMBER, got {part:?}"))?;
                Ok((name.to_owned(), number(weight)?))
            };
            first.split(',').map(pair).collect::<Result<Map<_, _>, String>>().map(Value::Object)
        }
    }
}

fn wrong(setting: &Setting, expected: &str) -> clap::Error {
    clap::Error::raw(ErrorKind::ValueValidation, format!("--{}: expected {expected}\n", setting.flag()))
}
