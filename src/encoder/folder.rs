//! The files of an encoder's folder.

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

use crate::artifact::{files_under, sha256, sha256_file};
use crate::error::{Error, Result};

/// The input of an encoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EncoderKind {
    /// Text.
    Text,
    /// Images.
    Image,
}

impl EncoderKind {
    /// File name stem of this tower of a two-tower model such as CLIP.
    pub(super) fn tower(self) -> &'static str {
        if self == EncoderKind::Text { "text_model" } else { "vision_model" }
    }

    fn other_tower(self) -> &'static str {
        if self == EncoderKind::Text { EncoderKind::Image.tower() } else { EncoderKind::Text.tower() }
    }

    /// The flag that selects the graph.
    fn flag(self) -> &'static str {
        if self == EncoderKind::Text { "onnx-file" } else { "image-onnx-file" }
    }

    fn name(self) -> &'static str {
        if self == EncoderKind::Text { "a text encoder" } else { "an image encoder" }
    }
}

/// The graph in an encoder's folder: the chosen one, otherwise the tower of this kind, `model.onnx` or the only graph.
///
/// # Errors
/// [`Error::Missing`] without a graph, or without the chosen one; [`Error::Config`] where the choice is ambiguous.
pub(super) fn graph(folder: &Path, kind: EncoderKind, chosen: Option<&str>) -> Result<PathBuf> {
    let mut names = Vec::new();
    for (at, prefix) in [(folder.to_path_buf(), ""), (folder.join("onnx"), "onnx/")] {
        let Ok(entries) = std::fs::read_dir(&at) else { continue };
        let files = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        names.extend(files.filter(|name| at.join(name).is_file()).map(|name| format!("{prefix}{name}")));
    }
    // The chosen file may be elsewhere in the folder.
    names.extend(chosen.filter(|name| folder.join(name).is_file()).map(str::to_owned));
    choose_graph(&names, folder, kind, chosen).map(|name| folder.join(name))
}

/// Chooses among file names by the rules of [`graph`]. `folder` is for errors.
pub(super) fn choose_graph(names: &[String], folder: &Path, kind: EncoderKind, chosen: Option<&str>) -> Result<String> {
    let mut graphs: Vec<&String> = names.iter().filter(|name| name.ends_with(".onnx")).collect();
    graphs.sort();
    graphs.dedup();
    let has = |name: &str| graphs.iter().find(|graph| graph.as_str() == name || **graph == &format!("onnx/{name}"));
    let listed = || match graphs.is_empty() {
        true => "no other .onnx file".to_owned(),
        false => graphs.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", "),
    };
    if let Some(chosen) = chosen {
        return has(chosen).map(|name| (*name).clone()).ok_or_else(|| Error::Missing {
            path: folder.join(chosen),
            expected: format!("the graph of {}; the folder has {}", kind.name(), listed()),
            help: format!("correct --{}", kind.flag()),
        });
    }
    if let Some(name) = has(&format!("{}.onnx", kind.tower())).or_else(|| has("model.onnx")) {
        return Ok((*name).clone());
    }
    let stem = |name: &str| name.rsplit('/').next().unwrap_or_default().to_owned();
    let of_tower: Vec<_> = graphs.iter().filter(|name| stem(name).starts_with(kind.tower())).collect();
    let usable: Vec<_> = match of_tower.is_empty() {
        true => graphs.iter().filter(|name| !stem(name).starts_with(kind.other_tower())).collect(),
        false => of_tower,
    };
    match usable[..] {
        [one] => Ok((*one).clone()),
        [] => Err(Error::Missing {
            path: folder.join("model.onnx"),
            expected: format!("the graph of {}, here or as onnx/model.onnx", kind.name()),
            help: "pass the folder of an encoder that was exported for ONNX Runtime".into(),
        }),
        _ => {
            let several = usable.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", ");
            let got = format!("none, and {} has no model.onnx", folder.display());
            let help = format!("choose with --{}", kind.flag());
            Err(Error::config(kind.flag(), format!("one of: {several}"), got, help))
        }
    }
}

/// Maximum size in bytes of an encoder's files whose content is always hashed.
const SMALL: u64 = 16 << 20;

