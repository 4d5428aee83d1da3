//! How the items of a catalog are encoded for an index: as its own were, by the settings that it has.

use std::path::{Path, PathBuf};

use super::spec::{AppendSpec, BuildSpec, EmbedSpec, Embeddings, EncodeSettings};
use crate::error::{Error, Result};
use crate::features::ReadyVectors;
use crate::index::Index;
use crate::progress::Progress;

/// What to do about an encoder that is not where it was.
const MOVED: &str = "name the folder to which it moved, or run the command in the folder in which the index was built";

/// The settings by which the catalog of `spec` is encoded for `index`: those of the build, with the encoders and the vectors
/// that `spec` names anew.
///
/// # Errors
/// [`Error::Config`] for encoders and vectors that the index does not have; as [`BuildSpec::of_manifest`].
pub(super) fn embed_spec(spec: &AppendSpec, index: &Index, progress: &dyn Progress) -> Result<EmbedSpec> {
    let built = BuildSpec::of_manifest(&index.manifest().settings)?;
    let (given, mut encode) = (&spec.settings, built.encode);
    let alone = |flag: &str, expected: &str| {
        Error::config(flag, expected, "one", "leave it out: the index was built without it")
    };
    for (flag, given, of_build) in [
        ("text-encoder", &given.text_encoder, &mut encode.text_encoder),
        ("image-encoder", &given.image_encoder, &mut encode.image_encoder),
    ] {
        match (given, &of_build) {
            (Some(_), None) => return Err(alone(flag, "no such encoder")),
            (Some(folder), Some(_)) => *of_build = Some(folder.clone()),
            (None, Some(folder)) => check_folder(flag, folder)?,
            (None, None) => {}
        }
    }
    encode.embedding = embeddings(encode.embedding, given.embedding.as_ref())?;
    encode.on_bad_image = given.on_bad_image.clone().or(encode.on_bad_image);
    encode.on_bad_item = given.on_bad_item.clone().or(encode.on_bad_item);
    if built.behaviour.interactions.is_some() {
        progress.warn(
            "new and changed items get no behaviour vector: the vectors of other interactions would have other axes. Train \
             a new model for them",
        );
    }
    Ok(EmbedSpec {
        catalog: spec.catalog.clone(),
        encode,
        threads: spec.threads,
        output: spec.output.clone(),
        environment: spec.environment.clone(),
        ..EmbedSpec::default()
    })
}

/// Checks that an encoder's folder is where it was, if it is no name on the Hub.
fn check_folder(flag: &str, folder: &Path) -> Result<()> {
    if folder.is_dir() || is_hub_name(folder) {
        return Ok(());
    }
    let expected = format!("the encoder that the index was built with, at {}", folder.display());
    Err(Error::config(flag, expected, "no such folder", MOVED))
}

/// The error of encoders that cannot be loaded: of one that is not where it was, that.
pub(super) fn moved(encode: &EncodeSettings, error: Error) -> Error {
    let named = [("text-encoder", &encode.text_encoder), ("image-encoder", &encode.image_encoder)];
    let absent =
        named.iter().find_map(|(flag, folder)| Some((flag, folder.as_ref().filter(|folder| !folder.is_dir())?)));
    match absent {
        Some((flag, folder))
            if matches!(error, Error::Missing { .. } | Error::Unavailable { .. } | Error::File { .. }) =>
        {
            Error::config(*flag, format!("the encoder of the index, {}", folder.display()), error, MOVED)
        }
        _ => error,
    }
}

#[cfg(feature = "encoders")]
fn is_hub_name(folder: &Path) -> bool {
    folder.to_str().is_some_and(crate::encoder::Hub::is_name)
}

#[cfg(not(feature = "encoders"))]
fn is_hub_name(_: &Path) -> bool {
    false
}

/// The vectors of the build, those of `given` in the place of those with their names.
fn embeddings(of_build: Option<Embeddings>, given: Option<&Embeddings>) -> Result<Option<Embeddings>> {
    let read = |embeddings: Option<&Embeddings>| -> Result<Vec<ReadyVectors>> {
        embeddings.iter().flat_map(|embeddings| &embeddings.0).map(|text| text.parse()).collect()
    };
    let mut vectors = read(of_build.as_ref())?;
    for new in read(given)? {
        let names: Vec<String> = vectors.iter().map(|vectors| vectors.name.clone()).collect();
        let Some(old) = vectors.iter_mut().find(|old| old.name == new.name) else {
            let expected = match names.is_empty() {
                true => "no vectors: the index was built without".to_owned(),
                false => format!("a modality of the index: {}", names.join(", ")),
            };
            return Err(Error::config("embedding", expected, &new, "name it as in the build"));
        };
        *old = new;
    }
    if let Some(absent) = vectors.iter().find(|vectors| is_absent(&vectors.path)) {
        let (expected, got) = (format!("a file of {} vectors for this catalog", absent.name), absent.path.display());
        let help = format!("name it: --embedding {}=FILE", absent.name);
        return Err(Error::config("embedding", expected, format!("none at {got}"), help));
    }
    Ok(of_build.map(|_| Embeddings(vectors.iter().map(ReadyVectors::to_string).collect())))
}

fn is_absent(path: &Path) -> bool {
    let is_pattern = path.to_string_lossy().contains(['*', '?', '[']);
    let path: PathBuf = path.into();
    !is_pattern && !path.exists()
}
