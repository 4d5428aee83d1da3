//! From one vector a token to one a text, as sentence-transformers declares it.

use std::path::Path;

use ndarray::{ArrayView2, ArrayViewMut1, s};
use serde::Deserialize;

use super::read_json;
use crate::error::{Error, Result};

/// How token vectors become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pooling {
    Mean,
    First,
    Max,
    Last,
}

/// Pooling and what follows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) pooling: Pooling,
    pub(super) normalize: bool,
}

#[derive(Deserialize)]
struct Module {
    #[serde(rename = "type")]
    kind: String,
    path: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct PoolingConfig {
    pooling_mode_cls_token: bool,
    pooling_mode_mean_tokens: bool,
    pooling_mode_max_tokens: bool,
    pooling_mode_lasttoken: bool,
}

impl Head {
    /// What the folder's `modules.json` declares; without one, the mean, normalised.
    pub(super) fn of_folder(folder: &Path) -> Result<Self> {
        let Some(modules) = read_json::<Vec<Module>>(&folder.join("modules.json"))? else {
            return Ok(Head { pooling: Pooling::Mean, normalize: true });
        };
        let mut head = Head { pooling: Pooling::Mean, normalize: false };
        for module in &modules {
            match module.kind.rsplit('.').next() {
                Some("Transformer") => {}
                Some("Normalize") => head.normalize = true,
                Some("Pooling") => {
                    let path = folder.join(&module.path).join("config.json");
                    head.pooling = read_json::<PoolingConfig>(&path)?.unwrap_or_default().mode(&path)?;
                }
                _ => {
                    let path = folder.join("modules.json");
                    let help = "export the model with this module inside its graph";
                    return Err(Error::file(&path, "Transformer, Pooling and Normalize modules", &module.kind, help));
                }
            }
        }
        Ok(head)
    }

    /// Pools the vectors `tokens (length, dim)` of which `mask` names the real ones.
    pub(super) fn pool(self, tokens: ArrayView2<f32>, mask: &[i64], mut out: ArrayViewMut1<f32>) {
        let real = || mask.iter().enumerate().filter(|&(_, &m)| m != 0).map(|(at, _)| at);
        match self.pooling {
            Pooling::Mean => {
                real().for_each(|at| out += &tokens.row(at));
                out /= real().count().max(1) as f32;
            }
            Pooling::First => real().take(1).for_each(|at| out.assign(&tokens.row(at))),
            Pooling::Last => real().next_back().into_iter().for_each(|at| out.assign(&tokens.row(at))),
            Pooling::Max => {
                out.fill(f32::NEG_INFINITY);
                real().for_each(|at| out.zip_mut_with(&tokens.row(at), |o, &t| *o = o.max(t)));
            }
        }
        self.finish(out);
    }

    /// Normalises where that was declared.
    pub(super) fn finish(self, mut out: ArrayViewMut1<f32>) {
        let length = out.dot(&out).sqrt();
        if self.normalize && length > 0.0 {
            out.slice_mut(s![..]).mapv_inplace(|v| v / length);
        }
    }
}

impl PoolingConfig {
    fn mode(&self, path: &Path) -> Result<Pooling> {
        let modes = [
            (self.pooling_mode_mean_tokens, Pooling::Mean),
            (self.pooling_mode_cls_token, Pooling::First),
            (self.pooling_mode_max_tokens, Pooling::Max),
            (self.pooling_mode_lasttoken, Pooling::Last),
        ];
        let mut chosen = modes.iter().filter(|(on, _)| *on).map(|&(_, mode)| mode);
        match (chosen.next(), chosen.next()) {
            (Some(mode), None) => Ok(mode),
            (first, _) => {
                let got = if first.is_some() { "several" } else { "another" };
                let help = "export the model with its pooling inside the graph";
                Err(Error::file(path, "one pooling mode: mean, cls, max or last token", got, help))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array1, array};

    #[test]
    fn padding_has_no_say() {
        let tokens = array![[1.0, 0.0], [3.0, 4.0], [9.0, 9.0]];
        let pool = |pooling, mask: &[i64]| {
            let mut out = Array1::zeros(2);
            Head { pooling, normalize: false }.pool(tokens.view(), mask, out.view_mut());
            out.to_vec()
        };
        assert_eq!(pool(Pooling::Mean, &[1, 1, 0]), [2.0, 2.0]);
        assert_eq!(pool(Pooling::Max, &[1, 1, 0]), [3.0, 4.0]);
        assert_eq!(pool(Pooling::Last, &[1, 1, 0]), [3.0, 4.0]);
        assert_eq!(pool(Pooling::First, &[0, 1, 1]), [3.0, 4.0]);
        let mut out = array![3.0, 4.0];
        Head { pooling: Pooling::Mean, normalize: true }.finish(out.view_mut());
        assert_eq!(out.to_vec(), [0.6, 0.8]);
    }
}
