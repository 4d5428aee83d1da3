//! `catalex._native.train_settings`: the declared training settings.

use catalex::settings::{Range, SettingGroup};
use catalex::training::{Recipe, TrainSettings};
use pyo3::prelude::*;
use pyo3::types::PyDict;

/// The declared training settings, in order: one dict with `name`, `kind`, `default`, `range`, `recipes` and `help` each.
#[pyfunction]
pub(crate) fn train_settings(py: Python<'_>) -> PyResult<Vec<Bound<'_, PyDict>>> {
    let described = TrainSettings::SETTINGS.iter().map(|setting| {
        let dict = PyDict::new(py);
        let recipes: Vec<&str> = Recipe::with_setting(setting.field).into_iter().map(Recipe::name).collect();
        dict.set_item("name", setting.field)?;
        dict.set_item("kind", setting.kind.name())?;
        dict.set_item("default", setting.default)?;
        dict.set_item("range", (setting.range != Range::Any).then(|| setting.range.to_string()))?;
        dict.set_item("recipes", recipes)?;
        dict.set_item("help", setting.help())?;
        Ok(dict)
    });
    described.collect()
}
