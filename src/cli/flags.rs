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

/// Whether a flag belongs to a declared setting.
pub(super) fn is_declared(arg: &Arg) -> bool {
    arg.is_hide_default_value_set()
}

fn flag(setting: &'static Setting) -> Arg {
    let default = if setting.default.is_empty() { String::new() } else { format!(" [default: {}]", setting.default) };
    let help = setting.help().strip_suffix('.').filter(|_| !default.is_empty()).unwrap_or(setting.help());
    let arg = Arg::new(setting.field)
        .long(setting.flag())
        .value_name(setting.value_name)
        .help(format!("{help}{default}"))
        .value_parser(ValueParser::new(OsStringValueParser::new()))
        // Marks the flag for `is_declared`. It has no other effect, because the help text contains the default.
        .hide_default_value(true);
    match setting.kind {
        SettingKind::Switch => {
            arg.value_name("BOOL").num_args(0..=1).require_equals(true).default_missing_value("true")
        }
        SettingKind::Integers | SettingKind::Texts => arg.value_delimiter(',').action(ArgAction::Append),
        SettingKind::RepeatedTexts => arg.action(ArgAction::Append),
        SettingKind::Integer | SettingKind::Number | SettingKind::Text | SettingKind::Weights => arg,
    }
}

/// The value of a flag as JSON. The error describes the expected value.
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

#[cfg(test)]
mod tests {
    use super::*;
    use catalex::training::{TrainConfig, TrainSettings};

    fn parse(arguments: &[&str]) -> Result<TrainSettings, clap::Error> {
        let command = Flags::<TrainSettings>::augment_args(Command::new("train"));
        let matches = command.try_get_matches_from([&["train"], arguments].concat())?;
        Flags::from_arg_matches(&matches).map(|Flags(settings)| settings)
    }

    #[test]
    fn every_declared_setting_is_a_flag_with_its_default() {
        let mut command = Flags::<TrainSettings>::augment_args(Command::new("train").term_width(0));
        let help = command.render_help().to_string();
        for setting in TrainSettings::SETTINGS {
            assert!(help.contains(&format!("--{} <", setting.flag())), "{}", setting.field);
            assert!(help.contains(&format!("[default: {}]", setting.default)), "{}", setting.field);
        }
        command.debug_assert();
    }

    #[test]
    fn values_of_every_kind_are_parsed() {
        let settings = parse(&[
            "--recipe=rq-kmeans",
            "--levels",
            "3",
            "--codebook-size=64,32,16",
            "--ridge",
            "0.5",
            "--weight=text=1,image=0.25",
        ]);
        let settings = settings.unwrap();
        assert_eq!(
            (settings.recipe.as_deref(), settings.levels, settings.ridge),
            (Some("rq-kmeans"), Some(3), Some(0.5))
        );
        assert_eq!(settings.codebook_size, Some(vec![64, 32, 16]));
        assert_eq!(settings.weight, Some([("text".into(), 1.0), ("image".into(), 0.25)].into()));
        assert_eq!(settings.epochs, None);
    }

    #[test]
    fn a_value_applies_even_if_it_is_the_default_of_another_recipe() {
        let config = parse(&["--recipe=lc-rec", "--epochs=15"]).unwrap().config().unwrap();
        let TrainConfig::LcRec(config) = config else { panic!("lc-rec") };
        assert_eq!(config.epochs, 15);
    }

    #[test]
    fn values_of_the_wrong_type_name_their_flag() {
        for wrong in ["--epochs=many", "--epochs=1.5", "--levels=-1", "--ridge=inf", "--weight=text", "--hidden=64,x"] {
            let message = parse(&[wrong]).unwrap_err().to_string();
            let flag = wrong.split('=').next().unwrap();
            assert!(message.contains(&format!("{flag}: expected")), "{wrong}: {message}");
        }
    }
}
