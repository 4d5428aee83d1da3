//! The table of training settings in `docs/` matches the declaration.

use std::fmt::Write;
use std::fs;

use catalex::settings::{Range, Setting, SettingGroup};
use catalex::training::{Recipe, TrainSettings};

const HEADER: &str = "\
# Training settings

The settings of `catalex train` and `catalex build`, of `catalex.TrainConfig` in Python (with underscores: `batch_size`) and
of `catalex::training::TrainSettings` in Rust. [quantizer.md](quantizer.md) explains what they do and how to choose them.

A recipe is a training algorithm with a value for each of its settings. A value that is given replaces the recipe's. A
setting that the chosen recipe does not use (—) is an error.

This page is generated from `src/training/declaration.rs`. After a change there, generate it again with
`CATALEX_UPDATE_DOCS=1 cargo test --locked --release --test it train_settings`.

| setting | what it does | values | recipe `default` | `rq-kmeans` | `lc-rec` |
|---|---|---|---|---|---|
";

fn values(setting: &Setting) -> String {
    match setting.range {
        Range::Any => setting.kind.name().to_owned(),
        range => format!(
            "{}, {}",
            setting.kind.name(),
            range.to_string().trim_start_matches("a number ").trim_start_matches("of ")
        ),
    }
}

fn page() -> String {
    let mut out = HEADER.to_owned();
    for setting in TrainSettings::SETTINGS {
        let users = Recipe::with_setting(setting.field);
        let default = |recipe: Recipe| match users.contains(&recipe) {
            true if setting.field == "recipe" => "",
            true => setting.default_of(recipe.name()),
            false => "—",
        };
        let [first, second, third] = Recipe::ALL.map(default);
        writeln!(
            out,
            "| `--{}` | {} | {} | {first} | {second} | {third} |",
            setting.flag(),
            setting.help(),
            values(setting)
        )
        .unwrap();
    }
    out
}

#[test]
fn the_documented_settings_are_the_declared_ones() {
    let path = super::support::root().join("docs/train-settings.md");
    let page = page();
    if std::env::var_os("CATALEX_UPDATE_DOCS").is_some() {
        fs::write(&path, &page).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == page,
        "docs/train-settings.md differs from the declaration: set CATALEX_UPDATE_DOCS=1 to write it"
    );
}
