//! The model folder: `config.json` and `model.safetensors`.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::config::SHAPES_SINCE;
use super::weights::{RETRAIN, WEIGHTS_FILE, read_weights};
use super::{Config, FORMAT_VERSION, OLDEST_FORMAT_VERSION, Tokenizer};
use crate::artifact::{AtomicDir, FolderKind, Overwrite, read_description, read_regular, seal, sha256};
use crate::error::{Error, Result};

/// The file that identifies a model folder.
pub const CONFIG_FILE: &str = "config.json";
const REPORT: &str = "report this as a bug";

/// A model's folder.
const KIND: FolderKind = FolderKind {
    marker: CONFIG_FILE,
    keys: &["format_version", "catalex_version", "codebook_sizes", "weights_sha256"],
    lists: |_, file| file == WEIGHTS_FILE,
};

impl Tokenizer {
    /// Writes the model folder atomically.
    ///
    /// # Errors
    /// [`Error::OutputExists`], [`Error::Io`].
    pub fn save(&self, folder: &Path, overwrite: Overwrite) -> Result<()> {
        let output = AtomicDir::create(folder, &KIND, overwrite)?;
        let write = |name: &str, bytes: &[u8]| {
            let path = output.path().join(name);
            fs::write(&path, bytes).map_err(|e| Error::io("write", &path, e))
        };
        let (config, weights) = self.to_bytes()?;
        write(WEIGHTS_FILE, &weights)?;
        write(CONFIG_FILE, &config)?;
        output.commit()
    }

    /// The contents of `config.json` and `model.safetensors`.
    ///
    /// # Errors
    /// [`Error::Artifact`] for settings or arrays that the file formats cannot represent.
    pub fn to_bytes(&self) -> Result<(Vec<u8>, Vec<u8>)> {
        // A model in an older format keeps its format, so its hash does not change.
        let config = if self.config.format_version < SHAPES_SINCE {
            serde_json::to_vec_pretty(&self.config).map(|json| [&json[..], b"\n"].concat()).map_err(Into::into)
        } else {
            seal::to_json(&self.config)
        };
        let config = config
            .map_err(|e| Error::artifact(Path::new(CONFIG_FILE), "a config that JSON can represent", e, REPORT))?;
        Ok((config, self.weights_bytes()?))
    }

    /// Reads a model folder and checks it: versions, shapes, and the weights' SHA-256.
    ///
    /// # Errors
    /// [`Error::Missing`] if it is not a model folder, [`Error::Artifact`] if it is damaged or has another version.
    pub fn load(folder: &Path) -> Result<Self> {
        let (config_path, weights_path) = (folder.join(CONFIG_FILE), folder.join(WEIGHTS_FILE));
        for path in [&config_path, &weights_path] {
            if !path.is_file() {
                return Err(Error::Missing {
                    path: path.clone(),
                    expected: "a file of a model folder".into(),
                    help: "name the folder that `catalex train` wrote".into(),
                });
            }
        }
        let text = read_description(&config_path).map_err(|e| Error::io("read", &config_path, e))?;
        let bytes = read_regular(&weights_path).map_err(|e| Error::io("read", &weights_path, e))?;
        Self::read((&config_path, &text), (&weights_path, &bytes))
    }

    /// Reads the model that [`Tokenizer::to_bytes`] returned, with the checks of [`Tokenizer::load`].
    ///
    /// # Errors
    /// [`Error::Artifact`] if it is damaged or has another version.
    pub fn of_bytes(config: &[u8], weights: &[u8]) -> Result<Self> {
        Self::read((Path::new(CONFIG_FILE), config), (Path::new(WEIGHTS_FILE), weights))
    }

    fn read((config_path, text): (&Path, &[u8]), (weights_path, bytes): (&Path, &[u8])) -> Result<Self> {
        check_version(config_path, text)?;
        let version = |config: &Value| config["format_version"].as_u64().unwrap_or(0);
        let sealed = |config: &Value| version(config) >= u64::from(SHAPES_SINCE);
        let config = seal::of_json(config_path, text, "the settings of a model", RETRAIN, sealed)?;
        let config: Config = serde_json::from_value(config)
            .map_err(|e| Error::artifact(config_path, "the settings of a model", e, RETRAIN))?;
        let hash = sha256(bytes);
        if hash != config.weights_sha256 {
            let expected = format!("SHA-256 {}", config.weights_sha256);
            return Err(Error::artifact(weights_path, expected, hash, RETRAIN));
        }
        let weights = read_weights(weights_path, bytes, &config)?;
        Self::assemble(config, weights).map_err(|e| Error::artifact(config_path, "consistent shapes", e, RETRAIN))
    }

