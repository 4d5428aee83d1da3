//! Loading the encoders that were asked for: ONNX Runtime, the device, folders and names on the Hub.

use std::path::{Path, PathBuf};

use anyhow::Result;
use catalex::encoder::{Device, EncoderKind, Hub, ImageEncoder, Runtime, TextEncoder, TextOptions};
use catalex::error::Error;
use catalex::progress::Progress;

use super::options::EncodeOptions;

/// The encoders of the options; models will run on `threads` threads where they run on the processor.
pub(super) fn load(
    options: &EncodeOptions,
    threads: usize,
    progress: &dyn Progress,
) -> Result<(Option<TextEncoder>, Option<ImageEncoder>)> {
    let alone = |flag: &str, given: bool, encoder: &str, there: bool| match given && !there {
        true => Err(Error::config(flag, format!("together with --{encoder}"), "it alone", "name both")),
        false => Ok(()),
    };
    let (with_text, with_pictures) = (options.text_encoder.is_some(), options.image_encoder.is_some());
    alone("onnx-file", options.onnx_file.is_some(), "text-encoder", with_text)?;
    alone("prompt", options.prompt.is_some(), "text-encoder", with_text)?;
    alone("image-onnx-file", options.image_onnx_file.is_some(), "image-encoder", with_pictures)?;
    let device = options.encoder_device.as_deref().map(str::parse::<Device>).transpose()?.unwrap_or_default();
    let runtime = Runtime::load(&onnx_runtime(), threads)?.on(device)?;
    let text = options.text_encoder.as_deref().map(|named| {
        let folder = folder(named, EncoderKind::Text, options.onnx_file.as_deref(), progress)?;
        let chosen = TextOptions { onnx_file: options.onnx_file.clone(), prompt: options.prompt.clone() };
        TextEncoder::load(&folder, &chosen, &runtime)
    });
    let image = options.image_encoder.as_deref().map(|named| {
        let folder = folder(named, EncoderKind::Image, options.image_onnx_file.as_deref(), progress)?;
        ImageEncoder::load(&folder, options.image_onnx_file.as_deref(), &runtime)
    });
    Ok((text.transpose()?, image.transpose()?))
}

/// The folder of an encoder: named itself, or by its name on the Hub where there is no such folder.
fn folder(
    named: &Path,
    kind: EncoderKind,
    onnx_file: Option<&str>,
    progress: &dyn Progress,
) -> catalex::Result<PathBuf> {
    match named.to_str() {
        Some(name) if !named.exists() && Hub::is_name(name) => hub().folder(name, kind, onnx_file, progress),
        _ => Ok(named.to_path_buf()),
    }
}

fn set(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The user's cache folder.
fn cache_home() -> Option<PathBuf> {
    set("XDG_CACHE_HOME").map(PathBuf::from).or_else(|| set("HOME").map(|home| Path::new(&home).join(".cache")))
}

/// The Hub as Hugging Face's own programs are told of it.
fn hub() -> Hub {
    let home = || set("HF_HOME").map(PathBuf::from).or_else(|| cache_home().map(|cache| cache.join("huggingface")));
    let cache = set("HF_HUB_CACHE").map(PathBuf::from).or_else(|| home().map(|home| home.join("hub")));
    let offline = set("HF_HUB_OFFLINE").map(|value| value.to_lowercase());
    Hub {
        cache: cache.unwrap_or_else(|| PathBuf::from("huggingface-hub")),
        endpoint: set("HF_ENDPOINT"),
        token: set("HF_TOKEN"),
        offline: offline.is_some_and(|value| ["1", "on", "yes", "true"].contains(&value.as_str())),
    }
}

/// The ONNX Runtime library: `ORT_DYLIB_PATH`, else the one that `make setup` laid out, else the system's.
pub(super) fn onnx_runtime() -> PathBuf {
    if let Some(path) = set("ORT_DYLIB_PATH") {
        return PathBuf::from(path);
    }
    let cache = set("CATALEX_CACHE").map(PathBuf::from).or_else(|| cache_home().map(|cache| cache.join("catalex")));
    let laid_out = cache.map(|cache| cache.join("onnxruntime-1.32.0/libonnxruntime.so")).filter(|path| path.is_file());
    laid_out.unwrap_or_else(|| PathBuf::from("libonnxruntime.so"))
}
