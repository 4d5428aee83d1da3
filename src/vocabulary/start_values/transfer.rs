//! Rows of a language model that was trained on the IDs of an earlier table: rows of codes with the same meaning are kept,
//! and the other codes get rows from the trained rows of the codes that their items had.

use ndarray::{Array2, ArrayView1, ArrayViewMut1, Axis, s};

use super::Additions;
use super::matrix::EmbeddingMatrix;
use crate::error::{Error, Result};
use crate::semantic_id::TokenTable;

/// Minimum fraction of a code's items that had the code before, for its row to be kept.
const KEPT_FRACTION: f64 = 0.5;
/// Number of nearest codewords whose rows give the row of a code without earlier items.
const NEIGHBOURS: usize = 4;

/// The source of a code's row.
#[derive(Debug, Clone, PartialEq)]
enum RowOrigin {
    /// The trained row of the code itself.
    Kept,
    /// The mean of trained rows of the same level: their codes and weights, which sum to 1.
    Trained(Vec<(usize, f32)>),
    /// The mean of the rows that codes of the same level get.
    Neighbours(Vec<usize>),
}

/// The sources of all rows, level by level, and the codes whose rows were trained.
#[derive(Debug, PartialEq)]
pub(super) struct RowTransfer {
    sources: Vec<Vec<RowOrigin>>,
    trained: Vec<Vec<bool>>,
}

impl RowTransfer {
    /// Compares the codes of the items that both tables have. `codebooks` are those of the new table's model, if known.
    ///
    /// # Errors
    /// [`Error::Mismatch`] if the tables have different tokens.
    pub(super) fn new(before: &TokenTable, after: &TokenTable, codebooks: Option<&[Array2<f32>]>) -> Result<Self> {
        check_tokens(before, after)?;
        let rows = after.item_ids.rows_in(&before.item_ids);
        let same_model = before.metadata.model_hash == after.metadata.model_hash;
        let mut transfer = RowTransfer { sources: Vec::new(), trained: Vec::new() };
        for (level, &size) in after.metadata.codebook_sizes.iter().enumerate() {
            let (now, then) = (after.codes.column(level), before.codes.column(level));
            let used = |codes: ArrayView1<u16>| {
                let mut used = vec![false; size];
                codes.iter().for_each(|&code| used[usize::from(code)] = true);
                used
            };
            transfer.trained.push(used(then));
            if same_model {
                transfer.sources.push(vec![RowOrigin::Kept; size]);
                continue;
            }
            let common = rows.iter().zip(now).filter_map(|(row, &code)| row.map(|row| (code, then[row])));
            let earlier = earlier_codes(common, size);
            let codebook = codebooks.and_then(|codebooks| codebooks.get(level));
            transfer.sources.push(sources(&earlier, &used(now), codebook));
        }
        Ok(transfer)
    }

    /// Number of codes of each level whose rows are kept.
    pub(super) fn kept(&self) -> Vec<usize> {
        let kept = |level: &Vec<RowOrigin>| level.iter().filter(|&source| *source == RowOrigin::Kept).count();
        self.sources.iter().map(kept).collect()
    }

    /// The rows of all new tokens in a matrix that has one for each of them. Rows of markers are kept.
    pub(super) fn rows(&self, matrix: &EmbeddingMatrix, new: &Additions) -> Array2<f32> {
        let first = new.first_id as usize;
        let old = matrix.block(first, first + new.len());
        let mut rows = old.clone();
        for (level, sources) in self.sources.iter().enumerate() {
            let codes = s![new.vocabulary.offset(level)..new.vocabulary.offset(level + 1), ..];
            let trained: Vec<usize> = (0..sources.len()).filter(|&code| self.trained[level][code]).collect();
            let old = old.slice(codes);
            let mut rows = rows.slice_mut(codes);
            let mean = old.select(Axis(0), &trained).mean_axis(Axis(0));
            let Some(mean) = mean else { continue };
            for (code, source) in sources.iter().enumerate() {
                if let RowOrigin::Trained(weights) = source {
                    mix(&mut rows.row_mut(code), weights.iter().map(|&(code, w)| (old.row(code), w)), mean.view());
                }
            }
            let made = rows.to_owned();
            for (code, source) in sources.iter().enumerate() {
                if let RowOrigin::Neighbours(codes) = source {
                    let weight = 1.0 / codes.len().max(1) as f32;
                    mix(&mut rows.row_mut(code), codes.iter().map(|&code| (made.row(code), weight)), mean.view());
                }
            }
        }
        rows
    }
}

