//! Read-only queries on an index, for agents; the MCP server is built on them.
//!
//! Every result is bounded: at most [`MAX_RESULTS`] items, with truncated texts.

mod explorer;
mod results;

pub use explorer::{Explorer, MAX_RESULTS};
pub use results::{FoundItem, PrefixContents, SearchHit};
