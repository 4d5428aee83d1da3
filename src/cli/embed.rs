//! `catalex embed`.

use std::path::PathBuf;

use anyhow::Result;
use catalex::progress::Progress;
use clap::Args;

use super::config_file::ConfigFile;
use super::options::{EncodeOptions, Output, ThreadOptions};

#[derive(Debug, Args)]
pub(super) struct EmbedArgs {
    /// Parquet, Arrow, CSV or JSONL table, or a folder of pictures.
    #[arg(value_name = "CATALOG")]
    catalog: PathBuf,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    encode: EncodeOptions,
    #[command(flatten)]
    threads: ThreadOptions,
    #[command(flatten)]
    config: ConfigFile,
}

#[cfg(feature = "encoders")]
pub(super) fn run(args: EmbedArgs, progress: &dyn Progress) -> Result<()> {
    let mut settings = args.config.read()?;
    let encode = settings.fill(args.encode)?;
    let threads = settings.fill(args.threads)?;
    settings.finish()?;
    let (out, overwrite) = (&args.output.out, args.output.overwrite());
    let bad_images = beside(out);
    catalex::artifact::refuse_existing(out, overwrite)?;
    catalex::artifact::refuse_existing(&bad_images, overwrite)?;
    let embedded = super::sources::encode_catalog(&args.catalog, &encode, threads.apply()?, progress)?;
    match list(&embedded.bad_images)? {
        Some(lines) => catalex::artifact::write_file(&bad_images, &lines, overwrite)?,
        None => remove_stale(&bad_images)?,
    }
    embedded.features.write(out, overwrite)?;
    progress.end();
    super::print(&summary(&embedded, &bad_images))
}

/// Where the pictures that could not be read are listed.
#[cfg(feature = "encoders")]
fn beside(out: &std::path::Path) -> PathBuf {
    let mut path = out.as_os_str().to_owned();
    path.push(".bad-images.jsonl");
    path.into()
}

/// The list of a run that this one replaces.
#[cfg(feature = "encoders")]
fn remove_stale(path: &std::path::Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(catalex::Error::io("remove", path, e).into()),
        _ => Ok(()),
    }
}

/// Pictures that could not be read, one a line; none where all could.
#[cfg(feature = "encoders")]
pub(super) fn list(bad_images: &[catalex::encoder::BadImage]) -> Result<Option<Vec<u8>>> {
    let lines: Vec<String> = bad_images.iter().map(serde_json::to_string).collect::<Result<_, _>>()?;
    Ok((!lines.is_empty()).then(|| (lines.join("\n") + "\n").into_bytes()))
}

/// What was encoded, and what was not.
#[cfg(feature = "encoders")]
pub(super) fn summary(embedded: &catalex::encoder::Embedded, listed: &std::path::Path) -> String {
    use std::fmt::Write;

    let features = &embedded.features;
    let mut out = format!("items              {}\n", features.len());
    for modality in features.modalities() {
        let missing = modality.present.iter().filter(|&&present| !present).count();
        let _ = writeln!(out, "{:<18} {} numbers an item, missing {missing}", modality.name, modality.dim());
    }
    let _ = writeln!(out, "texts cut short    {}", embedded.truncated_texts);
    let bad = embedded.bad_images.len();
    if bad > 0 {
        let left_out = embedded.bad_images.iter().filter(|bad| bad.left_out).count();
        let _ = writeln!(out, "unreadable images  {bad}, listed in {}", listed.display());
        let _ = writeln!(out, "items left out     {left_out}, which have nothing else");
    }
    out
}

#[cfg(not(feature = "encoders"))]
pub(super) fn run(_args: EmbedArgs, _progress: &dyn Progress) -> Result<()> {
    Err(super::not_built("catalex embed", "encoders"))
}
