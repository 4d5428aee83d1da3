//! Semantic IDs for LLM recommenders: from a catalog to unique hierarchical codes and a vocabulary.
//!
//! A *semantic ID* names an item of a catalog by a few codes, one per level, that are learned from its text and its image.
//! It is written as tokens, such as `<a_12><b_203><c_7><d_91>`. Similar items share a prefix, no two items share an ID,
//! and a language model that has learned the tokens can name any item.
//!
//! Load a trained model and give IDs to items:
//!
//! ```
//! use std::path::Path;
//!
//! use catalex::features::FeatureFile;
//! use catalex::progress::Silent;
//! use catalex::semantic_id::{Collisions, TokenFormat, TokenTable};
//! use catalex::tokenizer::Tokenizer;
//!
//! let index = Path::new("tests/golden/index-0.1"); // a folder that `catalex build` wrote
//! let model = Tokenizer::load(&index.join("model"))?;
//! let features = FeatureFile::open(&index.join("features.parquet"))?; // or a `.npy` matrix with one row per item
//! let table = TokenTable::of_features(&features, &model, TokenFormat::default(), Collisions::Resolve, &Silent)?;
//! assert_eq!(table.semantic_id(0), "<a_2><b_1><c_6>");
//! # Ok::<(), catalex::Error>(())
//! ```
//!
//! [`pipeline`] has the jobs of the command line as functions, such as `pipeline::build`, which turns a catalog into an
//! index with one call. `examples/` has programs that build an index, tokenize with a frozen model, and constrain a
//! decoder.
//!
//! # Modules
//!
//! In the order in which data passes through them:
//!
//! | module | content |
//! |---|---|
//! | [`pipeline`] | one function per job, each with a spec: build, embed, train, tokenize, vocab, constrain, export, … |
//! | [`catalog`] | [`CatalogReader`](catalog::CatalogReader): the items of a catalog, in batches |
//! | [`attributes`] | [`Attributes`](attributes::Attributes) and [`Rule`](attributes::Rule): columns that the index keeps, and conditions on them |
//! | [`behaviour`] | [`vectors`](behaviour::vectors()) and [`Histories`](behaviour::Histories): interactions as a modality, and split by user |
//! | `encoder` | `embed`: vectors of texts and images (feature `encoders`) |
//! | [`features`] | [`Features`](features::Features): one vector per item and modality, in memory and in files |
//! | [`training`] | [`TrainSettings`](training::TrainSettings): the settings of training |
//! | `rqvae` | `train`: from features to a frozen model (feature `train`) |
//! | [`tokenizer`] | [`Tokenizer`](tokenizer::Tokenizer): the frozen model, from vectors to codes and back |
//! | [`semantic_id`] | [`TokenTable`](semantic_id::TokenTable): a unique ID for every item |
//! | [`vocabulary`] | [`Vocabulary`](vocabulary::Vocabulary): all tokens, and the files that add them to a language model |
//! | [`constraint`] | [`Trie`](constraint::Trie): the valid IDs, for constrained decoding |
//! | [`export`] | [`Export`](export::Export): items and histories as training data for LLM recommenders |
//! | [`ranking`] | [`RankingFeatures`](ranking::RankingFeatures): IDs as integer features of ranking models |
//! | [`answers`] | [`parse_answer`](answers::parse_answer): from the output of a language model to items |
//! | [`explore`] | [`Explorer`](explore::Explorer): searches in an index, for agents |
//! | [`quality`] | [`Figures`](quality::Figures): metrics, and the report |
//! | [`index`] | [`Index`](index::Index): the folder with all results and a hash of every file |
//!
//! All of them use [`error`], [`progress`], [`printable`] (escapes text that is printed), [`settings`] (declared
//! settings), [`artifact`] (atomic writes), [`item_ids`] and [`candidate`] (items in ranking prompts).
//!
//! # Without libtorch
//!
//! Training needs libtorch, and encoding needs ONNX Runtime. Everything else is the *frozen half*: without default features
//! the crate needs neither. This example builds a small model by hand, to show what a model consists of:
//!
//! ```
//! use catalex::ItemIds;
//! use catalex::features::{Features, Modality};
//! use catalex::progress::Silent;
//! use catalex::semantic_id::{Collisions, Lookup, TokenFormat, TokenTable};
//! use catalex::tokenizer::{ModalityShape, Network, Offsets, Standardization, Tokenizer, Weights};
//! use ndarray::{Array1, Array2, array};
//!
//! // The latents are the vectors themselves, and two levels have two and three codes.
//! let identity = || Network { skip: Some(Array2::eye(2)), layers: vec![] };
//! let weights = Weights {
//!     standardization: Standardization { mean: Array1::zeros(2), scale: Array1::ones(2), dims: vec![2], completion: None },
//!     projection: identity(),
//!     inverse: identity(),
//!     codebooks: vec![array![[0.0, 0.0], [10.0, 0.0]], array![[0.0, 0.0], [0.0, 1.0], [1.0, 0.0]]],
//!     offsets: Offsets::zero([2, 3]),
//! };
//! let text = ModalityShape { name: "text".into(), dim: 2 };
//! let model = Tokenizer::new(vec![text], weights, None)?;
//!
//! let ids = ItemIds::Strings(vec!["pen".into(), "pencil".into(), "lamp".into()]);
//! let vectors = array![[0.1, 0.0], [0.0, 0.4], [10.0, 0.9]];
//! let features = Features::new(ids, vec![Modality { name: "text".into(), vectors, present: vec![true; 3] }])?;
//!
//! let table = TokenTable::of_features(&features, &model, TokenFormat::default(), Collisions::Resolve, &Silent)?;
//! assert_eq!(table.semantic_id(0), "<a_0><b_0>");
//! assert_eq!(table.semantic_id(2), "<a_1><b_1>");
//! // The nearest code of the pencil is that of the pen. The pencil moves, because it loses less accuracy.
//! assert_eq!(table.semantic_id(1), "<a_0><b_1>");
//! assert_eq!(table.reassigned, [false, true, false]);
//! // `Lookup` finds all items under a prefix.
//! assert_eq!(Lookup::new(&table).find("<a_0>")?, [0, 1]);
//! # Ok::<(), catalex::Error>(())
//! ```
//!
//! # Guarantees
//!
//! The library does not print, read environment variables, or choose a seed. Long work reports to a
//! [`Progress`](progress::Progress). The same input, seed and number of threads give the same bytes. Every [`Error`] says
//! where it happened, what was expected, what was found, and what to do. `docs/formats.md` specifies the files, and
//! `docs/architecture.md` how the modules depend on each other.
#![warn(missing_docs)]

pub mod answers;
pub mod artifact;
pub mod attributes;
pub mod behaviour;
pub mod candidate;
pub mod catalog;
pub mod constraint;
#[cfg(feature = "encoders")]
pub mod encoder;
pub mod error;
pub mod explore;
pub mod export;
pub mod features;
mod guard;
pub mod index;
pub mod item_ids;
pub mod pipeline;
pub mod printable;
pub mod progress;
pub mod quality;
pub mod ranking;
#[cfg(feature = "train")]
pub mod rqvae;
pub mod semantic_id;
pub mod settings;
mod table;
mod text_tokenizer;
pub mod tokenizer;
pub mod training;
pub mod vocabulary;

pub use error::{Error, ErrorKind, Result};
pub use item_ids::ItemIds;
