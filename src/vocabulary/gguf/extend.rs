//! Writing of the extended copy.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use memmap2::Mmap;
use ndarray::Array2;

use super::dequantize::{BF16, F16, F32, READABLE, TensorFormat, format};
use super::read::{ARRAY, FLOAT32, Gguf, GgufTensor, INT32, STRING, UINT32, strings};
use crate::artifact::open_regular;
use crate::error::{Error, Result};
use crate::vocabulary::float_type::FloatType;

const TOKENS: &str = "tokenizer.ggml.tokens";
const KINDS: &str = "tokenizer.ggml.token_type";
const SCORES: &str = "tokenizer.ggml.scores";
const ARCHITECTURE: &str = "general.architecture";
const SPLIT: &str = "split.count";
const INPUT: &str = "token_embd.weight";
const OUTPUT: &str = "output.weight";
/// Kinds of tokens: normal ones, user-defined ones, and unused rows.
const NORMAL: i32 = 1;
const USER_DEFINED: i32 = 4;
const UNUSED: i32 = 5;
/// The score of added tokens in llama.cpp's converter.
const SCORE: f32 = -1000.0;

/// Writes a copy of the file `source` to `target` with `tokens` from id `first_id` on. Their embedding rows are `input`,
/// and `output` where the file has separate output rows.
///
/// # Errors
/// [`Error::Missing`] and [`Error::File`] for a file that cannot be read or has other contents, [`Error::Mismatch`] for
/// the file of another model.
pub(in crate::vocabulary) fn extend(
    source: &Path,
    target: &Path,
    first_id: u32,
    tokens: &[String],
    input: &Array2<f32>,
    output: Option<&Array2<f32>>,
) -> Result<()> {
    if !source.is_file() {
        return Err(Error::Missing {
            path: source.into(),
            expected: "a GGUF file".into(),
            help: "pass the file of the same model as --llm".into(),
        });
    }
    let file = open_regular(source).map_err(|e| Error::io("read", source, e))?;
    // SAFETY: the file must not change while it is mapped, and models are not modified while they are read. What is
    // read is either validated or numbers, for which every bit pattern is valid.
    #[allow(unsafe_code)]
    let map = unsafe { Mmap::map(&file) }.map_err(|e| Error::io("read", source, e))?;
    let gguf = Gguf::read(source, &map)?;
    refuse_shard(&gguf, source)?;
    let first = first_id as usize;
    let entries = TokenLists::of(&gguf, source)?.extended(source, first, tokens)?;
    let rows = entries.tokens.len();
    let mut extended = Vec::new();
    for (name, new) in [(INPUT, Some(input)), (OUTPUT, output.or(Some(input)))] {
        if let (Some(tensor), Some(new)) = (gguf.tensors.iter().find(|tensor| tensor.name == name), new) {
            extended.push(ExtendedMatrix::new(&gguf, tensor, source, first, new, rows)?);
        }
    }
    if extended.first().is_none_or(|tensor| tensor.name != INPUT) {
        return Err(foreign(source, format!("a tensor {INPUT}"), "none"));
    }
    refuse_further(&gguf, source)?;
    let mut out = BufWriter::new(File::create(target).map_err(|e| Error::io("write", target, e))?);
    write(&mut out, &gguf, &entries, &extended).map_err(|e| Error::io("write", target, e))
}

/// Refuses a model that is split into several files, because each file lacks the tensors of the others.
fn refuse_shard(gguf: &Gguf, path: &Path) -> Result<()> {
    match gguf.integer(SPLIT).filter(|&count| count > 1) {
        None => Ok(()),
        Some(count) => Err(Error::file(
            path,
            "a complete GGUF model in one file",
            format!("one of {count} files ({SPLIT} = {count})"),
            "merge them first: llama-gguf-split --merge FIRST_FILE MERGED_FILE",
        )),
    }
}

