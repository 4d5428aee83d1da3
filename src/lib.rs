//! Semantic IDs for LLM recommenders.
#![warn(missing_docs)]

pub mod artifact;
pub mod catalog;
#[cfg(feature = "encoders")]
pub mod encoder;
pub mod error;
pub mod features;
pub mod index;
pub mod item_ids;
pub mod progress;
pub mod quality;
#[cfg(feature = "train")]
pub mod rqvae;
pub mod semantic_id;
pub mod tokenizer;
pub mod vocabulary;

pub use error::{Error, ErrorKind, Result};
pub use item_ids::ItemIds;
