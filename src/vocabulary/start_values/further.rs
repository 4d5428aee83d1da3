//! Finds the other tensors of a checkpoint with one value or row per token: copies of the embeddings, multi-token
//! prediction heads, biases. All of them need the new rows, so a tensor of unknown meaning is refused.

use safetensors::tensor::{Dtype, TensorInfo};
use serde_json::Value;

use super::checkpoint::{Checkpoint, Shard};
use crate::error::{Error, Result};

/// Name components of tensors with one row or value per token.
const TOKEN_PARTS: [&str; 13] = [
    "embed_tokens",
    "shared",
    "wte",
    "word_embeddings",
    "embed_in",
    "embed_out",
    "tok_embeddings",
    "token_embedding",
    "token_embeddings",
    "tokens_embed",
    "predictions",
    "output",
    "decoder",
];
/// Words in such components: `final_logits_bias`, `lm_head`, `medusa_heads`.
const TOKEN_WORDS: [&str; 5] = ["logits", "logit", "vocab", "head", "heads"];
/// Words in names of tensors with one row per position.
const POSITION_WORDS: [&str; 5] = ["position", "pos_emb", "wpe", "relative", "rotary"];
/// Name components before the number of a layer.
const LAYERS: [&str; 7] = ["layers", "layer", "h", "block", "blocks", "groups", "stages"];

/// The names of the other tensors that get new rows or values.
#[derive(Debug, Default, PartialEq)]
pub(super) struct FurtherTensors {
    /// Copies of the input embeddings.
    pub(super) copies: Vec<String>,
    /// Copies of the output embeddings.
    pub(super) output_copies: Vec<String>,
    /// Matrices with their own values.
    pub(super) matrices: Vec<String>,
    /// Tensors with one number per token.
    pub(super) biases: Vec<String>,
}

/// The role of a tensor whose height equals the size of the vocabulary.
#[derive(Debug, PartialEq)]
enum TensorRole {
    Matrix,
    Bias,
    /// Its height has another meaning.
    Other,
    Unknown,
}

impl FurtherTensors {
    /// Finds these tensors in a checkpoint.
    ///
    /// # Errors
    /// [`Error::File`] naming a tensor that seems to have a row per token and that cannot be extended.
    pub(super) fn of(checkpoint: &Checkpoint) -> Result<Self> {
        let (input, output) = (checkpoint.input()?, checkpoint.output()?);
        let mut further = FurtherTensors::default();
        for (shard, name, info) in checkpoint.tensors() {
            if name == checkpoint.input || checkpoint.output.as_ref() == Some(&name) {
                continue;
            }
            let known = checkpoint.is_tied(&name);
            match role(&name, info, input.rows, &checkpoint.config) {
                TensorRole::Other if known => return Err(refuse(shard, &name, info, input.rows)),
                TensorRole::Other => {}
                TensorRole::Unknown => return Err(refuse(shard, &name, info, input.rows)),
                TensorRole::Bias => further.biases.push(name),
                TensorRole::Matrix => {
                    let matrix = checkpoint.matrix(&name)?;
                    let same = |other: &[u8]| matrix.bytes == other;
                    if matrix.dim == input.dim && matrix.float_type == input.float_type && (known || same(input.bytes))
                    {
                        further.copies.push(name);
                    } else if output.as_ref().is_some_and(|output| same(output.bytes)) {
                        further.output_copies.push(name);
                    } else {
                        further.matrices.push(name);
                    }
                }
            }
        }
        Ok(further)
    }
}

fn refuse(shard: &Shard, name: &str, info: &TensorInfo, rows: usize) -> Error {
    Error::file(
        &shard.path,
        format!("only embeddings, heads and biases with {rows} rows, which can be extended"),
        format!("{name} of type {:?} with the shape {:?}", info.dtype, info.shape),
        "omit --write-model, and resize the model with catalex.apply_start_values or resize_token_embeddings",
    )
}

