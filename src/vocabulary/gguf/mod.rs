//! Extension of GGUF files (llama.cpp) by new tokens and embedding rows; everything else is copied byte by byte.
//!
//! A GGUF file has key-value metadata, a list of tensors, and the tensors' data. The extension changes the tokenizer's lists
//! of tokens, kinds and scores, the size of the vocabulary, and the embedding matrices. A tensor has a single type, so a
//! quantized embedding matrix becomes float16; the other tensors stay unchanged. ggml's `docs/gguf.md` describes the
//! format.

mod dequantize;
mod extend;
mod read;
#[cfg(test)]
mod tests;

pub(super) use extend::extend;

/// File name of the copy in a vocabulary folder.
pub(super) const FILE: &str = "model.gguf";
