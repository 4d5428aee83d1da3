//! Semantic IDs of a retrained model for a catalog whose items already have IDs: which items keep their IDs, and names
//! of codes that agree with the previous ones.

use ndarray::{Array2, ArrayView2, Axis};

use super::collisions::Settled;
use super::latents::{Latents, Loaded};
use super::make::{Encoder, TokenizedItems};
use super::matching::cheapest;
use super::{Assignment, Collisions, Occupied, TokenFormat, TokenTable, UnresolvedItems, place};
use crate::error::{Error, Result};
use crate::features::FeatureSource;
use crate::item_ids::ItemIds;
use crate::progress::Progress;
use crate::tokenizer::{ModelInput, PreviousCodes, Tokenizer};

/// Rows per copied block of latents.
const ROWS_AT_ONCE: usize = 8_192;

/// Maximum codebook size for exact matching. Larger codebooks are matched greedily, in descending order of overlap.
const LARGEST_MATCHING: usize = 2_048;

/// Weight of an item whose codes at the levels before differ from its previous ones; other items have weight 1.
const OTHER_PREFIX: f64 = 1e-3;

impl TokenTable {
    /// The codes of these items in this table, at the model's levels (without a suffix).
    pub fn codes_of(&self, item_ids: &ItemIds) -> PreviousCodes {
        let (rows, quantized) = (self.item_ids.rows_by_text(), self.quantized());
        let mut codes = Array2::zeros((item_ids.len(), quantized.ncols()));
        let mut known = vec![false; item_ids.len()];
        for (row, mut codes) in codes.rows_mut().into_iter().enumerate() {
            if let Some(&earlier) = rows.get(&item_ids.text(row)) {
                known[row] = true;
                codes.assign(&quantized.row(earlier));
            }
        }
        PreviousCodes { codes, known }
    }
}

impl TokenizedItems {
    /// Encodes every item and assigns semantic IDs. An item keeps a previous code unless another code lowers its cost
    /// by more than the level's price (see [`encode_keeping`](crate::tokenizer::Quantizer::encode_keeping)). With
    /// [`Collisions::Resolve`], items that keep all their codes keep their IDs. The other items get IDs that are
    /// neither taken by these items nor `reserved`, as [`place`] assigns them.
    ///
    /// # Errors
    /// As [`TokenTable::of_features`] and [`place`].
    pub fn keeping(
        features: &dyn FeatureSource,
        model: &Tokenizer,
        (previous, prices, reserved): (&PreviousCodes, &[f32], ArrayView2<u16>),
        token_format: TokenFormat,
        collisions: Collisions,
        progress: &dyn Progress,
    ) -> Result<Self> {
        let quantizer = model.quantizer();
        let input = ModelInput::new(model, features)?;
        let encoder = Encoder { features, input, keep: Some((previous, prices)), progress };
        let mut items = encoder.tokenize(token_format, collisions, |items| {
            if collisions != Collisions::Resolve {
                return collisions.settle(items, quantizer, progress);
            }
            let &UnresolvedItems { latents, codes, errors, item_ids } = items;
            let sizes: Vec<usize> = quantizer.codebooks().iter().map(Array2::nrows).collect();
            let (stay, go): (Vec<usize>, Vec<usize>) =
                (0..codes.nrows()).partition(|&row| previous.known[row] && codes.row(row) == previous.codes.row(row));
            let mut occupied = Occupied::of_codes(codes.select(Axis(0), &stay).view(), &sizes)?;
            occupied.insert(reserved)?;
            let some = SomeLatents { all: latents, rows: &go, dim: model.config().latent_dim };
            let errors_of: Vec<f32> = go.iter().map(|&row| errors[row]).collect();
            let (ids, of_some) = (item_ids.take(&go), codes.select(Axis(0), &go));
            let new = UnresolvedItems { latents: &some, codes: of_some.view(), errors: &errors_of, item_ids: &ids };
            let placed = place(&new, quantizer, &occupied, progress)?;
            let assignment = beside(placed, &go, codes, errors);
            Ok(Settled { assignment, codebook_sizes: sizes, members: None })
        })?;
        if collisions == Collisions::Resolve {
            // The report would describe only the placed items.
            items.table.metadata.collisions = None;
        }
        Ok(items)
    }
}

