//! The specs that lead from a catalog to an index.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{
    AttributeSettings, BehaviourSettings, EncodeSettings, Environment, Output, SharingSettings, ShowSettings,
    TokenSettings, VocabularySettings,
};
use crate::catalog::TextSpec;
use crate::error::{Error, Result};
use crate::training::TrainSettings;

/// Version of [`BuildSpec`]'s fields. Version 1 consists of the flags that early builds of catalex 0.1 stored.
const VERSION: u32 = 2;

/// Build an index of a catalog: [`build`](crate::pipeline::build). An index stores it in its manifest, without
/// `output`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct BuildSpec {
    /// Version of these fields.
    pub version: u32,
    /// A table, a folder or a pattern of tables, or a folder of images.
    pub catalog: PathBuf,
    /// Columns and encoders.
    pub encode: EncodeSettings,
    /// The columns that the report shows.
    #[serde(skip_serializing_if = "ShowSettings::is_default")]
    pub show: ShowSettings,
    /// The columns that the index keeps.
    #[serde(skip_serializing_if = "AttributeSettings::is_default")]
    pub attributes: AttributeSettings,
    /// Interactions.
    pub behaviour: BehaviourSettings,
    /// Training.
    pub train: TrainSettings,
    /// The form of the IDs.
    pub tokens: TokenSettings,
    /// IDs that several items share.
    #[serde(skip_serializing_if = "SharingSettings::is_default")]
    pub sharing: SharingSettings,
    /// The vocabulary folder.
    pub vocabulary: VocabularySettings,
    /// Number of threads; all cores if not given.
    pub threads: Option<usize>,
    /// The folder to write.
    #[serde(skip_serializing)]
    pub output: Output,
    /// The environment.
    #[serde(skip)]
    pub environment: Environment,
}

impl Default for BuildSpec {
    fn default() -> Self {
        BuildSpec {
            version: VERSION,
            catalog: PathBuf::new(),
            encode: EncodeSettings::default(),
            show: ShowSettings::default(),
            attributes: AttributeSettings::default(),
            behaviour: BehaviourSettings::default(),
            train: TrainSettings::default(),
            tokens: TokenSettings::default(),
            sharing: SharingSettings::default(),
            vocabulary: VocabularySettings::default(),
            threads: None,
            output: Output::default(),
            environment: Environment::default(),
        }
    }
}

/// The settings that early builds of catalex 0.1 stored in a manifest. Its training settings were the resolved
/// configuration, which the model's `config.json` has too.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Version1 {
    catalog: PathBuf,
    encode: EncodeSettings,
    #[serde(default)]
    behaviour: BehaviourSettings,
    #[serde(rename = "train")]
    _train: serde_json::Value,
    #[serde(default)]
    tokenizer: Option<PathBuf>,
    #[serde(default)]
    threads: Option<usize>,
    #[serde(default)]
    collisions: Option<String>,
}

impl BuildSpec {
    /// The text of an item that reports and summaries show, if any: the title, or the encoded text.
    pub(in crate::pipeline) fn shown(&self) -> Option<TextSpec> {
        let encoded = || self.encode.catalog_spec(&self.catalog).ok().map(|catalog| catalog.text);
        self.show.text().or_else(encoded).filter(|text| !text.is_empty())
    }

    /// The spec that a manifest stores, of this version or an older one.
    ///
    /// # Errors
    /// [`Error::Config`] for an unknown key or a newer version.
    pub fn of_manifest(settings: &serde_json::Value) -> Result<Self> {
        let unknown = |e: &dyn std::fmt::Display| {
            let help = "read the index with the version of catalex that wrote it";
            Error::config("settings of the manifest", format!("version {VERSION} or older"), e, help)
        };
        match settings.get("version").map(|version| version.as_u64()) {
            None => {
                let old: Version1 = serde_json::from_value(settings.clone()).map_err(|e| unknown(&e))?;
                Ok(BuildSpec {
                    catalog: old.catalog,
                    encode: old.encode,
                    behaviour: old.behaviour,
                    tokens: TokenSettings { collisions: old.collisions, ..TokenSettings::default() },
                    vocabulary: VocabularySettings { tokenizer: old.tokenizer, ..VocabularySettings::default() },
                    threads: old.threads,
                    ..BuildSpec::default()
                })
            }
            Some(Some(version)) if version == u64::from(VERSION) => {
                serde_json::from_value(settings.clone()).map_err(|e| unknown(&e))
            }
            Some(version) => Err(unknown(&format!("version {}", version.unwrap_or_default()))),
        }
    }
}

/// Encode a catalog to features: [`embed`](crate::pipeline::embed).
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct EmbedSpec {
    /// A table, a folder or a pattern of tables, or a folder of images.
    pub catalog: PathBuf,
    /// Columns and encoders.
    pub encode: EncodeSettings,
    /// Interactions.
    pub behaviour: BehaviourSettings,
    /// Number of threads; all cores if not given.
    pub threads: Option<usize>,
    /// The file to write.
    pub output: Output,
    /// The environment.
    #[serde(skip)]
    pub environment: Environment,
}

/// Train a model on features: [`train`](crate::pipeline::train).
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct TrainSpec {
    /// Features: a table with vector columns, a matrix, or an index.
    pub features: PathBuf,
    /// Training.
    pub train: TrainSettings,
    /// Number of threads; all cores if not given.
    pub threads: Option<usize>,
    /// The model's folder to write.
    pub output: Output,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spec_round_trips_through_the_manifest_without_its_output() {
        let spec = BuildSpec {
            catalog: "c.csv".into(),
            encode: EncodeSettings { text: Some(vec!["title".into()]), ..EncodeSettings::default() },
            output: Output::new("index"),
            ..BuildSpec::default()
        };
        let stored = serde_json::to_value(&spec).unwrap();
        assert!(stored.get("output").is_none());
        let read = BuildSpec::of_manifest(&stored).unwrap();
        assert_eq!((read.catalog, read.encode, read.output), (spec.catalog, spec.encode, Output::default()));
    }

    #[test]
    fn unknown_keys_and_newer_versions_are_refused() {
        for wrong in [r#"{"version": 2, "catalogue": "c"}"#, r#"{"version": 3}"#, r#"{"catalogue": "c"}"#] {
            let error = BuildSpec::of_manifest(&serde_json::from_str(wrong).unwrap()).unwrap_err();
            assert!(error.to_string().contains("version 2 or older"), "{error}");
        }
    }
}
