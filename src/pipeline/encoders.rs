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
    let loader = EncoderLoader::new(settings, environment, threads, progress)?;
    let (text, image) = rayon::join(|| loader.text(), || loader.image());
    let ((text, of_text), (image, of_image)) = (text?.unzip(), image?.unzip());
    Ok(LoadedEncoders { text, image, from_hub: [of_text, of_image].into_iter().flatten().flatten().collect() })
}

/// Loads only the text encoder, for single texts that are not in a catalog. `None` if the settings have no text encoder.
pub(super) fn load_text(
    settings: &EncodeSettings,
    environment: &Environment,
    threads: usize,
    progress: &dyn Progress,
) -> Result<Option<TextEncoder>> {
    match settings.text_encoder {
        Some(_) => {
            let mut loader = EncoderLoader::new(settings, environment, threads, progress)?;
            loader.runtime = loader.runtime.one_batch();
            Ok(loader.text()?.map(|(encoder, _)| encoder))
        }
        None => Ok(None),
    }
}

struct EncoderLoader<'a> {
    settings: &'a EncodeSettings,
    hub: &'a Hub,
    runtime: Runtime,
    progress: &'a dyn Progress,
}

/// An encoder and, if it came from the Hub, its hash.
type Loaded<E> = Option<(E, Option<String>)>;

impl<'a> EncoderLoader<'a> {
    fn new(
        settings: &'a EncodeSettings,
        environment: &'a Environment,
        threads: usize,
        progress: &'a dyn Progress,
    ) -> Result<Self> {
        let device = settings.encoder_device.as_deref().map(str::parse::<Device>).transpose()?.unwrap_or_default();
        let runtime = Runtime::load(&environment.onnx_runtime, threads)?.on(device)?;
        Ok(EncoderLoader { settings, hub: &environment.hub, runtime, progress })
    }

    fn text(&self) -> Result<Loaded<TextEncoder>> {
        let EncodeSettings { text_encoder: Some(named), onnx_file, prompt, .. } = self.settings else {
            return Ok(None);
        };
        let (folder, hash) = self.folder(named, EncoderKind::Text, onnx_file.as_deref())?;
        let chosen = TextOptions { onnx_file: onnx_file.clone(), prompt: prompt.clone() };
        Ok(Some((TextEncoder::load(&folder, &chosen, &self.runtime)?, hash)))
    }

    fn image(&self) -> Result<Loaded<ImageEncoder>> {
        let EncodeSettings { image_encoder: Some(named), image_onnx_file, .. } = self.settings else {
            return Ok(None);
        };
        let (folder, hash) = self.folder(named, EncoderKind::Image, image_onnx_file.as_deref())?;
        Ok(Some((ImageEncoder::load(&folder, image_onnx_file.as_deref(), &self.runtime)?, hash)))
    }

    /// The folder of an encoder, and its hash if it came from the Hub. `named` is a folder or, if no such folder exists, a
    /// name on the Hub.
    fn folder(&self, named: &Path, kind: EncoderKind, onnx_file: Option<&str>) -> Result<(PathBuf, Option<String>)> {
        match named.to_str() {
            Some(name) if !named.exists() && Hub::is_name(name) => {
                let folder = self.hub.folder(name, kind, onnx_file, self.progress)?;
                let hash = encoder_hash(&folder, kind, onnx_file)?;
                Ok((folder, Some(hash)))
            }
            _ => Ok((named.to_path_buf(), None)),
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
