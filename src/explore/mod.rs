//! An index as a tool of agents; the MCP server answers from it.

mod explorer;

pub use explorer::{Explorer, FoundItem, MAX_RESULTS, PrefixContents, SearchHit};
