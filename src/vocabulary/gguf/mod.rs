//! llama.cpp's GGUF files: new tokens and their rows, everything else carried over to the byte.
//!
//! A GGUF file has key-value metadata, a list of tensors, and the tensors' data. Of these change: the tokenizer's lists
//! of tokens, kinds and scores, the vocabulary's size, and the embedding matrices. A tensor has one type throughout: an
//! embedding matrix that is quantised becomes float16, the other tensors stay as they are. The format is described in
//! ggml's `docs/gguf.md`.

mod dequantize;
mod extend;
mod read;
#[cfg(test)]
mod tests;

pub(super) use extend::extend;

/// The copy's name in a vocabulary folder.
pub(super) const FILE: &str = "model.gguf";
