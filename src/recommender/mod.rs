//! The hand-over to recommenders that are language models.

mod explorer;

pub use explorer::{Branch, Explorer, Found, Hit, MOST_FOUND};
