//! `catalex inspect`.

use std::fmt::Write;
use std::path::PathBuf;

use anyhow::Result;
use catalex::index::{FEATURES, Index, MODEL, TOKENS};
use catalex::progress::Silent;
use catalex::quality::Figures;
use catalex::semantic_id::{TokenFormat, TokenTable};
use catalex::tokenizer::{self, Tokenizer};
use catalex::{Error, features::Features};
use clap::Args;

#[derive(Debug, Args)]
pub(super) struct InspectArgs {
    /// A model's folder, a token table, or an index.
    #[arg(value_name = "PATH")]
    path: PathBuf,
    /// The features, for the figures that need them.
    #[arg(long, value_name = "FEATURES")]
    features: Option<PathBuf>,
    /// The model of a token table, for its reconstruction error.
    #[arg(long, value_name = "DIR")]
    model: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: InspectArgs) -> Result<()> {
    let path = &args.path;
    let features = args.features.as_deref().map(super::sources::features).transpose()?;
    if Index::is_index(path) {
        let index = Index::open(path)?;
        let model = Tokenizer::load(&index.path(MODEL))?;
        let table = TokenTable::read(&index.path(TOKENS))?;
        let features = features.map_or_else(|| Features::read(&index.path(FEATURES)), Ok)?;
        return show(&Figures::of_table(&table, Some((&model, &features)))?, args.json);
    }
    if path.join(tokenizer::CONFIG_FILE).is_file() {
        let model = Tokenizer::load(path)?;
        let Some(features) = features else { return show_model(&model, args.json) };
        let table = TokenTable::of_features(&features, &model, TokenFormat::default(), &Silent)?;
        return show(&Figures::of_table(&table, Some((&model, &features)))?, args.json);
    }
    if path.is_dir() {
        let help = "name the folder that `catalex train` or `catalex build` wrote, or a token table";
        return Err(Error::file(path, "a model's folder or an index", "another folder", help).into());
    }
    let table = TokenTable::read(path)?;
    let model = args.model.as_deref().map(super::sources::model).transpose()?;
    let source = match (&model, &features) {
        (Some(model), Some(features)) => Some((model, features)),
        (None, None) => None,
        _ => {
            let help = "give both for the reconstruction error, or neither";
            return Err(Error::config("features", "together with --model", "one of the two", help).into());
        }
    };
    show(&Figures::of_table(&table, source)?, args.json)
}

fn show_model(model: &Tokenizer, json: bool) -> Result<()> {
    if json {
        return super::print_json(model.config());
    }
    let config = model.config();
    let modalities: Vec<String> = config.modalities.iter().map(|m| format!("{} ({})", m.name, m.dim)).collect();
    let training = &config.training;
    let mut out = String::new();
    writeln!(out, "levels            {}", config.levels())?;
    writeln!(out, "codebook sizes    {}", join(&config.codebook_sizes))?;
    writeln!(out, "latent dimension  {}", config.latent_dim)?;
    writeln!(out, "hidden widths     {}", join(&config.hidden))?;
    writeln!(out, "modalities        {}", modalities.join(", "))?;
    writeln!(out, "model hash        {}", model.hash())?;
    writeln!(out, "trained on        {} items, {} of them held out", training["items"], training["held_out"])?;
    let best = training["best_epoch"].as_u64().unwrap_or(0) as usize;
    if let Some(error) = training["history"][best]["error"].as_f64() {
        let on = if training["held_out"].as_u64() == Some(0) { "training" } else { "held-out" };
        writeln!(out, "relative error    {error:.4} on {on} items, epoch {best}")?;
    }
    writeln!(out, "\nGive --features for the figures of its codes.")?;
    super::print(&out)
}

/// Prints figures as a table, or as JSON.
pub(super) fn show(figures: &Figures, json: bool) -> Result<()> {
    if json {
        return super::print_json(figures);
    }
    let mut out = String::new();
    writeln!(out, "items              {}", figures.items)?;
    writeln!(out, "distinct IDs       {}", figures.distinct_ids)?;
    writeln!(out, "levels             {}", figures.levels)?;
    writeln!(out, "model hash         {}", figures.model_hash)?;
    if let Some(c) = &figures.collisions {
        let collided = c.items - c.distinct_before;
        writeln!(out, "collision rate     {:.4} before resolution ({collided} items)", c.collision_rate)?;
        let elsewhere = c.moved_to_other_prefix;
        writeln!(out, "items moved        {} ({elsewhere} of them to another prefix)", c.moved)?;
        writeln!(out, "added distortion   {:.4} of the latent error before", c.added_distortion)?;
    }
    if let Some(r) = figures.reconstruction {
        let (after, before) = (r.after_resolution, r.before_resolution);
        writeln!(out, "relative error     {after:.4} ({before:.4} before resolution)")?;
    }
    writeln!(out, "distinct prefixes  {} (by depth)", join(&figures.distinct_prefixes))?;
    writeln!(out, "\nlevel  codes   used  perplexity    Gini")?;
    for l in &figures.usage {
        writeln!(out, "{:>5}  {:>5}  {:>5}  {:>10.1}  {:>6.3}", l.level, l.codes, l.used, l.perplexity, l.gini)?;
    }
    writeln!(out, "\nmost crowded prefixes")?;
    for crowded in &figures.crowded {
        writeln!(out, "{:>5}  {}", crowded.items, crowded.prefix)?;
    }
    super::print(&out)
}

fn join(values: &[usize]) -> String {
    values.iter().map(usize::to_string).collect::<Vec<_>>().join(", ")
}