/// The tokens of both tables must be the same, because the ids of a trained model cannot change.
fn check_tokens(before: &TokenTable, after: &TokenTable) -> Result<()> {
    let tokens = |table: &TokenTable| {
        let metadata = &table.metadata;
        format!("codebooks of {:?} with tokens {}", metadata.codebook_sizes, metadata.token_format)
    };
    let (expected, got) = (tokens(before), tokens(after));
    if expected == got {
        return Ok(());
    }
    Err(Error::mismatch(
        "tokens of the table",
        format!("{expected}, as in the table that the language model was trained with"),
        got,
        "extend the language model from before its training, without --from, and train it again",
    ))
}

/// For each code its items' earlier codes and their numbers of items, from pairs of a new and an old code.
fn earlier_codes(pairs: impl Iterator<Item = (u16, u16)>, size: usize) -> Vec<Vec<(usize, usize)>> {
    let mut pairs: Vec<(u16, u16)> = pairs.collect();
    pairs.sort_unstable();
    let mut earlier = vec![Vec::new(); size];
    for run in pairs.chunk_by(|a, b| a == b) {
        earlier[usize::from(run[0].0)].push((usize::from(run[0].1), run.len()));
    }
    earlier
}

/// The sources of a level's rows.
fn sources(earlier: &[Vec<(usize, usize)>], used: &[bool], codebook: Option<&Array2<f32>>) -> Vec<RowOrigin> {
    let known: Vec<usize> = (0..earlier.len()).filter(|&code| !earlier[code].is_empty()).collect();
    let source = |(code, earlier): (usize, &Vec<(usize, usize)>)| {
        let total: usize = earlier.iter().map(|&(_, items)| items).sum();
        let kept = earlier.iter().find(|&&(old, _)| old == code).map_or(0, |&(_, items)| items);
        if total == 0 {
            return if used[code] { RowOrigin::Neighbours(nearest(code, &known, codebook)) } else { RowOrigin::Kept };
        }
        if kept as f64 >= KEPT_FRACTION * total as f64 {
            return RowOrigin::Kept;
        }
        RowOrigin::Trained(earlier.iter().map(|&(old, items)| (old, items as f32 / total as f32)).collect())
    };
    earlier.iter().enumerate().map(source).collect()
}

/// The codes of `known` with the nearest codewords; all of `known` for a level without a codebook.
fn nearest(code: usize, known: &[usize], codebook: Option<&Array2<f32>>) -> Vec<usize> {
    let Some(codebook) = codebook else { return known.to_vec() };
    let distance = |other: usize| (&codebook.row(other) - &codebook.row(code)).mapv(|x| x * x).sum();
    let mut near: Vec<(f32, usize)> = known.iter().map(|&other| (distance(other), other)).collect();
    near.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    near.into_iter().take(NEIGHBOURS).map(|(_, code)| code).collect()
}

