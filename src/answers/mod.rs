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

pub use aggregate::{Aggregation, IdentifierFragment};
pub use grounding::{
    ChosenGammas, GroundedItem, Grounding, GroundingWeights, MeasuredRanking, RankingMeasure, popularity,
};
pub use parse::{AnswerStatistics, ParsedAnswer, parse_answer};
