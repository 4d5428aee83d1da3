//! `catalex serve`.

use std::path::PathBuf;

use anyhow::Result;
use catalex::pipeline::{ServeSettings, ThreadSettings};
use catalex::progress::Progress;
use clap::Args;

use super::config_file::ConfigFile;
use super::flags::Flags;

#[derive(Debug, Args)]
#[cfg_attr(not(all(feature = "serve", feature = "encoders")), allow(dead_code, reason = "the verb is off"))]
pub(super) struct ServeArgs {
    /// Index to serve, or a token table, which has IDs but no vectors.
    #[arg(value_name = "INDEX")]
    index: PathBuf,
    /// Speak the Model Context Protocol on stdin and stdout, until stdin ends.
    #[arg(long, required = true)]
    stdio: bool,
    #[command(flatten)]
    settings: Flags<ServeSettings>,
    #[command(flatten)]
    threads: Flags<ThreadSettings>,
    #[command(flatten)]
    config: ConfigFile,
}

#[cfg(all(feature = "serve", feature = "encoders"))]
pub(super) fn run(args: ServeArgs, progress: &dyn Progress) -> Result<()> {
    use catalex::pipeline::{ServeSpec, serve};

    // If a tool panics, the answer is an error. The panic message can contain input of the client, so control
    // characters are escaped.
    std::panic::set_hook(Box::new(|panic| {
        use std::io::Write;
        let message: String = panic.to_string().chars().take(500).collect();
        let _ = writeln!(std::io::stderr(), "error: a tool failed: {}", message.escape_debug());
    }));
    let mut file = args.config.read()?;
    let spec = ServeSpec {
        index: args.index,
        settings: file.fill(args.settings)?,
        threads: file.fill(args.threads)?.threads,
        environment: super::environment::environment()?,
    };
    file.finish()?;
    Ok(serve(&spec, progress)?)
}

#[cfg(not(all(feature = "serve", feature = "encoders")))]
pub(super) fn run(_args: ServeArgs, _progress: &dyn Progress) -> Result<()> {
    Err(super::not_built("catalex serve", if cfg!(feature = "serve") { "encoders" } else { "serve" }))
}
