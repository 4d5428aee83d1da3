//! From features and a model to a token table, in two passes: all items are encoded, then once more those in question.

use ndarray::{Array2, s};

use super::latents::{Latents, Loaded};
use super::{Collisions, TableMetadata, TokenFormat, TokenTable};
use crate::error::{Error, Result};
use crate::features::{FeatureSource, Features};
use crate::item_ids::ItemIds;
use crate::progress::Progress;
use crate::tokenizer::{Encoded, Tokenizer};

impl TokenTable {
    /// Encodes every item and gives each its semantic ID, its own unless `collisions` says otherwise. The features'
    /// modalities are found by name; where the model has one modality and the features another one only, their widths
    /// decide.
    ///
    /// Of the features a block is in memory at a time, of the latents none but those of items whose code is in question,
    /// and these in a temporary file if they are many.
    ///
    /// # Errors
    /// [`Error::Mismatch`] when the features lack a modality of the model or have it in another width; as
    /// [`super::resolve`] and [`FeatureSource::blocks`]; [`Error::Data`] where a suffix has no room.
    pub fn of_features(
        features: &dyn FeatureSource,
        model: &Tokenizer,
        token_format: TokenFormat,
        collisions: Collisions,
        progress: &dyn Progress,
    ) -> Result<TokenTable> {
        let encoder = Encoder { features, model, columns: columns(features, model)?, progress };
        let (item_ids, codes, errors) = encoder.encode()?;
        features.check_ids(&item_ids)?;
        let quantized = (codes.view(), errors.as_slice());
        let (assignment, codebook_sizes) =
            collisions.settle(&encoder, quantized, model.quantizer(), &item_ids, progress)?;
        Ok(TokenTable {
            item_ids,
            residual_error: assignment.errors,
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

/// What a model makes of some items, of which some may have one code.
#[derive(Debug, Clone, PartialEq)]
pub struct Quantized {
    /// In the order of the features.
    pub item_ids: ItemIds,
    /// `(n, levels)`.
    pub codes: Array2<u16>,
    /// `(n, latent_dim)`.
    pub latents: Array2<f32>,
    /// Squared distance of each item's latent from the sum of its codewords.
    pub errors: Vec<f32>,
}

impl Quantized {
    /// Encodes every item of features that are in memory, or a part of a larger set. An item's row does not depend on the
    /// others'.
    ///
    /// # Errors
    /// As [`TokenTable::of_features`].
    pub fn of(features: &Features, model: &Tokenizer) -> Result<Self> {
        let columns = columns(features, model)?;
        let encoder = Encoder { features, model, columns, progress: &crate::progress::Silent };
        let Encoded { codes, latents } = encoder.encoded(features)?;
        let errors = model.latent_errors(latents.view(), codes.view())?;
        Ok(Quantized { item_ids: features.item_ids().clone(), codes, latents, errors })
    }
}

/// A model over the features that it takes.
struct Encoder<'a> {
    features: &'a dyn FeatureSource,
    model: &'a Tokenizer,
    /// The features' modalities in the model's order.
    columns: Vec<usize>,
    progress: &'a dyn Progress,
}

impl Encoder<'_> {
    /// Ids, codes `(n, levels)` and squared errors `(n,)` of all items.
    fn encode(&self) -> Result<(ItemIds, Array2<u16>, Vec<f32>)> {
        let n = self.features.rows();
        let mut ids = ItemIds::default();
        let mut codes = Array2::zeros((n, self.model.config().levels()));
        let mut errors = Vec::with_capacity(n);
        self.progress.begin("encode", Some(n as u64), "items");
        for block in self.features.all()? {
            let block = block?;
            let encoded = self.encoded(&block.features)?;
            errors.extend(self.model.latent_errors(encoded.latents.view(), encoded.codes.view())?);
            codes.slice_mut(s![block.first_row..errors.len(), ..]).assign(&encoded.codes);
            ids.append(block.features.item_ids().clone());
            self.progress.advance(block.features.len() as u64);
        }
        self.progress.end();
        Ok((ids, codes, errors))
    }

    fn encoded(&self, block: &Features) -> Result<Encoded> {
        let (x, present) = (block.concatenated_in(&self.columns), block.presence_in(&self.columns));
        if let Some(row) = present.rows().into_iter().position(|row| !row.iter().any(|&has| has)) {
            let names: Vec<&str> = self.model.config().modalities.iter().map(|m| m.name.as_str()).collect();
            return Err(Error::Item {
                item: block.item_ids().text(row),
                expected: format!("a vector in at least one of: {}", names.join(", ")),
                got: "none".into(),
                help: "give the item a text, a picture or a vector, or drop it".into(),
            });
        }
        self.model.encode(x.view(), Some(present.view()))
    }
}

impl Latents for Encoder<'_> {
    fn load(&self, rows: Vec<usize>) -> Result<Loaded> {
        let total = rows.len() as u64;
        let mut loaded = Loaded::new(rows, self.model.config().latent_dim)?;
        if total == 0 {
            return Ok(loaded);
        }
        self.progress.begin("look again", Some(total), "items");
        for block in self.features.all()? {
            let block = block?;
            let wanted = loaded.wanted(block.first_row..block.first_row + block.features.len());
            if !wanted.is_empty() {
                let here: Vec<usize> = wanted.iter().map(|row| row - block.first_row).collect();
                loaded.append(self.encoded(&block.features.take(&here)?)?.latents.view())?;
                self.progress.advance(here.len() as u64);
            }
        }
        self.progress.end();
        Ok(loaded)
    }
}

/// The features' modalities in the model's order.
fn columns(features: &dyn FeatureSource, model: &Tokenizer) -> Result<Vec<usize>> {
    let wanted = &model.config().modalities;
    let there = features.shapes();
    let both_single = wanted.len() == 1 && there.len() == 1;
    let find = |shape: &crate::tokenizer::ModalityShape| {
        let got = match there.iter().position(|(name, _)| both_single || *name == shape.name) {
            Some(at) if there[at].1 == shape.dim => return Ok(at),
            Some(at) => format!("{} numbers", there[at].1),
            None => {
                let names: Vec<&str> = there.iter().map(|(name, _)| name.as_str()).collect();
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
    wanted.iter().map(find).collect()
}
