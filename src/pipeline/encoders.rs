//! Loads the encoders of a spec: ONNX Runtime, the device, encoder folders, and names on the Hub.

use std::path::{Path, PathBuf};

use super::spec::{EncodeSettings, Environment, NAME_BOTH, needs};
use crate::catalog::CatalogSpec;
use crate::encoder::{Device, EncoderKind, Hub, ImageEncoder, Runtime, TextEncoder, TextOptions, encoder_hash};
use crate::error::Result;
use crate::progress::Progress;

/// The encoders of a spec.
pub(super) struct LoadedEncoders {
    pub(super) text: Option<TextEncoder>,
    pub(super) image: Option<ImageEncoder>,
    /// Hashes of the encoders that came from the Hub.
    pub(super) from_hub: Vec<String>,
}

/// Loads the encoders of the settings for the columns of a catalog. On the CPU they run on `threads` threads.
///
/// # Errors
/// [`Error::Config`](crate::Error::Config) for an encoder without columns, and columns without an encoder; as
/// [`Runtime::load`], [`TextEncoder::load`] and [`ImageEncoder::load`].
pub(super) fn load(
    settings: &EncodeSettings,
    catalog: &CatalogSpec,
    environment: &Environment,
    threads: usize,
    progress: &dyn Progress,
) -> Result<LoadedEncoders> {
    check_columns(settings, catalog)?;
    let mut loader = EncoderLoader::new(settings, environment, threads, progress)?;
    let (text, image) = (loader.folder(EncoderKind::Text)?, loader.folder(EncoderKind::Image)?);
    let (text, image) = rayon::join(
        || text.map(|folder| loader.text(&folder)).transpose(),
        || image.map(|folder| loader.image(&folder)).transpose(),
    );
    Ok(LoadedEncoders { text: text?, image: image?, from_hub: loader.from_hub })
}

/// Loads only the text encoder, for single texts that are not in a catalog. `None` if the settings have no text encoder.
pub(super) fn load_text(
    settings: &EncodeSettings,
    environment: &Environment,
    threads: usize,
    progress: &dyn Progress,
) -> Result<Option<TextEncoder>> {
    if settings.text_encoder.is_none() {
        return Ok(None);
    }
    let mut loader = EncoderLoader::new(settings, environment, threads, progress)?;
    loader.runtime = loader.runtime.one_batch();
    loader.folder(EncoderKind::Text)?.map(|folder| loader.text(&folder)).transpose()
}

struct EncoderLoader<'a> {
    settings: &'a EncodeSettings,
    hub: &'a Hub,
    runtime: Runtime,
    progress: &'a dyn Progress,
    /// Hashes of the encoders that came from the Hub.
    from_hub: Vec<String>,
}

impl<'a> EncoderLoader<'a> {
    fn new(
        settings: &'a EncodeSettings,
        environment: &'a Environment,
        threads: usize,
        progress: &'a dyn Progress,
    ) -> Result<Self> {
        let device = settings.encoder_device.as_deref().map(str::parse::<Device>).transpose()?.unwrap_or_default();
        let runtime = Runtime::load(&environment.onnx_runtime, threads)?.on(device)?;
        Ok(EncoderLoader { settings, hub: &environment.hub, runtime, progress, from_hub: Vec::new() })
    }

    fn text(&self, folder: &Path) -> Result<TextEncoder> {
        let EncodeSettings { onnx_file, prompt, .. } = self.settings;
        let chosen = TextOptions { onnx_file: onnx_file.clone(), prompt: prompt.clone() };
        TextEncoder::load(folder, &chosen, &self.runtime)
    }

    fn image(&self, folder: &Path) -> Result<ImageEncoder> {
        ImageEncoder::load(folder, self.settings.image_onnx_file.as_deref(), &self.runtime)
    }

    /// The folder of the encoder of this kind: the named one or, if no such folder exists, the one with this name on the
    /// Hub.
    fn folder(&mut self, kind: EncoderKind) -> Result<Option<PathBuf>> {
        let EncodeSettings { text_encoder, onnx_file, image_encoder, image_onnx_file, .. } = self.settings;
        let (named, onnx_file) = match kind {
            EncoderKind::Text => (text_encoder, onnx_file),
            EncoderKind::Image => (image_encoder, image_onnx_file),
        };
        let Some(named) = named else { return Ok(None) };
        match named.to_str() {
            Some(name) if !named.exists() && Hub::is_name(name) => {
                let folder = self.hub.folder(name, kind, onnx_file.as_deref(), self.progress)?;
                self.from_hub.push(encoder_hash(&folder, kind, onnx_file.as_deref())?);
                Ok(Some(folder))
            }
            _ => Ok(Some(named.clone())),
        }
    }
}

/// Identifies the text and the image encoder: by the hash of the folder or, if it is not a folder, by `other`.
pub(super) fn hashes(
    settings: &EncodeSettings,
    other: impl Fn(&Option<PathBuf>) -> Result<Option<String>>,
) -> Result<(Option<String>, Option<String>)> {
    let hash = |named: &Option<PathBuf>, kind: EncoderKind, onnx_file: &Option<String>| match named {
        Some(folder) if folder.is_dir() => {
            // Errors of the folder are reported when the encoder is loaded.
            encoder_hash(folder, kind, onnx_file.as_deref()).map(Some).or_else(|_| other(named))
        }
        _ => other(named),
    };
    let text = hash(&settings.text_encoder, EncoderKind::Text, &settings.onnx_file)?;
    Ok((text, hash(&settings.image_encoder, EncoderKind::Image, &settings.image_onnx_file)?))
}

/// Checks that each encoder has columns to read, and that each column has an encoder.
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
