//! The flags for the outputs of a verb.

use std::path::PathBuf;

use catalex::pipeline::Output;
use clap::{ArgGroup, Args};

/// Where a verb's output goes.
#[derive(Debug, Clone, Args)]
pub(super) struct OutputFlags {
    /// File or folder to write.
    #[arg(long, value_name = "PATH")]
    out: PathBuf,
    /// Replace an existing output of catalex.
    #[arg(long)]
    force: bool,
}

/// Where a verb writes the next generation of an index.
#[derive(Debug, Clone, Args)]
#[command(group(ArgGroup::new("generation").required(true).args(["out", "store"])))]
pub(super) struct GenerationFlags {
    /// Folder to write.
    #[arg(long, value_name = "PATH")]
    out: Option<PathBuf>,
    /// Store to publish to. INDEX must be this store or its current generation. The new generation becomes current.
    #[arg(long, value_name = "DIR")]
    store: Option<PathBuf>,
    /// Replace an existing output of catalex.
    #[arg(long, conflicts_with = "store")]
    force: bool,
}

impl GenerationFlags {
    /// The folder to write, if it is named, and the store otherwise.
    pub(super) fn target(self) -> (Output, Option<PathBuf>) {
        let out = self.out.unwrap_or_default();
        (Output { out, force: self.force, ..Output::default() }, self.store)
    }
}

/// Whether and how a verb continues a killed run.
#[derive(Debug, Clone, Args)]
pub(super) struct CheckpointFlags {
    /// Continue an interrupted run from its files next to the output.
    #[arg(long)]
    resume: bool,
    /// Seconds between checkpoints, which are saved at the end of an epoch.
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    checkpoint_every: u64,
}

impl OutputFlags {
    pub(super) fn output(self) -> Output {
        Output { out: self.out, force: self.force, ..Output::default() }
    }
}

impl CheckpointFlags {
    /// Completes an output.
    #[cfg(feature = "train")]
    pub(super) fn with(self, output: OutputFlags) -> Output {
        let (resume, checkpoint_every) = (self.resume, self.checkpoint_every);
        Output { resume, checkpoint_every, ..output.output() }
    }
}