fn role(name: &str, info: &TensorInfo, rows: usize, config: &Value) -> TensorRole {
    if !info.shape.contains(&rows) {
        return TensorRole::Other;
    }
    let parts: Vec<&str> = name.split('.').collect();
    if parts.iter().any(|part| POSITION_WORDS.iter().any(|word| part.contains(word))) {
        return TensorRole::Other;
    }
    let in_layer = parts.windows(2).any(|pair| LAYERS.contains(&pair[0]) && pair[1].parse::<u32>().is_ok());
    let of_tokens = |part: &&str| TOKEN_PARTS.contains(part) || part.split('_').any(|word| TOKEN_WORDS.contains(&word));
    let float = matches!(info.dtype, Dtype::F32 | Dtype::F16 | Dtype::BF16);
    // Layers of an encoder or decoder are not heads.
    let named = parts.iter().any(|part| of_tokens(part) && !(in_layer && ["decoder", "output"].contains(part)));
    let values: usize = info.shape.iter().product();
    match named {
        true if float && values == rows => TensorRole::Bias,
        true if float && info.shape.len() == 2 && info.shape[0] == rows => TensorRole::Matrix,
        // If the width of a matrix equals the size of the vocabulary by chance, its rows have another meaning.
        true if in_layer && info.shape.len() == 2 && info.shape[0] != rows => TensorRole::Other,
        false if in_layer || has_size(config, rows) => TensorRole::Other,
        _ => TensorRole::Unknown,
    }
}

/// Whether a number in the configuration other than the vocabulary size explains a dimension.
fn has_size(config: &Value, size: usize) -> bool {
    match config {
        Value::Object(keys) => keys.iter().any(|(key, value)| {
            !key.contains("vocab") && !key.ends_with("_id") && (value == &Value::from(size) || has_size(value, size))
        }),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_role_of_a_tensor_follows_from_its_name_and_shape() {
        use TensorRole::{Bias, Matrix, Other, Unknown};
        let config = json!({"vocab_size": 100, "pad_token_id": 100, "text_config": {"hidden_size": 64}, "max_seq": 77});
        let cases: [(&str, Dtype, &[usize], TensorRole); 22] = [
            ("final_logits_bias", Dtype::F32, &[1, 100], Bias),
            ("lm_head.bias", Dtype::BF16, &[100], Bias),
            ("cls.predictions.decoder.bias", Dtype::F32, &[100], Bias),
            ("model.encoder.embed_tokens.weight", Dtype::F32, &[100, 8], Matrix),
            ("model.layers.61.embed_tokens.weight", Dtype::F16, &[100, 8], Matrix),
            ("model.layers.61.shared_head.head.weight", Dtype::F16, &[100, 8], Matrix),
            ("medusa_heads.0.1.weight", Dtype::F16, &[100, 8], Matrix),
            ("mtp.0.lm_head.weight", Dtype::F16, &[100, 8], Matrix),
            ("lm_head.qweight", Dtype::I32, &[8, 100], Unknown),
            ("lm_head.weight", Dtype::I8, &[100, 8], Unknown),
            ("model.vocab_map", Dtype::I64, &[100], Unknown),
            ("model.embed_tokens_per_layer", Dtype::F32, &[3, 100, 8], Unknown),
            ("score.weight", Dtype::F32, &[100, 8], Unknown),
            ("something.weight", Dtype::F32, &[8, 100], Unknown),
            ("transformer.wpe.weight", Dtype::F32, &[100, 8], Other),
            ("model.decoder.embed_positions.weight", Dtype::F32, &[100, 8], Other),
            ("model.layers.0.mlp.up_proj.weight", Dtype::F32, &[100, 8], Other),
            ("bert.encoder.layer.0.output.dense.weight", Dtype::F32, &[8, 100], Other),
            ("model.decoder.layers.0.fc1.weight", Dtype::F32, &[100, 8], Other),
            ("model.decoder.layers.0.fc1.bias", Dtype::F32, &[100], Other),
            ("model.norm.weight", Dtype::F32, &[8], Other),
            ("lm_head.weight", Dtype::F32, &[99, 8], Other),
        ];
        for (name, dtype, shape, expected) in cases {
            let info = TensorInfo { dtype, shape: shape.to_vec(), data_offsets: (0, 0) };
            assert_eq!(role(name, &info, 100, &config), expected, "{name} {shape:?}");
        }
        let info = TensorInfo { dtype: Dtype::F32, shape: vec![64, 8], data_offsets: (0, 0) };
        assert_eq!(role("norm.scale", &info, 64, &config), Other);
        assert_eq!(role("norm.scale", &info, 64, &json!({})), Unknown);
    }
}
