//! Measures of a model, a token table or an index. Nothing here changes what it measures.

mod figures;
mod report;

pub use figures::{CrowdedPrefix, Figures, LevelFigures, Reconstruction};
pub use report::{Neighbours, report};
