//! Fits a model to codes that another system assigned: a projection and codebooks under which as many items as possible
//! are nearest to their own codes.
//!
//! The codewords are the coefficients of a joint ridge regression of the features on all codes of an item, as in the
//! refinement of training. The residual of the regression is treated as noise. The projection whitens this noise
//! (linear discriminant analysis; Fisher, 1936), so that the nearest codeword is the most likely one. Offsets favour
//! frequent codes.
//!
//! The regression needs only sums over the items, [`CodeMoments`], which are collected block by block.

mod fit;
mod moments;
mod own_codes;
mod sweeps;

pub use fit::fitted_to_codes;
pub use moments::CodeMoments;
pub use own_codes::OwnCodes;
