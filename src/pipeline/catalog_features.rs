//! The features of a catalog: encoded texts and images, ready vectors, behaviour.

use std::path::{Path, PathBuf};

use super::embed::ModalitySummary;
use super::spec::EmbedSpec;
use crate::artifact::Overwrite;
use crate::behaviour;
use crate::catalog::{CatalogReader, CatalogSpec, Interactions};
use crate::error::{Error, Result};
use crate::features::{BEHAVIOUR, FeatureSource, Features, IMAGE, Modality, ReadyVectors, TEXT};
use crate::index::fingerprint;
use crate::item_ids::ItemIds;
use crate::progress::Progress;
use crate::settings::SettingGroup;

/// The folder of finished parts in that of an output that is being written.
pub(super) const PARTS: &str = "parts";

/// What was written.
pub(super) struct FeaturesMade {
    pub(super) items: usize,
    pub(super) modalities: Vec<ModalitySummary>,
    /// Texts that were longer than the encoder reads.
    pub(super) truncated_texts: usize,
    pub(super) bad_images: Option<BadImageList>,
}

/// Images that could not be read.
pub(super) struct BadImageList {
    pub(super) count: usize,
    /// Items that have nothing else.
    pub(super) left_out: usize,
    /// One image per line, as JSON.
    pub(super) lines: Vec<u8>,
}

/// A spec whose settings have been checked.
pub(super) struct CatalogFeatures<'a> {
    spec: &'a EmbedSpec,
    catalog: CatalogSpec,
    embeddings: Vec<ReadyVectors>,
    threads: usize,
}

impl<'a> CatalogFeatures<'a> {
    /// Checks the settings.
    ///
    /// # Errors
    /// [`Error::Config`] for settings out of range, that contradict each other, or that need others.
    pub(super) fn new(spec: &'a EmbedSpec, threads: usize) -> Result<Self> {
        spec.encode.check()?;
        spec.behaviour.check()?;
        spec.behaviour.spec()?;
        let catalog = spec.encode.catalog_spec(&spec.catalog)?;
        Ok(CatalogFeatures { spec, catalog, embeddings: embeddings(spec)?, threads })
    }

    /// What the features depend on, for a run that continues another.
    ///
    /// # Errors
    /// [`Error::Io`] for a file that cannot be read.
    pub(super) fn fingerprint(&self) -> Result<serde_json::Value> {
        let (encode, behaviour) = (&self.spec.encode, &self.spec.behaviour);
        let of = |path: &Option<PathBuf>| path.as_deref().map(content).transpose();
        let embeddings = self.embeddings.iter().map(|ready| content(&ready.path)).collect::<Result<Vec<String>>>()?;
        Ok(serde_json::json!({
            "catalex": env!("CARGO_PKG_VERSION"), "catalog": self.spec.catalog,
            "content of the catalog": content(&self.spec.catalog)?, "encode": encode, "behaviour": behaviour,
            "interactions": of(&behaviour.interactions)?, "embeddings": embeddings,
            "text encoder": of(&encode.text_encoder)?, "image encoder": of(&encode.image_encoder)?,
            "threads": self.threads,
        }))
    }

    /// Makes and writes the features. `parts` is a folder for what is finished meanwhile.
    ///
    /// # Errors
    /// As [`super::embed()`].
    pub(super) fn write(
        &self,
        out: &Path,
        overwrite: Overwrite,
        parts: &Path,
        progress: &dyn Progress,
    ) -> Result<FeaturesMade> {
        let encode = &self.spec.encode;
        let encoders = !self.catalog.text.is_empty()
            || !self.catalog.images.is_empty()
            || encode.text_encoder.is_some()
            || encode.image_encoder.is_some();
        let interactions = self.spec.behaviour.spec()?;
        if self.embeddings.is_empty() && interactions.is_none() {
            return self.encoded(Vec::new(), out, overwrite, parts, progress);
        }
        // Before the encoders: ids that do not match must not be found after hours of encoding.
        let ids = self.ids()?;
        let mut ready = Vec::new();
        for embedding in &self.embeddings {
            let read = embedding.read(&ids, encode.id.as_deref())?;
            if let (rows, Some(item)) = read.unknown {
                let path = embedding.path.display();
                progress.warn(&format!("{rows} rows of {path} have ids that the catalog does not have, such as {item:?}"));
            }
            ready.push(read.modality);
        }
        if let Some(interactions) = interactions {
            let config = self.spec.behaviour.config();
            let (modality, usage) = behaviour::vectors(&Interactions::read(&interactions)?, &ids, &config, progress)?;
            if !usage.is_whole() {
                progress.warn(&usage.to_string());
            }
            ready.push(modality);
        }
        if encoders {
            drop(ids);
            return self.encoded(ready, out, overwrite, parts, progress);
        }
        let features = Features::new(ids, ready)?;
        features.write(out, overwrite)?;
        Ok(FeaturesMade::of_features(&features))
    }

