//! Settings: TOML, templates, and values of flags.

use std::path::Path;

use catalex::artifact::Overwrite;
use catalex::behaviour::HistorySplit;
use catalex::export::{ExportSettings, Family, UserTexts};
use catalex::features::ReadyVectors;
use catalex::index::Partial;
use catalex::pipeline::{self, BehaviourSettings, EncodeSettings, ExportOptions};
use catalex::progress::Silent;
use catalex::semantic_id::{TokenFormat, TokenTable};
use catalex::settings::SettingGroup;
use catalex::training::TrainSettings;
use serde_json::json;

use super::{Target, put, shown, target};
use crate::home::{Home, ITEMS, spec};
use crate::mutate::Form;

pub(super) const TARGETS: &[Target] = &[
    target("config", Form::Text, config_files, config),
    target("partial", Form::Json, |_| vec![PARTIAL.as_bytes().to_vec()], partial),
    target("templates", Form::Text, |_| vec![templates().into()], export_templates),
    target(
        "user-texts",
        Form::Json,
        |_| vec![USERS.as_bytes().to_vec()],
        |_, folder, input| {
            let _ = shown(UserTexts::read(&put(folder, "u.json", input)));
        },
    ),
    target("token-format", Form::Text, |_| FORMATS.map(|text| text.as_bytes().to_vec()).into(), token_format),
    target("export-catalog", Form::JsonLines, |_| vec![CATALOG.as_bytes().to_vec()], export_catalog),
    target("flag-values", Form::Text, |_| FLAGS.iter().map(|text| text.as_bytes().to_vec()).collect(), flags),
];

const PARTIAL: &str = r#"{"catalog": "c.csv", "encode": {"text": ["title"], "part-items": 100}, "seed": 1}"#;

const USERS: &str = r#"{"user_explicit_preference": {"u": ["x"]},
    "user_vague_intention": {"train": {"u": {"item": 1, "inters": [], "querys": ["a", "b"]}}, "test": {}}}"#;
const FLAGS: [&str; 5] = ["text=x.npy:vector", "leave-one-out", "transrec", "ranking", "<{level}_{code}>"];

fn config_files(_: &Home) -> Vec<Vec<u8>> {
    let one = "levels = 3\ncodebook-size = [4, 4, 4]\nhidden = [8]\nepochs = 2\nlearning-rate = 1e-3\nseed = 7\n";
    let two =
        "text = [\"title\"]\ninteractions = \"e.csv\"\nsession-gap = 3600.0\nbatch-size = 64\nrecipe = \"lc-rec\"\n";
    vec![one.into(), two.into()]
}

/// Like `--config` of `build`: each group takes its keys.
fn config(_: &Home, _: &Path, input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let Some(keys) = shown(toml::from_str::<serde_json::Map<String, serde_json::Value>>(text)) else { return };
    fn group<T: SettingGroup>(keys: &serde_json::Map<String, serde_json::Value>) -> Option<T> {
        let own = T::SETTINGS.iter().filter_map(|setting| keys.get_key_value(&setting.flag()));
        let own = own.map(|(key, value)| (key.clone(), value.clone())).collect();
        let group = shown(serde_json::from_value::<T>(serde_json::Value::Object(own)))?;
        let _ = shown(group.check());
        Some(group)
    }
    if let Some(train) = group::<TrainSettings>(&keys)
        && let Some(config) = shown(train.config())
    {
        let _ = shown(config.check());
    }
    if let Some(encode) = group::<EncodeSettings>(&keys) {
        let _ = shown(encode.catalog_spec(Path::new("c.csv")));
    }
    let _ = group::<BehaviourSettings>(&keys);
    let _ = group::<ExportOptions>(&keys);
}

/// Continues an interrupted run whose `partial.json` is the input, or starts a new run.
fn partial(_: &Home, folder: &Path, input: &[u8]) {
    put(folder, "x.partial/partial.json", input);
    let settings: serde_json::Value = serde_json::from_str(PARTIAL).unwrap_or_default();
    for (resume, overwrite) in [(true, Overwrite::Refuse), (false, Overwrite::Refuse), (false, Overwrite::Replace)] {
        let _ = shown(Partial::begin(&folder.join("x"), &settings, resume, overwrite));
    }
}

fn templates() -> &'static str {
    pipeline::family_templates("lc-rec").unwrap_or("[[recommend]]\ninstruction = \"{history}\"\noutput = \"{item}\"\n")
}

const FORMATS: [&str; 4] = ["<{level}_{code}>", "[{index}|{code}]", "<|sid_{level}_{code}|>", "({level}.{code}*\"\\)"];

