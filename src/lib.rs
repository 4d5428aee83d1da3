//! Semantic IDs for LLM recommenders: a catalog in, unique hierarchical codes and a vocabulary out.
//!
//! Every item of a catalog gets a few codes, one a level, learned from its text and its picture: its *semantic ID*,
//! written as tokens such as `<a_12><b_203><c_7><d_91>`. Items that mean alike share a prefix, no two items share an
//! ID, and a language model that has learned the tokens can name any item. `catalex build` does all of it in one go;
//! this library is what it is made of, in the order in which data passes through:
//!
//! | room | what it gives |
//! |---|---|
//! | [`catalog`] | [`CatalogReader`](catalog::CatalogReader): the items of a file, in batches |
//! | [`behaviour`] | [`vectors`](behaviour::vectors()) and [`Histories`](behaviour::Histories): interactions as vectors, and split by user |
//! | `encoder` | `embed`: text and pictures as vectors (feature `encoders`) |
//! | [`features`] | [`Features`](features::Features): one vector an item and modality, and their files |
//! | `rqvae` | `train`: from features to a frozen model (feature `train`) |
//! | [`tokenizer`] | [`Tokenizer`](tokenizer::Tokenizer): the frozen model, from vectors to codes and back |
//! | [`semantic_id`] | [`TokenTable`](semantic_id::TokenTable): an ID of its own for every item |
//! | [`vocabulary`] | [`Vocabulary`](vocabulary::Vocabulary): all tokens, and their files for a language model |
//! | [`constraint`] | [`Trie`](constraint::Trie): the IDs that items have, for decoders |
//! | [`export`] | [`Export`](export::Export): items and histories as training data for LLM recommenders |
//! | [`answers`] | [`parse_answer`](answers::parse_answer): from the output of a language model back to items |
//! | [`explore`] | [`Explorer`](explore::Explorer): searches in an index, for agents |
//! | [`quality`] | [`Figures`](quality::Figures): what came of it |
//! | [`index`] | [`Index`](index::Index): the folder that holds everything, with the hash of every file |
//!
//! Training needs libtorch and encoding needs ONNX Runtime. All else is the *frozen half*: without default features the
//! crate needs neither, and a model that was trained elsewhere gives IDs to items:
//!
//! ```
//! use catalex::ItemIds;
//! use catalex::features::{Features, Modality};
//! use catalex::progress::Silent;
//! use catalex::semantic_id::{Collisions, Lookup, TokenFormat, TokenTable};
//! use catalex::tokenizer::{ModalityShape, Network, Offsets, Standardization, Tokenizer, Weights};
//! use ndarray::{Array1, Array2, array};
//!
//! // `Tokenizer::load` reads a model that `catalex train` wrote. This one is made by hand: latents are the vectors as
//! // they are, and two levels have two and three codes.
//! let as_it_is = || Network { skip: Some(Array2::eye(2)), layers: vec![] };
//! let weights = Weights {
//!     standardization: Standardization { mean: Array1::zeros(2), scale: Array1::ones(2), dims: vec![2], completion: None },
//!     projection: as_it_is(),
//!     inverse: as_it_is(),
//!     codebooks: vec![array![[0.0, 0.0], [10.0, 0.0]], array![[0.0, 0.0], [0.0, 1.0], [1.0, 0.0]]],
//!     offsets: Offsets::zero([2, 3]),
//! };
//! let text = ModalityShape { name: "text".into(), dim: 2 };
//! let model = Tokenizer::new(vec![text], weights, serde_json::Value::Null)?;
//!
//! // `Features::read` reads a Parquet or `.npy` file.
//! let ids = ItemIds::Strings(vec!["pen".into(), "pencil".into(), "lamp".into()]);
//! let vectors = array![[0.1, 0.0], [0.0, 0.4], [10.0, 0.9]];
//! let features = Features::new(ids, vec![Modality { name: "text".into(), vectors, present: vec![true; 3] }])?;
//!
//! let table = TokenTable::of_features(&features, &model, TokenFormat::default(), Collisions::Resolve, &Silent)?;
//! assert_eq!(table.semantic_id(0), "<a_0><b_0>");
//! assert_eq!(table.semantic_id(2), "<a_1><b_1>");
//! // The pencil's nearest code is the pen's too. It is the one that loses less by moving.
//! assert_eq!(table.semantic_id(1), "<a_0><b_1>");
//! assert_eq!(table.reassigned, [false, true, false]);
//! // Items with a common prefix are found together.
//! assert_eq!(Lookup::new(&table).find("<a_0>")?, [0, 1]);
//! # Ok::<(), catalex::Error>(())
//! ```
//!
//! The library never prints, never reads the environment and never seeds itself: long work reports to a
//! [`Progress`](progress::Progress), and equal input, seed and number of threads give equal bytes. Every [`Error`] says
//! where it happened, what was expected, what came, and what to do. `docs/formats.md` specifies the files.
#![warn(missing_docs)]

pub mod answers;
pub mod artifact;
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
