//! Makes a token table from features and a model, in two passes: the first encodes all items, the second encodes the
//! items again whose latents collision resolution needs.

use ndarray::{Array2, ArrayView1, s};

use super::collisions::Settled;
use super::latents::{Latents, Loaded};
use super::share::share;
use super::{
    Collisions, MemberFacts, Occupied, TableMetadata, TakenSeats, TokenFormat, TokenTable, UnresolvedItems, place,
};
use crate::error::{Error, Result};
use crate::features::{FeatureSource, Features, for_each_block};
use crate::item_ids::ItemIds;
use crate::progress::Progress;
use crate::tokenizer::{Encoded, MAX_INPUT, ModelInput, PreviousCodes, Tokenizer};

impl TokenTable {
    /// Encodes every item and assigns semantic IDs, which are unique unless `collisions` is another policy. Modalities are
    /// found as by [`ModelInput::new`].
    ///
    /// Only one block of features is in memory at a time, and only the latents of items that collision resolution needs:
    /// in a temporary file if they are many.
    ///
    /// # Errors
    /// [`Error::Mismatch`](crate::Error::Mismatch) if the features lack a modality of the model or have it in another
    /// width; as [`super::resolve`] and [`FeatureSource::blocks`]; [`Error::Data`](crate::Error::Data) if there is no room
    /// for a suffix.
    pub fn of_features(
        features: &dyn FeatureSource,
        model: &Tokenizer,
        token_format: TokenFormat,
        collisions: Collisions,
        progress: &dyn Progress,
    ) -> Result<TokenTable> {
        Ok(TokenizedItems::of_features(features, model, token_format, collisions, progress)?.table)
    }

    /// Encodes new items and assigns them IDs whose codes are not taken, as [`place`] does. The features contain only
    /// the new items, and so does the returned table.
    ///
    /// # Errors
    /// As [`TokenTable::of_features`] and [`place`].
    pub fn placed(
        features: &dyn FeatureSource,
        model: &Tokenizer,
        token_format: TokenFormat,
        occupied: &Occupied,
        progress: &dyn Progress,
    ) -> Result<TokenizedItems> {
        let encoder = Encoder { features, input: ModelInput::new(model, features)?, keep: None, progress };
        encoder.tokenize(token_format, Collisions::Resolve, |items| {
            let placed = place(items, model.quantizer(), occupied, progress)?;
            let codebook_sizes = occupied.codebook_sizes().to_vec();
            Ok(Settled { assignment: placed, codebook_sizes, members: None })
        })
    }
}

/// Encoded items with semantic IDs.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenizedItems {
    /// Their semantic IDs.
    pub table: TokenTable,
    /// Squared distance between each item's latent and the sum of the codewords that the quantizer chose, before
    /// collisions were resolved: the error of the item if it were alone in a table.
    pub quantizer_errors: Vec<f32>,
}

/// Previous codes of the items, one row per row of the features, and the price of changing them, per level.
pub(super) type PricedCodes<'a> = (&'a PreviousCodes, &'a [f32]);

impl TokenizedItems {
    /// As [`TokenTable::of_features`], but also returns the errors before collisions were resolved.
    ///
    /// # Errors
    /// As [`TokenTable::of_features`].
    pub fn of_features(
        features: &dyn FeatureSource,
        model: &Tokenizer,
        token_format: TokenFormat,
        collisions: Collisions,
        progress: &dyn Progress,
    ) -> Result<Self> {
        let encoder = Encoder { features, input: ModelInput::new(model, features)?, keep: None, progress };
        encoder.tokenize(token_format, collisions, |items| collisions.settle(items, model.quantizer(), progress))
    }

    /// Encodes items and assigns IDs that at most `capacity` items share. `facts` is given the ids of the items, and returns
    /// their classes and priorities. `taken` is given these, and returns the room that taken IDs leave; by default, no ID is
    /// taken.
    ///
    /// # Errors
    /// As [`TokenTable::of_features`] and [`place`], and the errors of `facts`.
    pub fn sharing(
        features: &dyn FeatureSource,
        model: &Tokenizer,
        token_format: TokenFormat,
        capacity: u16,
        facts: impl FnOnce(&ItemIds) -> Result<MemberFacts>,
        taken: impl FnOnce(&MemberFacts) -> TakenSeats,
        progress: &dyn Progress,
    ) -> Result<Self> {
        let encoder = Encoder { features, input: ModelInput::new(model, features)?, keep: None, progress };
        encoder.tokenize(token_format, Collisions::Share { capacity }, |items| {
            let facts = facts(items.item_ids)?;
            let quantizer = model.quantizer();
            let (assignment, members) = share(items, &facts, &taken(&facts), (quantizer, capacity), progress)?;
            Ok(Settled { assignment, codebook_sizes: model.config().codebook_sizes.clone(), members: Some(members) })
        })
    }

    /// The added distortion of each item: the increase of its squared error by collision resolution and taken codes.
    pub fn added_distortion(&self) -> Vec<f32> {
        self.table.residual_error.iter().zip(&self.quantizer_errors).map(|(after, before)| after - before).collect()
    }
}

/// The codes and latents of some items, before collision resolution.
#[derive(Debug, Clone, PartialEq)]
pub struct QuantizedItems {
    /// In the order of the features.
    pub item_ids: ItemIds,
    /// `(n, levels)`.
    pub codes: Array2<u16>,
    /// `(n, latent_dim)`.
    pub latents: Array2<f32>,
    /// Squared distance of each item's latent from the sum of its codewords.
    pub errors: Vec<f32>,
}

