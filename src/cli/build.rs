//! `catalex build`.

use std::path::PathBuf;

use anyhow::Result;
use catalex::pipeline::{
    AttributeSettings, BehaviourSettings, EncodeSettings, SharingSettings, ShowSettings, ThreadSettings, TokenSettings,
    VocabularySettings,
};
use catalex::progress::Progress;
use catalex::training::TrainSettings;
use clap::Args;

use super::config_file::ConfigFile;
use super::flags::Flags;
use super::output::{CheckpointFlags, OutputFlags};

#[derive(Debug, Args)]
pub(super) struct BuildArgs {
    /// A Parquet, Arrow, CSV or JSON Lines table (plain or compressed), a folder or pattern of such tables, or a folder
    /// of images.
    #[arg(value_name = "CATALOG")]
    catalog: PathBuf,
    #[command(flatten)]
    output: OutputFlags,
    #[command(flatten)]
    encode: Flags<EncodeSettings>,
    #[command(flatten)]
    show: Flags<ShowSettings>,
    #[command(flatten)]
    attributes: Flags<AttributeSettings>,
    #[command(flatten)]
    behaviour: Flags<BehaviourSettings>,
    #[command(flatten)]
    train: Flags<TrainSettings>,
    #[command(flatten)]
    vocabulary: Flags<VocabularySettings>,
    #[command(flatten)]
    tokens: Flags<TokenSettings>,
    #[command(flatten)]
    sharing: Flags<SharingSettings>,
    #[command(flatten)]
    threads: Flags<ThreadSettings>,
    #[command(flatten)]
    checkpoints: CheckpointFlags,
    #[command(flatten)]
    config: ConfigFile,
}

#[cfg(all(feature = "train", feature = "encoders"))]
pub(super) fn run(args: BuildArgs, progress: &dyn Progress) -> Result<()> {
    use catalex::pipeline::{BuildSpec, build};
    use catalex::printable::printable;

    let mut settings = args.config.read()?;
    let spec = BuildSpec {
        catalog: args.catalog,
        encode: settings.fill(args.encode)?,
        show: settings.fill(args.show)?,
        attributes: settings.fill(args.attributes)?,
        behaviour: settings.fill(args.behaviour)?,
        train: settings.fill(args.train)?,
        tokens: settings.fill(args.tokens)?,
        sharing: settings.fill(args.sharing)?,
        vocabulary: settings.fill(args.vocabulary)?,
        threads: settings.fill(args.threads)?.threads,
        output: args.checkpoints.with(args.output),
        environment: super::environment::environment()?,
        ..BuildSpec::default()
    };
    settings.finish()?;
    let summary = build(&spec, progress)?;
    super::print(&(super::embed::summary(&summary.encoded) + "\n"))?;
    super::inspect::show(&summary.figures, false)?;
    let mut out = String::from("\nitems that share a prefix\n");
    for example in &summary.prefixes {
        let items: Vec<String> = example.items.iter().map(|text| shortened(&printable(text))).collect();
        out += &format!("  {}  {}\n", printable(&example.prefix), items.join(" | "));
    }
    let [index, report] = [&summary.index, &summary.report].map(|path| path.display().to_string());
    let (index, report) = (printable(&index), printable(&report));
    super::print(&format!("{out}\nindex   {index}\nreport  {report}\n"))
}

/// A text of at most 80 characters.
#[cfg(all(feature = "train", feature = "encoders"))]
fn shortened(text: &str) -> String {
    const LONGEST: usize = 80;
    if text.chars().count() > LONGEST {
        text.chars().take(LONGEST).collect::<String>() + "…"
    } else {
        text.to_owned()
    }
}

#[cfg(all(feature = "train", not(feature = "encoders")))]
pub(super) fn run(_args: BuildArgs, _progress: &dyn Progress) -> Result<()> {
    Err(super::not_built("catalex build", "encoders"))
}

#[cfg(not(feature = "train"))]
pub(super) fn run(_args: BuildArgs, _progress: &dyn Progress) -> Result<()> {
    match super::training_program::run("catalex build")? {}
}
