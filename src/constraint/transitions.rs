//! The trie as the arrays of STATIC (arXiv 2602.22647): a sparse transition matrix for accelerators.

use std::collections::HashMap;
use std::io::Read;
use std::path::Path;

use safetensors::tensor::{Dtype, TensorView};
use serde_json::Value;

use super::trie::Trie;
use crate::artifact::{Overwrite, open_regular, write_file};
use crate::error::{Error, Result};

/// Maximum number of cells of the dense tables.
const MAX_TABLE_CELLS: usize = 1 << 28;

/// Maximum length in bytes of a file's header. The headers that [`Transitions::save`] writes are far shorter.
const MAX_HEADER: u64 = 1 << 20;

/// Transitions between prefixes, in the layout of `build_static_index` of STATIC's code.
///
/// State 0 is the end. States 1 to `vocabulary` are the prefixes of one token (token + 1). The longer prefixes follow by
/// length, in the order of their tokens.
#[derive(Debug, Clone, PartialEq)]
pub struct Transitions {
    /// Number of tokens.
    pub vocabulary: usize,
    /// Number of leading tokens that the dense tables cover: 1 or 2.
    pub dense_depth: usize,
    /// `(transitions + vocabulary, 2)`: token and next state; the last `vocabulary` rows are padding.
    pub packed_csr: Vec<[i32; 2]>,
    /// `(states + 2,)`: the start of each state's transitions; the padding comes last.
    pub indptr: Vec<i32>,
    /// Maximum number of children of a prefix, per level.
    pub max_branches: Vec<i32>,
    /// `(vocabulary,)`: whether an ID can start with a token.
    pub start_mask: Vec<bool>,
    /// `vocabulary` to the power of `dense_depth`: whether an ID can start with these tokens.
    pub dense_mask: Vec<bool>,
    /// The states after these tokens, in the same shape; 0 if there is none.
    pub dense_states: Vec<i32>,
}

impl Transitions {
    /// The transitions of a trie with at least two levels. The token of a code is `first_tokens[level] + code` and must be
    /// below `vocabulary`.
    ///
    /// # Errors
    /// [`Error::Config`] for tokens out of range and for an invalid size of the dense tables.
    pub fn new(trie: &Trie, first_tokens: &[u32], vocabulary: usize, dense_depth: usize) -> Result<Self> {
        let levels = trie.levels();
        let cells = u32::try_from(dense_depth).ok().and_then(|depth| vocabulary.checked_pow(depth));
        let Some(cells) = cells.filter(|&cells| (1..levels).contains(&dense_depth.max(1)) && cells <= MAX_TABLE_CELLS)
        else {
            return Err(Error::config(
                "dense-depth",
                format!("1, or 2 for a small vocabulary, and less than {levels} levels"),
                format!("{dense_depth} with {vocabulary} tokens"),
                "use 1 for the vocabulary of a whole language model",
            ));
        };
        let token = |level: usize, code: u16| -> Result<i32> {
            let token = first_tokens.get(level).map(|&first| first as usize + usize::from(code));
            token
                .filter(|&token| token < vocabulary && vocabulary < i32::MAX as usize)
                .map(|token| token as i32)
                .ok_or_else(|| {
                    let got = format!("code {code} of level {level} without one");
                    Error::config("vocabulary", format!("a token below {vocabulary} for each code"), got, "raise it")
                })
        };
        // The first state of each prefix length from 2 on; complete IDs are state 0.
        let mut first_states = vec![vocabulary + 1];
        for level in 1..levels {
            first_states.push(first_states[level - 1] + trie.codes(level).len());
        }
        let states = first_states[levels - 2];
        let state = |level: usize, index: usize| -> Result<i32> {
            match level {
                0 => Ok(token(0, trie.codes(0)[index])? + 1),
                _ if level + 1 == levels => Ok(0),
                _ => Ok((first_states[level - 1] + index) as i32),
            }
        };

        let mut counts = vec![0i32; states + 1];
        let mut packed_csr = Vec::new();
        let mut max_branches = vec![trie.codes(0).len() as i32];
        let mut start_mask = vec![false; vocabulary];
        let (mut dense_mask, mut dense_states) = (vec![false; cells], vec![0; cells]);
        for (index, &code) in trie.codes(0).iter().enumerate() {
            let at = token(0, code)? as usize;
            start_mask[at] = true;
            if dense_depth == 1 {
                (dense_mask[at], dense_states[at]) = (true, state(0, index)?);
            }
        }
        for level in 1..levels {
            let mut most = 0;
            let mut index = 0;
            for parent in 0..trie.codes(level - 1).len() {
                let children = trie.children(level, parent);
                counts[state(level - 1, parent)? as usize + 1] = children.len() as i32;
                most = most.max(children.len() as i32);
                for &code in children {
                    let (token_here, next) = (token(level, code)?, state(level, index)?);
                    packed_csr.push([token_here, next]);
                    if level == 1 && dense_depth == 2 {
                        let at = token(0, trie.codes(0)[parent])? as usize * vocabulary + token_here as usize;
                        (dense_mask[at], dense_states[at]) = (true, next);
                    }
                    index += 1;
                }
            }
            max_branches.push(most);
        }
        let mut indptr: Vec<i32> = counts
            .iter()
            .scan(0i32, |sum, &count| {
                *sum += count;
                Some(*sum)
            })
            .collect();
        indptr.push(packed_csr.len() as i32 + vocabulary as i32);
        packed_csr.extend(std::iter::repeat_n([vocabulary as i32, 0], vocabulary));
        Ok(Transitions {
            vocabulary,
            dense_depth,
            packed_csr,
            indptr,
            max_branches,
            start_mask,
            dense_mask,
            dense_states,
        })
    }