impl QuantizedItems {
    /// Encodes items in memory, all or a part of a larger set. The result of an item does not depend on the others.
    ///
    /// # Errors
    /// As [`TokenTable::of_features`].
    pub fn of(features: &Features, model: &Tokenizer) -> Result<Self> {
        let (Encoded { codes, latents }, errors) = encode(features, &ModelInput::new(model, features)?)?;
        Ok(QuantizedItems { item_ids: features.item_ids().clone(), codes, latents, errors })
    }
}

/// Codes, latents and squared errors. If a squared error is not finite, the codes do not represent the vector.
fn encode(features: &Features, input: &ModelInput) -> Result<(Encoded, Vec<f32>)> {
    let refuse = |row: usize, got: String| Error::Item {
        item: features.item_ids().text(row),
        expected: "a vector in the range of the training data, at most 1e18".into(),
        got,
        help: "correct the vector; write null for a missing one".into(),
    };
    for modality in features.modalities() {
        let large = |row: &ArrayView1<f32>| row.iter().copied().find(|v| v.abs() > MAX_INPUT);
        let mut rows = modality.vectors.rows().into_iter().enumerate();
        if let Some((row, number)) = rows.find_map(|(row, vector)| Some((row, large(&vector)?))) {
            return Err(refuse(row, format!("{number:e} in its {} vector", modality.name)));
        }
    }
    let encoded = input.encode(features)?;
    let errors = input.model().latent_errors(encoded.latents.view(), encoded.codes.view())?;
    match errors.iter().position(|error| !error.is_finite()) {
        Some(row) => Err(refuse(row, "a vector whose distance from its codewords overflows float32".into())),
        None => Ok((encoded, errors)),
    }
}

/// A model and the features of all items.
pub(super) struct Encoder<'a> {
    pub(super) features: &'a dyn FeatureSource,
    pub(super) input: ModelInput<'a>,
    /// Previous codes that items keep unless another code is cheaper by more than the price.
    pub(super) keep: Option<PricedCodes<'a>>,
    pub(super) progress: &'a dyn Progress,
}

impl Encoder<'_> {
    /// Encodes all items and assigns IDs with `settle`, which also returns the codebook sizes.
    pub(super) fn tokenize(
        &self,
        token_format: TokenFormat,
        policy: Collisions,
        settle: impl FnOnce(&UnresolvedItems) -> Result<Settled>,
    ) -> Result<TokenizedItems> {
        let (item_ids, codes, errors) = self.encode()?;
        self.features.check_ids(&item_ids)?;
        let items = UnresolvedItems { latents: self, codes: codes.view(), errors: &errors, item_ids: &item_ids };
        let Settled { assignment, codebook_sizes, members } = settle(&items)?;
        let table = TokenTable {
            members,
            item_ids,
            residual_error: assignment.errors,
            codes: assignment.codes,
            reassigned: assignment.reassigned,
            metadata: TableMetadata {
                model_hash: self.input.model().hash().to_owned(),
                codebook_sizes,
                token_format,
                policy,
                collisions: Some(assignment.report),
            },
        };
        Ok(TokenizedItems { table, quantizer_errors: errors })
    }

    /// Ids, codes `(n, levels)` and squared errors `(n,)` of all items.
    fn encode(&self) -> Result<(ItemIds, Array2<u16>, Vec<f32>)> {
        let (n, model) = (self.features.rows(), self.input.model());
        let mut ids = ItemIds::default();
        let mut codes = Array2::zeros((n, model.config().levels()));
        let mut errors = Vec::with_capacity(n);
        self.progress.begin("encode", Some(n as u64), "items");
        for_each_block(self.features, |block| {
            let (mut encoded, mut of_block) = encode(&block.features, &self.input)?;
            if let Some((previous, prices)) = self.keep {
                let rows: Vec<usize> = (block.first_row..block.first_row + block.features.len()).collect();
                let latents = encoded.latents.view();
                encoded.codes = model.quantizer().encode_keeping(latents, &previous.select(&rows), prices);
                of_block = model.latent_errors(latents, encoded.codes.view())?;
            }
            errors.extend(of_block);
            codes.slice_mut(s![block.first_row..errors.len(), ..]).assign(&encoded.codes);
            ids.append(block.features.item_ids().clone());
            self.progress.advance(block.features.len() as u64);
            Ok(())
        })?;
        self.progress.end();
        Ok((ids, codes, errors))
    }
}

impl Latents for Encoder<'_> {
    fn load(&self, rows: Vec<usize>) -> Result<Loaded> {
        let total = rows.len() as u64;
        let mut loaded = Loaded::new(rows, self.input.model().config().latent_dim)?;
        if total == 0 {
            return Ok(loaded);
        }
        self.progress.begin("encode colliding items", Some(total), "items");
        for_each_block(self.features, |block| {
            let wanted = loaded.wanted(block.first_row..block.first_row + block.features.len());
            if !wanted.is_empty() {
                let here: Vec<usize> = wanted.iter().map(|row| row - block.first_row).collect();
                loaded.append(self.input.encode(&block.features.take(&here)?)?.latents.view())?;
                self.progress.advance(here.len() as u64);
            }
            Ok(())
        })?;
        self.progress.end();
        Ok(loaded)
    }
}
