//! The declaration of the training settings.
//!
//! A default is written as the value of the recipe `default`, followed by `; NAME VALUE` for each recipe whose value
//! differs. Tests compare it with the recipes.

use super::{MAX_CODEBOOK_SIZE, MAX_LEVELS};
use crate::settings::{MAX_COUNT, Range, WeightsByName, settings};

/// Maximum width of a hidden layer.
const MAX_WIDTH: f64 = 65_536.0;

settings! {
    /// Training settings as they were given. [`TrainSettings::config`] takes the others from the recipe.
    pub struct TrainSettings {
        /// Training algorithm and its preset values, which the other settings override: default (residual k-means,
        /// joint refinement, then gradient descent), rq-kmeans (residual k-means only) or lc-rec (the published RQ-VAE
        /// training of LC-Rec).
        recipe: String, "NAME", default "default";
        /// Number of levels of a semantic ID.
        levels: usize, "N", default "4", range Range::Between(1.0, MAX_LEVELS as f64);
        /// Codes per level: one number for all levels, or one number per level.
        codebook_size: Vec<usize>, "N,...", default "256", range Range::Between(2.0, MAX_CODEBOOK_SIZE as f64);
        /// Dimension of the latent vectors, limited to the dimension of the features.
        latent_dim: usize, "N", default "256; rq-kmeans that of the features; lc-rec 32", range Range::AtLeast(1.0);
        /// Widths of the hidden layers of the projection; 0 makes the projection linear.
        hidden: Vec<usize>, "N,...", default "512; rq-kmeans 0; lc-rec 2048,1024,512,256,128,64",
            range Range::Between(0.0, MAX_WIDTH);
        /// Maximum number of epochs of gradient descent; with 0 the initial codebooks are the result.
        epochs: usize, "N", default "15; rq-kmeans 0; lc-rec 10000", range Range::Between(0.0, MAX_COUNT);
        /// Items per gradient step.
        batch_size: usize, "N", default "512; lc-rec 1024", range Range::Between(1.0, MAX_COUNT);
        /// Initial learning rate of AdamW. It decays to zero along a cosine (lc-rec: linearly, after a warm-up).
        learning_rate: f64, "X", default "0.0001; lc-rec 0.001", range Range::Between(0.0, 1.0);
        /// Decoupled weight decay of AdamW.
        weight_decay: f64, "X", default "0.01; lc-rec 0.0001", range Range::AtLeast(0.0);
        /// Weight of the commitment loss, which pulls latents towards their codewords.
        commitment_weight: f64, "X", default "0.25", range Range::AtLeast(0.0);
        /// Weight of the reconstruction loss.
        reconstruction_weight: f64, "X", default "1", range Range::AtLeast(0.0);
        /// Maximum number of items held in memory, from which the codebooks are initialised. A larger catalog is
        /// sampled at random; gradient descent still reads all items.
        sample_items: usize, "N", default "262144", range Range::AtLeast(1.0);
        /// Maximum number of k-means iterations per level.
        kmeans_iterations: usize, "N", default "25; rq-kmeans 100; lc-rec 100", range Range::Between(1.0, MAX_COUNT);
        /// Rounds of joint codebook refinement after k-means; 0 disables it.
        refine_iterations: usize, "N", default "12 to 40, increasing with the number of items per code; rq-kmeans 0",
            range Range::Between(0.0, MAX_COUNT);
        /// Ridge penalty on refined codewords, in items: larger values shrink rarely used codewords more.
        ridge: f64, "X", default "2", range Range::AtLeast(0.0);
        /// Step size with which refinement equalises how often codes are used; 0 disables it.
        balance: f64, "X", default "0.006", range Range::Between(0.0, 1.0);
        /// Strength with which refinement keeps similar items under the same two-code prefix; 0 disables it.
        coherence: f64, "X", default "0.02, but 0 if behaviour is a modality", range Range::Between(0.0, 1.0);
        /// Maximum penalty on last-level codes that separates items with identical codes; 0 disables it.
        separation: f64, "X", default "1; rq-kmeans 0", range Range::AtLeast(0.0);
        /// Entropy regularisation of the Sinkhorn assignment at the last level; 0 assigns the nearest code.
        sinkhorn: f64, "X", default "lc-rec 0.003", range Range::Between(0.0, 1.0);
        /// Fraction of the items that is held out of training to select the best epoch. With fewer than 1,000 items, no
        /// item is held out.
        holdout: f64, "X", default "0.05; rq-kmeans 0", range Range::Between(0.0, 0.5);
        /// Number of epochs without improvement after which training stops.
        patience: usize, "N", default "3", range Range::Between(1.0, MAX_COUNT);
        /// Weight of each modality, such as text=1,image=0.5.
        weight: WeightsByName, "NAME=X,...",
            default "with several modalities, 0.6 for image, twice the RMS length (at most 1) of its vectors for behaviour, and 1 for others", range Range::Above(0.0);
        /// Cross-modal smoothing: fraction of the prediction from the other modalities that is added to each modality
        /// (never to behaviour); 0 disables it.
        agreement: f64, "X", default "0.8; rq-kmeans 0", range Range::Between(0.0, 1.0);
        /// Fraction of the items of a gradient step whose vector of one modality is replaced by its prediction from the
        /// other modalities.
        modality_dropout: f64, "X", default "0.2", range Range::Between(0.0, 0.9);
        /// Seed of all random numbers.
        seed: u64, "N", default "42", range Range::AtLeast(0.0);
        /// Device to train on: cpu, cuda or cuda:N.
        device: String, "DEVICE", default "cpu";
    }
}
