//! The types that settings can have.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// Weights by name, as in `text=1,image=0.5`.
pub type WeightsByName = BTreeMap<String, f32>;

/// How a setting's value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SettingKind {
    /// A whole number.
    Integer,
    /// A number.
    Number,
    /// A text, a path, or one of several words.
    Text,
    /// `true` or `false`; on the command line the flag alone means `true`.
    Switch,
    /// Whole numbers, separated by commas.
    Integers,
    /// Texts, separated by commas.
    Texts,
    /// Texts, one each time the flag is given.
    RepeatedTexts,
    /// `NAME=NUMBER` pairs, separated by commas.
    Weights,
}

impl SettingKind {
    /// The kind's name in documentation and for other languages.
    pub fn name(self) -> &'static str {
        match self {
            SettingKind::Integer => "integer",
            SettingKind::Number => "number",
            SettingKind::Text => "text",
            SettingKind::Switch => "switch",
            SettingKind::Integers => "integers",
            SettingKind::Texts => "texts",
            SettingKind::RepeatedTexts => "repeated texts",
            SettingKind::Weights => "weights",
        }
    }
}

/// A type that a setting can have. Its [`SettingKind`] determines how it is serialised: as a number, a string, a
/// boolean, an array, or a map of numbers.
pub trait SettingValue {
    /// How a value is written.
    const KIND: SettingKind;

    /// The numbers of a value, for the check of its range.
    fn numbers(&self) -> Vec<f64> {
        Vec::new()
    }
}

macro_rules! integers {
    ($($type:ty),+) => {
        $(
            impl SettingValue for $type {
                const KIND: SettingKind = SettingKind::Integer;

                fn numbers(&self) -> Vec<f64> {
                    vec![*self as f64]
                }
            }
        )+
    };
}

integers!(usize, u64, u32);

/// Converts a number with the same decimal digits, for error messages: 0.1 instead of 0.10000000149.
fn widened(number: f32) -> f64 {
    number.to_string().parse().unwrap_or(f64::NAN)
}

impl SettingValue for f64 {
    const KIND: SettingKind = SettingKind::Number;

    fn numbers(&self) -> Vec<f64> {
        vec![*self]
    }
}

impl SettingValue for f32 {
    const KIND: SettingKind = SettingKind::Number;

    fn numbers(&self) -> Vec<f64> {
        vec![widened(*self)]
    }
}

impl SettingValue for bool {
    const KIND: SettingKind = SettingKind::Switch;
}

impl SettingValue for String {
    const KIND: SettingKind = SettingKind::Text;
}

impl SettingValue for PathBuf {
    const KIND: SettingKind = SettingKind::Text;
}

impl SettingValue for Vec<String> {
    const KIND: SettingKind = SettingKind::Texts;
}

impl SettingValue for Vec<usize> {
    const KIND: SettingKind = SettingKind::Integers;

    fn numbers(&self) -> Vec<f64> {
        self.iter().map(|&number| number as f64).collect()
    }
}

impl SettingValue for WeightsByName {
    const KIND: SettingKind = SettingKind::Weights;

    fn numbers(&self) -> Vec<f64> {
        self.values().map(|&number| widened(number)).collect()
    }
}
