//! From features and a model to a token table.

use ndarray::s;

use super::{Collisions, TableMetadata, TokenFormat, TokenTable};
use crate::error::{Error, Result};
use crate::features::Features;
use crate::progress::Progress;
use crate::tokenizer::Tokenizer;

impl TokenTable {
    /// Encodes every item and gives each its semantic ID, its own unless `collisions` says otherwise. The features' modalities are found by name; where the
    /// model has one modality and the features another one only, their widths decide.
    ///
    /// # Errors
    /// [`Error::Mismatch`] when the features lack a modality of the model or have it in another width;
    /// as [`super::resolve`]; [`Error::Data`] where a suffix has no room.
    pub fn of_features(
        features: &Features,
        model: &Tokenizer,
        token_format: TokenFormat,
        collisions: Collisions,
        progress: &dyn Progress,
    ) -> Result<TokenTable> {
        let aligned = aligned(features, model)?;
        progress.begin("encode", Some(features.len() as u64), "items");
        let encoded = model.encode(aligned.concatenated().view(), Some(aligned.presence().view()))?;
        progress.advance(features.len() as u64);
        progress.end();
        let ids = features.item_ids();
        let (latents, codes) = (encoded.latents.view(), encoded.codes.view());
        let (assignment, codebook_sizes) = collisions.settle(latents, codes, model.quantizer(), ids, progress)?;
        let quantized = assignment.codes.slice(s![.., ..codes.ncols()]);
        Ok(TokenTable {
            item_ids: ids.clone(),
            residual_error: model.latent_errors(latents, quantized)?,
            codes: assignment.codes,
            reassigned: assignment.reassigned,
            metadata: TableMetadata {
                model_hash: model.hash().to_owned(),
                codebook_sizes,
                token_format,
                policy: collisions,
                collisions: Some(assignment.report),
            },
        })
    }
}

/// The features' modalities in the model's order.
fn aligned(features: &Features, model: &Tokenizer) -> Result<Features> {
    let wanted = &model.config().modalities;
    let there = features.modalities();
    let both_single = wanted.len() == 1 && there.len() == 1;
    if both_single && wanted[0].dim == there[0].dim() {
        return Ok(features.clone());
    }
    for shape in wanted {
        let got = match there.iter().find(|m| both_single || m.name == shape.name) {
            Some(modality) if modality.dim() == shape.dim => continue,
            Some(modality) => format!("{} numbers", modality.dim()),
            None => format!("none of that name among {}", names(there.iter().map(|m| m.name.as_str()))),
        };
        return Err(Error::mismatch(
            format!("modality {:?} of the features", shape.name),
            format!("vectors of {} numbers, as the model was trained on", shape.dim),
            got,
            "embed with the encoders that the model was trained with, or train a new model",
        ));
    }
    features.select(&wanted.iter().map(|shape| shape.name.clone()).collect::<Vec<_>>())
}

fn names<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.collect::<Vec<_>>().join(", ")
}
