//! From the output of a language model back to items.
//!
//! | file | content |
//! |---|---|
//! | `parse.rs` | parsing of answers to ranking prompts |
//! | `grounding/` | [`Grounding`]: the items nearest to the embedding of an answer, as in BIGRec |
//! | `aggregate.rs` | [`Aggregation`]: from generated identifier fragments to items, as in TransRec |

mod aggregate;
mod grounding;
mod parse;

pub use aggregate::{Aggregation, Piece};
pub use grounding::{Chosen, Grounded, Grounding, Measure, Measured, Weights, popularity};
pub use parse::{Answers, Parsed, parse_answer};
