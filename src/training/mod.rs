//! Settings of the training. They need no libtorch: the command line, Python and the documentation read them.

use crate::settings::{Range, Weights, settings};

settings! {
    /// How to train, as far as it was asked for; the rest is the recipe's.
    pub struct TrainSettings {
        /// Preset that the other settings change: default, rq-kmeans or lc-rec.
        recipe: String, "NAME", default "default";
        /// Number of levels of a semantic ID.
        levels: usize, "N", default "4", range Range::Between(1.0, 8.0);
        /// Codes per level: one number for all levels, or one per level.
        codebook_size: Vec<usize>, "N,...", default "256", range Range::Between(2.0, 65536.0);
        /// Dimension of the latents, at most that of the features.
        latent_dim: usize, "N", default "256", range Range::AtLeast(1.0);
        /// Widths of the projection's hidden layers; 0 for a linear projection.
        hidden: Vec<usize>, "N,...", default "512";
        /// Maximum number of epochs of gradient descent.
        epochs: usize, "N", default "15";
        /// Items per gradient step.
        batch_size: usize, "N", default "512", range Range::AtLeast(1.0);
        /// Initial learning rate of AdamW; it decays to zero along a cosine.
        learning_rate: f64, "X", default "0.0001", range Range::Between(0.0, 1.0);
        /// Decoupled weight decay of AdamW.
        weight_decay: f64, "X", default "0.01", range Range::AtLeast(0.0);
        /// Weight of the commitment loss.
        commitment_weight: f64, "X", default "0.25", range Range::AtLeast(0.0);
        /// Weight of the reconstruction loss.
        reconstruction_weight: f64, "X", default "1", range Range::AtLeast(0.0);
        /// Maximum number of items that are held in memory and that the codebooks are initialised from.
        sample_items: usize, "N", default "262144", range Range::AtLeast(1.0);
        /// Maximum number of k-means iterations per level.
        kmeans_iterations: usize, "N", default "25", range Range::AtLeast(1.0);
        /// Rounds of joint codebook refinement after k-means.
        refine_iterations: usize, "N", default "12, to 40 for large catalogs";
        /// Ridge penalty on refined codewords, in items.
        ridge: f64, "X", default "2", range Range::AtLeast(0.0);
        /// Step size by which refinement equalises the use of codes; 0 disables it.
        balance: f64, "X", default "0.006", range Range::Between(0.0, 1.0);
        /// Strength by which refinement keeps cosine neighbours under one prefix; 0 disables it.
        coherence: f64, "X", default "0.02, with behaviour 0", range Range::Between(0.0, 1.0);
        /// Maximum penalty on last-level codes that separates items with identical codes; 0 disables it.
        separation: f64, "X", default "1", range Range::AtLeast(0.0);
        /// Entropy regularisation of Sinkhorn's assignment at the last level (LC-Rec); 0 takes the nearest code.
        sinkhorn: f64, "X", default "0, of lc-rec 0.003", range Range::Between(0.0, 1.0);
        /// Fraction of the items held out to select the best epoch.
        holdout: f64, "X", default "0.05, from 1,000 items on", range Range::Between(0.0, 0.5);
        /// Epochs without improvement after which training stops.
        patience: usize, "N", default "3", range Range::AtLeast(1.0);
        /// Weight of each modality, as text=1,image=0.5.
        weight: Weights, "NAME=X,...", default "0.6 of image and 3 of behaviour beside others, else 1", range Range::Above(0.0);
        /// Cross-modal smoothing: fraction of the prediction from the other modalities that is added to each modality
        /// (never to behaviour).
        agreement: f64, "X", default "0.8", range Range::Between(0.0, 1.0);
        /// Fraction of the items per gradient step that lose one modality.
        modality_dropout: f64, "X", default "0.2", range Range::Between(0.0, 0.9);
        /// Seed of all random numbers.
        seed: u64, "N", default "42";
        /// Device: cpu, cuda or cuda:N.
        device: String, "DEVICE", default "cpu";
    }
}
