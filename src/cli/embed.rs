//! `catalex embed`.

#[cfg(feature = "encoders")]
use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use anyhow::Result;
use catalex::Error;
use catalex::features::{Features, Modality};
use catalex::index::Partial;
use catalex::progress::Progress;
use clap::Args;

use super::behaviour::BehaviourOptions;
use super::config_file::ConfigFile;
use super::modalities::Request;
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
    /// Go on with an embedding that was killed, from the parts beside the output.
    #[arg(long)]
    resume: bool,
    #[command(flatten)]
    config: ConfigFile,
}

/// What came of a catalog.
pub(super) struct Made {
    items: usize,
    /// Name and length of each modality, and how many of the items lack it.
    modalities: Vec<(String, usize, usize)>,
    /// Texts that were longer than the encoder reads.
    truncated_texts: usize,
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
    let threads = threads.apply()?;
    let request = Request { catalog: &args.catalog, encode: &encode, behaviour: &behaviour, threads };
    let partial = Partial::begin(out, &request.settings()?, args.resume, overwrite)?;
    let made = request.write(out, overwrite, &partial.path(PARTS), progress);
    // What failed before anything was finished leaves nothing.
    let entries = std::fs::read_dir(partial.path(PARTS)).into_iter().flatten().flatten();
    let finished = entries.into_iter().any(|entry| entry.path().extension().is_some_and(|e| e == "parquet"));
    if made.is_ok() || !finished {
        partial.remove()?;
    }
    let made = made?;
    match &made.bad_images {
        Some(bad) => catalex::artifact::write_file(&list, &bad.lines, overwrite)?,
        None => remove_stale(&list)?,
    }
    progress.end();
    super::print(&made.summary(&list))
}

/// The folder of parts in that of an output that is being made.
pub(super) const PARTS: &str = "parts";

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
    pub(super) fn of(written: catalex::encoder::EncodedCatalog) -> Result<Self> {
        let bad = &written.bad_images;
        let lines: Vec<String> = bad.iter().map(serde_json::to_string).collect::<Result<_, _>>()?;
        let bad_images = (!bad.is_empty()).then(|| BadImages {
            count: bad.len(),
            left_out: bad.iter().filter(|bad| bad.left_out).map(|bad| &bad.item_id).collect::<BTreeSet<_>>().len(),
            lines: (lines.join("\n") + "\n").into_bytes(),
        });
        let (items, truncated_texts) = (written.items, written.truncated_texts);
        Ok(Made { items, modalities: written.modalities, truncated_texts, bad_images })
    }
}

impl Made {
    /// Features without an encoder's part in them.
    pub(super) fn of_features(features: &Features) -> Self {
        let missing = |m: &Modality| m.present.iter().filter(|&&present| !present).count();
        let modalities = features.modalities().iter().map(|m| (m.name.clone(), m.dim(), missing(m))).collect();
        Made { items: features.len(), modalities, truncated_texts: 0, bad_images: None }
    }

    /// What was encoded, and what was not.
    fn summary(&self, list: &Path) -> String {
        let mut out = format!("items              {}\n", self.items);
        for (name, dim, missing) in &self.modalities {
            let _ = writeln!(out, "{name:<18} {dim} numbers an item, missing {missing}");
        }
        let _ = writeln!(out, "texts cut short    {}", self.truncated_texts);
        if let Some(bad) = &self.bad_images {
            let _ = writeln!(out, "unreadable images  {}, listed in {}", bad.count, list.display());
            let _ = writeln!(out, "items left out     {}, which have nothing else", bad.left_out);
        }
        out
    }
}
