//! Extension of a small file, and refusal of damaged ones.

use std::fs;
use std::path::Path;

use ndarray::Array2;
use proptest::prelude::*;

use super::extend::extend;
use super::read::{ARRAY, Gguf, INT32, STRING, UINT32, strings};
use crate::error::Result;

const WORDS: [&str; 3] = ["a", "bc", "def"];
const DIM: usize = 4;

fn push_text(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text.as_bytes());
}

/// A model with three tokens and one float32 matrix.
fn small() -> Vec<u8> {
    small_with(None, None)
}

/// The same file as part of a split model, or with another matrix of this name.
fn small_with(files: Option<u16>, head: Option<&str>) -> Vec<u8> {
    let mut out = b"GGUF".to_vec();
    out.extend(3u32.to_le_bytes());
    out.extend([1 + u64::from(head.is_some()), 3 + u64::from(files.is_some())].map(u64::to_le_bytes).concat());
    if let Some(files) = files {
        push_text(&mut out, "split.count");
        out.extend(2u32.to_le_bytes());
        out.extend(files.to_le_bytes());
    }
    push_text(&mut out, "general.architecture");
    out.extend(STRING.to_le_bytes());
    push_text(&mut out, "llama");
    push_text(&mut out, "llama.vocab_size");
    out.extend([UINT32, WORDS.len() as u32].map(u32::to_le_bytes).concat());
    push_text(&mut out, "tokenizer.ggml.tokens");
    out.extend([ARRAY, STRING].map(u32::to_le_bytes).concat());
    out.extend((WORDS.len() as u64).to_le_bytes());
    WORDS.iter().for_each(|word| push_text(&mut out, word));
    for name in ["token_embd.weight"].into_iter().chain(head) {
        push_text(&mut out, name);
        out.extend(2u32.to_le_bytes());
        out.extend([DIM as u64, WORDS.len() as u64].map(u64::to_le_bytes).concat());
        out.extend(0u32.to_le_bytes());
        out.extend(0u64.to_le_bytes());
    }
    out.resize(out.len().next_multiple_of(32), 0);
    (0..DIM * WORDS.len()).for_each(|i| out.extend((i as f32).to_le_bytes()));
    out
}

/// The bytes of a file extended by two tokens.
fn extended(bytes: &[u8]) -> Result<Vec<u8>> {
    let folder = tempfile::tempdir().unwrap();
    let (source, target) = (folder.path().join("old.gguf"), folder.path().join("new.gguf"));
    fs::write(&source, bytes).unwrap();
    let rows = Array2::from_elem((2, DIM), 0.5);
    extend(&source, &target, WORDS.len() as u32, &["<a_0>".into(), "<a_1>".into()], &rows, None)?;
    Ok(fs::read(target).unwrap())
}

#[test]
fn tokens_and_rows_are_added() {
    let bytes = extended(&small()).unwrap();
    let gguf = Gguf::read(Path::new("new.gguf"), &bytes).unwrap();
    let words = strings(gguf.array("tokenizer.ggml.tokens", STRING).unwrap().1);
    assert_eq!(words, [&b"a"[..], b"bc", b"def", b"<a_0>", b"<a_1>"]);
    assert_eq!(gguf.entry("llama.vocab_size", UINT32).unwrap(), 5u32.to_le_bytes());
    let kinds = gguf.array("tokenizer.ggml.token_type", INT32).unwrap().1;
    assert_eq!(kinds, [1i32, 1, 1, 4, 4].map(i32::to_le_bytes).concat());
    assert_eq!(gguf.tensors[0].shape, [DIM as u64, 5]);
    let numbers = (0..12).map(|i| i as f32).chain([0.5; 8]);
    assert!(gguf.data_of(&gguf.tensors[0]).starts_with(&numbers.flat_map(f32::to_le_bytes).collect::<Vec<_>>()));
}

#[test]
fn split_models_and_other_heads_are_refused_by_name() {
    assert!(extended(&small_with(Some(1), Some("blk.0.ffn_up.weight"))).is_ok());
    let message = extended(&small_with(Some(2), None)).unwrap_err().to_string();
    assert!(message.contains("split.count = 2") && message.contains("llama-gguf-split --merge"), "{message}");
    for head in ["blk.4.nextn.shared_head_head.weight", "output.bias", "per_layer_token_embd.weight"] {
        let message = extended(&small_with(None, Some(head))).unwrap_err().to_string();
        assert!(message.contains(head), "{message}");
    }
}

#[test]
fn nested_arrays_are_refused() {
    let mut bytes = b"GGUF".to_vec();
    bytes.extend(3u32.to_le_bytes());
    bytes.extend([0u64, 1].map(u64::to_le_bytes).concat());
    push_text(&mut bytes, "key");
    bytes.extend(ARRAY.to_le_bytes());
    for _ in 0..1_000_000 {
        bytes.extend(ARRAY.to_le_bytes());
        bytes.extend(1u64.to_le_bytes());
    }
    assert!(extended(&bytes).unwrap_err().to_string().contains("an array of arrays"));
}

proptest! {
    #[test]
    fn damaged_files_are_refused_or_extended(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut bytes = small();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        if let Ok(new) = extended(&bytes) {
            prop_assert!(Gguf::read(Path::new("new.gguf"), &new).is_ok());
        }
    }
}