/// Refuses other tensors with one row or value per token, such as multi-token prediction heads.
fn refuse_further(gguf: &Gguf, path: &Path) -> Result<()> {
    let rows = gguf.tensors.iter().find(|tensor| tensor.name == INPUT).and_then(|tensor| tensor.shape.get(1));
    let per_token = |tensor: &&GgufTensor| {
        // Other sizes of layers can equal the number of tokens by chance.
        let named = !tensor.name.starts_with("blk.") || tensor.name.contains(".nextn.");
        let positions = tensor.name.contains("position") || tensor.name.contains("rope");
        let tensor_of_tokens = named && !positions && ![INPUT, OUTPUT].contains(&tensor.name);
        tensor_of_tokens && rows.is_some_and(|rows| tensor.shape.contains(rows))
    };
    match gguf.tensors.iter().find(per_token) {
        None => Ok(()),
        Some(tensor) => Err(Error::file(
            path,
            format!("one row per token only in {INPUT} and {OUTPUT}"),
            format!("{} with the shape {:?}", tensor.name, tensor.shape),
            "omit --gguf, and convert the checkpoint of --write-model with llama.cpp's convert_hf_to_gguf.py",
        )),
    }
}

/// The token lists of the tokenizer.
struct TokenLists<'a> {
    tokens: Vec<&'a [u8]>,
    kinds: Vec<i32>,
    scores: Option<Vec<f32>>,
}

impl<'a> TokenLists<'a> {
    fn of(gguf: &Gguf<'a>, path: &Path) -> Result<Self> {
        let numbers =
            |key, kind| gguf.array(key, kind).map(|(_, bytes)| bytes.chunks_exact(4).map(|b| [b[0], b[1], b[2], b[3]]));
        let Some((n, bytes)) = gguf.array(TOKENS, STRING) else {
            return Err(foreign(path, format!("the tokenizer's tokens under {TOKENS}"), "none"));
        };
        let tokens = strings(bytes);
        let kinds = numbers(KINDS, INT32).map_or(vec![NORMAL; n], |bytes| bytes.map(i32::from_le_bytes).collect());
        let scores = numbers(SCORES, FLOAT32).map(|bytes| bytes.map(f32::from_le_bytes).collect::<Vec<f32>>());
        let lengths = [n, tokens.len(), kinds.len(), scores.as_ref().map_or(n, Vec::len)];
        if lengths.iter().any(|&length| length != n) {
            return Err(foreign(path, format!("{n} tokens, kinds and scores"), format!("{lengths:?}")));
        }
        Ok(TokenLists { tokens, kinds, scores })
    }

    /// The lists with `new` tokens from the id `first` on. Tokens of padding rows are replaced.
    fn extended(mut self, path: &Path, first: usize, new: &'a [String]) -> Result<Self> {
        let n = self.tokens.len();
        let padding = |id: usize| self.kinds[id] == UNUSED || self.tokens[id].starts_with(b"[PAD");
        let wrong = (first..n.min(first + new.len())).find(|&id| !padding(id));
        if n < first || wrong.is_some() {
            let got = match wrong {
                Some(id) => format!("{n}, with the token {:?} as id {id}", String::from_utf8_lossy(self.tokens[id])),
                None => n.to_string(),
            };
            let help = "pass the GGUF file of the same model, without added tokens";
            return Err(Error::mismatch(
                format!("tokens of {}", path.display()),
                format!("{first}, as in the tokenizer"),
                got,
                help,
            ));
        }
        let known: HashSet<&[u8]> = self.tokens.iter().copied().collect();
        if let Some(token) = new.iter().find(|token| known.contains(token.as_bytes())) {
            let help = "pass the file as it was before it was extended, or choose another --token-format";
            return Err(Error::file(path, "a model without the index's tokens", format!("{token:?}"), help));
        }
        let end = n.max(first + new.len());
        self.tokens.resize(end, b"");
        self.kinds.resize(end, USER_DEFINED);
        if let Some(scores) = &mut self.scores {
            scores.resize(end, SCORE);
        }
        for (id, token) in (first..).zip(new) {
            self.tokens[id] = token.as_bytes();
            self.kinds[id] = USER_DEFINED;
            if let Some(scores) = &mut self.scores {
                scores[id] = SCORE;
            }
        }
        Ok(self)
    }

