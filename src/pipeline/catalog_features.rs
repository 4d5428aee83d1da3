//! The features of a catalog: encoded texts and images, precomputed vectors, behaviour.

use std::path::{Path, PathBuf};

use super::features_made::{BadItemList, FeaturesMade, ModalitySummary};
use super::spec::{EmbedSpec, ReadsTexts};
use crate::artifact::Overwrite;
use crate::behaviour;
#[cfg(all(feature = "train", feature = "encoders"))]
use crate::catalog::{CatalogReader, PictureState, TextSpec};
use crate::catalog::{CatalogSpec, CatalogSpool, InteractionSpec, Interactions, OnBadItem};
use crate::error::{Error, Result, quoted};
use crate::features::{BEHAVIOUR, FeatureWriter, Features, IMAGE, Modality, ModalityRows, ReadyVectors, TEXT};
use crate::index::{PARTS, Partial, fingerprint};
use crate::item_ids::ItemIds;
use crate::progress::Progress;
use crate::settings::SettingGroup;

/// Items that are copied together.
const BLOCK: usize = 8_192;

/// A spec whose settings have been checked.
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
    /// [`Error::Config`] for settings out of range, that contradict each other, or that need others.
    pub(super) fn new(spec: &'a EmbedSpec, threads: usize) -> Result<Self> {
        spec.encode.check()?;
        spec.behaviour.check()?;
        let interactions = spec.behaviour.spec(spec.encode.csv())?;
        let catalog = spec.encode.catalog_spec(&spec.catalog)?;
        let on_bad_item = spec.encode.on_bad_item.as_deref().map(str::parse).transpose()?.unwrap_or_default();
        Ok(CatalogFeatures { spec, catalog, embeddings: embeddings(spec)?, interactions, on_bad_item, threads })
    }

    /// Everything that the features depend on. A resumed run compares it.
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

    /// Makes and writes the features. What is finished meanwhile is kept in `partial`.
    ///
    /// # Errors
    /// As [`super::embed()`].
    pub(super) fn write(
        &self,
        out: &Path,
        overwrite: Overwrite,
        partial: &Partial,
        progress: &dyn Progress,
    ) -> Result<FeaturesMade> {
        let parts = &partial.path(PARTS);
        std::fs::create_dir_all(parts).map_err(|e| Error::io("create", parts, e))?;
        if self.has_encoders() {
            return self.encoded(out, overwrite, partial, progress);
        }
        if self.embeddings.is_empty() && self.interactions.is_none() {
            let help = "set --text and --text-encoder, or --image and --image-encoder, or precomputed vectors with --embedding";
            return Err(Error::config("text-encoder", "an encoder of text, of images, or both", "none", help));
        }
        let mut catalog = CatalogSpool::read(&self.catalog, Some(parts))?;
        catalog.take_notes().iter().for_each(|note| progress.warn(note));
        let ready = self.open_ready(catalog.ids(), parts, progress)?;
        let left_out = catalog.bare_items(|row| ready.iter().any(|ready| ready.has(row)), self.on_bad_item)?;
        let mut made = write_ready(catalog.ids(), ready, &left_out, out, overwrite, progress)?;
        made.bad_items = BadItemList::of(&catalog, &left_out);
        Ok(made)
    }

    /// The current state of the image files that the catalog names.
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

    /// Encodes the catalog and adds the precomputed modalities. Invalid settings are refused before the catalog is
    /// read, and ids that do not match are refused before it is encoded.
    #[cfg(feature = "encoders")]
    fn encoded(
        &self,
        out: &Path,
        overwrite: Overwrite,
        partial: &Partial,
        progress: &dyn Progress,
    ) -> Result<FeaturesMade> {
        use crate::artifact::sha256;
        use crate::catalog::CheckOptions;
        use crate::encoder::{Encoders, PartFolder, embed_to};

        let parts = &partial.path(PARTS);
        let encode = &self.spec.encode;
        let on_bad_image = encode.on_bad_image.as_deref().map(str::parse).transpose()?.unwrap_or_default();
        let mut loaded = super::encoders::load(encode, &self.catalog, &self.spec.environment, self.threads, progress)?;
        let max_tokens = loaded.text.as_ref().map(|encoder| encoder.max_length());
        // An item without content can have a precomputed vector.
        let content = self.embeddings.is_empty() && self.interactions.is_none();
        let checks = CheckOptions { max_tokens, title: None, content };
        let mut catalog = CatalogSpool::checked(&self.catalog, Some(parts), checks)?;
        catalog.findings().iter().for_each(|finding| progress.warn(&finding.to_string()));
        catalog.take_notes().iter().for_each(|note| progress.warn(note));
        let ready = self.open_ready(catalog.ids(), parts, progress)?;
        let (text, image, on_bad_item) = (loaded.text.as_mut(), loaded.image.as_mut(), self.on_bad_item);
        let encoders = Encoders { text, image, ready, on_bad_image, on_bad_item };
        // The settings have the hashes of encoders in folders, but only the names of those on the Hub.
        let made_by = sha256(format!("{} {}", partial.settings_hash(), loaded.from_hub.join(" ")).as_bytes());
        let folder = PartFolder { folder: parts.clone(), items: encode.part_items, made_by };
        FeaturesMade::of(&catalog, embed_to(out, overwrite, &catalog, encoders, &folder, progress)?)
    }

    #[cfg(not(feature = "encoders"))]
    fn encoded(&self, _: &Path, _: Overwrite, _: &Partial, _: &dyn Progress) -> Result<FeaturesMade> {
        Err(super::not_built("encoding texts and images", "encoders"))
    }
}

