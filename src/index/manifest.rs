//! The manifest of an index.

use std::collections::BTreeMap;
use std::path::{Component, Path};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Generation, MANIFEST, REBUILD};
use crate::artifact::{read_description, seal, sha256};
use crate::error::{Error, Result};

/// The version of the folder layout that this build writes.
pub const FORMAT_VERSION: u32 = 3;

/// The oldest version that this build reads.
pub const OLDEST_FORMAT_VERSION: u32 = 1;

/// The first version whose manifest has a seal.
const SEALED_SINCE: u64 = 2;

/// The first version whose manifest has a generation.
const GENERATIONS_SINCE: u64 = 3;

/// The description of an index, as recorded when it was written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Version of the folder layout.
    pub format_version: u32,
    /// Version of catalex that wrote it.
    pub catalex_version: String,
    /// Number of items.
    pub items: u64,
    /// Hash of the model's weights.
    pub model_hash: String,
    /// The place of the index in its lineage.
    #[serde(default)]
    pub generation: Generation,
    /// The settings of the build: catalog, encoders, training.
    pub settings: Value,
    /// SHA-256 of every other file by its path in the folder.
    pub files: BTreeMap<String, String>,
}

impl Manifest {
    /// Reads the content of a manifest.
    ///
    /// # Errors
    /// [`Error::Artifact`] at `path` if it is damaged, has an unknown version, or is not a manifest.
    pub(super) fn of_json(path: &Path, bytes: &[u8], help: &str) -> Result<Self> {
        let version = |manifest: &Value| manifest["format_version"].as_u64().unwrap_or(0);
        // An unknown version is refused below.
        let sealed = SEALED_SINCE..=u64::from(FORMAT_VERSION);
        let manifest = seal::of_json(path, bytes, "a manifest", help, |manifest| sealed.contains(&version(manifest)))?;
        let known = u64::from(OLDEST_FORMAT_VERSION)..=u64::from(FORMAT_VERSION);
        if !known.contains(&version(&manifest)) {
            let expected = format!("format version {OLDEST_FORMAT_VERSION} to {FORMAT_VERSION}");
            let help = "use the release of catalex that wrote it";
            return Err(Error::artifact(path, expected, &manifest["format_version"], help));
        }
        let has_generation = manifest.get("generation").is_some();
        if has_generation != (version(&manifest) >= GENERATIONS_SINCE) {
            let expected = format!("a \"generation\" exactly if the format version is {GENERATIONS_SINCE} or newer");
            let got = if has_generation { "one" } else { "none" };
            return Err(Error::artifact(path, expected, got, help));
        }
        serde_json::from_value(manifest).map_err(|e| Error::artifact(path, "a manifest", e, help))
    }

    /// The content of `manifest.json`, with its seal.
    ///
    /// # Errors
    /// If it cannot be serialised.
    pub(super) fn to_json(&self) -> std::io::Result<Vec<u8>> {
        seal::to_json(&self.value()?)
    }

    /// The content of `manifest.json` without the seal.
    fn value(&self) -> serde_json::Result<Value> {
        let mut value = serde_json::to_value(self)?;
        if let (Some(map), true) = (value.as_object_mut(), u64::from(self.format_version) < GENERATIONS_SINCE) {
            map.shift_remove("generation");
        }
        Ok(value)
    }

    /// The hash that identifies the index. Its children name it as their parent. It covers the whole manifest except
    /// the seal and the time, so the same changes of the same catalogs give the same lineage.
    pub fn hash(&self) -> String {
        let mut value = self.value().unwrap_or_default();
        if let Some(generation) = value.get_mut("generation").and_then(Value::as_object_mut) {
            generation.shift_remove("created");
        }
        // Keys are sorted, so that their order in the file does not matter.
        value.sort_all_objects();
        sha256(value.to_string().as_bytes())
    }
}

