//! The hand-over to recommenders that are language models.

mod aggregate;
mod explorer;
mod grounding;

pub use aggregate::{Aggregation, Piece};
pub use explorer::{Branch, Explorer, Found, Hit, MOST_FOUND};
pub use grounding::{Chosen, Grounded, Grounding, Measure, Measured, Weights, popularity};
