//! The settings that encode new items of an index in the same way as its existing items.

use std::path::{Path, PathBuf};

use super::spec::{AppendSpec, BuildSpec, EmbedSpec, Embeddings, EncodeSettings};
use crate::error::{Error, Result};
use crate::features::{BEHAVIOUR, IMAGE, ReadyVectors, TEXT};
use crate::index::Index;
use crate::tokenizer::Tokenizer;

/// Advice for an encoder whose folder does not exist.
const MOVED: &str = "pass its new folder, or run the command in the folder in which the index was built";

/// The settings that encode the catalog of `spec` for `index`: those of the build, with the encoder folders and the
/// vectors that `spec` replaces.
///
/// # Errors
/// [`Error::Config`] for encoders and vectors that the index does not have; as [`BuildSpec::of_manifest`].
pub(super) fn embed_spec(spec: &AppendSpec, index: &Index, model: &Tokenizer) -> Result<EmbedSpec> {
    let built = BuildSpec::of_manifest(&index.manifest().settings)?;
    let (given, mut encode) = (&spec.settings, built.encode);
    let alone =
        |flag: &str, expected: &str| Error::config(flag, expected, "one", "omit it: the index was built without it");
    for (flag, given, of_build) in [
        ("text-encoder", &given.text_encoder, &mut encode.text_encoder),
        ("image-encoder", &given.image_encoder, &mut encode.image_encoder),
    ] {
        match (given, &of_build) {
            (Some(_), None) => return Err(alone(flag, "no encoder")),
            (Some(folder), Some(_)) => *of_build = Some(folder.clone()),
            (None, Some(folder)) => check_folder(flag, folder)?,
            (None, None) => {}
        }
    }
    let encoded = [(TEXT, encode.text_encoder.is_some()), (IMAGE, encode.image_encoder.is_some())];
    let ready = |name: &str| !encoded.contains(&(name, true)) && name != BEHAVIOUR;
    let modalities = model.config().modalities.iter().map(|modality| modality.name.as_str());
    let modalities: Vec<&str> = modalities.filter(|name| ready(name)).collect();
    encode.embedding = embeddings(encode.embedding, given.embedding.as_ref(), &modalities)?;
    if encode.embedding.is_none() && !encoded.iter().any(|(_, encoded)| *encoded) {
        let help = format!("give vectors of the new items: {}", flags(&modalities));
        return Err(Error::config("embedding", "encoders or vectors, as the items of the index have", "none", help));
    }
    encode.on_bad_image = given.on_bad_image.clone().or(encode.on_bad_image);
    encode.on_bad_item = given.on_bad_item.clone().or(encode.on_bad_item);
    Ok(EmbedSpec {
        catalog: spec.catalog.clone(),
        encode,
        threads: spec.threads,
        output: spec.output.clone(),
        environment: spec.environment.clone(),
        ..EmbedSpec::default()
    })
}

/// Checks that the folder of an encoder exists, unless it is a name on the Hub.
fn check_folder(flag: &str, folder: &Path) -> Result<()> {
    if folder.is_dir() || is_hub_name(folder) {
        return Ok(());
    }
    let expected = format!("the encoder that the index was built with, at {}", folder.display());
    Err(Error::config(flag, expected, "no such folder", MOVED))
}

/// Adds advice to the error of an encoder that cannot be loaded because its folder does not exist.
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

/// The vector files of the build, with those of `given` in place of files with the same name. `given` can also name
/// other modalities in `modalities`, because the manifest may not record the origin of the vectors.
fn embeddings(
    of_build: Option<Embeddings>,
    given: Option<&Embeddings>,
    modalities: &[&str],
) -> Result<Option<Embeddings>> {
    let read = |embeddings: Option<&Embeddings>| -> Result<Vec<ReadyVectors>> {
        embeddings.iter().flat_map(|embeddings| &embeddings.0).map(|text| text.parse()).collect()
    };
    let mut vectors = read(of_build.as_ref())?;
    for new in read(given)? {
        match vectors.iter_mut().find(|old| old.name == new.name) {
            Some(old) => *old = new,
            None if modalities.contains(&new.name.as_str()) => vectors.push(new),
            None => {
                let expected = match modalities.is_empty() {
                    true => "no vectors: the items of the index are encoded".to_owned(),
                    false => format!("a modality of the index: {}", modalities.join(", ")),
                };
                return Err(Error::config("embedding", expected, &new, "use the name of the build"));
            }
        }
    }
    if let Some(absent) = vectors.iter().find(|vectors| is_absent(&vectors.path)) {
        let (expected, got) = (format!("a file of {} vectors for this catalog", absent.name), absent.path.display());
        let help = format!("pass its path: {}", flags(&[&absent.name]));
        return Err(Error::config("embedding", expected, format!("none at {got}"), help));
    }
    let texts: Vec<String> = vectors.iter().map(ReadyVectors::to_string).collect();
    Ok((!texts.is_empty()).then_some(Embeddings(texts)))
}

fn flags(names: &[&str]) -> String {
    names.iter().map(|name| format!("--embedding {name}=FILE")).collect::<Vec<_>>().join(" ")
}

fn is_absent(path: &Path) -> bool {
    let is_pattern = path.to_string_lossy().contains(['*', '?', '[']);
    let path: PathBuf = path.into();
    !is_pattern && !path.exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_vectors_replace_those_of_the_same_name() {
        let folder = tempfile::tempdir().unwrap();
        let [old, new] = ["old.npy", "new.npy"].map(|name| folder.path().join(name));
        std::fs::write(&old, "").unwrap();
        std::fs::write(&new, "").unwrap();
        let one = |name: &str, path: &Path| Embeddings(vec![format!("{name}={}", path.display())]);
        let built = || Some(one("llama", &old));
        let both = ["llama", "clip"];
        assert_eq!(embeddings(built(), None, &both).unwrap(), built());
        assert_eq!(embeddings(built(), Some(&one("llama", &new)), &both).unwrap(), Some(one("llama", &new)));
        // The manifest does not record the origin of the vectors.
        assert_eq!(embeddings(None, Some(&one("clip", &new)), &both).unwrap(), Some(one("clip", &new)));
        assert_eq!(embeddings(None, None, &both).unwrap(), None);
        let says = |of_build, given: Option<&Embeddings>, modalities: &[&str]| {
            embeddings(of_build, given, modalities).unwrap_err().to_string()
        };
        assert!(says(built(), Some(&one("qwen", &new)), &both).contains("a modality of the index: llama, clip"));
        assert!(says(None, Some(&one("qwen", &new)), &[]).contains("the items of the index are encoded"));
        let gone = one("llama", Path::new("/nothing/here.npy"));
        assert!(says(Some(gone), None, &both).contains("--embedding llama=FILE"));
    }
}
