//! Encoders, tokenizers and language models, most with a fault.

use std::fs;
use std::path::Path;

use super::super::support::{WORDS, language_model};
use super::inputs::cut;

/// Folders of encoders, each with its own fault.
pub(super) fn write_encoders(folder: &Path) {
    let write = |name: &str, files: &[(&str, &str)]| {
        for (file, content) in [("model.onnx", "no graph")].iter().chain(files) {
            let path = folder.join(name).join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        fs::copy(folder.join("hf/tokenizer.json"), folder.join(name).join("tokenizer.json")).unwrap();
    };
    let modules = r#"[{"type": "sentence_transformers.models.Transformer", "path": ""},
                      {"type": "sentence_transformers.models.Pooling", "path": "1_Pooling"}]"#;
    write("graphs", &[("onnx/model_a.onnx", ""), ("onnx/model_b.onnx", "")]);
    fs::remove_file(folder.join("graphs/model.onnx")).unwrap();
    write("median", &[("modules.json", modules), ("1_Pooling/config.json", r#"{"pooling_mode": "median"}"#)]);
    write("dense", &[("modules.json", &modules.replace("Pooling\"", "Dense\""))]);
    let prompts = r#"{"prompts": {"query": "query: "}, "default_prompt_name": "item"}"#;
    write("prompted", &[("config_sentence_transformers.json", prompts)]);
    write("no-settings", &[]);
    write("padding", &[("preprocessor_config.json", r#"{"size": 224, "do_pad": true}"#)]);
    write("far", &[("preprocessor_config.json", r#"{"size": {"longest_edge": 224}}"#)]);
    write("no-mean", &[("preprocessor_config.json", r#"{"size": {"height": 224, "width": 224}}"#)]);
}

/// Small WordPiece tokenizers, each with its own fault, and SentencePiece models.
pub(super) fn write_tokenizers(folder: &Path) {
    let write = |name: &str, vocab: &str| {
        fs::create_dir(folder.join(name)).unwrap();
        let tokenizer = format!(
            r###"{{"version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": null,
            "pre_tokenizer": {{"type": "Whitespace"}}, "post_processor": null, "decoder": null,
            "model": {{"type": "WordPiece", "unk_token": "?", "continuing_subword_prefix": "##",
                       "max_input_chars_per_word": 100, "vocab": {{"?": 0, {vocab}}}}}}}"###
        );
        fs::write(folder.join(name).join("tokenizer.json"), tokenizer).unwrap();
    };
    write("hf", "\"yes\": 1");
    write("taken", "\"<b_2>\": 1");
    write("huge", "\"yes\": 4294967290");
    write("gaps", "\"yes\": 9000000");
    write("listing", "\"yes\": 1");
    fs::write(folder.join("listing/added_tokens.json"), "[1]").unwrap();
    write("other-index", "\"yes\": 1");
    fs::write(
        folder.join("other-index/catalex.json"),
        r#"{"format_version": 1, "model_hash": "abc", "codebook_sizes": [4, 4, 4], "token_format": "<{level}_{code}>",
            "begin_token": null, "end_token": null, "first_id": 2}"#,
    )
    .unwrap();
    write("bad-record", "\"yes\": 1");
    fs::write(folder.join("bad-record/catalex.json"), "{}").unwrap();
    fs::create_dir(folder.join("cut-model")).unwrap();
    fs::write(folder.join("cut-model/spiece.model"), b"\x0a\x09\x0a\x05<unk>\x18\x02\x0a\x30\x0a").unwrap();
    fs::create_dir(folder.join("xlm-r")).unwrap();
    fs::write(folder.join("xlm-r/sentencepiece.bpe.model"), b"\x0a\x09\x0a\x05<unk>\x18\x02").unwrap();
    fs::write(folder.join("xlm-r/tokenizer_config.json"), r#"{"tokenizer_class": "XLMRobertaTokenizer"}"#).unwrap();
}

/// Small language models, most with a fault.
pub(super) fn write_language_models(folder: &Path) {
    use safetensors::Dtype::F32;
    let at = |name: &str| folder.join(name);
    let words = WORDS.len();
    language_model(&at("llm"), words, 8, &["model.embed_tokens.weight"], F32);
    language_model(&at("tiny"), words, 4, &["model.embed_tokens.weight"], F32);
    language_model(&at("cut-llm"), words, 8, &["model.embed_tokens.weight"], F32);
    cut(&at("cut-llm/model.safetensors"), &at("llm/model.safetensors"));
    language_model(&at("odd-llm"), words, 8, &["encoder.embed.table"], F32);
    language_model(&at("tall-llm"), 2_000, 8, &["model.embed_tokens.weight"], F32);
    language_model(&at("short-llm"), words - 1, 8, &["model.embed_tokens.weight"], F32);
    language_model(&at("two-llm"), words, 8, &["model.embed_tokens.weight", "lm_head.weight"], F32);
    fs::remove_file(at("two-llm/model-1.safetensors")).unwrap();
    language_model(&at("bare-llm"), words, 8, &["model.embed_tokens.weight"], F32);
    fs::remove_file(at("bare-llm/model.safetensors")).unwrap();
    let items: String = (0..40).map(|row| format!("{row},red pen\n")).collect();
    fs::write(at("items.csv"), format!("id,t\n{items}")).unwrap();
    fs::write(at("fewer.csv"), format!("id,t\n{}", &items[..100])).unwrap();
    // GGUF.
    let string = |text: &str| [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat();
    let tokens: Vec<u8> = WORDS.iter().flat_map(|word| string(word)).collect();
    let head = |version: u32, kind: u32| {
        let mut bytes = [&b"GGUF"[..], &version.to_le_bytes(), &1u64.to_le_bytes(), &1u64.to_le_bytes()].concat();
        bytes.extend(string("tokenizer.ggml.tokens"));
        bytes.extend([9u32.to_le_bytes(), 8u32.to_le_bytes()].concat());
        bytes.extend((words as u64).to_le_bytes());
        bytes.extend(&tokens);
        bytes.extend(string("token_embd.weight"));
        bytes.extend(2u32.to_le_bytes());
        bytes.extend([8u64.to_le_bytes(), (words as u64).to_le_bytes()].concat());
        bytes.extend(kind.to_le_bytes());
        bytes.extend(0u64.to_le_bytes());
        bytes.resize(bytes.len().next_multiple_of(32) + words * 8 * 4, 0);
        bytes
    };
    fs::write(at("good.gguf"), head(3, 0)).unwrap();
    fs::write(at("future.gguf"), head(7, 0)).unwrap();
    fs::write(at("strange.gguf"), head(3, 99)).unwrap();
    fs::write(at("cut.gguf"), &head(3, 0)[..head(3, 0).len() - 40]).unwrap();
    fs::write(at("head.gguf"), &head(3, 0)[..100]).unwrap();
}
