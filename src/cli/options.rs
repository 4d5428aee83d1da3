//! Flags that several verbs share. Each group is also what a `--config` file may hold: fields are optional, and a
//! value from the command line wins.

use std::collections::BTreeMap;
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

/// How to train.
#[derive(Debug, Clone, Default, Args, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct TrainOptions {
    /// Settings to start from, which the other flags change: default, rq-kmeans, lc-rec [default: default]
    #[arg(long, value_name = "NAME")]
    pub(super) recipe: Option<String>,
    /// Levels of a semantic ID [default: 4]
    #[arg(long, value_name = "N")]
    pub(super) levels: Option<usize>,
    /// Codes a level, one number or one a level [default: 256]
    #[arg(long, value_name = "N,...", value_delimiter = ',')]
    pub(super) codebook_size: Option<Vec<usize>>,
    /// Dimension of the latents [default: 256, at most that of the features]
    #[arg(long, value_name = "N")]
    pub(super) latent_dim: Option<usize>,
    /// Widths of the projection's hidden layers; 0 for a linear projection [default: 512]
    #[arg(long, value_name = "N,...", value_delimiter = ',')]
    pub(super) hidden: Option<Vec<usize>>,
    /// Most passes of gradient descent over the items [default: 15]
    #[arg(long, value_name = "N")]
    pub(super) epochs: Option<usize>,
    /// Items a gradient step [default: 512]
    #[arg(long, value_name = "N")]
    pub(super) batch_size: Option<usize>,
    /// Step size at the start [default: 0.0001]
    #[arg(long, value_name = "X")]
    pub(super) learning_rate: Option<f64>,
    /// Weight decay of the projection's layers [default: 0.01]
    #[arg(long, value_name = "X")]
    pub(super) weight_decay: Option<f64>,
    /// Weight of the commitment loss [default: 0.25]
    #[arg(long, value_name = "X")]
    pub(super) commitment_weight: Option<f64>,
    /// Weight of the reconstruction loss [default: 1]
    #[arg(long, value_name = "X")]
    pub(super) reconstruction_weight: Option<f64>,
    /// Most items that the codebooks start from, and that are in memory at once [default: 262144]
    #[arg(long, value_name = "N")]
    pub(super) sample_items: Option<usize>,
    /// Most k-means steps a level [default: 25]
    #[arg(long, value_name = "N")]
    pub(super) kmeans_iterations: Option<usize>,
    /// Rounds of refining the codebooks after k-means [default: 12, to 40 for large catalogs]
    #[arg(long, value_name = "N")]
    pub(super) refine_iterations: Option<usize>,
    /// How strongly refined codewords are drawn to zero, in items [default: 2]
    #[arg(long, value_name = "X")]
    pub(super) ridge: Option<f64>,
    /// How fast refinement evens out the use of codes [default: 0.006]
    #[arg(long, value_name = "X")]
    pub(super) balance: Option<f64>,
    /// How strongly refinement gathers near items under one prefix [default: 0.02, with behaviour 0]
    #[arg(long, value_name = "X")]
    pub(super) coherence: Option<f64>,
    /// Most that may be put on a last code to part items which would share all codes; 0 for nothing [default: 1]
    #[arg(long, value_name = "X")]
    pub(super) separation: Option<f64>,
    /// How flat LC-Rec's recipe spreads a batch over the last level [default: 0, of lc-rec 0.003]
    #[arg(long, value_name = "X")]
    pub(super) sinkhorn: Option<f64>,
    /// Share of the items kept out to choose the best state by [default: 0.05, from 1,000 items on]
    #[arg(long, value_name = "X")]
    pub(super) holdout: Option<f64>,
    /// Epochs without a better state after which training stops [default: 3]
    #[arg(long, value_name = "N")]
    pub(super) patience: Option<usize>,
    /// Weight of each modality, as text=1,image=0.5 [default: 0.6 of image and 3 of behaviour
    /// beside others, else 1]
    #[arg(long, value_name = "NAME=X,...", value_parser = parse_weights)]
    pub(super) weight: Option<Weights>,
    /// How much of what the other modalities say of a modality, but of behaviour, is added to it [default: 0.8]
    #[arg(long, value_name = "X")]
    pub(super) agreement: Option<f64>,
    /// Share of the items that lose a modality in a step of gradient descent [default: 0.2]
    #[arg(long, value_name = "X")]
    pub(super) modality_dropout: Option<f64>,
    /// Seed of every random draw [default: 42]
    #[arg(long, value_name = "N")]
    pub(super) seed: Option<u64>,
    /// cpu, cuda or cuda:N [default: cpu]
    #[arg(long, value_name = "DEVICE")]
    pub(super) device: Option<String>,
}

