//! The features of a catalog: encoded texts and images, precomputed vectors, and behaviour vectors.

use std::path::{Path, PathBuf};

use super::content::ReadContent;
#[cfg(feature = "encoders")]
pub(super) use super::encoders::LoadedEncoders;
use super::features_made::{BadItemList, FeaturesMade};
use super::read_catalog::ReadCatalog;
use super::ready_features::write_ready;
use super::spec::{EmbedSpec, ReadsTexts};
use crate::artifact::Overwrite;
use crate::behaviour;
#[cfg(all(feature = "train", feature = "encoders"))]
use crate::catalog::{CatalogReader, PictureState, TextSpec};
use crate::catalog::{CatalogSpec, CatalogSpool, CheckOptions, InteractionSpec, Interactions, OnBadItem};
use crate::error::{Error, Result, quoted};
use crate::features::{BEHAVIOUR, ContentHashes, IMAGE, ModalityRows, ReadyVectors, TEXT};
use crate::index::{CONTENT, PARTS, Partial, fingerprint};
use crate::item_ids::ItemIds;
use crate::progress::Progress;
use crate::settings::SettingGroup;
/// Without the feature "encoders", no value of this type exists.
#[cfg(not(feature = "encoders"))]
pub(super) use std::convert::Infallible as LoadedEncoders;

/// An [`EmbedSpec`] whose settings have been checked.
pub(super) struct CatalogFeatures<'a> {
    spec: &'a EmbedSpec,
    catalog: CatalogSpec,
    embeddings: Vec<ReadyVectors>,
    interactions: Option<InteractionSpec>,
    on_bad_item: OnBadItem,
    threads: usize,
}

impl<'a> CatalogFeatures<'a> {
    /// Checks the settings.
    ///
    /// # Errors
    /// [`Error::Config`] for settings that are out of range, contradict each other, or require others.
    pub(super) fn new(spec: &'a EmbedSpec, threads: usize) -> Result<Self> {
        spec.encode.check()?;
        spec.behaviour.check()?;
        let interactions = spec.behaviour.spec(spec.encode.csv())?;
        let catalog = spec.encode.catalog_spec(&spec.catalog)?;
        let on_bad_item = spec.encode.on_bad_item.as_deref().map(str::parse).transpose()?.unwrap_or_default();
        Ok(CatalogFeatures { spec, catalog, embeddings: embeddings(spec)?, interactions, on_bad_item, threads })
    }

    /// Everything that the features depend on. A resumed run requires the same fingerprint.
    ///
    /// # Errors
    /// [`Error::Io`] for a file that cannot be read.
    pub(super) fn fingerprint(&self) -> Result<serde_json::Value> {
        let (encode, behaviour) = (&self.spec.encode, &self.spec.behaviour);
        let of = |path: &Option<PathBuf>| path.as_deref().map(content).transpose();
        let embeddings = self.embeddings.iter().map(|ready| content(&ready.path)).collect::<Result<Vec<String>>>()?;
        #[cfg(feature = "encoders")]
        let (text_encoder, image_encoder) = super::encoders::hashes(encode, of)?;
        #[cfg(not(feature = "encoders"))]
        let (text_encoder, image_encoder) = (of(&encode.text_encoder)?, of(&encode.image_encoder)?);
        Ok(serde_json::json!({
            "catalex": env!("CARGO_PKG_VERSION"), "catalog": self.spec.catalog,
            "content of the catalog": content(&self.spec.catalog)?, "encode": encode, "behaviour": behaviour,
            "interactions": of(&behaviour.interactions)?, "embeddings": embeddings,
            "text encoder": text_encoder, "image encoder": image_encoder,
            "threads": self.threads,
        }))
    }

    /// Computes and writes the features with the encoders from [`CatalogFeatures::load`]. `partial` keeps finished parts
    /// and, with `hashes`, the content hashes of all items.
    ///
    /// # Errors
    /// As [`super::embed()`].
    pub(super) fn write(
        &self,
        loaded: Option<LoadedEncoders>,
        output: (&Path, Overwrite),
        partial: &Partial,
        hashes: bool,
        progress: &dyn Progress,
    ) -> Result<FeaturesMade> {
        // The item ids are checked before anything is encoded: errors come early.
        let mut catalog = self.read(&partial.path(PARTS), loaded.as_ref(), progress)?;
        if hashes {
            let hashes = catalog.content(self.reads(), progress)?;
            let content = ContentHashes { item_ids: catalog.spool.ids().clone(), hashes };
            content.write(&partial.path(CONTENT), Overwrite::Replace)?;
        }
        self.encode(catalog, loaded, output, partial, progress)
    }