/// Writes features that need no encoder, block by block.
fn write_ready(
    ids: &ItemIds,
    mut ready: Vec<Box<dyn ModalityRows>>,
    left_out: &[usize],
    out: &Path,
    overwrite: Overwrite,
    progress: &dyn Progress,
) -> Result<FeaturesMade> {
    let shapes: Vec<(String, usize)> = ready.iter().map(|rows| (rows.name().to_owned(), rows.dim())).collect();
    let mut modalities: Vec<ModalitySummary> =
        shapes.iter().map(|(name, dim)| ModalitySummary { name: name.clone(), dim: *dim, missing: 0 }).collect();
    let mut writer = FeatureWriter::create(out, ids, shapes, overwrite)?;
    progress.begin("copy vectors", Some(ids.len() as u64), "items");
    for from in (0..ids.len()).step_by(BLOCK) {
        let rows = from..ids.len().min(from + BLOCK);
        let mut block: Vec<Modality> = ready.iter_mut().map(|ready| ready.rows(rows.clone())).collect::<Result<_>>()?;
        let here: Vec<usize> = rows.clone().filter(|row| left_out.binary_search(row).is_err()).collect();
        progress.advance(rows.len() as u64);
        if here.is_empty() {
            continue;
        }
        if here.len() < rows.len() {
            let kept: Vec<usize> = here.iter().map(|row| row - from).collect();
            block = block.into_iter().map(|modality| modality.select(&kept)).collect();
        }
        for (summary, modality) in modalities.iter_mut().zip(&block) {
            summary.missing += modality.present.iter().filter(|&&present| !present).count();
        }
        writer.write(&Features::new(ids.take(&here), block)?)?;
    }
    progress.end();
    writer.commit()?;
    let items = ids.len() - left_out.len();
    let (bad_images, bad_items, pictures) = (None, None, String::new());
    Ok(FeaturesMade { items, modalities, truncated_texts: 0, bad_images, bad_items, pictures })
}

/// What identifies the content of a file or folder. That it does not exist is reported when it is read.
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

/// The precomputed vectors, each with a unique name.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_refused_without_reading_them() {
        assert!(content(Path::new("/dev/zero")).unwrap_err().to_string().contains("a device or a pipe"));
        assert_eq!(content(Path::new("/nothing/here")).unwrap(), "absent");
    }
}
