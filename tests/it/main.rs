//! The integration tests: one binary, because each links libtorch.

mod adopt;
mod append;
mod architecture;
mod bad_input;
mod circles;
mod constraint_folders;
mod docs;
mod drift_report;
mod examples;
mod floors;
mod fm_index;
mod frozen;
mod histories;
mod licences;
mod names;
mod old_index;
mod overflow;
mod placed;
mod ranking;
mod recommender;
mod reseal;
mod security;
mod sources;
mod start_values;
mod store;
mod support;
mod train_settings;
mod verify;

#[cfg(all(feature = "train", feature = "encoders"))]
mod artifacts;
mod attributes;
#[cfg(feature = "encoders")]
mod catalog;
#[cfg(all(feature = "train", feature = "encoders"))]
mod embed;
#[cfg(all(feature = "train", feature = "encoders"))]
mod emoji;
#[cfg(feature = "encoders")]
mod encoder;
#[cfg(all(feature = "train", feature = "encoders"))]
mod index;
#[cfg(feature = "train")]
mod retrain;
#[cfg(all(feature = "serve", feature = "encoders"))]
mod serve;
mod shared_ids;
#[cfg(all(feature = "train", feature = "encoders"))]
mod texts;
#[cfg(feature = "train")]
mod training;
#[cfg(not(feature = "train"))]
mod training_program;