    fn token_value(&self) -> Vec<u8> {
        let mut value = array_head(STRING, self.tokens.len());
        for token in &self.tokens {
            value.extend((token.len() as u64).to_le_bytes());
            value.extend(*token);
        }
        value
    }
}

fn array_head(kind: u32, n: usize) -> Vec<u8> {
    [&kind.to_le_bytes()[..], &(n as u64).to_le_bytes()].concat()
}

/// An embedding matrix with new rows.
struct ExtendedMatrix<'a> {
    name: &'a str,
    shape: Vec<u64>,
    /// The tensor type of the copy.
    kind: u32,
    float_type: FloatType,
    /// The tensor type of the source.
    format: TensorFormat,
    bytes: &'a [u8],
    first: usize,
    new: &'a Array2<f32>,
}

impl<'a> ExtendedMatrix<'a> {
    fn new(
        gguf: &Gguf<'a>,
        tensor: &GgufTensor<'a>,
        path: &Path,
        first: usize,
        new: &'a Array2<f32>,
        rows: usize,
    ) -> Result<Self> {
        let name = tensor.name;
        let &[dim, old] = &tensor.shape[..] else {
            return Err(foreign(path, format!("{name} as a matrix"), format!("{:?}", tensor.shape)));
        };
        if dim != new.ncols() as u64 || old < first as u64 || old > rows as u64 {
            return Err(Error::mismatch(
                format!("shape of {name} in {}", path.display()),
                format!("{} numbers per row and {first} rows or slightly more, as in the model of --llm", new.ncols()),
                format!("{dim} numbers and {old} rows"),
                "pass the GGUF file of the same model",
            ));
        }
        let Some(format) = format(tensor.kind) else {
            return Err(foreign(path, format!("{name} in {READABLE}"), format!("ggml type {}", tensor.kind)));
        };
        // A row consists of whole blocks.
        let length = format.length(dim as usize).and_then(|width| width.checked_mul(old as usize));
        let bytes = length.and_then(|length| gguf.data_of(tensor).get(..length));
        let bytes = bytes.ok_or_else(|| foreign(path, format!("all of {name}"), "a truncated file"))?;
        let (kind, float_type) = match tensor.kind {
            F32 => (F32, FloatType::F32),
            BF16 => (BF16, FloatType::Bf16),
            _ => (F16, FloatType::F16),
        };
        Ok(ExtendedMatrix { name, shape: vec![dim, rows as u64], kind, float_type, format, bytes, first, new })
    }

    fn length(&self) -> usize {
        (self.shape[0] * self.shape[1]) as usize * self.float_type.size()
    }

    fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let dim = self.shape[0] as usize;
        let width = dim / self.format.block * self.format.bytes;
        let old = self.bytes.len() / width;
        let mut row_bytes = Vec::with_capacity(dim * self.float_type.size());
        for row in 0..self.shape[1] as usize {
            row_bytes.clear();
            match row.checked_sub(self.first).filter(|&new| new < self.new.nrows()) {
                Some(new) => self.float_type.write(self.new.row(new).iter().copied(), &mut row_bytes),
                None if row < old => {
                    let bytes = &self.bytes[row * width..(row + 1) * width];
                    if self.kind == self.format.kind {
                        row_bytes.extend_from_slice(bytes);
                    } else {
                        self.float_type.write(self.format.read(bytes), &mut row_bytes);
                    }
                }
                None => row_bytes.resize(dim * self.float_type.size(), 0),
            }
            out.write_all(&row_bytes)?;
        }
        Ok(())
    }
}

