//! `catalex check`.

use std::path::PathBuf;

use anyhow::Result;
use catalex::pipeline::{CheckEncoder, CheckSettings, CheckSpec, check};
use catalex::progress::Progress;
use clap::Args;

use super::config_file::ConfigFile;
use super::flags::Flags;

#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    /// A Parquet, Arrow, CSV or JSON Lines table (plain or compressed), a folder or pattern of such tables, or a folder
    /// of images.
    #[arg(value_name = "CATALOG")]
    catalog: PathBuf,
    #[command(flatten)]
    settings: Flags<CheckSettings>,
    #[command(flatten)]
    encoder: Flags<CheckEncoder>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Exit with code 1 if there are findings.
    #[arg(long)]
    fail_on_findings: bool,
    #[command(flatten)]
    config: ConfigFile,
}

pub(super) fn run(args: CheckArgs, progress: &dyn Progress) -> Result<()> {
    let mut file = args.config.read()?;
    let spec = CheckSpec {
        catalog: args.catalog,
        settings: file.fill(args.settings)?,
        encoder: file.fill(args.encoder)?,
        environment: super::environment::environment()?,
    };
    file.finish()?;
    let checked = check(&spec, progress)?;
    if args.json {
        super::print_json(&checked)?;
    } else {
        let mut out = format!("items              {}\nfindings           {}\n", checked.items, checked.findings.len());
        checked.findings.iter().for_each(|finding| out += &format!("{finding}\n"));
        super::print(&out)?;
    }
    if args.fail_on_findings && !checked.findings.is_empty() {
        let (what, got) = (spec.catalog.display().to_string(), format!("{}", checked.findings.len()));
        let help = "fix the catalog, or omit --fail-on-findings";
        return Err(catalex::Error::data(what, "no findings", got, help).into());
    }
    Ok(())
}
