//! `catalex append`.

use std::path::PathBuf;

use anyhow::Result;
use catalex::pipeline::{AppendSettings, AppendSpec, AppendSummary, FarSettings, ThreadSettings, append};
use catalex::progress::Progress;
use clap::Args;

use super::config_file::ConfigFile;
use super::delete::{changed, written};
use super::flags::Flags;
use super::output::GenerationFlags;

#[derive(Debug, Args)]
pub(super) struct AppendArgs {
    /// The index, or a store.
    #[arg(value_name = "INDEX")]
    index: PathBuf,
    /// The whole new catalog, or only its new and changed items. It needs the columns that the build used.
    #[arg(value_name = "CATALOG")]
    new_catalog: PathBuf,
    #[command(flatten)]
    output: GenerationFlags,
    /// Continue an interrupted run from its files next to the output.
    #[arg(long)]
    resume: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    append: Flags<AppendSettings>,
    #[command(flatten)]
    far: Flags<FarSettings>,
    #[command(flatten)]
    threads: Flags<ThreadSettings>,
    #[command(flatten)]
    config: ConfigFile,
}

pub(super) fn run(args: AppendArgs, progress: &dyn Progress) -> Result<()> {
    let mut settings = args.config.read()?;
    let (mut output, store) = args.output.target();
    output.resume = args.resume;
    let spec = AppendSpec {
        index: args.index,
        catalog: args.new_catalog,
        settings: settings.fill(args.append)?,
        far: settings.fill(args.far)?,
        threads: settings.fill(args.threads)?.threads,
        output,
        store,
        environment: super::environment::environment()?,
    };
    settings.finish()?;
    let summary = append(&spec, progress)?;
    if args.json {
        return super::print_json(&summary);
    }
    super::print(&text(&summary))
}

fn text(summary: &AppendSummary) -> String {
    let mut out = format!("encoded      {}\n", summary.encoded);
    out += &changed(&summary.counts);
    if summary.left_out > 0 {
        out += &format!("left out     {} items without content\n", summary.left_out);
    }
    if summary.truncated_texts > 0 {
        out += &format!("truncated    {} texts longer than the encoder's limit\n", summary.truncated_texts);
    }
    if summary.new_tokens > 0 {
        out += &format!(
            "new tokens   {} in the disambiguating level; all other tokens keep their ids\n",
            summary.new_tokens
        );
    }
    if let Some(distortion) = &summary.distortion {
        out += &format!(
            "new IDs      {}, {} not the nearest; mean distortion {:.4} of the nearest, {:.4} added (at most {:.4})\n",
            distortion.placed, distortion.moved, distortion.nearest, distortion.mean, distortion.largest
        );
    }
    if let Some(far) = &summary.far {
        out += &format!("far items    {} of {}\n", far.far, far.items);
    }
    if !summary.written {
        return out + &format!("nothing changed: generation {} stays current\n", summary.generation);
    }
    out + &written(summary.items, summary.generation, &summary.index)
}
