//! The arrays of a model as safetensors.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use ndarray::{Array, Array1, Array2, Dimension};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Value, json};

use super::config::SHAPES_SINCE;
use super::{Completion, Config, Layer, Network, Offsets, Standardization, Tokenizer, Weights};
use crate::error::{Error, Result};

pub(super) const WEIGHTS_FILE: &str = "model.safetensors";
const PAIR_OFFSETS: &str = "pair_offsets";
const LAST_OFFSETS: &str = "last_offsets";
const COMPLETION_AXES: &str = "completion.axes";
const REPORT: &str = "report this as a bug";
pub(super) const RETRAIN: &str = "restore the folder from a copy, or train the model again";
/// The only metadata key, so that the order of a hash map does not matter. Its value contains the [`shapes`].
const SHAPES_KEY: &str = "catalex.shapes";

/// The part of the configuration that determines the codes. The weights contain it as well, so that the model hash
/// covers it.
fn shapes(config: &Config) -> Value {
    json!({
        "modalities": config.modalities,
        "hidden": config.hidden,
        "latent_dim": config.latent_dim,
        "codebook_sizes": config.codebook_sizes,
    })
}

impl Tokenizer {
    /// The weights as safetensors; tensors in a fixed order, so that equal models have equal bytes.
    pub(super) fn weights_bytes(&self) -> Result<Vec<u8>> {
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
        let with_shapes = self.config.format_version >= SHAPES_SINCE;
        let metadata = with_shapes.then(|| HashMap::from([(SHAPES_KEY.to_owned(), shapes(&self.config).to_string())]));
        safetensors::serialize(views, metadata).map_err(fault)
    }
}

/// Reads the arrays. Each of them must belong to the configuration.
pub(super) fn read_weights(path: &Path, bytes: &[u8], config: &Config) -> Result<Weights> {
    let not_safetensors = |e| Error::artifact(path, "safetensors", e, RETRAIN);
    check_shapes(path, bytes, config)?;
    let tensors = SafeTensors::deserialize(bytes).map_err(not_safetensors)?;
    // Tensors that were not read yet.
    let left: RefCell<BTreeSet<&str>> = RefCell::new(tensors.names().into_iter().collect());
    let read = |name: String| -> Result<(Vec<usize>, Vec<f32>)> {
        let fault = |got: String| Error::artifact(path, format!("float32 tensor {name}"), got, RETRAIN);
        let tensor = tensors.tensor(&name).map_err(|e| fault(e.to_string()))?;
        left.borrow_mut().remove(&*name);
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
    let vector = |name: String| -> Result<Array1<f32>> {
        let (shape, values) = read(name.clone())?;
        match shape[..] {
            [_] => Ok(Array1::from(values)),
            _ => Err(Error::artifact(path, format!("vector {name}"), format!("shape {shape:?}"), RETRAIN)),
        }
    };
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
    let weights = Weights {
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
    };
    if let Some(name) = left.into_inner().first() {
        return Err(Error::artifact(
            path,
            "only the tensors that config.json defines",
            format!("the tensor {name}"),
            RETRAIN,
        ));
    }
    let reversed: Vec<usize> = config.hidden.iter().rev().copied().collect();
    for (name, network, widths) in
        [("projection", &weights.projection, &config.hidden), ("inverse", &weights.inverse, &reversed)]
    {
        let found: Vec<usize> = network.layers.iter().rev().skip(1).rev().map(|l| l.weight.nrows()).collect();
        if found != *widths {
            let expected = format!("hidden layers of {name} with the widths {widths:?}, as in config.json");
            return Err(Error::artifact(path, expected, format!("{found:?}"), RETRAIN));
        }
    }
    Ok(weights)
}

/// Compares the shapes in the metadata with those of the configuration.
fn check_shapes(path: &Path, bytes: &[u8], config: &Config) -> Result<()> {
    let not_safetensors = |e| Error::artifact(path, "safetensors", e, RETRAIN);
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(not_safetensors)?;
    let written = header.metadata().as_ref().and_then(|pairs| pairs.get(SHAPES_KEY));
    if written.is_none() && config.format_version < SHAPES_SINCE {
        return Ok(());
    }
    let expected = shapes(config).to_string();
    match written {
        Some(written) if *written == expected => Ok(()),
        other => {
            let got = other.map_or("none", String::as_str);
            Err(Error::artifact(path, format!("a model of the shapes in config.json, {expected}"), got, RETRAIN))
        }
    }
}
