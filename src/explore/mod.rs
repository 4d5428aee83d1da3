//! An index as a tool of agents; the MCP server answers from it.

mod explorer;
#[cfg(all(feature = "serve", feature = "encoders"))]
mod server;

pub use explorer::{Explorer, FoundItem, MAX_RESULTS, PrefixContents, SearchHit};
#[cfg(all(feature = "serve", feature = "encoders"))]
pub use server::McpServer;
