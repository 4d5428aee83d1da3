//! Flags that several verbs share. Each group is also what a `--config` file may hold: fields are optional, and a
//! value from the command line wins.

use std::path::PathBuf;

use catalex::artifact::Overwrite;
use catalex::catalog::Template;
use catalex::error::{Error, Result};
use catalex::vocabulary::VocabularyOptions;
use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

/// How progress is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum ProgressMode {
    /// A bar with rate and time left.
    Bar,
    /// One JSON object a line.
    Json,
    /// Nothing.
    None,
}

/// Where a verb's output goes.
#[derive(Debug, Clone, Args)]
pub(super) struct Output {
    /// Where to write.
    #[arg(long, value_name = "PATH")]
    pub(super) out: PathBuf,
    /// Replace what catalex wrote there before.
    #[arg(long)]
    pub(super) force: bool,
}

impl Output {
    pub(super) fn overwrite(&self) -> Overwrite {
        if self.force { Overwrite::Replace } else { Overwrite::Refuse }
    }
}

/// What to write for a language model.
#[derive(Debug, Clone, Args)]
pub(super) struct VocabularyFlags {
    /// Hugging Face tokenizer folder to write an extended copy of: tokenizer.json, a SentencePiece model, or both.
    #[arg(long, value_name = "HF_DIR")]
    tokenizer: Option<PathBuf>,
    /// Add a marker that stands before an ID, such as <|sid_begin|>.
    #[arg(long, value_name = "TOKEN")]
    begin_token: Option<String>,
    /// Add a marker that stands after an ID, such as <|sid_end|>.
    #[arg(long, value_name = "TOKEN")]
    end_token: Option<String>,
    /// Round the embedding rows that vocabulary.json asks for up to a multiple of this.
    #[arg(long, value_name = "N")]
    pad_to_multiple_of: Option<u32>,
}

impl VocabularyFlags {
    pub(super) fn options(&self) -> VocabularyOptions<'static> {
        VocabularyOptions {
            tokenizer: self.tokenizer.clone(),
            begin_token: self.begin_token.clone(),
            end_token: self.end_token.clone(),
            pad_to_multiple_of: self.pad_to_multiple_of,
            start_values: None,
        }
    }
}

/// Which columns of the catalog to read, and with what to encode them.
#[derive(Debug, Clone, Default, Args, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct EncodeOptions {
    /// Column of the item ids [default: item_id or id]
    #[arg(long, value_name = "COLUMN")]
    pub(super) id: Option<String>,
    /// Columns of text, joined in this order.
    #[arg(long, value_name = "COLUMN,...", value_delimiter = ',')]
    pub(super) text: Option<Vec<String>>,
    /// Instead of --text: a form with columns in braces, as '{title}. {categories:" > "}'; empty ones drop out.
    #[arg(long, value_name = "FORM")]
    pub(super) template: Option<Template>,
    /// Encode the columns of --text one by one and average their vectors, as LC-Rec does, instead of joining them.
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL", require_equals = true)]
    pub(super) average_text: Option<bool>,
    /// Leave texts as they are: without this, markup and entities are cleaned away.
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL", require_equals = true)]
    pub(super) raw_text: Option<bool>,
    /// Columns of pictures: paths relative to the catalog, the bytes, or lists of these; several pictures are averaged.
    #[arg(long, value_name = "COLUMN,...", value_delimiter = ',')]
    pub(super) image: Option<Vec<String>>,
    /// At a picture that cannot be read: error (stop), or missing (go on without it, and list it beside the output)
    /// [default: error]
    #[arg(long, value_name = "HOW")]
    pub(super) on_bad_image: Option<String>,
    /// Text encoder: a folder with tokenizer.json and model.onnx, or a name on the Hugging Face Hub (owner/name).
    #[arg(long, value_name = "DIR|NAME")]
    pub(super) text_encoder: Option<PathBuf>,
    /// Image encoder: a folder with preprocessor_config.json and model.onnx, or a name on the Hugging Face Hub.
    #[arg(long, value_name = "DIR|NAME")]
    pub(super) image_encoder: Option<PathBuf>,
    /// Graph of the text encoder, where its folder has several [default: model.onnx, or text_model.onnx]
    #[arg(long, value_name = "FILE")]
    pub(super) onnx_file: Option<String>,
    /// Graph of the image encoder, where its folder has several [default: model.onnx, or vision_model.onnx]
    #[arg(long, value_name = "FILE")]
    pub(super) image_onnx_file: Option<String>,
    /// What the text encoder is to read before every text [default: its own default prompt, if it has one]
    #[arg(long, value_name = "TEXT")]
    pub(super) prompt: Option<String>,
    /// Where encoders run: cpu, cuda, cuda:N or coreml [default: cpu]
    #[arg(long, value_name = "DEVICE")]
    pub(super) encoder_device: Option<String>,
    /// Vectors that are ready, as one more modality: a .npy or safetensors matrix with a row an item, or a table, matched by
    /// item id where it has ids. May be given several times.
    #[arg(long, value_name = "NAME=FILE[:COLUMN]")]
    pub(super) embedding: Option<Vec<String>>,
    /// Items after which what is encoded is safe from a kill [default: 8192]
    #[arg(long, value_name = "N")]
    pub(super) part_items: Option<usize>,
}

/// What becomes of a training that is killed.
#[derive(Debug, Clone, Args)]
pub(super) struct CheckpointOptions {
    /// Go on with a training that was killed, from the checkpoint beside the output.
    #[arg(long)]
    pub(super) resume: bool,
    /// Seconds between checkpoints, which are saved at the end of an epoch.
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    pub(super) checkpoint_every: u64,
}

#[cfg(feature = "train")]
impl CheckpointOptions {
    /// The checkpoint of the training of the model at `out`. With `force` one that is there and not to be resumed goes.
    pub(super) fn at(&self, out: &std::path::Path, force: bool) -> Result<catalex::rqvae::Checkpoints> {
        let mut path = out.as_os_str().to_owned();
        path.push(".checkpoint");
        let checkpoints = catalex::rqvae::Checkpoints {
            path: path.into(),
            every: std::time::Duration::from_secs(self.checkpoint_every),
            resume: self.resume,
        };
        if force && !self.resume {
            checkpoints.remove()?;
        }
        Ok(checkpoints)
    }
}

/// Processor threads.
#[derive(Debug, Clone, Default, Args, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct ThreadOptions {
    /// Threads to use [default: all cores]
    #[arg(long, value_name = "N")]
    pub(super) threads: Option<usize>,
}

impl ThreadOptions {
    /// Sets the number of threads of everything that computes, and returns it.
    pub(super) fn apply(&self) -> Result<usize> {
        let all = std::thread::available_parallelism().map_or(1, |n| n.get());
        let threads = self.threads.unwrap_or(all);
        if threads == 0 || threads > 4_096 {
            return Err(Error::config("threads", "a number from 1 to 4096", threads, "leave it out for all cores"));
        }
        rayon::ThreadPoolBuilder::new().num_threads(threads).build_global().map_err(|e| Error::Unavailable {
            what: format!("{threads} threads"),
            reason: e.to_string(),
            help: "ask for fewer with --threads".into(),
        })?;
        #[cfg(feature = "train")]
        catalex::rqvae::set_threads(threads);
        Ok(threads)
    }
}
