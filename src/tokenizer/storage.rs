//! The model folder: `config.json` and `model.safetensors`.

use std::fs;
use std::path::Path;

use ndarray::{Array, Array1, Array2, Dimension};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};

use super::{
    Completion, Config, FORMAT_VERSION, Layer, Network, OLDEST_FORMAT_VERSION, Offsets, Standardization, Tokenizer,
    Weights,
};
use crate::artifact::{AtomicDir, Overwrite, sha256};
use crate::error::{Error, Result};

/// The file that identifies a model folder.
pub const CONFIG_FILE: &str = "config.json";
const WEIGHTS_FILE: &str = "model.safetensors";
const PAIR_OFFSETS: &str = "pair_offsets";
const LAST_OFFSETS: &str = "last_offsets";
const REPORT: &str = "report this as a bug";
const COMPLETION_AXES: &str = "completion.axes";
const RETRAIN: &str = "restore the folder from a copy, or train the model again";

impl Tokenizer {
    /// Writes the model folder atomically.
    ///
    /// # Errors
    /// [`Error::OutputExists`], [`Error::Io`].
    pub fn save(&self, folder: &Path, overwrite: Overwrite) -> Result<()> {
        let output = AtomicDir::create(folder, CONFIG_FILE, overwrite)?;
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
        let mut config = serde_json::to_vec_pretty(&self.config)
            .map_err(|e| Error::artifact(Path::new(CONFIG_FILE), "a config that JSON can represent", e, REPORT))?;
        config.push(b'\n');
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
        let text = fs::read(&config_path).map_err(|e| Error::io("read", &config_path, e))?;
        let bytes = fs::read(&weights_path).map_err(|e| Error::io("read", &weights_path, e))?;
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
        let config: Config = serde_json::from_slice(text)
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

    /// The weights as safetensors; tensors in a fixed order, so that equal models have equal bytes.
    fn weights_bytes(&self) -> Result<Vec<u8>> {
        let mut tensors: Vec<(String, Vec<usize>, Vec<u8>)> = Vec::new();
        fn push<D: Dimension>(tensors: &mut Vec<(String, Vec<usize>, Vec<u8>)>, name: String, array: &Array<f32, D>) {
            let bytes = array.iter().flat_map(|v| v.to_le_bytes()).collect();
            tensors.push((name, array.shape().to_vec(), bytes));
        }
        push(&mut tensors, "standardization.mean".into(), &self.standardization.mean);
        push(&mut tensors, "standardization.scale".into(), &self.standardization.scale);
        if let Some(completion) = &self.standardization.completion {
            push(&mut tensors, COMPLETION_AXES.into(), &completion.axes);
            push(&mut tensors, "completion.variances".into(), &completion.variances);
            push(&mut tensors, "completion.noise".into(), &completion.noise);
        }
        for (name, network) in [("projection", &self.projection), ("inverse", &self.inverse)] {
            if let Some(skip) = &network.skip {
                push(&mut tensors, format!("{name}.skip"), skip);
            }
            for (i, layer) in network.layers.iter().enumerate() {
                push(&mut tensors, format!("{name}.{i}.weight"), &layer.weight);
                push(&mut tensors, format!("{name}.{i}.bias"), &layer.bias);
            }
        }
        for (level, book) in self.quantizer.codebooks().iter().enumerate() {
            push(&mut tensors, format!("codebooks.{level}"), book);
            push(&mut tensors, format!("offsets.{level}"), &self.quantizer.offsets().codes[level]);
        }
        let offsets = self.quantizer.offsets();
        for (name, table) in [(PAIR_OFFSETS, &offsets.pairs), (LAST_OFFSETS, &offsets.last)] {
            if let Some(table) = table {
                push(&mut tensors, name.into(), table);
            }
        }
        let fault = |e: safetensors::SafeTensorError| {
            Error::artifact(Path::new(WEIGHTS_FILE), "arrays that safetensors can represent", e, REPORT)
        };
        let views = tensors
            .iter()
            .map(|(name, shape, bytes)| Ok((name.as_str(), TensorView::new(Dtype::F32, shape.clone(), bytes)?)))
            .collect::<Result<Vec<_>, _>>()
            .map_err(fault)?;
        safetensors::serialize(views, None).map_err(fault)
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

fn read_weights(path: &Path, bytes: &[u8], config: &Config) -> Result<Weights> {
    let tensors = SafeTensors::deserialize(bytes).map_err(|e| Error::artifact(path, "safetensors", e, RETRAIN))?;
    let read = |name: String| -> Result<(Vec<usize>, Vec<f32>)> {
        let fault = |got: String| Error::artifact(path, format!("float32 tensor {name}"), got, RETRAIN);
        let tensor = tensors.tensor(&name).map_err(|e| fault(e.to_string()))?;
        if tensor.dtype() != Dtype::F32 {
            return Err(fault(format!("{:?}", tensor.dtype())));
        }
        let values: Vec<f32> =
            tensor.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
        match values.iter().all(|v| v.is_finite()) {
            true => Ok((tensor.shape().to_vec(), values)),
            false => Err(fault("NaN or infinity".into())),
        }
    };
    let vector = |name: String| read(name).map(|(_, values)| Array1::from(values));
    let matrix = |name: String| -> Result<Array2<f32>> {
        let (shape, values) = read(name.clone())?;
        let fault = |got: String| Error::artifact(path, format!("matrix {name}"), got, RETRAIN);
        match shape[..] {
            [rows, columns] => Array2::from_shape_vec((rows, columns), values).map_err(|e| fault(e.to_string())),
            _ => Err(fault(format!("shape {shape:?}"))),
        }
    };
    let has = |name: &str| tensors.names().into_iter().any(|known| known == name);
    // A linear map has no layers, any other one more than hidden widths.
    let n_layers = if config.hidden.is_empty() { 0 } else { config.hidden.len() + 1 };
    let network = |name: &str| -> Result<Network> {
        let layers = (0..n_layers)
            .map(|i| {
                Ok(Layer { weight: matrix(format!("{name}.{i}.weight"))?, bias: vector(format!("{name}.{i}.bias"))? })
            })
            .collect::<Result<_>>()?;
        let skip = format!("{name}.skip");
        // Required if there are no layers.
        let skip = (has(&skip) || n_layers == 0).then(|| matrix(skip)).transpose()?;
        Ok(Network { skip, layers })
    };
    let dims: Vec<usize> = config.modalities.iter().map(|m| m.dim).collect();
    let completion = match has(COMPLETION_AXES) {
        true => Some(Completion::new(
            matrix(COMPLETION_AXES.into())?,
            vector("completion.variances".into())?,
            vector("completion.noise".into())?,
            dims.clone(),
        )),
        false => None,
    };
    Ok(Weights {
        standardization: Standardization {
            mean: vector("standardization.mean".into())?,
            scale: vector("standardization.scale".into())?,
            dims,
            completion,
        },
        projection: network("projection")?,
        inverse: network("inverse")?,
        codebooks: (0..config.levels()).map(|l| matrix(format!("codebooks.{l}"))).collect::<Result<_>>()?,
        offsets: Offsets {
            codes: (0..config.levels()).map(|l| vector(format!("offsets.{l}"))).collect::<Result<_>>()?,
            pairs: has(PAIR_OFFSETS).then(|| matrix(PAIR_OFFSETS.into())).transpose()?,
            last: has(LAST_OFFSETS).then(|| matrix(LAST_OFFSETS.into())).transpose()?,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokenizer::ModalityShape;
    use crate::training::{EpochFigures, TrainConfig, TrainingRecord};
    use ndarray::array;

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
        };
        Tokenizer::new(modalities, weights, Some(training)).unwrap()
    }

    /// `config.json` of a model, changed, with its weights.
    fn with_config(change: impl Fn(&mut serde_json::Value)) -> Result<Tokenizer> {
        let (config, weights) = model().to_bytes().unwrap();
        let mut config: serde_json::Value = serde_json::from_slice(&config).unwrap();
        change(&mut config);
        Tokenizer::of_bytes(config.to_string().as_bytes(), &weights)
    }

    #[test]
    fn a_model_is_read_whatever_its_training_says() {
        let training = |value: serde_json::Value| with_config(|config| config["training"] = value.clone()).unwrap();
        assert_eq!(training(serde_json::json!(null)).config().training, None);
        assert_eq!(training(serde_json::json!({"seed": 7})).config().training, None);
        let older = with_config(|config| {
            config["format_version"] = 2.into();
            config["training"]["config"] = serde_json::json!({"batch-size": 3});
        });
        let record = older.unwrap().config().training.clone().unwrap();
        assert_eq!((record.config, record.items, record.history.len()), (None, 7, 1));
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
    fn other_versions_and_foreign_folders_are_refused() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("model");
        assert!(matches!(Tokenizer::load(&folder), Err(Error::Missing { .. })));
        model().save(&folder, Overwrite::Refuse).unwrap();
        let config = fs::read_to_string(folder.join(CONFIG_FILE)).unwrap();
        fs::write(folder.join(CONFIG_FILE), config.replace("\"format_version\": 3", "\"format_version\": 99")).unwrap();
        let message = Tokenizer::load(&folder).unwrap_err().to_string();
        assert!(message.contains("version 99"), "{message}");
        fs::write(folder.join(CONFIG_FILE), "{\"architectures\": [\"LlamaForCausalLM\"]}").unwrap();
        assert!(matches!(Tokenizer::load(&folder), Err(Error::Artifact { .. })));
    }
}