fn write(out: &mut impl Write, gguf: &Gguf, tokens: &TokenLists, extended: &[ExtendedMatrix]) -> io::Result<()> {
    let architecture =
        gguf.entry(ARCHITECTURE, STRING).and_then(|value| strings(value).first().copied()).unwrap_or_default();
    let size_key = format!("{}.vocab_size", String::from_utf8_lossy(architecture));
    let kinds = || {
        [array_head(INT32, tokens.kinds.len()), tokens.kinds.iter().flat_map(|k| k.to_le_bytes()).collect()].concat()
    };
    let mut entries: Vec<(&str, u32, Vec<u8>)> = Vec::new();
    for entry in &gguf.entries {
        let value = match (entry.key, &tokens.scores) {
            (TOKENS, _) => tokens.token_value(),
            (KINDS, _) => kinds(),
            (SCORES, Some(scores)) => {
                [array_head(FLOAT32, scores.len()), scores.iter().flat_map(|s| s.to_le_bytes()).collect()].concat()
            }
            (key, _) if key == size_key && entry.kind == UINT32 => (tokens.tokens.len() as u32).to_le_bytes().to_vec(),
            _ => entry.value.to_vec(),
        };
        entries.push((entry.key, entry.kind, value));
    }
    // Without kinds, llama.cpp would split the new tokens like any text.
    if gguf.entry(KINDS, ARRAY).is_none() {
        entries.push((KINDS, ARRAY, kinds()));
    }
    let mut head = b"GGUF".to_vec();
    head.extend(gguf.version.to_le_bytes());
    head.extend((gguf.tensors.len() as u64).to_le_bytes());
    head.extend((entries.len() as u64).to_le_bytes());
    for (key, kind, value) in &entries {
        push_string(&mut head, key);
        head.extend(kind.to_le_bytes());
        head.extend(value);
    }
    // The data is ordered by offset, not by the list.
    let mut order: Vec<&GgufTensor> = gguf.tensors.iter().collect();
    order.sort_by_key(|tensor| tensor.offset);
    let of = |tensor: &GgufTensor| extended.iter().find(|extended| extended.name == tensor.name);
    let length = |tensor: &GgufTensor| of(tensor).map_or_else(|| gguf.data_of(tensor).len(), ExtendedMatrix::length);
    let mut offsets = Vec::with_capacity(order.len());
    let mut end = 0;
    for tensor in &order {
        offsets.push((tensor.offset, end as u64));
        end = (end + length(tensor)).next_multiple_of(gguf.alignment);
    }
    for tensor in &gguf.tensors {
        push_string(&mut head, tensor.name);
        let (shape, kind) =
            of(tensor).map_or((&tensor.shape, tensor.kind), |extended| (&extended.shape, extended.kind));
        head.extend((shape.len() as u32).to_le_bytes());
        head.extend(shape.iter().flat_map(|n| n.to_le_bytes()));
        head.extend(kind.to_le_bytes());
        let offset = offsets.iter().find(|(old, _)| *old == tensor.offset).map_or(0, |(_, new)| *new);
        head.extend(offset.to_le_bytes());
    }
    head.resize(head.len().next_multiple_of(gguf.alignment), 0);
    out.write_all(&head)?;
    for (at, tensor) in order.iter().enumerate() {
        match of(tensor) {
            Some(extended) => extended.write(out)?,
            None => out.write_all(gguf.data_of(tensor))?,
        }
        let padding = length(tensor).next_multiple_of(gguf.alignment) - length(tensor);
        if at + 1 < order.len() || of(tensor).is_some() {
            out.write_all(&vec![0; padding])?;
        }
    }
    out.flush()
}

fn push_string(head: &mut Vec<u8>, text: &str) {
    head.extend((text.len() as u64).to_le_bytes());
    head.extend(text.as_bytes());
}

fn foreign(path: &Path, expected: impl Into<String>, got: impl ToString) -> Error {
    Error::file(path, expected, got, "pass the GGUF file of the model of --llm, or copy it again")
}
