//! Loading the encoders that were asked for: ONNX Runtime, the device, folders and names on the Hub.

use std::path::{Path, PathBuf};

use super::spec::{EncodeSettings, Environment, NAME_BOTH, needs};
use crate::catalog::CatalogSpec;
use crate::encoder::{Device, EncoderKind, Hub, ImageEncoder, Runtime, TextEncoder, TextOptions};
use crate::error::Result;
use crate::progress::Progress;

/// The encoders of a spec.
pub(super) struct LoadedEncoders {
    pub(super) text: Option<TextEncoder>,
    pub(super) image: Option<ImageEncoder>,
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
    let text = settings.text_encoder.as_deref().map(|named| {
        let folder = folder(named, EncoderKind::Text, settings.onnx_file.as_deref(), hub, progress)?;
        let chosen = TextOptions { onnx_file: settings.onnx_file.clone(), prompt: settings.prompt.clone() };
        TextEncoder::load(&folder, &chosen, &runtime)
    });
    let image = settings.image_encoder.as_deref().map(|named| {
        let folder = folder(named, EncoderKind::Image, settings.image_onnx_file.as_deref(), hub, progress)?;
        ImageEncoder::load(&folder, settings.image_onnx_file.as_deref(), &runtime)
    });
    Ok(LoadedEncoders { text: text.transpose()?, image: image.transpose()? })
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

/// The folder of an encoder. If there is no such folder, the name is looked up on the Hub.
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
