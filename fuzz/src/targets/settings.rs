//! Settings: TOML, templates, and values of flags.

use std::path::Path;

use catalex::behaviour::HistorySplit;
use catalex::export::{ExportSettings, Family, UserTexts};
use catalex::features::ReadyVectors;
use catalex::pipeline::{self, BehaviourSettings, EncodeSettings, ExportOptions};
use catalex::progress::Silent;
use catalex::settings::SettingGroup;
use catalex::training::TrainSettings;
use serde_json::json;

use super::{Target, put, shown, target};
use crate::home::{Home, spec};
use crate::mutate::Form;

pub(super) const TARGETS: &[Target] = &[
    target("config", Form::Text, config_files, config),
    target("templates", Form::Text, |_| vec![templates().into()], export_templates),
    target(
        "user-texts",
        Form::Json,
        |_| vec![USERS.as_bytes().to_vec()],
        |_, folder, input| {
            let _ = shown(UserTexts::read(&put(folder, "u.json", input)));
        },
    ),
    target("flag-values", Form::Text, |_| FLAGS.iter().map(|text| text.as_bytes().to_vec()).collect(), flags),
];

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

fn templates() -> &'static str {
    pipeline::family_templates("lc-rec").unwrap_or("[[recommend]]\ninstruction = \"{history}\"\noutput = \"{item}\"\n")
}

fn export_templates(home: &Home, folder: &Path, input: &[u8]) {
    let templates = put(folder, "t.toml", input);
    let events: String = (0..12).map(|at| format!("u,{at},{at}\n")).collect();
    let events = put(folder, "e.csv", format!("user,item,time\n{events}").as_bytes());
    let asked = json!({"tokens": home.path("t.parquet"), "family": "lc-rec", "dry-run": true,
        "settings": {"interactions": events, "templates": templates, "min-interactions": 1}});
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
