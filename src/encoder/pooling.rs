//! Pooling of token vectors to one vector per text, as declared for sentence-transformers.

use std::path::{Path, PathBuf};

use ndarray::{ArrayView2, ArrayViewMut1, s};
use serde::Deserialize;
use serde_json::Value;

use super::folder::read_json;
use crate::error::{Error, Result};

/// A pooling method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pooling {
    First,
    Max,
    Mean,
    /// The mean times the square root of the number of tokens.
    MeanSqrt,
    /// The mean with weights 1, 2, 3, ... from the first token on.
    Weighted,
    Last,
}

/// The name and the older switch of each method, in the order of concatenation.
const MODES: [(&str, &str, Pooling); 6] = [
    ("cls", "pooling_mode_cls_token", Pooling::First),
    ("max", "pooling_mode_max_tokens", Pooling::Max),
    ("mean", "pooling_mode_mean_tokens", Pooling::Mean),
    ("mean_sqrt_len_tokens", "pooling_mode_mean_sqrt_len_tokens", Pooling::MeanSqrt),
    ("weightedmean", "pooling_mode_weightedmean_tokens", Pooling::Weighted),
    ("lasttoken", "pooling_mode_lasttoken", Pooling::Last),
];

/// What follows the transformer: poolings, whose vectors are concatenated, and normalization.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PoolingHead {
    pub(super) poolings: Vec<Pooling>,
    pub(super) normalize: bool,
    /// Whether the prompt's tokens are pooled, too.
    pub(super) include_prompt: bool,
    /// Subfolder of the transformer's files.
    pub(super) transformer: PathBuf,
}

#[derive(Deserialize)]
struct ModuleEntry {
    #[serde(rename = "type")]
    kind: String,
    path: String,
}

#[derive(Deserialize)]
struct PoolingConfig {
    pooling_mode: Option<Value>,
    include_prompt: Option<bool>,
    #[serde(flatten)]
    others: serde_json::Map<String, Value>,
}

impl PoolingHead {
    /// Reads the folder's `modules.json`; without one, mean pooling as in sentence-transformers.
    pub(super) fn of_folder(folder: &Path) -> Result<Self> {
        let mut head = PoolingHead {
            poolings: vec![Pooling::Mean],
            normalize: false,
            include_prompt: true,
            transformer: PathBuf::new(),
        };
        let path = folder.join("modules.json");
        for module in read_json::<Vec<ModuleEntry>>(&path)?.unwrap_or_default() {
            match module.kind.rsplit('.').next() {
                Some("Transformer") => head.transformer = PathBuf::from(&module.path),
                Some("Normalize") => head.normalize = true,
                Some("Pooling") => {
                    let path = folder.join(&module.path).join("config.json");
                    if let Some(config) = read_json::<PoolingConfig>(&path)? {
                        head.poolings = config.poolings(&path)?;
                        head.include_prompt = config.include_prompt.unwrap_or(true);
                    }
                }
                _ => {
                    let help = "export the model with this module in its graph, and remove it here";
                    return Err(Error::file(&path, "Transformer, Pooling and Normalize modules", &module.kind, help));
                }
            }
        }
        Ok(head)
    }

    /// Pools the vectors `tokens (length, dim)` into `out`, with `dim` numbers per pooling. `mask` selects tokens that are
    /// not padding; the first `skip` of them belong to the prompt.
    pub(super) fn pool(&self, tokens: ArrayView2<f32>, mask: &[i64], skip: usize, mut out: ArrayViewMut1<f32>) {
        let real: Vec<usize> = mask.iter().enumerate().filter(|&(_, &m)| m != 0).map(|(at, _)| at).collect();
        // Positions for weights count from the first token, including the prompt.
        let counted = real.get(skip..).unwrap_or_default();
        for (pooling, mut out) in self.poolings.iter().zip(out.exact_chunks_mut(tokens.ncols())) {
            let add = |out: &mut ArrayViewMut1<f32>, weight: &dyn Fn(usize) -> f32| {
                counted
                    .iter()
                    .zip(skip..)
                    .for_each(|(&at, position)| out.scaled_add(weight(position), &tokens.row(at)));
            };
            let several = counted.len().max(1) as f32;
            match pooling {
                Pooling::Mean => add(&mut out, &|_| 1.0 / several),
                Pooling::MeanSqrt => add(&mut out, &|_| 1.0 / several.sqrt()),
                Pooling::Weighted => {
                    let all: f32 = (skip..skip + counted.len()).map(|position| (position + 1) as f32).sum();
                    add(&mut out, &|position| (position + 1) as f32 / all);
                }
                Pooling::First => counted.first().into_iter().for_each(|&at| out.assign(&tokens.row(at))),
                Pooling::Last => counted.last().into_iter().for_each(|&at| out.assign(&tokens.row(at))),
                Pooling::Max => {
                    counted.first().into_iter().for_each(|&at| out.assign(&tokens.row(at)));
                    counted.iter().for_each(|&at| out.zip_mut_with(&tokens.row(at), |o, &t| *o = o.max(t)));
                }
            }
        }
        self.finish(out);
    }

