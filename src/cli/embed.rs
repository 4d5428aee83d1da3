//! `catalex embed`.

#[cfg(feature = "encoders")]
use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use anyhow::Result;
use catalex::Error;
use catalex::features::Features;
use catalex::progress::Progress;
use clap::Args;

use super::behaviour::BehaviourOptions;
use super::config_file::ConfigFile;
use super::options::{EncodeOptions, Output, ThreadOptions};

#[derive(Debug, Args)]
pub(super) struct EmbedArgs {
    /// Parquet, Arrow, CSV or JSONL table, plain or compressed, a folder or a pattern of these, or a folder of pictures.
    #[arg(value_name = "CATALOG")]
    catalog: PathBuf,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    encode: EncodeOptions,
    #[command(flatten)]
    behaviour: BehaviourOptions,
    #[command(flatten)]
    threads: ThreadOptions,
    #[command(flatten)]
    config: ConfigFile,
}

/// What came of a catalog.
pub(super) struct Made {
    pub(super) features: Features,
    /// Texts that were longer than the encoder reads.
    pub(super) truncated_texts: usize,
    pub(super) bad_images: Option<BadImages>,
}

/// Pictures that could not be read.
pub(super) struct BadImages {
    pub(super) count: usize,
    /// Items that have nothing else.
    left_out: usize,
    /// One picture a line, as JSON.
    pub(super) lines: Vec<u8>,
}

pub(super) fn run(args: EmbedArgs, progress: &dyn Progress) -> Result<()> {
    let mut settings = args.config.read()?;
    let encode = settings.fill(args.encode)?;
    let behaviour = settings.fill(args.behaviour)?;
    let threads = settings.fill(args.threads)?;
    settings.finish()?;
    let (out, overwrite) = (&args.output.out, args.output.overwrite());
    let list = beside(out);
    catalex::artifact::refuse_existing(out, overwrite)?;
    catalex::artifact::refuse_existing(&list, overwrite)?;
    let made = super::modalities::features(&args.catalog, &encode, &behaviour, threads.apply()?, progress)?;
    match &made.bad_images {
        Some(bad) => catalex::artifact::write_file(&list, &bad.lines, overwrite)?,
        None => remove_stale(&list)?,
    }
    made.features.write(out, overwrite)?;
    progress.end();
    super::print(&made.summary(&list))
}

/// Where the pictures that could not be read are listed.
fn beside(out: &Path) -> PathBuf {
    let mut path = out.as_os_str().to_owned();
    path.push(".bad-images.jsonl");
    path.into()
}

/// Removes the list of a run that this one replaces.
fn remove_stale(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Error::io("remove", path, e).into()),
        _ => Ok(()),
    }
}

#[cfg(feature = "encoders")]
impl Made {
    /// What the encoders made, with the list of what they could not read.
    pub(super) fn of(embedded: catalex::encoder::Embedded) -> Result<Self> {
        let bad = &embedded.bad_images;
        let lines: Vec<String> = bad.iter().map(serde_json::to_string).collect::<Result<_, _>>()?;
        let bad_images = (!bad.is_empty()).then(|| BadImages {
            count: bad.len(),
            left_out: bad.iter().filter(|bad| bad.left_out).map(|bad| &bad.item_id).collect::<BTreeSet<_>>().len(),
            lines: (lines.join("\n") + "\n").into_bytes(),
        });
        Ok(Made { truncated_texts: embedded.truncated_texts, features: embedded.features, bad_images })
    }
}

impl Made {
    /// What was encoded, and what was not.
    fn summary(&self, list: &Path) -> String {
        let mut out = format!("items              {}\n", self.features.len());
        for modality in self.features.modalities() {
            let missing = modality.present.iter().filter(|&&present| !present).count();
            let _ = writeln!(out, "{:<18} {} numbers an item, missing {missing}", modality.name, modality.dim());
        }
        let _ = writeln!(out, "texts cut short    {}", self.truncated_texts);
        if let Some(bad) = &self.bad_images {
            let _ = writeln!(out, "unreadable images  {}, listed in {}", bad.count, list.display());
            let _ = writeln!(out, "items left out     {}, which have nothing else", bad.left_out);
        }
        out
    }
}