/// Uses a token format in all outputs that depend on it: tables, grammars, patterns and vocabularies.
fn token_format(home: &Home, folder: &Path, input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let Some(format) = shown(text.parse::<TokenFormat>()) else { return };
    let written = format.semantic_id(&[1, 2, 3]);
    assert_eq!(shown(format.parse(&written, &[4, 4, 4])), Some(vec![1, 2, 3]), "{text:?}");
    let _ = shown(format.parse(&text, &[4, 4, 4]));
    let Some(mut table) = shown(TokenTable::read(&home.path("t.parquet"))) else { return };
    table.metadata.token_format = format;
    let path = folder.join("t.parquet");
    if shown(table.write(&path, Overwrite::Refuse)).is_none() || shown(TokenTable::read(&path)).is_none() {
        return;
    }
    let forms = ["trie", "llguidance", "xgrammar", "gbnf", "regex", "choices"];
    for form in forms {
        let asked = json!({"tokens": path, "output": {"out": folder.join(form)}, "constraint": {"form": [form]}});
        let _ = shown(pipeline::constrain(&spec(asked), &Silent));
    }
    let asked =
        json!({"tokens": path, "output": {"out": folder.join("v")}, "vocabulary": {"tokenizer": home.path("llm")}});
    let _ = shown(pipeline::vocab(&spec(asked), &Silent));
}

const CATALOG: &str = "{\"id\": 0, \"title\": \"Red pen\", \"description\": \"A pen, {history}\", \"tags\": [\"Pens\", \"Ink\"]}\n\
    {\"id\": 1, \"title\": \"Lamp\", \"description\": null, \"tags\": \"['a', 'b']\"}\n{\"id\": 2, \"title\": \"NA\"}\n";

/// Exports the training data of every family from a catalog with fuzzed titles, descriptions and attributes.
fn export_catalog(home: &Home, folder: &Path, input: &[u8]) {
    let Some(catalog) = catalog(folder, &String::from_utf8_lossy(input)) else { return };
    let families = [
        "lc-rec",
        "tallrec",
        "instructrec",
        "bigrec",
        "transrec",
        "ranking",
        "agents",
        "minionerec",
        "openonerec",
        "llamafactory",
        "trl",
    ];
    for family in families {
        let asked = json!({"tokens": home.path("t.parquet"), "family": family, "catalog": catalog, "columns": columns(),
            "settings": {"interactions": events(folder), "min-interactions": 3, "candidates": 4},
            "output": {"out": folder.join(family)}});
        let _ = shown(pipeline::export(&spec(asked), &Silent));
    }
}

fn columns() -> serde_json::Value {
    json!({"title": ["title"], "description": ["description"], "attributes": ["tags"]})
}

/// Writes a catalog of all items of the token table. The first items have these rows.
fn catalog(folder: &Path, text: &str) -> Option<std::path::PathBuf> {
    let rows = text.lines().take(ITEMS).map(serde_json::from_str::<serde_json::Map<String, serde_json::Value>>);
    let mut lines = String::new();
    for (id, row) in rows.chain(std::iter::repeat_with(|| Ok(serde_json::Map::new()))).take(ITEMS).enumerate() {
        let mut row = shown(row)?;
        row.insert("id".into(), id.into());
        row.entry("title").or_insert_with(|| format!("Item {id}").into());
        lines += &format!("{}\n", serde_json::Value::Object(row));
    }
    Some(put(folder, "c.jsonl", lines.as_bytes()))
}

/// Writes the interactions of one user with all items.
fn events(folder: &Path) -> std::path::PathBuf {
    let events: String = (0..ITEMS).map(|at| format!("u,{at},{at},{}\n", at % 5)).collect();
    put(folder, "e.csv", format!("user,item,time,rating\n{events}").as_bytes())
}

fn export_templates(home: &Home, folder: &Path, input: &[u8]) {
    let templates = put(folder, "t.toml", input);
    let asked = json!({"tokens": home.path("t.parquet"), "family": "lc-rec", "dry-run": true,
        "catalog": catalog(folder, CATALOG), "columns": columns(),
        "settings": {"interactions": events(folder), "templates": templates, "min-interactions": 3}});
    let _ = shown(pipeline::export(&spec(asked), &Silent));
}

fn flags(_: &Home, _: &Path, input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let _ = shown(text.parse::<ReadyVectors>());
    let _ = shown(text.parse::<HistorySplit>());
    let _ = shown(text.parse::<catalex::constraint::ConstraintForm>());
    let _ = shown(text.parse::<catalex::encoder::Device>());
    if let Some(family) = shown(text.parse::<Family>()) {
        let settings: ExportSettings = family.default_settings();
        std::hint::black_box(settings);
    }
}
