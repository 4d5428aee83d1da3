//! Declared settings: the name, type, default, range and help text of each setting are stated once.
//!
//! The `settings!` macro declares a group: a struct of optional fields (`None` means not given) and
//! [`SettingGroup::SETTINGS`], the list from which the command line makes its flags, `--config` its keys, Python its
//! keyword arguments and the documentation its tables.

mod range;
mod values;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::Result;

pub use range::{MAX_COUNT, Range};
pub use values::{SettingKind, SettingValue, WeightsByName};

/// One setting, as declared.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Setting {
    /// The field's name, with underscores; see [`Setting::flag`].
    pub field: &'static str,
    /// The type of its value.
    pub kind: SettingKind,
    /// The placeholder of the value in help texts, such as `N` or `COLUMN`.
    pub value_name: &'static str,
    /// The default as text. Empty if there is none.
    pub default: &'static str,
    /// The values that are accepted.
    pub range: Range,
    /// What the setting does, in one or two sentences.
    help: &'static str,
}

impl Setting {
    /// Declares a setting. Use `settings!` instead.
    #[doc(hidden)]
    pub const fn new(
        field: &'static str,
        kind: SettingKind,
        value_name: &'static str,
        default: &'static str,
        range: Range,
        help: &'static str,
    ) -> Self {
        Setting { field, kind, value_name, default, range, help }
    }

    /// The name on the command line and in files, without leading dashes: `batch-size`.
    pub fn flag(&self) -> String {
        self.field.replace('_', "-")
    }

    /// The default for a preset. If the default is `15; fast 3`, it is `3` for the preset `fast` and `15` for all
    /// others.
    pub fn default_of(&self, preset: &str) -> &'static str {
        let mut values = self.default.split("; ");
        let named = |value: &'static str| value.strip_prefix(preset)?.strip_prefix(' ');
        values.clone().find_map(named).or(values.next()).unwrap_or_default()
    }

    /// What the setting does.
    pub fn help(&self) -> &'static str {
        self.help.trim_start()
    }
}

/// A group of settings that were declared together.
pub trait SettingGroup: Serialize + DeserializeOwned + Default {
    /// The declarations, in the order of the fields.
    const SETTINGS: &'static [Setting];

    /// Checks every given value against its declared range.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) names the first setting that is out of range.
    fn check(&self) -> Result<()>;

    /// The flag of the first setting that was given, if any.
    fn first_given(&self) -> Option<String>;
}

/// Declares a group of settings. Each field has a doc comment (its help text), a type, and a value name; a default (as
/// text) and a [`Range`] may follow.
macro_rules! settings {
    (
        $(#[$meta:meta])*
        pub struct $group:ident {
            $(
                $(#[doc = $help:literal])+
                $field:ident: $type:ty, $value_name:literal $(, default $default:literal)? $(, range $range:expr)?;
            )+
        }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
        pub struct $group {
            $(
                $(#[doc = $help])+
                #[serde(skip_serializing_if = "Option::is_none")]
                pub $field: Option<$type>,
            )+
        }

        impl $crate::settings::SettingGroup for $group {
            const SETTINGS: &'static [$crate::settings::Setting] = &[
                $(
                    $crate::settings::Setting::new(
                        stringify!($field),
                        <$type as $crate::settings::SettingValue>::KIND,
                        $value_name,
                        concat!($($default)?),
                        $crate::settings::settings!(@range $($range)?),
                        concat!($($help),+),
                    ),
                )+
            ];

            fn check(&self) -> $crate::error::Result<()> {
                use $crate::settings::SettingValue;
                let declared = Self::SETTINGS.iter();
                let given = [$(self.$field.as_ref().map(SettingValue::numbers)),+];
                declared.zip(given).try_for_each(|(setting, numbers)| setting.check(&numbers.unwrap_or_default()))
            }

            fn first_given(&self) -> Option<String> {
                let given = [$(self.$field.is_some()),+];
                Self::SETTINGS.iter().zip(given).find(|(_, given)| *given).map(|(setting, _)| setting.flag())
            }
        }
    };
    (@range) => { $crate::settings::Range::Any };
    (@range $range:expr) => { $range };
}

pub(crate) use settings;

#[cfg(test)]
mod tests {
    #![allow(unreachable_pub, reason = "the macro declares public groups")]

    use super::*;

    settings! {
        /// A group.
        pub struct Group {
            /// Items per
            /// step.
            batch_size: usize, "N", default "512", range Range::AtLeast(1.0);
            /// Share.
            holdout: f64, "X", default "0.05", range Range::Between(0.0, 0.5);
            /// Name.
            name: String, "NAME";
        }
    }

    #[test]
    fn one_declaration_gives_fields_list_and_checks() {
        let [batch_size, holdout, name] = Group::SETTINGS else { panic!("three settings") };
        assert_eq!((batch_size.flag().as_str(), batch_size.help()), ("batch-size", "Items per step."));
        assert_eq!((holdout.kind, holdout.default, name.default), (SettingKind::Number, "0.05", ""));
        let group = Group { batch_size: Some(1), holdout: Some(0.5), name: None };
        group.check().unwrap();
        assert_eq!(serde_json::to_string(&group).unwrap(), r#"{"batch-size":1,"holdout":0.5}"#);
        assert!(serde_json::from_str::<Group>(r#"{"batchsize": 1}"#).is_err());
        assert_eq!((group.first_given(), Group::default().first_given()), (Some("batch-size".into()), None));
    }

    #[test]
    fn a_default_can_depend_on_the_preset() {
        let setting = |default| Setting::new("x", SettingKind::Text, "X", default, Range::Any, "");
        let epochs = setting("15; fast 3; published 10000");
        assert_eq!(
            [epochs.default_of("fast"), epochs.default_of("published"), epochs.default_of("other")],
            ["3", "10000", "15"]
        );
        assert_eq!(setting("fast 3").default_of("fast"), "3");
        assert_eq!(setting("fastest").default_of("fast"), "fastest");
        assert_eq!(setting("").default_of("fast"), "");
    }

    #[test]
    fn a_value_out_of_range_names_its_setting() {
        let fails = |group: Group| group.check().unwrap_err().to_string();
        let zero = fails(Group { batch_size: Some(0), ..Group::default() });
        assert!(zero.starts_with("setting batch-size: expected a number of at least 1, got 0"), "{zero}");
        for holdout in [0.6, -0.1, f64::NAN, f64::INFINITY] {
            let message = fails(Group { holdout: Some(holdout), ..Group::default() });
            assert!(message.contains("holdout: expected a number from 0 to 0.5"), "{message}");
        }
    }
}
