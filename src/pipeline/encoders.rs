//! Loading the encoders that were asked for: ONNX Runtime, the device, folders and names on the Hub.

use std::path::{Path, PathBuf};

use super::spec::{EncodeSettings, Environment, NAME_BOTH, needs};
use crate::catalog::CatalogSpec;
use crate::encoder::{Device, EncoderKind, Hub, ImageEncoder, Runtime, TextEncoder, TextOptions, encoder_hash};
use crate::error::{Error, Result};
use crate::progress::Progress;

/// The encoders of a spec.
pub(super) struct LoadedEncoders {
    pub(super) text: Option<TextEncoder>,
    pub(super) image: Option<ImageEncoder>,
    /// Hashes of those that came from the Hub.
    pub(super) from_hub: Vec<String>,
}

/// Loads the encoders of the settings for the columns of a catalog. On the CPU they run on `threads` threads.
///
/// # Errors
/// [`Error::Config`](crate::Error::Config) for an encoder without columns, and columns without an encoder; as [`Runtime::load`],
/// [`TextEncoder::load`] and [`ImageEncoder::load`].
pub(super) fn load(
    settings: &EncodeSettings,
    catalog: &CatalogSpec,
    environment: &Environment,
    threads: usize,
    progress: &dyn Progress,
) -> Result<LoadedEncoders> {
    check_columns(settings, catalog)?;
    let device = settings.encoder_device.as_deref().map(str::parse::<Device>).transpose()?.unwrap_or_default();
    let runtime = Runtime::load(&environment.onnx_runtime, threads)?.on(device)?;
    let hub = &environment.hub;
    let mut from_hub = Vec::new();
    let mut folder = |named: &Path, kind: EncoderKind, onnx_file: Option<&str>| {
        let folder = folder(named, kind, onnx_file, hub, progress)?;
        if folder != named {
            from_hub.push(encoder_hash(&folder, kind, onnx_file)?);
        }
        Ok::<_, Error>(folder)
    };
    let text = settings.text_encoder.as_deref().map(|named| {
        let folder = folder(named, EncoderKind::Text, settings.onnx_file.as_deref())?;
        let chosen = TextOptions { onnx_file: settings.onnx_file.clone(), prompt: settings.prompt.clone() };
        TextEncoder::load(&folder, &chosen, &runtime)
    });
    let image = settings.image_encoder.as_deref().map(|named| {
        let folder = folder(named, EncoderKind::Image, settings.image_onnx_file.as_deref())?;
        ImageEncoder::load(&folder, settings.image_onnx_file.as_deref(), &runtime)
    });
    let (text, image) = (text.transpose()?, image.transpose()?);
    Ok(LoadedEncoders { text, image, from_hub })
}

/// Hashes of the encoders that are folders; `other` identifies what is none.
pub(super) fn hashes(
    settings: &EncodeSettings,
    other: impl Fn(&Option<PathBuf>) -> Result<Option<String>>,
) -> Result<(Option<String>, Option<String>)> {
    let hash = |named: &Option<PathBuf>, kind: EncoderKind, onnx_file: &Option<String>| match named {
        Some(folder) if folder.is_dir() => {
            // What is wrong with a folder is said when the encoder is loaded.
            encoder_hash(folder, kind, onnx_file.as_deref()).map(Some).or_else(|_| other(named))
        }
        _ => other(named),
    };
    let text = hash(&settings.text_encoder, EncoderKind::Text, &settings.onnx_file)?;
    Ok((text, hash(&settings.image_encoder, EncoderKind::Image, &settings.image_onnx_file)?))
}

/// Checks that encoders and columns go together.
fn check_columns(settings: &EncodeSettings, catalog: &CatalogSpec) -> Result<()> {
    let needs = |flag: &str, other: &str| needs(flag, other, NAME_BOTH);
    let (with_text, with_images) = (!catalog.text.is_empty(), !catalog.images.is_empty());
    let (text_encoder, image_encoder) = (settings.text_encoder.is_some(), settings.image_encoder.is_some());
    if with_text != text_encoder {
        return Err(if with_text { needs("text", "text-encoder") } else { needs("text-encoder", "text") });
    }
    if !image_encoder && with_images {
        return Err(needs("image", "image-encoder"));
    }
    // A folder of images has no columns to name.
    if !with_images && image_encoder && !catalog.path.is_dir() {
        return Err(needs("image-encoder", "image"));
    }
    let alone = [
        ("onnx-file", settings.onnx_file.is_some(), "text-encoder", text_encoder),
        ("prompt", settings.prompt.is_some(), "text-encoder", text_encoder),
        ("image-onnx-file", settings.image_onnx_file.is_some(), "image-encoder", image_encoder),
    ];
    match alone.into_iter().find(|&(_, given, _, there)| given && !there) {
        Some((flag, _, encoder, _)) => Err(needs(flag, encoder)),
        None => Ok(()),
    }
}

/// The folder of an encoder: named itself, or by its name on the Hub if there is no such folder.
fn folder(
    named: &Path,
    kind: EncoderKind,
    onnx_file: Option<&str>,
    hub: &Hub,
    progress: &dyn Progress,
) -> Result<PathBuf> {
    match named.to_str() {
        Some(name) if !named.exists() && Hub::is_name(name) => hub.folder(name, kind, onnx_file, progress),
        _ => Ok(named.to_path_buf()),
    }
}