    /// Writes the arrays as a safetensors file, under STATIC's names: `packed_csr`, `indptr`, `layer_max_branches`,
    /// `start_mask`, `dense_mask`, `dense_states`; `vocab_size` and `d_dense` in its metadata.
    ///
    /// # Errors
    /// As [`write_file`].
    pub fn save(&self, path: &Path, overwrite: Overwrite) -> Result<()> {
        let dense = vec![self.vocabulary; self.dense_depth];
        let mask = |mask: &[bool]| mask.iter().map(|&bit| u8::from(bit)).collect::<Vec<u8>>();
        let (start_mask, dense_mask) = (mask(&self.start_mask), mask(&self.dense_mask));
        let views = [
            ("packed_csr", Dtype::I32, vec![self.packed_csr.len(), 2], bytemuck::cast_slice(&self.packed_csr)),
            ("indptr", Dtype::I32, vec![self.indptr.len()], bytemuck::cast_slice(&self.indptr)),
            ("layer_max_branches", Dtype::I32, vec![self.max_branches.len()], bytemuck::cast_slice(&self.max_branches)),
            ("start_mask", Dtype::BOOL, vec![self.vocabulary], start_mask.as_slice()),
            ("dense_mask", Dtype::BOOL, dense.clone(), dense_mask.as_slice()),
            ("dense_states", Dtype::I32, dense, bytemuck::cast_slice(&self.dense_states)),
        ];
        let wrong = |e: safetensors::SafeTensorError| {
            let help = "this is a bug of catalex; please report it";
            Error::mismatch("transitions", "arrays of their shapes", e.to_string(), help)
        };
        let views = views
            .into_iter()
            .map(|(name, kind, shape, bytes)| Ok((name, TensorView::new(kind, shape, bytes).map_err(wrong)?)))
            .collect::<Result<Vec<_>>>()?;
        let metadata = HashMap::from([(
            "static".to_owned(),
            format!(r#"{{"vocab_size": {}, "d_dense": {}}}"#, self.vocabulary, self.dense_depth),
        )]);
        let bytes = safetensors::serialize(views, Some(metadata)).map_err(wrong)?;
        write_file(path, &bytes, overwrite)
    }

    /// Number of tokens and depth of the dense tables of a file that [`Transitions::save`] wrote.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Artifact`] for a file that [`Transitions::save`] did not write.
    pub fn sizes(path: &Path) -> Result<(usize, usize)> {
        let wrong = |got: String| {
            Error::artifact(path, "the arrays of STATIC", got, "write them again with `catalex constrain`")
        };
        let fail = |e| Error::io("read", path, e);
        let mut file = open_regular(path).map_err(fail)?;
        let mut length = [0; 8];
        file.read_exact(&mut length).map_err(fail)?;
        let mut header = Vec::new();
        file.take(u64::from_le_bytes(length).min(MAX_HEADER)).read_to_end(&mut header).map_err(fail)?;
        let header: Value = serde_json::from_slice(&header).map_err(|e| wrong(e.to_string()))?;
        let about = header["__metadata__"]["static"].as_str().unwrap_or_default();
        let about: Value = serde_json::from_str(about).map_err(|e| wrong(e.to_string()))?;
        let size = |key: &str| about[key].as_u64().and_then(|size| usize::try_from(size).ok());
        size("vocab_size").zip(size("d_dense")).ok_or_else(|| wrong(about.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array2;
    use std::collections::BTreeSet;

    /// Every token sequence that the arrays accept, by the decoding loop of STATIC.
    fn accepted(arrays: &Transitions, levels: usize) -> BTreeSet<Vec<i32>> {
        let mut open: Vec<(Vec<i32>, i32)> = Vec::new();
        for first in (0..arrays.vocabulary).filter(|&token| arrays.start_mask[token]) {
            open.push((vec![first as i32], first as i32 + 1));
        }
        for level in 1..levels {
            let mut next = Vec::new();
            for (tokens, state) in open {
                if level < arrays.dense_depth {
                    for token in 0..arrays.vocabulary {
                        let at = tokens[0] as usize * arrays.vocabulary + token;
                        if arrays.dense_mask[at] {
                            next.push(([&tokens[..], &[token as i32]].concat(), arrays.dense_states[at]));
                        }
                    }
                } else {
                    let range = arrays.indptr[state as usize] as usize..arrays.indptr[state as usize + 1] as usize;
                    assert!(range.len() <= arrays.max_branches[level] as usize);
                    for [token, state] in &arrays.packed_csr[range] {
                        next.push(([&tokens[..], &[*token]].concat(), *state));
                    }
                }
            }
            open = next;
        }
        assert!(open.iter().all(|(_, state)| *state == 0));
        open.into_iter().map(|(tokens, _)| tokens).collect()
    }

    #[test]
    fn the_arrays_accept_exactly_the_ids() {
        let codes = Array2::from_shape_fn((60, 4), |(i, l)| [i % 5, i % 7, i % 3, i / 15][l] as u16);
        let trie = Trie::new(codes.view()).unwrap();
        let first = [0u32, 8, 16, 24];
        let ids: BTreeSet<Vec<i32>> =
            codes.rows().into_iter().map(|row| (0..4).map(|l| first[l] as i32 + i32::from(row[l])).collect()).collect();
        for depth in [1, 2] {
            let arrays = Transitions::new(&trie, &first, 32, depth).unwrap();
            assert_eq!(accepted(&arrays, 4), ids, "dense depth {depth}");
            assert_eq!(arrays.indptr.last(), Some(&(arrays.packed_csr.len() as i32)));
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("static.safetensors");
            arrays.save(&path, Overwrite::Refuse).unwrap();
            assert_eq!(Transitions::sizes(&path).unwrap(), (32, depth));
        }
        assert!(Transitions::new(&trie, &first, 20, 1).unwrap_err().to_string().contains("token below 20"));
        assert!(Transitions::new(&trie, &first, 200_000, 2).unwrap_err().to_string().contains("dense-depth"));
    }
}