    /// Reads the catalog, and opens the precomputed vectors of its items. `folder` is for temporary files.
    ///
    /// # Errors
    /// As [`super::embed()`].
    pub(super) fn read(
        &self,
        folder: &Path,
        loaded: Option<&LoadedEncoders>,
        progress: &dyn Progress,
    ) -> Result<ReadCatalog> {
        std::fs::create_dir_all(folder).map_err(|e| Error::io("create", folder, e))?;
        let mut spool = match self.has_encoders() {
            false => CatalogSpool::read(&self.catalog, Some(folder))?,
            true => {
                // An item without text and image may have a precomputed vector.
                let content = self.embeddings.is_empty() && self.interactions.is_none();
                let checks = CheckOptions { max_tokens: max_tokens(loaded), title: None, content };
                let spool = CatalogSpool::checked(&self.catalog, Some(folder), checks)?;
                spool.findings().iter().for_each(|finding| progress.warn(&finding.to_string()));
                spool
            }
        };
        spool.take_notes().iter().for_each(|note| progress.warn(note));
        let ready = self.open_ready(spool.ids(), folder, progress)?;
        Ok(ReadCatalog { spool, ready, embeddings: self.embeddings.len(), is_part: false })
    }

    /// Which parts of an item's content are encoded.
    pub(super) fn reads(&self) -> ReadContent {
        ReadContent { texts: !self.catalog.text.is_empty(), images: self.spec.encode.image_encoder.is_some() }
    }

    /// The current state of the image files in the catalog.
    ///
    /// # Errors
    /// As [`CatalogReader`].
    #[cfg(all(feature = "train", feature = "encoders"))]
    pub(super) fn picture_state(&self) -> Result<PictureState> {
        let mut state = PictureState::default();
        if self.spec.encode.image_encoder.is_none() {
            return Ok(state);
        }
        let spec = CatalogSpec { text: TextSpec::default(), fields: Vec::new(), ..self.catalog.clone() };
        for batch in CatalogReader::open(&spec)? {
            batch?.images.iter().for_each(|images| state.add(images));
        }
        Ok(state)
    }

    fn has_encoders(&self) -> bool {
        let encode = &self.spec.encode;
        let columns = !self.catalog.text.is_empty() || !self.catalog.images.is_empty();
        columns || encode.text_encoder.is_some() || encode.image_encoder.is_some()
    }

    /// Opens the precomputed vectors and computes the behaviour vectors.
    fn open_ready(&self, ids: &ItemIds, folder: &Path, progress: &dyn Progress) -> Result<Vec<Box<dyn ModalityRows>>> {
        let mut ready: Vec<Box<dyn ModalityRows>> = Vec::new();
        for embedding in &self.embeddings {
            let opened = embedding.open(ids, self.catalog.id.as_deref(), folder)?;
            if let (rows, Some(item)) = opened.unknown {
                let path = embedding.path.display();
                progress.warn(&format!(
                    "ignored {rows} rows of {path} with ids that are not in the catalog, such as {}",
                    quoted(&item)
                ));
            }
            ready.push(Box::new(opened.rows));
        }
        if let Some(interactions) = &self.interactions {
            let config = self.spec.behaviour.config();
            let read = Interactions::read(interactions, progress)?;
            let most = self.spec.behaviour.max_unknown_events.unwrap_or(behaviour::MAX_UNKNOWN_EVENTS);
            behaviour::refuse_unknown(&read, ids, "the catalog", most)?;
            let (vectors, usage) = behaviour::vectors(&read, ids, &config, progress)?;
            if !usage.is_whole() {
                progress.warn(&usage.to_string());
            }
            ready.push(Box::new(vectors.into_rows(folder)?));
        }
        Ok(ready)
    }

    /// Loads the encoders of the spec, if there are any.
    ///
    /// # Errors
    /// [`Error::Config`] if the spec has neither encoders nor vectors; as [`super::encoders::load`].
    #[cfg(feature = "encoders")]
    pub(super) fn load(&self, progress: &dyn Progress) -> Result<Option<LoadedEncoders>> {
        self.check_sources()?;
        let load =
            || super::encoders::load(&self.spec.encode, &self.catalog, &self.spec.environment, self.threads, progress);
        self.has_encoders().then(load).transpose()
    }