/// A hash of the files that an encoder's vectors depend on. It covers the content of the graph, its external weights,
/// and all files of at most 16 MiB, such as the tokenizer and the settings. Of other files in the folder, it covers the
/// names, sizes and modification times.
///
/// # Errors
/// For a folder without an ONNX graph, or with more than one; [`Error::Io`].
pub fn encoder_hash(folder: &Path, kind: EncoderKind, onnx_file: Option<&str>) -> Result<String> {
    let graph = graph(folder, kind, onnx_file)?;
    let graph_name = graph.to_string_lossy().into_owned();
    let mut entries = Vec::new();
    for path in files_under(folder)? {
        let about = path.metadata().map_err(|e| Error::io("read", &path, e))?;
        let name = path.to_string_lossy();
        let weights =
            name.strip_prefix(&*graph_name).is_some_and(|rest| rest.is_empty() || rest.starts_with(['_', '.']));
        let content = match weights || about.len() <= SMALL {
            true => sha256_file(&path)?,
            false => format!("{} {:?}", about.len(), about.modified().ok()),
        };
        entries.push(format!("{} {content}", path.strip_prefix(folder).unwrap_or(&path).display()));
    }
    Ok(sha256(format!("{graph_name}\n{}", entries.join("\n")).as_bytes()))
}

/// Reads a JSON file of an encoder's folder; `None` where it does not exist.
pub(super) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    if !path.is_file() {
        return Ok(None);
    }
    let bytes = std::fs::read(path).map_err(|e| Error::io("read", path, e))?;
    let help = "use the original file of the model";
    serde_json::from_slice(&bytes).map(Some).map_err(|e| Error::file(path, "settings of an encoder", e, help))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choose(names: &[&str], kind: EncoderKind, chosen: Option<&str>) -> Result<String> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        choose_graph(&names, Path::new("there"), kind, chosen)
    }

    #[test]
    fn model_onnx_is_the_default() {
        let names = ["onnx/model_int8.onnx", "onnx/model.onnx", "tokenizer.json"];
        assert_eq!(choose(&names, EncoderKind::Text, None).unwrap(), "onnx/model.onnx");
        assert_eq!(choose(&names, EncoderKind::Text, Some("model_int8.onnx")).unwrap(), "onnx/model_int8.onnx");
        assert_eq!(choose(&names, EncoderKind::Text, Some("onnx/model_int8.onnx")).unwrap(), "onnx/model_int8.onnx");
        assert_eq!(choose(&["model_O4.onnx", "config.json"], EncoderKind::Image, None).unwrap(), "model_O4.onnx");
        assert_eq!(choose(&["model.onnx", "onnx/model.onnx"], EncoderKind::Text, None).unwrap(), "model.onnx");
    }

    #[test]
    fn each_kind_uses_its_tower() {
        let names = ["onnx/model.onnx", "onnx/text_model.onnx", "onnx/vision_model.onnx"];
        assert_eq!(choose(&names, EncoderKind::Text, None).unwrap(), "onnx/text_model.onnx");
        assert_eq!(choose(&names, EncoderKind::Image, None).unwrap(), "onnx/vision_model.onnx");
        let small = ["text_model_quantized.onnx", "vision_model_quantized.onnx"];
        assert_eq!(choose(&small, EncoderKind::Image, None).unwrap(), "vision_model_quantized.onnx");
        assert!(choose(&small[..1], EncoderKind::Image, None).is_err());
    }

    #[test]
    fn ambiguous_graphs_are_refused() {
        let several =
            choose(&["onnx/model_b.onnx", "onnx/model_a.onnx"], EncoderKind::Image, None).unwrap_err().to_string();
        assert!(several.contains("onnx/model_a.onnx, onnx/model_b.onnx") && several.contains("--image-onnx-file"));
        let absent = choose(&["model.onnx"], EncoderKind::Text, Some("other.onnx")).unwrap_err().to_string();
        assert!(absent.contains("other.onnx") && absent.contains("has model.onnx"), "{absent}");
        assert!(choose(&[], EncoderKind::Text, None).unwrap_err().to_string().contains("onnx/model.onnx"));
    }

    #[test]
    fn the_hash_covers_graph_weights_tokenizer_and_settings() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir(at("1_Pooling")).unwrap();
        let files = ["model.onnx", "model.onnx_data", "tokenizer.json", "1_Pooling/config.json"];
        files.iter().for_each(|name| std::fs::write(at(name), "a").unwrap());
        std::fs::write(at("model_b.onnx"), "a").unwrap();
        let hash = |chosen| encoder_hash(folder.path(), EncoderKind::Text, chosen).unwrap();
        let first = hash(None);
        assert_eq!(first, hash(None));
        assert_ne!(first, hash(Some("model_b.onnx")));
        for name in files {
            let time = at(name).metadata().unwrap().modified().unwrap();
            std::fs::write(at(name), "b").unwrap();
            std::fs::File::options().write(true).open(at(name)).unwrap().set_modified(time).unwrap();
            assert_ne!(first, hash(None), "{name}");
            std::fs::write(at(name), "a").unwrap();
            assert_eq!(first, hash(None), "{name}");
        }
    }
}
