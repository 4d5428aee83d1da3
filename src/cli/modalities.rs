//! A catalog's features: what the encoders make of it, and modalities that are ready.

use std::path::{Path, PathBuf};

use anyhow::Result;
use catalex::artifact::Overwrite;
use catalex::catalog::{CatalogReader, CatalogSpec};
use catalex::features::{BEHAVIOUR, Features, IMAGE, Modality, ReadyVectors, TEXT};
use catalex::index::fingerprint;
use catalex::progress::Progress;
use catalex::{Error, ItemIds};

use super::behaviour::BehaviourOptions;
use super::embed::Made;
use super::options::EncodeOptions;

/// What was asked for.
pub(super) struct Request<'a> {
    pub(super) catalog: &'a Path,
    pub(super) encode: &'a EncodeOptions,
    pub(super) behaviour: &'a BehaviourOptions,
    pub(super) threads: usize,
}

impl Request<'_> {
    /// What the features depend on, for a run that goes on with another.
    pub(super) fn settings(&self) -> Result<serde_json::Value> {
        let (encode, behaviour) = (self.encode, self.behaviour);
        let of = |path: &Option<PathBuf>| path.as_deref().map(content).transpose();
        let flags = encode.embedding.iter().flatten().map(|flag| flag.parse::<ReadyVectors>());
        let embeddings = flags.map(|flag| content(&flag?.path)).collect::<Result<Vec<String>>>()?;
        Ok(serde_json::json!({
            "catalex": env!("CARGO_PKG_VERSION"), "catalog": self.catalog,
            "content of the catalog": content(self.catalog)?, "encode": encode, "behaviour": behaviour,
            "interactions": of(&behaviour.interactions)?, "embeddings": embeddings,
            "text encoder": of(&encode.text_encoder)?, "image encoder": of(&encode.image_encoder)?,
            "threads": self.threads,
        }))
    }

    /// Runs all that was asked for and writes the features. `parts` is a folder for what is finished meanwhile.
    pub(super) fn write(
        &self,
        out: &Path,
        overwrite: Overwrite,
        parts: &Path,
        progress: &dyn Progress,
    ) -> Result<Made> {
        let (encode, behaviour) = (self.encode, self.behaviour);
        let embeddings = embeddings(encode, behaviour)?;
        let columns = encode.text.is_some() || encode.template.is_some() || encode.image.is_some();
        let encoders = columns || encode.text_encoder.is_some() || encode.image_encoder.is_some();
        if embeddings.is_empty() && behaviour.interactions.is_none() {
            behaviour.modality(&ItemIds::row_numbers(0), progress)?;
            return self.encoded(Vec::new(), out, overwrite, parts, progress);
        }
        // Before the encoders: ids that do not match must not come to light after hours of encoding.
        let ids = ids(self.catalog, encode.id.clone())?;
        let mut ready = Vec::new();
        for embedding in &embeddings {
            let read = embedding.read(&ids, encode.id.as_deref())?;
            if let (rows, Some(item)) = read.unknown {
                let path = embedding.path.display();
                let which = format!("items that are not in the catalog, such as {item:?}");
                progress.warn(&format!("left out {rows} rows of {path}: {which}"));
            }
            ready.push(read.modality);
        }
        ready.extend(behaviour.modality(&ids, progress)?);
        if encoders {
            drop(ids);
            return self.encoded(ready, out, overwrite, parts, progress);
        }
        let features = Features::new(ids, ready)?;
        features.write(out, overwrite)?;
        Ok(Made::of_features(&features))
    }

    /// What the encoders make of the catalog, and the modalities that are there already.
    #[cfg(feature = "encoders")]
    fn encoded(
        &self,
        ready: Vec<Modality>,
        out: &Path,
        overwrite: Overwrite,
        parts: &Path,
        progress: &dyn Progress,
    ) -> Result<Made> {
        std::fs::create_dir_all(parts).map_err(|e| Error::io("create", parts, e))?;
        let items = self.encode.part_items;
        if items == Some(0) {
            return Err(Error::config("part-items", "at least 1", 0, "leave it out for 8192").into());
        }
        let folder = catalex::encoder::PartFolder { folder: parts.to_path_buf(), items };
        let (catalog, encode, threads) = (self.catalog, self.encode, self.threads);
        super::sources::encode_catalog(catalog, encode, ready, threads, (out, overwrite), &folder, progress)
            .and_then(Made::of)
    }

    #[cfg(not(feature = "encoders"))]
    fn encoded(&self, _: Vec<Modality>, _: &Path, _: Overwrite, _: &Path, _: &dyn Progress) -> Result<Made> {
        Err(super::not_built("encoding text and pictures", "encoders"))
    }
}

/// What tells the content of a file or folder from another. That it is not there is said when it is read.
fn content(path: &Path) -> Result<String> {
    match fingerprint(path) {
        Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => Ok("absent".into()),
        found => Ok(found?),
    }
}

/// The vectors that are ready, each under a name of its own.
fn embeddings(encode: &EncodeOptions, behaviour: &BehaviourOptions) -> Result<Vec<ReadyVectors>> {
    let flags = encode.embedding.iter().flatten();
    let embeddings: Vec<ReadyVectors> = flags.map(|flag| flag.parse()).collect::<catalex::Result<_>>()?;
    let made = [
        (TEXT, encode.text_encoder.is_some()),
        (IMAGE, encode.image_encoder.is_some()),
        (BEHAVIOUR, behaviour.interactions.is_some()),
    ];
    let mut taken: Vec<&str> = made.into_iter().filter_map(|(name, made)| made.then_some(name)).collect();
    for embedding in &embeddings {
        if taken.contains(&embedding.name.as_str()) {
            let expected = "a name that no other modality has";
            return Err(Error::config("embedding", expected, embedding, "choose another name").into());
        }
        taken.push(&embedding.name);
    }
    Ok(embeddings)
}

/// The ids of a catalog, which need not be unique yet.
fn ids(catalog: &Path, id: Option<String>) -> Result<ItemIds> {
    let spec = CatalogSpec { path: catalog.to_path_buf(), id, ..CatalogSpec::default() };
    let mut ids = ItemIds::default();
    for batch in CatalogReader::open(&spec)? {
        ids.append(batch?.item_ids);
    }
    Ok(ids)
}