    #[cfg(not(feature = "encoders"))]
    pub(super) fn load(&self, _: &dyn Progress) -> Result<Option<LoadedEncoders>> {
        self.check_sources()?;
        match self.has_encoders() {
            true => Err(super::not_built("encoding texts and images", "encoders")),
            false => Ok(None),
        }
    }

    fn check_sources(&self) -> Result<()> {
        if !self.has_encoders() && self.embeddings.is_empty() && self.interactions.is_none() {
            let help = "set --text and --text-encoder, or --image and --image-encoder, or precomputed vectors with --embedding";
            return Err(Error::config("text-encoder", "an encoder of text, of images, or both", "none", help));
        }
        Ok(())
    }

    /// Encodes a catalog that was read, adds its precomputed modalities, and writes the features.
    ///
    /// # Errors
    /// As [`super::embed()`].
    pub(super) fn encode(
        &self,
        catalog: ReadCatalog,
        loaded: Option<LoadedEncoders>,
        (out, overwrite): (&Path, Overwrite),
        partial: &Partial,
        progress: &dyn Progress,
    ) -> Result<FeaturesMade> {
        if let Some(loaded) = loaded {
            return self.encoded(catalog, loaded, (out, overwrite), partial, progress);
        }
        let ReadCatalog { spool, ready, .. } = catalog;
        let left_out = spool.bare_items(|row| ready.iter().any(|ready| ready.has(row)), self.on_bad_item)?;
        let mut made = write_ready(spool.ids(), ready, &left_out, out, overwrite, progress)?;
        made.bad_items = BadItemList::of(&spool, &left_out);
        Ok(made)
    }

    #[cfg(feature = "encoders")]
    fn encoded(
        &self,
        catalog: ReadCatalog,
        mut loaded: LoadedEncoders,
        (out, overwrite): (&Path, Overwrite),
        partial: &Partial,
        progress: &dyn Progress,
    ) -> Result<FeaturesMade> {
        use crate::artifact::sha256;
        use crate::encoder::{Encoders, PartFolder, embed_to};

        let encode = &self.spec.encode;
        let on_bad_image = encode.on_bad_image.as_deref().map(str::parse).transpose()?.unwrap_or_default();
        let ReadCatalog { spool, ready, is_part, .. } = catalog;
        let (text, image, on_bad_item) = (loaded.text.as_mut(), loaded.image.as_mut(), self.on_bad_item);
        let encoders = Encoders { text, image, ready, on_bad_image, on_bad_item, is_part };
        // The settings have the hashes of encoders in folders, but only the names of those on the Hub.
        let made_by = sha256(format!("{} {}", partial.settings_hash(), loaded.from_hub.join(" ")).as_bytes());
        let folder = PartFolder { folder: partial.path(PARTS), items: encode.part_items, made_by };
        FeaturesMade::of(&spool, embed_to(out, overwrite, &spool, encoders, &folder, progress)?)
    }

    #[cfg(not(feature = "encoders"))]
    fn encoded(
        &self,
        _: ReadCatalog,
        loaded: LoadedEncoders,
        _: (&Path, Overwrite),
        _: &Partial,
        _: &dyn Progress,
    ) -> Result<FeaturesMade> {
        match loaded {}
    }
}

/// The maximum length of the text encoder, in tokens.
#[cfg(feature = "encoders")]
fn max_tokens(loaded: Option<&LoadedEncoders>) -> Option<usize> {
    loaded.and_then(|loaded| loaded.text.as_ref()).map(|encoder| encoder.max_length())
}

#[cfg(not(feature = "encoders"))]
fn max_tokens(_: Option<&LoadedEncoders>) -> Option<usize> {
    None
}

/// A fingerprint of the content of a file or folder, or "absent". A missing file is reported later, when it is read.
fn content(path: &Path) -> Result<String> {
    if path.metadata().is_ok_and(|found| !found.is_file() && !found.is_dir()) {
        let help = "write its content to a file, because catalex reads it more than once";
        return Err(Error::file(path, "a file or a folder", "a device or a pipe", help));
    }
    match fingerprint(path) {
        Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => Ok("absent".into()),
        found => found,
    }
}

/// The precomputed vectors, with unique names.
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
            let expected = "a name that differs from all other modalities";
            return Err(Error::config("embedding", expected, embedding, "choose another name"));
        }
        taken.push(&embedding.name);
    }
    Ok(embeddings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_rejected_without_being_read() {
        assert!(content(Path::new("/dev/zero")).unwrap_err().to_string().contains("a device or a pipe"));
        assert_eq!(content(Path::new("/nothing/here")).unwrap(), "absent");
    }
}
