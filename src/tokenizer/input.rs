//! Features as the input of a model: finds modalities by name and arranges them in the model's order.

use ndarray::Array2;

use super::{Encoded, ModalityShape, Tokenizer};
use crate::error::{Error, Result};
use crate::features::{FeatureSource, Features};

/// A model together with the columns of the features that it reads.
#[derive(Debug, Clone)]
pub struct ModelInput<'a> {
    model: &'a Tokenizer,
    /// The features' modalities in the model's order.
    columns: Vec<usize>,
}

impl<'a> ModelInput<'a> {
    /// Finds the model's modalities in the features by name. If both have exactly one modality, only the widths must
    /// match.
    ///
    /// # Errors
    /// [`Error::Mismatch`] if the features lack a modality of the model or have it in another width.
    pub fn new(model: &'a Tokenizer, features: &dyn FeatureSource) -> Result<Self> {
        let wanted = &model.config().modalities;
        let shapes = features.shapes();
        let both_single = wanted.len() == 1 && shapes.len() == 1;
        let find = |shape: &ModalityShape| {
            let got = match shapes.iter().position(|(name, _)| both_single || *name == shape.name) {
                Some(at) if shapes[at].1 == shape.dim => return Ok(at),
                Some(at) => format!("{} numbers", shapes[at].1),
                None => {
                    let names: Vec<&str> = shapes.iter().map(|(name, _)| name.as_str()).collect();
                    format!("none of that name among {}", names.join(", "))
                }
            };
            Err(Error::mismatch(
                format!("modality {:?} of the features", shape.name),
                format!("vectors of {} numbers, as the model was trained on", shape.dim),
                got,
                "embed with the encoders that the model was trained with, or train a new model",
            ))
        };
        Ok(ModelInput { model, columns: wanted.iter().map(find).collect::<Result<_>>()? })
    }

    /// The model.
    pub fn model(&self) -> &'a Tokenizer {
        self.model
    }

    /// The concatenated vectors `(n, dim)` of some items and which modalities each item has `(n, modalities)`, in the
    /// model's order.
    ///
    /// # Errors
    /// [`Error::Item`] for an item that has none of the model's modalities.
    pub fn arrays(&self, features: &Features) -> Result<(Array2<f32>, Array2<bool>)> {
        let present = features.presence_in(&self.columns);
        if let Some(row) = present.rows().into_iter().position(|row| !row.iter().any(|&has| has)) {
            let names: Vec<&str> = self.model.config().modalities.iter().map(|m| m.name.as_str()).collect();
            return Err(Error::Item {
                item: features.item_ids().text(row),
                expected: format!("a vector in at least one of: {}", names.join(", ")),
                got: "none".into(),
                help: "give the item a text, an image or a vector, or remove it".into(),
            });
        }
        Ok((features.concatenated_in(&self.columns), present))
    }

    /// Codes and latents of some items. An item's result does not depend on the other items.
    ///
    /// # Errors
    /// As [`ModelInput::arrays`] and [`Tokenizer::encode`].
    pub fn encode(&self, features: &Features) -> Result<Encoded> {
        let (x, present) = self.arrays(features)?;
        self.model.encode(x.view(), Some(present.view()))
    }
}
