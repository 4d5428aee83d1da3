//! Read-only queries on an index, for agents, and the Model Context Protocol server that answers them.
//!
//! Every result is bounded: at most [`MAX_RESULTS`] items, with truncated texts.

mod explorer;
#[cfg(all(feature = "serve", feature = "encoders"))]
mod messages;
mod results;
#[cfg(all(feature = "serve", feature = "encoders"))]
mod server;
#[cfg(all(feature = "serve", feature = "encoders"))]
mod stdio;

pub use explorer::{Explorer, MAX_RESULTS};
pub use results::{FoundItem, PrefixContents, SearchHit};
#[cfg(all(feature = "serve", feature = "encoders"))]
pub use server::McpServer;