/// Sets a row to the weighted mean of others. Its distance from `center` becomes the mean of their distances, since a mean
/// of different rows is closer to the center than each of them.
fn mix<'a>(
    row: &mut ArrayViewMut1<f32>,
    parts: impl Iterator<Item = (ArrayView1<'a, f32>, f32)> + Clone,
    center: ArrayView1<f32>,
) {
    let mut others = parts.clone();
    match (others.next(), others.next()) {
        (None, _) => row.assign(&center),
        // A single row is copied as it is, without rounding.
        (Some((part, _)), None) => row.assign(&part),
        _ => {
            let norm = |x: ArrayView1<f32>| x.dot(&x).sqrt();
            row.fill(0.0);
            let mut length = 0.0;
            for (part, weight) in parts {
                let deviation = &part - &center;
                length += weight * norm(deviation.view());
                row.scaled_add(weight, &deviation);
            }
            *row *= length / norm(row.view()).max(f32::MIN_POSITIVE);
            *row += &center;
        }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;
    use crate::item_ids::ItemIds;
    use crate::semantic_id::{Collisions, TableMetadata};
    use crate::vocabulary::Vocabulary;
    use crate::vocabulary::float_type::{FloatType, bytes_of};
    use crate::vocabulary::new_words::NewWords;

    fn table(model: &str, items: &[(i64, u16)], size: usize) -> TokenTable {
        TokenTable {
            members: None,
            item_ids: ItemIds::Integers(items.iter().map(|item| item.0).collect()),
            codes: Array2::from_shape_fn((items.len(), 1), |(row, _)| items[row].1),
            residual_error: vec![0.0; items.len()],
            reassigned: vec![false; items.len()],
            metadata: TableMetadata {
                model_hash: model.into(),
                codebook_sizes: vec![size],
                token_format: Default::default(),
                policy: Collisions::Resolve,
                collisions: None,
            },
        }
    }

    /// Rows of 5 codes, after two ordinary tokens and before a marker, through the transfer.
    fn transferred(transfer: &RowTransfer, after: &TokenTable) -> Array2<f32> {
        let old = array![[9., 9.], [8., 8.], [0., 0.], [4., 0.], [0., 4.], [-4., 0.], [7., 7.], [5., 6.]];
        let bytes = bytes_of(old.view(), FloatType::F32);
        let matrix = EmbeddingMatrix { name: "m".into(), float_type: FloatType::F32, rows: 8, dim: 2, bytes: &bytes };
        let vocabulary = Vocabulary::new(&[5], Default::default());
        let mut words: Vec<String> = vocabulary.tokens().collect();
        words.push("|".into());
        let new = NewWords { words, codes: 5, begin: Some("|".into()), end: None };
        let additions =
            Additions { vocabulary: &vocabulary, table: after, new: &new, first_id: 2, added_on_loading: 0 };
        transfer.rows(&matrix, &additions)
    }

    #[test]
    fn rows_follow_the_items_of_a_code() {
        // Code 4 was not used before. Codes 1 and 2 swap their items, code 3 gets half of its own and one of code 1.
        let before = table("a", &[(1, 0), (2, 1), (3, 1), (4, 2), (5, 3), (6, 1)], 5);
        let after = table("b", &[(1, 0), (2, 2), (3, 2), (4, 1), (5, 3), (6, 3), (7, 4)], 5);
        let codebook = array![[0., 0.], [1., 0.], [0., 1.], [5., 5.], [0., 0.1]];
        let transfer = RowTransfer::new(&before, &after, Some(&[codebook])).unwrap();
        assert_eq!(transfer.kept(), [2]);
        assert_eq!(transfer.sources[0][4], RowOrigin::Neighbours(vec![0, 2, 1, 3]));
        let rows = transferred(&transfer, &after);
        assert_eq!(rows.slice(s![..4, ..]), array![[0., 0.], [0., 4.], [4., 0.], [-4., 0.]]);
        assert_eq!(rows.row(5), array![5., 6.], "the row of the marker");
        let mixed = rows.row(4);
        assert!(mixed[1].abs() < 7.0 && mixed != array![7., 7.], "{mixed}");
    }

    #[test]
    fn a_mean_of_rows_has_their_mean_distance_from_the_center() {
        let before = table("a", &[(1, 0), (2, 1), (3, 2), (4, 3)], 5);
        let after = table("b", &[(1, 4), (2, 4), (3, 0), (4, 3)], 5);
        let transfer = RowTransfer::new(&before, &after, None).unwrap();
        let rows = transferred(&transfer, &after);
        // The center is (0, 1); codes 0 and 1 are (0, 0) and (4, 0), at distances 1 and 17^0.5.
        let deviation = &rows.row(4) - &array![0., 1.];
        assert!((deviation.dot(&deviation).sqrt() - (1.0 + 17f32.sqrt()) / 2.0).abs() < 1e-5, "{deviation}");
        assert!((deviation[0] / deviation[1] + 2.0).abs() < 1e-5, "{deviation}");
        assert_eq!(rows.row(0), array![0., 4.]);
    }

    #[test]
    fn an_append_keeps_all_rows() {
        let before = table("a", &[(1, 0), (2, 1)], 5);
        let after = table("a", &[(2, 1), (3, 4), (4, 0)], 5);
        let transfer = RowTransfer::new(&before, &after, None).unwrap();
        assert_eq!(transfer.kept(), [5]);
        assert_eq!(transferred(&transfer, &after).row(4), array![7., 7.]);
    }

    #[test]
    fn other_tokens_are_refused() {
        let message = RowTransfer::new(&table("a", &[(1, 0)], 5), &table("b", &[(1, 0)], 6), None).unwrap_err();
        assert!(message.to_string().contains("[5]") && message.to_string().contains("--from"), "{message}");
    }
}
