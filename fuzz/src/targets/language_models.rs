//! The files of language models that `vocab` reads and extends.

use std::path::Path;

use catalex::pipeline;
use catalex::progress::Silent;
use catalex::vocabulary::FacetTokenizer;
use serde_json::{Value, json};

use super::{Target, put, shown, target, with_file};
use crate::home::{Home, spec};
use crate::mutate::Form;
use crate::seeds;

pub(super) const TARGETS: &[Target] = &[
    target("tokenizer-json", Form::Json, seeds::tokenizers, |home, folder, input| {
        let tokenizer = put(folder, "hf/tokenizer.json", input);
        let tokenizer = tokenizer.parent().unwrap_or(folder);
        if let Some(facets) = shown(FacetTokenizer::load(tokenizer)) {
            let _ = shown(facets.tokenize(&[" || 12 ## red pens @@", "it's é \u{1F600} <x> \u{FEFF}", ""]));
        }
        vocab(home, folder, json!({"tokenizer": tokenizer}), json!({}));
    }),
    target(
        "tokenizer-config",
        Form::Json,
        |home| vec![home.read("llm/tokenizer_config.json")],
        |home, folder, input| {
            let llm = with_file(home, "llm", folder, "tokenizer_config.json", input);
            vocab(home, folder, json!({"tokenizer": llm}), json!({}));
        },
    ),
    target(
        "special-tokens",
        Form::Json,
        |home| vec![home.read("llm/special_tokens_map.json")],
        |home, folder, input| {
            let llm = with_file(home, "llm", folder, "special_tokens_map.json", input);
            vocab(home, folder, json!({"tokenizer": llm}), json!({}));
        },
    ),
    target(
        "added-tokens",
        Form::Json,
        |_| vec![br#"{"<pad>": 6, "<extra>": 7}"#.to_vec()],
        |home, folder, input| {
            let llm = with_file(home, "llm", folder, "added_tokens.json", input);
            vocab(home, folder, json!({"tokenizer": llm}), json!({}));
        },
    ),
    target(
        "extended-tokenizer",
        Form::Json,
        |home| vec![home.read("vocabulary/tokenizer/catalex.json")],
        |home, folder, input| {
            let extended = with_file(home, "vocabulary/tokenizer", folder, "catalex.json", input);
            vocab(
                home,
                folder,
                json!({"tokenizer": extended, "begin-token": "<|id|>", "end-token": "<|/id|>"}),
                json!({}),
            );
        },
    ),
    target("sentencepiece", Form::Bytes, seeds::sentencepiece, |home, folder, input| {
        let model = put(folder, "hf/tokenizer.model", input);
        vocab(home, folder, json!({"tokenizer": model.parent()}), json!({}));
    }),
    target(
        "llm-weights",
        Form::SafeTensors,
        |home| vec![home.read("llm/model.safetensors")],
        |home, folder, input| {
            let llm = with_file(home, "llm", folder, "model.safetensors", input);
            resized(home, folder, &llm);
        },
    ),
    target(
        "llm-config",
        Form::Json,
        |home| vec![home.read("llm/config.json")],
        |home, folder, input| {
            let llm = with_file(home, "llm", folder, "config.json", input);
            resized(home, folder, &llm);
        },
    ),
    target("llm-shards", Form::Json, shards, |home, folder, input| {
        let llm = with_file(home, "llm", folder, "model.safetensors.index.json", input);
        let _ = std::fs::rename(llm.join("model.safetensors"), llm.join("model-1.safetensors"));
        vocab(
            home,
            folder,
            json!({"tokenizer": llm}),
            json!({"llm": llm, "write-model": true, "start-values": "mean"}),
        );
    }),
    target("gguf", Form::Bytes, seeds::gguf, |home, folder, input| {
        let (gguf, llm) = (put(folder, "x.gguf", input), home.path("llm"));
        vocab(home, folder, json!({"tokenizer": llm}), json!({"llm": llm, "gguf": gguf, "start-values": "mean"}));
    }),
];

fn shards(_: &Home) -> Vec<Vec<u8>> {
    let map = json!({"model.embed_tokens.weight": "model-1.safetensors", "norm.weight": "model-1.safetensors"});
    vec![json!({"metadata": {"total_size": 256}, "weight_map": map}).to_string().into_bytes()]
}

/// The model of a folder with rows for the new tokens.
fn resized(home: &Home, folder: &Path, llm: &Path) {
    let asked = json!({"llm": llm, "write-model": true, "start-values": "mean"});
    vocab(home, folder, json!({"tokenizer": llm}), asked);
}

fn vocab(home: &Home, folder: &Path, vocabulary: Value, llm: Value) {
    let asked = json!({"tokens": home.path("t.parquet"), "vocabulary": vocabulary, "llm": llm,
        "output": {"out": folder.join("out")}});
    let _ = shown(pipeline::vocab(&spec(asked), &Silent));
}