    pub(super) fn weights_hash(&self) -> Result<String> {
        Ok(sha256(&self.weights_bytes()?))
    }
}

fn check_version(path: &Path, text: &[u8]) -> Result<()> {
    #[derive(serde::Deserialize)]
    struct Versioned {
        format_version: u32,
    }
    match serde_json::from_slice::<Versioned>(text) {
        Ok(Versioned { format_version: OLDEST_FORMAT_VERSION..=FORMAT_VERSION }) => Ok(()),
        Ok(Versioned { format_version }) => Err(Error::artifact(
            path,
            format!("format version {OLDEST_FORMAT_VERSION} to {FORMAT_VERSION}"),
            format!("version {format_version}"),
            "use the release of catalex that wrote it, or train the model again",
        )),
        Err(e) => {
            Err(Error::artifact(path, "the settings of a catalex model", e, "name a folder that `catalex train` wrote"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokenizer::{Layer, ModalityShape, Network, Offsets, Standardization, Weights};
    use crate::training::{EpochFigures, ResidualErrors, TrainConfig, TrainingRecord};
    use ndarray::{Array1, Array2, array};

    fn model() -> Tokenizer {
        let weights = Weights {
            standardization: Standardization {
                mean: array![1.0, 2.0, 3.0],
                scale: array![0.5, 0.5, 0.5],
                dims: vec![3],
                completion: None,
            },
            projection: Network {
                skip: Some(array![[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]),
                layers: vec![
                    Layer { weight: Array2::from_elem((4, 3), 0.1), bias: Array1::zeros(4) },
                    Layer { weight: Array2::from_elem((2, 4), 0.1), bias: Array1::zeros(2) },
                ],
            },
            inverse: Network {
                skip: None,
                layers: vec![
                    Layer { weight: Array2::from_elem((4, 2), 0.1), bias: Array1::zeros(4) },
                    Layer { weight: Array2::from_elem((3, 4), 0.1), bias: Array1::zeros(3) },
                ],
            },
            codebooks: vec![array![[0.0, 0.0], [2.0, 2.0]], array![[0.0, 1.0], [1.0, 0.0], [0.0, 0.0]]],
            offsets: Offsets {
                codes: vec![array![0.5, -0.5], array![0.1, 0.2, 0.3]],
                pairs: Some(array![[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]),
                last: Some(array![[5.0, 1.0, 0.0], [0.5, 0.0, 5.0]]),
            },
        };
        let modalities = vec![ModalityShape { name: "embedding".into(), dim: 3 }];
        let figures = EpochFigures { epoch: 0, loss: None, error: 0.25, revived: 0 };
        let training = TrainingRecord {
            config: Some(TrainConfig::default()),
            items: 7,
            held_out: 0,
            best_epoch: 0,
            history: vec![figures],
            residual_errors: ResidualErrors::of(vec![0.25, 0.5], true),
        };
        Tokenizer::new(modalities, weights, Some(training)).unwrap()
    }

    /// `config.json` of a model, changed, with its weights.
    fn with_config(change: impl Fn(&mut serde_json::Value)) -> Result<Tokenizer> {
        let (config, weights) = model().to_bytes().unwrap();
        let mut config: serde_json::Value = serde_json::from_slice(&config).unwrap();
        change(&mut config);
        config.as_object_mut().unwrap().remove(seal::JSON_KEY);
        let sealed = config["format_version"] == FORMAT_VERSION;
        let json = if sealed { seal::to_json(&config).unwrap() } else { config.to_string().into_bytes() };
        Tokenizer::of_bytes(&json, &weights)
    }

    /// The weights of the model without the shapes, and a modified configuration of version 3.
    fn of_version_3(change: impl Fn(&mut Config)) -> Result<Tokenizer> {
        let mut model = model();
        model.config.format_version = 3;
        model.config.weights_sha256 = model.weights_hash().unwrap();
        let (_, weights) = model.to_bytes()?;
        change(&mut model.config);
        Tokenizer::of_bytes(&serde_json::to_vec(&model.config).unwrap(), &weights)
    }

    #[test]
    fn a_model_is_read_with_any_training_record() {
        let training = |value: serde_json::Value| with_config(|config| config["training"] = value.clone()).unwrap();
        assert_eq!(training(serde_json::json!(null)).config().training, None);
        assert_eq!(training(serde_json::json!({"seed": 7})).config().training, None);
        let older = with_config(|config| {
            config["training"]["config"] = serde_json::json!({"batch-size": 3});
        });
        let record = older.unwrap().config().training.clone().unwrap();
        assert_eq!((record.config, record.items, record.history.len()), (None, 7, 1));
    }

    #[test]
    fn the_weights_contain_everything_that_determines_the_codes() {
        type Change = fn(&mut Config);
        let changes: [(&str, Change); 6] = [
            ("hidden", |c| c.hidden.clear()),
            ("widths", |c| c.hidden = vec![5]),
            ("levels", |c| c.codebook_sizes.truncate(1)),
            ("sizes", |c| c.codebook_sizes[1] = 2),
            ("modalities", |c| c.modalities[0].name = "image".into()),
            ("latent", |c| c.latent_dim = 1),
        ];
        for (what, change) in changes {
            let changed = with_config(|config| {
                config.as_object_mut().unwrap().remove(seal::JSON_KEY);
                let mut read: Config = serde_json::from_value(config.clone()).unwrap();
                change(&mut read);
                *config = serde_json::to_value(read).unwrap();
            });
            assert!(matches!(changed, Err(Error::Artifact { .. })), "{what}");
            // A model of version 3 does not name its modalities in the weights.
            let changed = of_version_3(change);
            assert_eq!(changed.is_ok(), what == "modalities", "{what}");
        }
        let older = of_version_3(|_| ()).unwrap();
        let (config, weights) = older.to_bytes().unwrap();
        assert_eq!(Tokenizer::of_bytes(&config, &weights).unwrap(), older, "it keeps its format and its hash");
        assert_ne!(older.hash(), model().hash());
    }

    #[test]
    fn every_flipped_bit_of_the_configuration_is_found() {
        let (config, weights) = model().to_bytes().unwrap();
        for at in 0..config.len() * 8 {
            let mut flipped = config.clone();
            flipped[at / 8] ^= 1 << (at % 8);
            assert!(Tokenizer::of_bytes(&flipped, &weights).is_err(), "bit {at}");
        }
    }

    #[test]
    fn a_saved_model_is_the_same_model() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("model");
        let saved = model();
        saved.save(&folder, Overwrite::Refuse).unwrap();
        let loaded = Tokenizer::load(&folder).unwrap();
        assert_eq!(loaded, saved);
        let (config, weights) = saved.to_bytes().unwrap();
        assert_eq!(Tokenizer::of_bytes(&config, &weights).unwrap(), saved);
        assert_eq!(fs::read(folder.join(WEIGHTS_FILE)).unwrap(), weights);
        let x = array![[1.0, 2.0, 3.0], [9.0, 8.0, 7.0]];
        let encoded = loaded.encode(x.view(), None).unwrap();
        assert_eq!(encoded, saved.encode(x.view(), None).unwrap());
        assert_eq!(loaded.decode(encoded.codes.view()).unwrap().dim(), (2, 3));
    }

    #[test]
    fn every_flipped_byte_of_the_weights_is_detected() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("model");
        model().save(&folder, Overwrite::Refuse).unwrap();
        let path = folder.join(WEIGHTS_FILE);
        let whole = fs::read(&path).unwrap();
        for position in (0..whole.len()).step_by(13) {
            let mut flipped = whole.clone();
            flipped[position] ^= 1;
            fs::write(&path, flipped).unwrap();
            assert!(matches!(Tokenizer::load(&folder), Err(Error::Artifact { .. })), "byte {position}");
        }
        fs::write(&path, &whole[..whole.len() / 2]).unwrap();
        assert!(matches!(Tokenizer::load(&folder), Err(Error::Artifact { .. })));
    }

    #[test]
    fn other_versions_and_folders_of_other_programs_are_refused() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("model");
        assert!(matches!(Tokenizer::load(&folder), Err(Error::Missing { .. })));
        model().save(&folder, Overwrite::Refuse).unwrap();
        let config = fs::read_to_string(folder.join(CONFIG_FILE)).unwrap();
        fs::write(folder.join(CONFIG_FILE), config.replace("\"format_version\": 4", "\"format_version\": 99")).unwrap();
        let message = Tokenizer::load(&folder).unwrap_err().to_string();
        assert!(message.contains("version 99"), "{message}");
        fs::write(folder.join(CONFIG_FILE), "{\"architectures\": [\"LlamaForCausalLM\"]}").unwrap();
        assert!(matches!(Tokenizer::load(&folder), Err(Error::Artifact { .. })));
    }
}