/// Weights by modality.
pub(super) type Weights = BTreeMap<String, f32>;

fn parse_weights(text: &str) -> std::result::Result<Weights, String> {
    text.split(',')
        .map(|part| {
            let (name, weight) = part.split_once('=').ok_or(format!("expected NAME=NUMBER, got {part:?}"))?;
            let weight = weight.parse().map_err(|_| format!("expected a number after {name}=, got {weight:?}"))?;
            Ok((name.to_owned(), weight))
        })
        .collect()
}

#[cfg(feature = "train")]
impl TrainOptions {
    /// The library's settings: its defaults where nothing was asked for.
    pub(super) fn config(&self) -> Result<catalex::rqvae::TrainConfig> {
        let recipe = self.recipe.as_deref().map(str::parse::<catalex::rqvae::Recipe>).transpose()?;
        let mut config = recipe.unwrap_or_default().config();
        config.codebook_sizes = self.codebook_sizes(config.codebook_sizes)?;
        fn set<T: Clone>(field: &mut T, option: &Option<T>) {
            if let Some(value) = option {
                *field = value.clone();
            }
        }
        set(&mut config.latent_dim, &self.latent_dim);
        if let Some(hidden) = &self.hidden {
            config.hidden = if hidden[..] == [0] { Vec::new() } else { hidden.clone() };
        }
        set(&mut config.epochs, &self.epochs);
        set(&mut config.batch_size, &self.batch_size);
        set(&mut config.learning_rate, &self.learning_rate);
        set(&mut config.weight_decay, &self.weight_decay);
        set(&mut config.commitment_weight, &self.commitment_weight);
        set(&mut config.reconstruction_weight, &self.reconstruction_weight);
        set(&mut config.sample_items, &self.sample_items);
        set(&mut config.kmeans_iterations, &self.kmeans_iterations);
        set(&mut config.refine_iterations, &self.refine_iterations.map(Some));
        set(&mut config.ridge, &self.ridge);
        set(&mut config.balance, &self.balance);
        set(&mut config.coherence, &self.coherence.map(Some));
        set(&mut config.separation, &self.separation);
        set(&mut config.sinkhorn, &self.sinkhorn);
        set(&mut config.holdout, &self.holdout);
        set(&mut config.patience, &self.patience);
        set(&mut config.modality_weights, &self.weight);
        set(&mut config.agreement, &self.agreement);
        set(&mut config.modality_dropout, &self.modality_dropout);
        set(&mut config.seed, &self.seed);
        set(&mut config.device, &self.device);
        Ok(config)
    }

    fn codebook_sizes(&self, default: Vec<usize>) -> Result<Vec<usize>> {
        let levels = self.levels.unwrap_or(default.len());
        match self.codebook_size.as_deref() {
            None => Ok(vec![default[0]; levels]),
            Some(&[size]) => Ok(vec![size; levels]),
            Some(sizes) if self.levels.is_none_or(|levels| levels == sizes.len()) => Ok(sizes.to_vec()),
            Some(sizes) => {
                let expected = format!("one number, or one for each of the {levels} levels");
                Err(Error::config("codebook-size", expected, format!("{} numbers", sizes.len()), "mend one of the two"))
            }
        }
    }
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
