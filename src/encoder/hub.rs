//! Encoders from the Hugging Face Hub.

use std::path::{Path, PathBuf};

use hf_hub::api::sync::{Api, ApiBuilder, ApiError};
use hf_hub::{Cache, Repo};

use super::folder::{EncoderKind, choose_graph, graph};
use crate::error::{Error, Result};
use crate::progress::Progress;

/// The source of encoders by name: a cache in the layout of Hugging Face's tools, backed by the Hub.
#[derive(Debug, Clone)]
pub struct Hub {
    /// The cache folder, which contains `models--OWNER--NAME`.
    pub cache: PathBuf,
    /// URL of a server other than huggingface.co.
    pub endpoint: Option<String>,
    /// Access token for gated models; by default the one that `hf auth login` stored next to the cache.
    pub token: Option<String>,
    /// Whether to use the cache only.
    pub offline: bool,
}

/// An encoder to download.
struct EncoderRequest<'a> {
    name: &'a str,
    kind: EncoderKind,
    onnx_file: Option<&'a str>,
}

impl Hub {
    /// Whether a text has the form of a model name, `OWNER/NAME`.
    pub fn is_name(text: &str) -> bool {
        let part = |part: &str| {
            let sound = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            !part.is_empty() && part.chars().all(sound) && !part.starts_with('.')
        };
        text.split_once('/').is_some_and(|(owner, name)| part(owner) && part(name))
    }

    /// The folder of an encoder, from the cache or downloaded. A cached model is never updated.
    ///
    /// # Errors
    /// [`Error::Unavailable`] where neither the cache nor the Hub has it; [`Error::Config`] and [`Error::Missing`] where
    /// the graph is missing or ambiguous.
    pub fn folder(
        &self,
        name: &str,
        kind: EncoderKind,
        onnx_file: Option<&str>,
        progress: &dyn Progress,
    ) -> Result<PathBuf> {
        let cached = self.cached(name, kind);
        if let Some(folder) = &cached
            && graph(folder, kind, onnx_file).is_ok()
        {
            return Ok(folder.clone());
        }
        let unavailable = |reason: String| {
            let cache = self.cache.display();
            Error::Unavailable {
                what: format!("the model {name}"),
                reason: format!("the cache {cache} does not have all of its files, and {reason}"),
                help: "check its name and the network, or pass a folder".into(),
            }
        };
        if self.offline {
            return match cached {
                // The model is cached; the error is about the choice of its graph.
                Some(folder) => graph(&folder, kind, onnx_file).map(|_| folder),
                None => Err(unavailable("HF_HUB_OFFLINE is set".into())),
            };
        }
        let failed = |e: ApiError| unavailable(format!("the Hub does not provide it: {}", one_line(&e)));
        let mut builder = ApiBuilder::from_cache(Cache::new(self.cache.clone())).with_progress(false).with_retries(3);
        if let Some(endpoint) = &self.endpoint {
            builder = builder.with_endpoint(endpoint.trim_end_matches('/').to_owned());
        }
        if self.token.is_some() {
            builder = builder.with_token(self.token.clone());
        }
        let api = builder.build().map_err(failed)?;
        let request = EncoderRequest { name, kind, onnx_file };
        self.download(&api, request, progress, &failed)
    }

    /// The cached snapshot of a model, if it has the settings that every encoder of its kind needs.
    fn cached(&self, name: &str, kind: EncoderKind) -> Option<PathBuf> {
        let settings = match kind {
            EncoderKind::Text => &["tokenizer.json"][..],
            EncoderKind::Image => &["preprocessor_config.json", "processor_config.json"],
        };
        let repo = Cache::new(self.cache.clone()).repo(Repo::model(name.to_owned()));
        settings.iter().find_map(|file| repo.get(file)).and_then(|path| path.parent().map(Path::to_path_buf))
    }