/// Reads the manifest of an index and no other file.
///
/// # Errors
/// [`Error::Missing`]; as [`Manifest::of_json`].
pub(super) fn read_manifest(folder: &Path) -> Result<Manifest> {
    let path = folder.join(MANIFEST);
    if !path.is_file() {
        return Err(Error::Missing {
            path,
            expected: "the manifest of an index".into(),
            help: "pass a folder that `catalex build` wrote".into(),
        });
    }
    let bytes = read_description(&path).map_err(|e| Error::io("read", &path, e))?;
    let manifest = Manifest::of_json(&path, &bytes, REBUILD)?;
    // An index from an untrusted source must not refer to files outside its folder.
    let inside = |name: &str| Path::new(name).components().all(|part| matches!(part, Component::Normal(_)));
    match manifest.files.keys().find(|name| !inside(name)) {
        Some(name) => Err(Error::artifact(&path, "paths of files in the index", format!("{name:?}"), REBUILD)),
        None => Ok(manifest),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{ChangeKind, GenerationCounts};
    use super::*;
    use serde_json::json;

    fn manifest() -> Manifest {
        Manifest {
            format_version: FORMAT_VERSION,
            catalex_version: "0.1.0".into(),
            items: 3,
            model_hash: "abc".into(),
            generation: Generation {
                number: 7,
                parent: Some("def".into()),
                change: ChangeKind::Append,
                reason: Some("night of the 27th".into()),
                counts: GenerationCounts { unchanged: 2, added: 1, ..GenerationCounts::default() },
                created: Some("2026-11-27T14:31:49Z".into()),
            },
            settings: json!({"b": 0.1, "a": [1, null]}),
            files: [("tokens.parquet".to_owned(), "123".to_owned())].into(),
        }
    }

    fn read(bytes: &[u8]) -> Result<Manifest> {
        Manifest::of_json(Path::new("manifest.json"), bytes, "build it again")
    }

    #[test]
    fn a_written_manifest_reads_back_equal() {
        let bytes = manifest().to_json().unwrap();
        let text = String::from_utf8_lossy(&bytes);
        assert!(text.contains("\"change\": \"append\"") && text.contains("\"reassigned\": 0"), "{text}");
        assert_eq!(read(&bytes).unwrap(), manifest());
        assert_eq!(read(&bytes).unwrap().hash(), manifest().hash());
    }

    #[test]
    fn the_hash_covers_everything_but_the_creation_time() {
        type Change = fn(&mut Manifest);
        let of = |change: Change| {
            let mut manifest = manifest();
            change(&mut manifest);
            manifest.hash()
        };
        let hash = manifest().hash();
        let canonical = r#"{"catalex_version":"0.1.0","files":{"tokens.parquet":"123"},"format_version":3,"generation":{"change":"append","counts":{"added":1,"deleted":0,"reassigned":0,"unchanged":2,"updated":0},"number":7,"parent":"def","reason":"night of the 27th"},"items":3,"model_hash":"abc","settings":{"a":[1,null],"b":0.1}}"#;
        assert_eq!(hash, sha256(canonical.as_bytes()));
        assert_eq!(of(|m| m.generation.created = None), hash);
        assert_eq!(of(|m| m.settings = json!({"a": [1, null], "b": 0.1})), hash);
        let others: [Change; 7] = [
            |m| m.generation.number = 8,
            |m| m.generation.parent = None,
            |m| m.generation.reason = None,
            |m| m.generation.counts.deleted = 1,
            |m| m.settings = json!({"a": [1, null], "b": 0.2}),
            |m| m.items = 4,
            |m| m.files.clear(),
        ];
        others.into_iter().for_each(|change| assert_ne!(of(change), hash));
    }

    #[test]
    fn older_versions_have_no_generation() {
        let old = |version: u32| {
            let value = json!({"format_version": version, "catalex_version": "0.1.0", "items": 3, "model_hash": "abc",
                "settings": {}, "files": {}});
            let bytes = serde_json::to_vec(&value).unwrap();
            (value.clone(), if version == 1 { bytes } else { seal::to_json(&value).unwrap() })
        };
        for version in [1, 2] {
            let (value, bytes) = old(version);
            let manifest = read(&bytes).unwrap();
            assert_eq!(manifest.generation, Generation::default());
            assert_eq!(manifest.value().unwrap(), value);
            let mut value = value;
            value["generation"] = json!(Generation::default());
            assert!(read(&seal::to_json(&value).unwrap()).unwrap_err().to_string().contains("got one"), "{version}");
        }
        assert!(read(&old(3).1).unwrap_err().to_string().contains("got none"));
        assert!(read(&old(4).1).unwrap_err().to_string().contains("format version 1 to 3"));
        assert!(read(&serde_json::to_vec(&old(2).0).unwrap()).is_err());
    }
}
