//! Text and picture encoders: ONNX models that turn an item into one vector a modality.
//!
//! A [`TextEncoder`] is a folder as Hugging Face and sentence-transformers lay it out, an [`ImageEncoder`] a folder with
//! a graph and `preprocessor_config.json`; a [`Hub`] fetches such folders by name. Both run in ONNX Runtime, loaded when
//! first asked for by [`Runtime::load`].

mod decode;
mod device;
mod embed;
mod folder;
mod hub;
mod image;
mod image_settings;
mod modalities;
mod parts;
mod pooling;
mod preprocess;
mod runtime;
mod text;
mod text_inputs;
mod text_settings;
mod thumbnails;

pub use device::Device;
pub use embed::{BadImage, Embedded, Encoders, OnBadImage, embed};
pub use folder::EncoderKind;
pub use hub::Hub;
pub use image::ImageEncoder;
pub use parts::{EncodedCatalog, PartFolder, embed_to};
pub use runtime::Runtime;
pub use text::{TextEncoder, TextOptions};
pub use thumbnails::{ACROSS, TILE, Thumbnail};
