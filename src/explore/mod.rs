//! An index as a tool of agents; the MCP server answers from it.

mod explorer;

pub use explorer::{Branch, Explorer, Found, Hit, MOST_FOUND};