/// The assignment of all items: that of [`place`] for the items of `rows`, and the given codes and errors for the
/// others.
fn beside(placed: Assignment, rows: &[usize], codes: ArrayView2<u16>, errors: &[f32]) -> Assignment {
    let mut all = Assignment {
        codes: codes.to_owned(),
        errors: errors.to_vec(),
        reassigned: vec![false; errors.len()],
        report: placed.report,
    };
    for (at, &row) in rows.iter().enumerate() {
        all.codes.row_mut(row).assign(&placed.codes.row(at));
        (all.errors[row], all.reassigned[row]) = (placed.errors[at], placed.reassigned[at]);
    }
    all
}

/// The latents of a subset of the rows, numbered from 0.
struct SomeLatents<'a> {
    all: &'a dyn Latents,
    /// The rows in `all`, ascending.
    rows: &'a [usize],
    dim: usize,
}

impl Latents for SomeLatents<'_> {
    fn load(&self, rows: Vec<usize>) -> Result<Loaded> {
        let wanted: Vec<usize> = rows.iter().map(|&row| self.rows[row]).collect();
        let (all, mut some) = (self.all.load(wanted.clone())?, Loaded::new(rows, self.dim)?);
        for rows in wanted.chunks(ROWS_AT_ONCE) {
            some.append(all.get(rows)?.view())?;
        }
        Ok(some)
    }
}

/// Names for the codes of a new model that agree best with the previous codes: one permutation of the codes per level.
/// The levels are matched from first to last, so that matched codes share as many items as possible. Items whose codes
/// at the levels before already differ have almost no weight.
///
/// # Errors
/// [`Error::Mismatch`] if the previous codes or `sizes` have another shape than the codes.
pub fn names_like(codes: ArrayView2<u16>, previous: &PreviousCodes, sizes: &[usize]) -> Result<Vec<Vec<u16>>> {
    if previous.codes.dim() != codes.dim() || sizes.len() != codes.ncols() {
        let got = format!("shape {:?}, previously {:?}", codes.dim(), previous.codes.dim());
        return Err(Error::mismatch("codes to rename", "codes of the same items and levels", got, "check the call"));
    }
    let rows = previous.rows();
    let mut same = vec![true; rows.len()];
    let mut all = Vec::new();
    for (level, &size) in sizes.iter().enumerate() {
        let mut shared: std::collections::BTreeMap<(u16, u16), f64> = std::collections::BTreeMap::new();
        for (&row, &same) in rows.iter().zip(&same) {
            let before = previous.codes[[row, level]];
            if usize::from(before) < size {
                *shared.entry((codes[[row, level]], before)).or_default() += if same { 1.0 } else { OTHER_PREFIX };
            }
        }
        let names = if size <= LARGEST_MATCHING {
            let mut cost = Array2::zeros((size, size));
            shared.iter().for_each(|(&(code, name), items)| cost[[usize::from(code), usize::from(name)]] = -items);
            let best = |row: usize| (0..size).min_by(|&a, &b| cost[[row, a]].total_cmp(&cost[[row, b]])).unwrap_or(0);
            let wanted: Vec<usize> = (0..size).map(best).collect();
            cheapest(cost.view(), &vec![1; size], &wanted).into_iter().map(|names| names[0] as u16).collect()
        } else {
            largest_first(shared, size)
        };
        for (&row, same) in rows.iter().zip(&mut same) {
            let names: &Vec<u16> = &names;
            *same &= names[usize::from(codes[[row, level]])] == previous.codes[[row, level]];
        }
        all.push(names);
    }
    Ok(all)
}

