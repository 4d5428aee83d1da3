//! The inputs of a text encoder's graph, filled from a batch of token ids.

use std::path::Path;

use ndarray::Array2;
use ort::session::{Session, SessionInputValue};
use ort::value::{Tensor, TensorElementType};

use super::runtime::{element, floats, shape};
use super::text_settings::TextSettings;
use crate::error::{Error, Result};

/// The content of an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum InputContent {
    Ids,
    Mask,
    Types,
    Positions,
    /// Cached keys or values of earlier tokens, empty for an encoder: number of heads, and size of each.
    Past(usize, usize),
}

/// The inputs of a text encoder's graph.
#[derive(Debug)]
pub(super) struct TextInputs {
    inputs: Vec<(String, InputContent, Option<TensorElementType>)>,
    /// Batch size and text length, where the graph fixes them.
    pub(super) texts: Option<usize>,
    pub(super) length: Option<usize>,
}

/// A batch of texts, padded to one length; all arrays are `(texts, length)`.
pub(super) struct TextBatch {
    ids: Array2<i64>,
    types: Array2<i64>,
    pub(super) mask: Array2<i64>,
}

impl TextInputs {
    /// Reads the inputs that the graph declares.
    pub(super) fn of(session: &Session, path: &Path) -> Result<Self> {
        let mut inputs = Vec::new();
        let (mut texts, mut length) = (None, None);
        for input in session.inputs() {
            let dims = shape(input);
            let fixed = |at: usize| dims.get(at).and_then(|&d| usize::try_from(d).ok()).filter(|&d| d > 0);
            let content = match input.name() {
                "input_ids" => InputContent::Ids,
                "attention_mask" => InputContent::Mask,
                "token_type_ids" => InputContent::Types,
                "position_ids" => InputContent::Positions,
                name => match (name.starts_with("past_key_values."), dims.len(), fixed(1), fixed(3)) {
                    (true, 4, Some(heads), Some(numbers)) => InputContent::Past(heads, numbers),
                    _ => {
                        let expected = "inputs input_ids, attention_mask, token_type_ids, position_ids, \
                                        past_key_values.*";
                        let help =
                            "export the model as a feature extractor; for a two-tower model, only the text tower";
                        return Err(Error::file(path, expected, name, help));
                    }
                },
            };
            if content == InputContent::Ids {
                (texts, length) = (fixed(0), fixed(1));
            }
            inputs.push((input.name().to_owned(), content, element(input)));
        }
        if inputs.iter().all(|(_, content, _)| *content != InputContent::Ids) {
            let got = inputs.iter().map(|(name, ..)| name.as_str()).collect::<Vec<_>>().join(", ");
            return Err(Error::file(path, "an input input_ids", got, "pass the graph of a text encoder"));
        }
        Ok(TextInputs { inputs, texts, length })
    }

    /// The values of all inputs for a batch.
    pub(super) fn values(&self, batch: &TextBatch) -> ort::Result<Vec<(String, SessionInputValue<'static>)>> {
        let (texts, length) = batch.ids.dim();
        let tensor = |values: Array2<i64>, element| -> ort::Result<SessionInputValue<'static>> {
            let values = values.into_raw_vec_and_offset().0;
            Ok(match element {
                Some(TensorElementType::Int32) => {
                    let narrow: Vec<i32> = values.into_iter().map(|value| value as i32).collect();
                    Tensor::from_array(([texts, length], narrow))?.into()
                }
                _ => Tensor::from_array(([texts, length], values))?.into(),
            })
        };
        let value = |content, element| match content {
            InputContent::Ids => tensor(batch.ids.clone(), element),
            InputContent::Mask => tensor(batch.mask.clone(), element),
            InputContent::Types => tensor(batch.types.clone(), element),
            InputContent::Positions => tensor(batch.positions(), element),
            InputContent::Past(heads, numbers) => floats(&[texts, heads, 0, numbers], Vec::new(), element),
        };
        self.inputs.iter().map(|(name, content, element)| Ok((name.clone(), value(*content, *element)?))).collect()
    }
}

impl TextBatch {
    /// Pads the rows of token ids and token types to `length`.
    pub(super) fn new(rows: &[(&[u32], &[u32])], texts: usize, length: usize, settings: &TextSettings) -> Self {
        let shape = (texts, length);
        let mut batch = TextBatch {
            ids: Array2::from_elem(shape, i64::from(settings.pad_id)),
            types: Array2::zeros(shape),
            mask: Array2::zeros(shape),
        };
        for (row, (ids, types)) in rows.iter().enumerate() {
            let from = if settings.pad_left { length - ids.len() } else { 0 };
            for (at, (&id, &kind)) in ids.iter().zip(*types).enumerate() {
                let position = (row, from + at);
                (batch.ids[position], batch.types[position], batch.mask[position]) = (id.into(), kind.into(), 1);
            }
        }
        batch
    }

    /// Positions of the tokens, from 0 at the first one that is not padding.
    fn positions(&self) -> Array2<i64> {
        let mut positions = self.mask.clone();
        for mut row in positions.rows_mut() {
            let mut seen = 0;
            for position in &mut row {
                seen += *position;
                *position = (seen - 1).max(0);
            }
        }
        positions
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn padding_is_on_the_declared_side_and_positions_start_at_the_text() {
        let rows: [(&[u32], &[u32]); 2] = [(&[7, 8, 9], &[0, 0, 1]), (&[5], &[1])];
        let mut settings = TextSettings {
            max_length: 8,
            always_full: false,
            pad_left: false,
            cut_left: false,
            pad_id: 3,
            lower_case: false,
            prompt: String::new(),
        };
        let right = TextBatch::new(&rows, 2, 3, &settings);
        assert_eq!(right.ids, array![[7, 8, 9], [5, 3, 3]]);
        assert_eq!((right.mask.row(1).to_vec(), right.types.row(0).to_vec()), (vec![1, 0, 0], vec![0, 0, 1]));
        assert_eq!(right.positions().row(0).to_vec(), [0, 1, 2]);
        settings.pad_left = true;
        let left = TextBatch::new(&rows, 2, 3, &settings);
        assert_eq!(left.ids, array![[7, 8, 9], [3, 3, 5]]);
        assert_eq!(left.mask.row(1).to_vec(), [0, 0, 1]);
        assert_eq!(left.positions().row(1).to_vec(), [0, 0, 0]);
        // A row that fills the fixed batch size.
        assert_eq!(TextBatch::new(&rows[1..], 2, 2, &settings).mask, array![[0, 1], [0, 0]]);
    }
}
