//! `catalex serve`.

#[cfg(all(feature = "serve", feature = "encoders"))]
mod load;
#[cfg(all(feature = "serve", feature = "encoders"))]
mod tools;

use std::path::PathBuf;

use anyhow::Result;
use catalex::progress::Progress;
use clap::Args;

use super::options::ThreadOptions;

#[derive(Debug, Args)]
#[cfg_attr(not(all(feature = "serve", feature = "encoders")), allow(dead_code, reason = "the verb is off"))]
pub(super) struct ServeArgs {
    /// Index to serve, or a token table, of which there are IDs and no vectors.
    #[arg(value_name = "INDEX")]
    index: PathBuf,
    /// Speak the Model Context Protocol on stdin and stdout, until stdin ends.
    #[arg(long, required = true)]
    stdio: bool,
    /// Catalog with the items' texts [default: the one that the index was built from]
    #[arg(long, value_name = "CATALOG")]
    catalog: Option<PathBuf>,
    /// Column of the catalog's item ids [default: that of the build, else item_id or id]
    #[arg(long, value_name = "COLUMN")]
    id: Option<String>,
    /// The catalog's columns of text [default: those of the build]
    #[arg(long, value_name = "COLUMN,...", value_delimiter = ',')]
    text: Option<Vec<String>>,
    /// Folder of the text encoder, to search by text [default: the one that the index was built with]
    #[arg(long, value_name = "DIR")]
    text_encoder: Option<PathBuf>,
    #[command(flatten)]
    threads: ThreadOptions,
}

#[cfg(all(feature = "serve", feature = "encoders"))]
pub(super) fn run(args: ServeArgs, progress: &dyn Progress) -> Result<()> {
    let threads = args.threads.apply()?;
    let (explorer, encoder) = load::load(&args, threads, progress)?;
    let searcher = encoder.map(tools::Searcher::new);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(tools::Server::new(explorer, searcher).serve())
}

#[cfg(not(all(feature = "serve", feature = "encoders")))]
pub(super) fn run(_args: ServeArgs, _progress: &dyn Progress) -> Result<()> {
    Err(super::not_built("catalex serve", if cfg!(feature = "serve") { "encoders" } else { "serve" }))
}