    /// Normalizes to length 1, if declared.
    pub(super) fn finish(&self, mut out: ArrayViewMut1<f32>) {
        let length = out.dot(&out).sqrt();
        if self.normalize && length > 0.0 {
            out.slice_mut(s![..]).mapv_inplace(|v| v / length);
        }
    }
}

impl PoolingConfig {
    fn poolings(&self, path: &Path) -> Result<Vec<Pooling>> {
        let names: Vec<String> = match &self.pooling_mode {
            Some(Value::String(name)) => vec![name.clone()],
            Some(Value::Array(names)) => {
                names.iter().map(|name| name.as_str().map_or_else(|| name.to_string(), str::to_owned)).collect()
            }
            Some(other) => vec![other.to_string()],
            None => {
                let on = |key: &&String| self.others.get(*key) == Some(&Value::Bool(true));
                let known: Vec<_> = MODES.iter().filter(|(_, key, _)| on(&&(*key).to_owned())).collect();
                let unknown = self.others.keys().filter(|key| key.starts_with("pooling_mode_")).filter(on);
                let unknown = unknown.filter(|key| MODES.iter().all(|(_, known, _)| known != key));
                known.iter().map(|(name, ..)| (*name).to_owned()).chain(unknown.cloned()).collect()
            }
        };
        // Without any switch, sentence-transformers uses the mean.
        let names = if names.is_empty() { vec!["mean".to_owned()] } else { names };
        let read = |name: &String| MODES.iter().find(|(known, ..)| known == name).map(|&(.., pooling)| pooling);
        names.iter().map(|name| read(name).ok_or(name)).collect::<std::result::Result<_, _>>().map_err(|name| {
            let known = MODES.map(|(name, ..)| name).join(", ");
            let help = "export the model with its pooling in the graph";
            Error::file(path, format!("pooling modes among {known}"), name, help)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array1, array};

    fn head(poolings: &[Pooling]) -> PoolingHead {
        PoolingHead { poolings: poolings.to_vec(), normalize: false, include_prompt: true, transformer: PathBuf::new() }
    }

    fn pooled(poolings: &[Pooling], mask: &[i64], skip: usize) -> Vec<f32> {
        let tokens = array![[1.0, 0.0], [3.0, 4.0], [9.0, 9.0]];
        let mut out = Array1::zeros(2 * poolings.len());
        head(poolings).pool(tokens.view(), mask, skip, out.view_mut());
        out.to_vec()
    }

    #[test]
    fn padding_is_ignored() {
        assert_eq!(pooled(&[Pooling::Mean], &[1, 1, 0], 0), [2.0, 2.0]);
        assert_eq!(pooled(&[Pooling::Max], &[1, 1, 0], 0), [3.0, 4.0]);
        assert_eq!(pooled(&[Pooling::Last], &[1, 1, 0], 0), [3.0, 4.0]);
        assert_eq!(pooled(&[Pooling::First], &[0, 1, 1], 0), [3.0, 4.0]);
        assert_eq!(pooled(&[Pooling::Max], &[0, 0, 0], 0), [0.0, 0.0]);
        assert_eq!(pooled(&[Pooling::First, Pooling::Last], &[1, 0, 1], 0), [1.0, 0.0, 9.0, 9.0]);
        let mut out = array![3.0, 4.0];
        PoolingHead { normalize: true, ..head(&[Pooling::Mean]) }.finish(out.view_mut());
        assert_eq!(out.to_vec(), [0.6, 0.8]);
    }

    #[test]
    fn the_prompt_is_excluded_where_declared() {
        assert_eq!(pooled(&[Pooling::Mean], &[1, 1, 1], 1), [6.0, 6.5]);
        assert_eq!(pooled(&[Pooling::First], &[1, 1, 1], 1), [3.0, 4.0]);
        // Weights 2 and 3: the prompt's token has weight 1.
        let weighted = pooled(&[Pooling::Weighted], &[1, 1, 1], 1);
        assert!((weighted[0] - 6.6).abs() < 1e-5 && (weighted[1] - 7.0).abs() < 1e-5);
        assert_eq!(pooled(&[Pooling::Mean], &[1, 0, 0], 1), [0.0, 0.0]);
    }

    #[test]
    fn both_notations_are_read() {
        let read = |json: &str| serde_json::from_str::<PoolingConfig>(json).unwrap().poolings(Path::new("config.json"));
        let old =
            r#"{"word_embedding_dimension": 4, "pooling_mode_mean_tokens": false, "pooling_mode_lasttoken": true}"#;
        assert_eq!(read(old).unwrap(), [Pooling::Last]);
        assert_eq!(read(r#"{"embedding_dimension": 4, "pooling_mode": "cls"}"#).unwrap(), [Pooling::First]);
        assert_eq!(read(r#"{"pooling_mode": ["max", "mean"]}"#).unwrap(), [Pooling::Max, Pooling::Mean]);
        assert_eq!(read("{}").unwrap(), [Pooling::Mean]);
        assert!(read(r#"{"pooling_mode": "median"}"#).unwrap_err().to_string().contains("median"));
        assert!(
            read(r#"{"pooling_mode_attention": true}"#).unwrap_err().to_string().contains("pooling_mode_attention")
        );
    }
}
