//! Which columns of a catalog are read, and which encoders read them.

use std::path::{Path, PathBuf};

use super::{ReadsTexts, text_settings};
use crate::catalog::{CatalogSpec, CsvCharacter, TextSpec, TextTemplate};
use crate::error::{Error, Result};
use crate::settings::{MAX_COUNT, Range, SettingKind, SettingValue, settings};

impl SettingValue for CsvCharacter {
    const KIND: SettingKind = SettingKind::Text;
}

impl SettingValue for TextTemplate {
    const KIND: SettingKind = SettingKind::Text;
}

/// Precomputed vectors, one `NAME=FILE[:COLUMN]` per modality.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Embeddings(pub Vec<String>);

impl SettingValue for Embeddings {
    const KIND: SettingKind = SettingKind::RepeatedTexts;
}

text_settings! {
    /// Which columns of the catalog to encode, with which encoders, and which precomputed vectors to add.
    pub struct EncodeSettings {
        /// Column of the item ids.
        id: String, "COLUMN", default "item_id or id";
        /// Text columns, joined in this order.
        text: Vec<String>, "COLUMN,...";
        /// Template of an item's text instead of --text, with columns in braces: '{title}. {categories:" > "}'. Empty
        /// columns are omitted.
        template: TextTemplate, "TEMPLATE";
        /// Encode each column of --text separately and average the vectors, as LC-Rec does, instead of joining the
        /// texts.
        average_text: bool, "BOOL";
        /// Image columns: paths relative to the catalog, data: URIs, image bytes, structs of bytes and path, or lists
        /// of these. The vectors of several images are averaged.
        image: Vec<String>, "COLUMN,...";
        /// Handling of an image that cannot be read: error stops; missing treats the image as absent and lists it in a
        /// file next to the output.
        on_bad_image: String, "HOW", default "error";
        /// Handling of an item without content (no text, image or vector): error stops before anything is encoded; skip
        /// leaves the item out and lists it in a file next to the output.
        on_bad_item: String, "HOW", default "error";
        /// Text encoder: a folder with tokenizer.json and model.onnx, or a name on the Hugging Face Hub (owner/name).
        text_encoder: PathBuf, "DIR|NAME";
        /// Image encoder: a folder with preprocessor_config.json and model.onnx, or a name on the Hugging Face Hub.
        image_encoder: PathBuf, "DIR|NAME";
        /// ONNX file of the text encoder, if its folder has several.
        onnx_file: String, "FILE", default "model.onnx, or text_model.onnx";
        /// ONNX file of the image encoder, if its folder has several.
        image_onnx_file: String, "FILE", default "model.onnx, or vision_model.onnx";
        /// Prompt that the text encoder reads before every text.
        prompt: String, "TEXT", default "the encoder's default prompt, if any";
        /// Device of the encoders: cpu, cuda, cuda:N or coreml.
        encoder_device: String, "DEVICE", default "cpu";
        /// Precomputed vectors as an additional modality: a .npy or safetensors matrix with one row per item, or a
        /// table, which is joined by item id if it has ids. Can be repeated.
        embedding: Embeddings, "NAME=FILE[:COLUMN]";
        /// Items per checkpoint while encoding.
        part_items: usize, "N", default "8192", range Range::Between(1.0, MAX_COUNT);
    }
}

impl EncodeSettings {
    /// The columns of a catalog that the settings name.
    ///
    /// # Errors
    /// [`Error::Config`] for settings that contradict each other.
    pub fn catalog_spec(&self, catalog: &Path) -> Result<CatalogSpec> {
        let average = self.average_text == Some(true);
        let text = match (&self.text, &self.template) {
            (Some(_), Some(_)) => {
                return Err(Error::config("template", "either --template or --text", "both", "name the columns once"));
            }
            (None, Some(_)) if average => {
                let help = "name the columns with --text to encode each by itself";
                return Err(Error::config("average-text", "columns in --text", "--template", help));
            }
            (None, Some(template)) => TextSpec::Template(template.clone()),
            (Some(columns), None) if average => TextSpec::Separate(columns.clone()),
            (columns, None) => TextSpec::Joined(columns.clone().unwrap_or_default()),
        };
        let images = self.image.clone().unwrap_or_default();
        let (path, id) = (catalog.to_path_buf(), self.id.clone());
        Ok(self.reading(CatalogSpec { path, id, text, images, ..CatalogSpec::default() }))
    }
}

text_settings! {
    /// Columns of a catalog that describe an item.
    pub struct CatalogColumns {
        /// Column of the item ids in the catalog.
        id: String, "COLUMN", default "item_id or id";
        /// Columns of the title.
        title: Vec<String>, "COLUMN,...", default "title, name or label";
        /// Columns of the description.
        description: Vec<String>, "COLUMN,...";
        /// Columns of attributes, such as categories and brands. Each element of a list is one attribute.
        attributes: Vec<String>, "COLUMN,...";
    }
}

settings! {
    /// Columns of the catalog that the index keeps for rules.
    pub struct AttributeSettings {
        /// Columns to keep in the index as attributes for rules of constrained decoding, such as stock and market.
        /// NAME:TYPE sets a type: bool, integer, float, string, list or timestamp.
        attributes: Vec<String>, "COLUMN[:TYPE],...";
    }
}

impl AttributeSettings {
    /// Whether no setting is given. The manifest then omits the group.
    pub(super) fn is_default(&self) -> bool {
        *self == AttributeSettings::default()
    }
}

settings! {
    /// Columns that reports and summaries show.
    pub struct ShowSettings {
        /// Columns of the title, which the report and the summary show. Default: the encoded text.
        title: Vec<String>, "COLUMN,...";
        /// Further columns that the report and the summary show after the title.
        show: Vec<String>, "COLUMN,...";
    }
}

impl ShowSettings {
    /// The columns, if any are given.
    pub(in crate::pipeline) fn text(&self) -> Option<TextSpec> {
        let columns = [self.title.clone().unwrap_or_default(), self.show.clone().unwrap_or_default()].concat();
        (!columns.is_empty()).then_some(TextSpec::Joined(columns))
    }

    /// Whether no setting is given. The manifest then omits the group.
    pub(super) fn is_default(&self) -> bool {
        *self == ShowSettings::default()
    }
}