/// Greedy matching: pairs in descending order of their overlap. The remaining codes get the remaining names in
/// ascending order.
fn largest_first(shared: std::collections::BTreeMap<(u16, u16), f64>, size: usize) -> Vec<u16> {
    let mut pairs: Vec<((u16, u16), f64)> = shared.into_iter().collect();
    pairs.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    let (mut names, mut taken) = (vec![None; size], vec![false; size]);
    for ((code, name), _) in pairs {
        let (code, at) = (usize::from(code), usize::from(name));
        if names[code].is_none() && !taken[at] {
            names[code] = Some(name);
            taken[at] = true;
        }
    }
    let mut free = (0..size).filter(|&name| !taken[name]).map(|name| name as u16);
    names.into_iter().map(|name| name.or_else(|| free.next()).unwrap_or_default()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::{Features, Modality};
    use crate::progress::Silent;
    use crate::tokenizer::{ModalityShape, Network, Offsets, Standardization, Weights};
    use std::collections::HashSet;

    /// Points on a line under a model of two levels: tens and ones.
    fn made(points: &[f32]) -> (Features, Tokenizer) {
        let vectors = Array2::from_shape_fn((points.len(), 2), |(i, j)| if j == 0 { points[i] } else { 0.0 });
        let modality = Modality { name: "text".into(), vectors, present: vec![true; points.len()] };
        let features = Features::new(ItemIds::row_numbers(points.len()), vec![modality]).unwrap();
        let identity = || Network { skip: Some(Array2::eye(2)), layers: Vec::new() };
        let book = |step: f32| Array2::from_shape_fn((4, 2), |(i, j)| if j == 0 { i as f32 * step } else { 0.0 });
        let weights = Weights {
            standardization: Standardization::none(&[2]),
            projection: identity(),
            inverse: identity(),
            codebooks: vec![book(10.0), book(1.0)],
            offsets: Offsets::zero([4, 4]),
        };
        let shapes = vec![ModalityShape { name: "text".into(), dim: 2 }];
        (features, Tokenizer::new(shapes, weights, None).unwrap())
    }

    fn kept(points: &[f32], before: &[Option<[u16; 2]>], prices: [f32; 2]) -> Array2<u16> {
        let (features, model) = made(points);
        let codes = Array2::from_shape_fn((points.len(), 2), |(i, l)| before[i].map_or(0, |codes| codes[l]));
        let previous = PreviousCodes { codes, known: before.iter().map(Option::is_some).collect() };
        let (format, reserved) = (TokenFormat::default(), ndarray::array![[3u16, 3]]);
        let keep = (&previous, &prices[..], reserved.view());
        let items = TokenizedItems::keeping(&features, &model, keep, format, Collisions::Resolve, &Silent).unwrap();
        assert_eq!(
            items.table.codes.rows().into_iter().map(|row| row.to_vec()).collect::<HashSet<_>>().len(),
            points.len()
        );
        items.table.codes
    }

    #[test]
    fn items_keep_codes_up_to_a_price_and_others_get_free_codes() {
        // The previous code of the second item is also the nearest to the first item, which is new, and to the third.
        let points = [11.0f32, 11.0, 11.2, 21.0];
        let before = [None, Some([1, 1]), Some([1, 3]), Some([0, 0])];
        let free = kept(&points, &before, [0.0; 2]);
        assert_eq!((free[[3, 0]], free.row(1).to_vec()), (2, vec![1, 1]));
        let all = kept(&points, &before, [f32::INFINITY; 2]);
        assert_eq!([1, 2, 3].map(|row| all.row(row).to_vec()), [vec![1, 1], vec![1, 3], vec![0, 0]]);
        assert!([[1, 0], [1, 2]].contains(&[all[[0, 0]], all[[0, 1]]]), "the nearest free code");
        // Squared errors with the previous codes: 3.24 for the third item at the last level, 441 for the fourth at the
        // first.
        let some = kept(&points, &before, [4.0; 2]);
        assert_eq!((some.row(2).to_vec(), some[[3, 0]]), (vec![1, 3], 2));
    }

    #[test]
    fn renamed_codes_agree_with_the_previous_ones() {
        for sizes in [[5, 5], [LARGEST_MATCHING + 1, 5]] {
            let old = Array2::from_shape_fn((200, 2), |(i, l)| ((i * (7 + l) + i / 9) % 5) as u16);
            let shuffle = |l: usize, code: u16| (code * 2 + l as u16 + 1) % 5;
            let new = Array2::from_shape_fn((200, 2), |(i, l)| shuffle(l, old[[i, l]]));
            let previous = PreviousCodes { codes: old.clone(), known: (0..200).map(|i| i % 11 > 0).collect() };
            let names = names_like(new.view(), &previous, &sizes).unwrap();
            let renamed = Array2::from_shape_fn((200, 2), |(i, l)| names[l][usize::from(new[[i, l]])]);
            assert_eq!(renamed, old);
            for (names, size) in names.iter().zip(sizes) {
                assert_eq!(names.iter().collect::<HashSet<_>>().len(), size);
            }
        }
    }
}