    /// The ids of the catalog, which need not be unique yet.
    fn ids(&self) -> Result<ItemIds> {
        let spec = CatalogSpec { path: self.catalog.path.clone(), id: self.catalog.id.clone(), ..CatalogSpec::default() };
        let mut ids = ItemIds::default();
        for batch in CatalogReader::open(&spec)? {
            ids.append(batch?.item_ids);
        }
        Ok(ids)
    }

    /// What the encoders make of the catalog, and the modalities that are ready.
    #[cfg(feature = "encoders")]
    fn encoded(
        &self,
        ready: Vec<Modality>,
        out: &Path,
        overwrite: Overwrite,
        parts: &Path,
        progress: &dyn Progress,
    ) -> Result<FeaturesMade> {
        use crate::encoder::{Encoders, PartFolder, embed_to};

        std::fs::create_dir_all(parts).map_err(|e| Error::io("create", parts, e))?;
        let encode = &self.spec.encode;
        let folder = PartFolder { folder: parts.to_path_buf(), items: encode.part_items };
        let on_bad_image = encode.on_bad_image.as_deref().map(str::parse).transpose()?.unwrap_or_default();
        let mut loaded = super::encoders::load(encode, &self.catalog, &self.spec.environment, self.threads, progress)?;
        let encoders = Encoders { text: loaded.text.as_mut(), image: loaded.image.as_mut(), ready, on_bad_image };
        FeaturesMade::of(embed_to(out, overwrite, &self.catalog, encoders, &folder, progress)?)
    }

    #[cfg(not(feature = "encoders"))]
    fn encoded(
        &self,
        _: Vec<Modality>,
        _: &Path,
        _: Overwrite,
        _: &Path,
        _: &dyn Progress,
    ) -> Result<FeaturesMade> {
        Err(super::not_built("encoding texts and images", "encoders"))
    }
}

/// What identifies the content of a file or folder. That it does not exist is reported when it is read.
fn content(path: &Path) -> Result<String> {
    match fingerprint(path) {
        Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => Ok("absent".into()),
        found => found,
    }
}

/// The ready vectors, each under a name of its own.
fn embeddings(spec: &EmbedSpec) -> Result<Vec<ReadyVectors>> {
    let encode = &spec.encode;
    let given = encode.embedding.iter().flat_map(|embeddings| &embeddings.0);
    let embeddings: Vec<ReadyVectors> = given.map(|text| text.parse()).collect::<Result<_>>()?;
    let made = [
        (TEXT, encode.text_encoder.is_some()),
        (IMAGE, encode.image_encoder.is_some()),
        (BEHAVIOUR, spec.behaviour.interactions.is_some()),
    ];
    let mut taken: Vec<&str> = made.into_iter().filter_map(|(name, made)| made.then_some(name)).collect();
    for embedding in &embeddings {
        if taken.contains(&embedding.name.as_str()) {
            let expected = "a name that no other modality has";
            return Err(Error::config("embedding", expected, embedding, "choose another name"));
        }
        taken.push(&embedding.name);
    }
    Ok(embeddings)
}

impl FeaturesMade {
    #[cfg(feature = "encoders")]
    fn of(written: crate::encoder::Written) -> Result<Self> {
        let bad = &written.bad_images;
        let lines: Vec<String> = bad
            .iter()
            .map(serde_json::to_string)
            .collect::<Result<_, _>>()
            .map_err(|e| Error::data("the list of unreadable images", "text", e, "report this as a bug"))?;
        let left_out: std::collections::BTreeSet<&str> =
            bad.iter().filter(|bad| bad.left_out).map(|bad| bad.item_id.as_str()).collect();
        let bad_images = (!bad.is_empty()).then(|| BadImageList {
            count: bad.len(),
            left_out: left_out.len(),
            lines: (lines.join("\n") + "\n").into_bytes(),
        });
        let modality = |(name, dim, missing)| ModalitySummary { name, dim, missing };
        Ok(FeaturesMade {
            items: written.items,
            truncated_texts: written.truncated_texts,
            bad_images,
            modalities: written.modalities.into_iter().map(modality).collect(),
        })
    }

    /// Features without an encoder's part in them.
    fn of_features(features: &Features) -> Self {
        let missing = |m: &Modality| m.present.iter().filter(|&&present| !present).count();
        let summary = |m: &Modality| ModalitySummary { name: m.name.clone(), dim: m.dim(), missing: missing(m) };
        let modalities = features.modalities().iter().map(summary).collect();
        FeaturesMade { items: features.rows(), modalities, truncated_texts: 0, bad_images: None }
    }
}