    fn download(
        &self,
        api: &Api,
        EncoderRequest { name, kind, onnx_file }: EncoderRequest<'_>,
        progress: &dyn Progress,
        failed: &dyn Fn(ApiError) -> Error,
    ) -> Result<PathBuf> {
        let repo = api.repo(Repo::model(name.to_owned()));
        let info = repo.info().map_err(failed)?;
        let files: Vec<String> =
            info.siblings.into_iter().map(|file| file.rfilename).filter(|f| is_inside(f)).collect();
        let graph = choose_graph(&files, Path::new(name), kind, onnx_file)?;
        let mut wanted: Vec<&String> = files.iter().filter(|file| is_wanted(file, &graph)).collect();
        // The graph comes last: if the cache has it, an interrupted download had all other files.
        wanted.sort_by_key(|file| (**file == graph, *file));
        for file in wanted {
            progress.begin(&format!("fetch {file}"), None, "bytes");
            repo.download_with_progress(file, DownloadProgress(progress)).map_err(failed)?;
            progress.end();
        }
        Ok(Cache::new(self.cache.clone()).repo(Repo::model(name.to_owned())).pointer_path(&info.sha))
    }
}

/// Whether a path stays inside the model's folder.
fn is_inside(file: &str) -> bool {
    Path::new(file).components().all(|part| matches!(part, std::path::Component::Normal(_)))
}

/// Whether a file is needed: the settings of the model and its modules, the graph, and external weights of the graph.
fn is_wanted(file: &str, graph: &str) -> bool {
    let settings = match file.split_once('/') {
        None => file.ends_with(".json") && !file.ends_with(".index.json"),
        Some((module, "config.json" | "tokenizer.json" | "tokenizer_config.json" | "sentence_bert_config.json")) => {
            module.starts_with(|c: char| c.is_ascii_digit())
        }
        Some(_) => false,
    };
    settings || file == graph || file.strip_prefix(graph).is_some_and(|rest| rest.starts_with(['_', '.']))
}

fn one_line(error: &ApiError) -> String {
    error.to_string().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Reports the progress of a download.
struct DownloadProgress<'a>(&'a dyn Progress);

impl hf_hub::api::Progress for DownloadProgress<'_> {
    fn init(&mut self, _: usize, _: &str) {}

    fn update(&mut self, bytes: usize) {
        self.0.advance(bytes as u64);
    }

    fn finish(&mut self) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Silent;
    use std::fs;

    #[test]
    fn names_are_distinguished_from_paths() {
        assert!(Hub::is_name("sentence-transformers/all-MiniLM-L6-v2") && Hub::is_name("Qwen/Qwen3-Embedding-0.6B"));
        for path in ["model", "./model", "../model", "/model", "a/b/c", "a//b", "a/", "~/model", "a b/c", "a\\b/c"] {
            assert!(!Hub::is_name(path), "{path}");
        }
    }

    #[test]
    fn only_files_of_the_encoder_are_downloaded() {
        let wanted = |file: &str| is_wanted(file, "onnx/model.onnx");
        for file in
            ["config.json", "1_Pooling/config.json", "onnx/model.onnx", "onnx/model.onnx_data", "tokenizer.json"]
        {
            assert!(wanted(file), "{file}");
        }
        for file in ["model.safetensors", "onnx/model_O4.onnx", "openvino/config.json", "model.safetensors.index.json"]
        {
            assert!(!wanted(file), "{file}");
        }
        assert!(is_inside("onnx/model.onnx") && !is_inside("../config.json") && !is_inside("/etc/passwd"));
    }

    #[test]
    fn a_cached_model_needs_no_network() {
        let folder = tempfile::tempdir().unwrap();
        let hub = Hub { cache: folder.path().to_owned(), endpoint: None, token: None, offline: true };
        let says = |file| hub.folder("me/mine", EncoderKind::Text, file, &Silent).unwrap_err().to_string();
        assert!(says(None).contains("the model me/mine is not available"));
        let snapshot = folder.path().join("models--me--mine/snapshots/abc");
        fs::create_dir_all(snapshot.join("onnx")).unwrap();
        fs::create_dir_all(folder.path().join("models--me--mine/refs")).unwrap();
        fs::write(folder.path().join("models--me--mine/refs/main"), "abc").unwrap();
        fs::write(snapshot.join("tokenizer.json"), "{}").unwrap();
        assert!(says(None).contains("the graph of a text encoder"));
        fs::write(snapshot.join("onnx/model.onnx"), "").unwrap();
        assert_eq!(hub.folder("me/mine", EncoderKind::Text, None, &Silent).unwrap(), snapshot);
        assert!(says(Some("model_O4.onnx")).contains("has onnx/model.onnx"));
    }
}
