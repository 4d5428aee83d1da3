//! A model for codes that another system gave: a projection and codebooks in which as many items as possible are nearest
//! to their own codes.
//!
//! The codewords are the coefficients of a ridge regression of the features on all codes of an item together, as in the
//! refinement of training. What the regression leaves over is noise. The projection scales its directions so that the
//! noise is equal in all (linear discriminant analysis; Fisher, 1936): the nearest codeword there is the most likely one.
//! Offsets favour frequent codes.
//!
//! The regression needs only sums over the items, [`CodeMoments`], which are collected block by block.

mod fit;
mod moments;
mod own_codes;
mod sweeps;

pub use fit::fitted_to_codes;
pub use moments::CodeMoments;
pub use own_codes::OwnCodes;
