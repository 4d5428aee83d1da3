//! Images, and the settings in encoder folders.

use std::path::Path;
use std::sync::{Mutex, OnceLock, PoisonError};

use catalex::catalog::ImageSource;
use catalex::encoder::{ImageEncoder, Runtime, TextEncoder, TextOptions, Thumbnail};
use serde_json::json;

use super::{Target, put, shown, target, with_file};
use crate::home::Home;
use crate::mutate::Form;
use crate::seeds;

pub(super) const TARGETS: &[Target] = &[
    target("picture", Form::Bytes, seeds::pictures, picture),
    target("picture-file", Form::Bytes, seeds::pictures, |_, folder, input| {
        let _ = Thumbnail::of(&ImageSource::Path(put(folder, "x.png", input)));
    }),
    target("picture-pixels", Form::Bytes, seeds::pictures, pixels),
    target("image-settings", Form::Json, |_| seeds::golden(MOBILENET, &["preprocessor_config.json"]), image_settings),
    target("encoder-settings", Form::Json, encoder_files, encoder_settings),
];

/// A small image encoder.
const MOBILENET: &str = "fixtures/mobilenet_v2";

fn picture(_: &Home, _: &Path, input: &[u8]) {
    if let Some(tile) = Thumbnail::of(&ImageSource::Bytes(input.to_vec())) {
        let _ = shown(Thumbnail::sheet(&[tile]));
    }
}

/// All settings of the folders of a text and an image encoder as one object: file name to content.
fn encoder_files(_: &Home) -> Vec<Vec<u8>> {
    let files = json!({
        "modules.json": [{"type": "sentence_transformers.models.Transformer", "path": ""},
            {"type": "sentence_transformers.models.Pooling", "path": "1_Pooling"},
            {"type": "sentence_transformers.models.Normalize", "path": "2_Normalize"}],
        "1_Pooling/config.json": {"pooling_mode_mean_tokens": true, "word_embedding_dimension": 384,
            "include_prompt": false},
        "config_sentence_transformers.json": {"prompts": {"query": "query: "}, "default_prompt_name": "query"},
        "sentence_bert_config.json": {"max_seq_length": 256, "do_lower_case": true},
        "tokenizer_config.json": {"model_max_length": 512, "pad_token": "<pad>", "truncation_side": "left"},
        "config.json": {"max_position_embeddings": 512, "model_type": "bert", "pad_token_id": 0},
        "special_tokens_map.json": {"pad_token": {"content": "<pad>"}},
        "preprocessor_config.json": {"do_resize": true, "size": {"shortest_edge": 256}, "resample": 2,
            "do_center_crop": true, "crop_size": {"height": 224, "width": 224}, "do_rescale": true,
            "rescale_factor": 0.00392156862745098, "do_normalize": true, "image_mean": [0.5, 0.5, 0.5],
            "image_std": [0.5, 0.5, 0.5]},
    });
    vec![files.to_string().into_bytes()]
}

fn encoder_settings(home: &Home, folder: &Path, input: &[u8]) {
    let Ok(files) = serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(input) else { return };
    let encoder = with_file(home, "llm", folder, "model.onnx", b"no graph");
    for (name, content) in files {
        if !name.contains("..") && !name.starts_with('/') && !name.contains('\0') && name.len() < 100 {
            let path = encoder.join(&name);
            let _ = path.parent().map(std::fs::create_dir_all);
            let _ = std::fs::remove_file(&path);
            let _ = std::fs::write(path, content.to_string());
        }
    }
    // The graph is invalid, so loading stops after all other files have been read.
    let _ = shown(TextEncoder::load(&encoder, &TextOptions::default(), runtime()));
    let _ = shown(ImageEncoder::load(&encoder, None, runtime()));
}

fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    let library = std::env::var_os("ORT_DYLIB_PATH").unwrap_or_default();
    RUNTIME.get_or_init(|| Runtime::load(Path::new(&library), 1).unwrap_or_else(|e| panic!("{e}")))
}

fn encoded(encoder: &mut ImageEncoder, picture: Vec<u8>) {
    let _ = shown(encoder.encode(&[ImageSource::Bytes(picture)], &["1".into()]));
}

/// Reads an image as the encoder does: decoded, resized and cropped.
fn pixels(_: &Home, _: &Path, input: &[u8]) {
    static ENCODER: OnceLock<Mutex<ImageEncoder>> = OnceLock::new();
    let load = || ImageEncoder::load(&seeds::checkout().join(MOBILENET), None, runtime());
    let encoder = ENCODER.get_or_init(|| Mutex::new(load().unwrap_or_else(|e| panic!("{e}"))));
    encoded(&mut encoder.lock().unwrap_or_else(PoisonError::into_inner), input.to_vec());
}

/// Loads an encoder with these settings and a valid graph, and encodes an image with it.
fn image_settings(home: &Home, folder: &Path, input: &[u8]) {
    let settings = put(folder, "e/preprocessor_config.json", input);
    let encoder = settings.parent().unwrap_or(folder);
    let _ =
        std::os::unix::fs::symlink(seeds::checkout().join(MOBILENET).join("model.onnx"), encoder.join("model.onnx"));
    if let Some(mut encoder) = shown(ImageEncoder::load(encoder, None, runtime())) {
        encoded(&mut encoder, seeds::pictures(home).swap_remove(0));
    }
}
