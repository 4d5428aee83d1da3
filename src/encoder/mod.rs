//! Text and image encoders: ONNX models that map an item to one vector per modality.
//!
//! A [`TextEncoder`] is a folder in the layout of Hugging Face and sentence-transformers. An [`ImageEncoder`] is a folder
//! with a graph and `preprocessor_config.json`. A [`Hub`] downloads such folders by name. Both run in ONNX Runtime, which
//! [`Runtime::load`] loads from a shared library.

mod bad_image;
mod decode;
mod deep_pixels;
mod device;
mod embed;
mod folder;
mod hub;
mod image;
mod image_fault;
mod image_settings;
mod journal;
mod known;
mod modalities;
mod parts;
mod picture_file;
mod png_chunks;
mod pooling;
mod preprocess;
mod runtime;
mod sessions;
mod text;
mod text_inputs;
mod text_reader;
mod text_settings;
mod thumbnails;
mod whole;

pub use bad_image::{BadImage, OnBadImage};
pub use device::Device;
pub use embed::{Embedded, Encoders, embed};
pub use folder::{EncoderKind, encoder_hash};
pub use hub::Hub;
pub use image::ImageEncoder;
pub use known::{KNOWN_ENCODERS, KnownEncoder, PACKAGED};
pub use parts::{EncodedCatalog, PartFolder, embed_to};
pub use picture_file::picture_digest;
pub use runtime::Runtime;
pub use text::{TextEncoder, TextOptions};
pub use thumbnails::{ACROSS, TILE, Thumbnail};
