//! `catalex inspect`.

use std::fmt::Write;
use std::path::PathBuf;

use anyhow::Result;
use catalex::artifact::{self, Overwrite};
use catalex::catalog::{CatalogSpec, TextSpec};
use catalex::index::{FEATURES, Index, MODEL, TOKENS};
use catalex::progress::Progress;
use catalex::quality::{Cards, Figures, LabelFigures, LabelNeighbours, Map, Report};
use catalex::semantic_id::{Collisions, TokenFormat, TokenTable};
use catalex::tokenizer::{self, Tokenizer};
use catalex::{Error, features::FeatureSource, features::Features};
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
    /// Write the report too: one HTML file that opens offline.
    #[arg(long, value_name = "FILE.html")]
    report: Option<PathBuf>,
    /// Replace a report that is there.
    #[arg(long, requires = "report")]
    force: bool,
    #[command(flatten)]
    catalog: CatalogArgs,
}

/// What to read of the items themselves.
#[derive(Debug, Args)]
struct CatalogArgs {
    /// The catalog the items come from, for the report's texts and pictures and for labels.
    #[arg(long, value_name = "CATALOG")]
    catalog: Option<PathBuf>,
    /// Column of the item ids [default: item_id or id]
    #[arg(long, value_name = "COLUMN", requires = "catalog")]
    id: Option<String>,
    /// Columns of text that the report shows.
    #[arg(long, value_name = "COLUMN,...", value_delimiter = ',', requires_all = ["catalog", "report"])]
    text: Vec<String>,
    /// Columns of pictures, of which the report shows the first of each item.
    #[arg(long, value_name = "COLUMN,...", value_delimiter = ',', requires_all = ["catalog", "report"])]
    image: Vec<String>,
    /// Column of labels, a category or a brand, that prefixes are compared with.
    #[arg(long, value_name = "COLUMN", requires = "catalog")]
    label: Option<String>,
}

impl CatalogArgs {
    fn spec(&self) -> Option<CatalogSpec> {
        let (id, text, images) = (self.id.clone(), TextSpec::Joined(self.text.clone()), self.image.clone());
        self.catalog.clone().map(|path| CatalogSpec { path, id, text, images, ..CatalogSpec::default() })
    }
}

/// What is inspected: a table, and what it was made from where that is at hand.
struct Subject {
    table: TokenTable,
    source: Option<(Tokenizer, Features)>,
}

pub(super) fn run(args: InspectArgs, progress: &dyn Progress) -> Result<()> {
    if let Some(report) = &args.report {
        artifact::refuse_existing(report, args.overwrite())?;
    }
    let Some(subject) = subject(&args, progress)? else {
        if args.report.is_some() || args.catalog.catalog.is_some() {
            let help = "give --features too: a model alone has no items";
            return Err(Error::config("features", "a file of features", "none", help).into());
        }
        return show_model(&Tokenizer::load(&args.path)?, args.json);
    };
    let source = subject.source.as_ref().map(|(model, features)| (model, features as &dyn FeatureSource));
    let mut figures = Figures::of_table(&subject.table, source, progress)?;
    let spec = args.catalog.spec();
    if let (Some(spec), Some(label)) = (&spec, &args.catalog.label) {
        let labels = super::cards::labels(&subject.table, spec, label)?;
        let mut measured = LabelFigures::measure(&subject.table, label, &labels)?;
        if let Some((model, features)) = source {
            measured.neighbours = Some(LabelNeighbours::measure(model, features, &labels, progress)?);
        }
        figures.labels = Some(measured);
    }
    if let Some(path) = &args.report {
        let cards = match &spec {
            Some(spec) => super::cards::read(&subject.table, spec, progress)?,
            None => Cards::default(),
        };
        let map = source.map(|(model, features)| Map::of_items(&subject.table, model, features)).transpose()?;
        let title = args.title();
        let training = source.map(|(model, _)| &model.config().training);
        let report = Report {
            title: &title,
            table: &subject.table,
            figures: &figures,
            cards: &cards,
            training,
            map: map.as_ref(),
        };
        artifact::write_file(path, report.html()?.as_bytes(), args.overwrite())?;
    }
    progress.end();
    show(&figures, args.json)
}

impl InspectArgs {
    fn overwrite(&self) -> Overwrite {
        if self.force { Overwrite::Replace } else { Overwrite::Refuse }
    }

    /// The catalog's name, or that of what is inspected.
    fn title(&self) -> String {
        super::cards::title(self.catalog.catalog.as_deref().unwrap_or(&self.path))
    }
}

/// The table at a path, with its model and features; none for a model without features.
fn subject(args: &InspectArgs, progress: &dyn Progress) -> Result<Option<Subject>> {
    let path = &args.path;
    let features =
        args.features.as_deref().map(|path| anyhow::Ok(super::sources::features(path)?.read()?)).transpose()?;
    if Index::is_index(path) {
        let index = Index::open(path)?;
        let model = Tokenizer::load(&index.path(MODEL))?;
        let table = TokenTable::read(&index.path(TOKENS))?;
        let features = features.map_or_else(|| Features::read(&index.path(FEATURES)), Ok)?;
        return Ok(Some(Subject { table, source: Some((model, features)) }));
    }
    if path.join(tokenizer::CONFIG_FILE).is_file() {
        let Some(features) = features else { return Ok(None) };
        let model = Tokenizer::load(path)?;
        let table = TokenTable::of_features(&features, &model, TokenFormat::default(), Collisions::Resolve, progress)?;
        return Ok(Some(Subject { table, source: Some((model, features)) }));
    }
    if path.is_dir() {
        let help = "name the folder that `catalex train` or `catalex build` wrote, or a token table";
        return Err(Error::file(path, "a model's folder or an index", "another folder", help).into());
    }
    let table = TokenTable::read(path)?;
    let source = match (args.model.as_deref().map(super::sources::model).transpose()?, features) {
        (Some(model), Some(features)) => Some((model, features)),
        (None, None) => None,
        _ => {
            let help = "give both for the figures that compare codes with vectors, or neither";
            return Err(Error::config("features", "together with --model", "one of the two", help).into());
        }
    };
    Ok(Some(Subject { table, source }))
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
        let rate = c.collision_rate;
        match figures.collision_policy {
            Collisions::Resolve | Collisions::LcRec => {
                writeln!(out, "collision rate     {rate:.4} before resolution ({collided} items)")?;
                let elsewhere = c.moved_to_other_prefix;
                writeln!(out, "items moved        {} ({elsewhere} of them to another prefix)", c.moved)?;
                writeln!(out, "added distortion   {:.4} of the latent error before", c.added_distortion)?;
            }
            Collisions::Keep => writeln!(out, "collision rate     {rate:.4} ({collided} items), kept")?,
            Collisions::Suffix => {
                writeln!(out, "collision rate     {rate:.4} ({collided} items) before the suffix, the last level")?;
            }
        }
    }
    if let Some(r) = figures.reconstruction {
        let (after, before) = (r.after_resolution, r.before_resolution);
        writeln!(out, "relative error     {after:.4} ({before:.4} before resolution)")?;
    }
    if let Some(n) = &figures.neighbours {
        let (k, chance) = (n.neighbours, n.recall_by_chance);
        writeln!(out, "neighbour recall   {:.4} of {k} by longest prefix ({chance:.6} by chance)", n.recall)?;
    }
    writeln!(out, "codes in use       {:.4} of all", figures.hit_rate)?;
    writeln!(out, "\nlevel  codes   used  perplexity  of codes    Gini")?;
    for l in &figures.usage {
        let (level, codes, used, share) = (l.level, l.codes, l.used, l.effective_share);
        writeln!(out, "{level:>5}  {codes:>5}  {used:>5}  {:>10.1}  {share:>8.3}  {:>6.3}", l.perplexity, l.gini)?;
    }
    depths(&mut out, figures)?;
    if let Some(labels) = &figures.labels
        && let Some(near) = &labels.neighbours
    {
        writeln!(
            out,
            "\nnearest {} with the same {} ({:.4} by chance)",
            near.neighbours, labels.label, near.by_chance
        )?;
        for nearness in &near.shares {
            writeln!(out, "{:<18} {:.4} of {} items", nearness.by, nearness.share, nearness.items)?;
        }
    }
    writeln!(out, "\nmost crowded prefixes")?;
    for crowded in &figures.crowded {
        writeln!(out, "{:>5}  {}", crowded.items, crowded.prefix)?;
    }
    super::print(&out)
}

/// A line a depth of the hierarchy.
fn depths(out: &mut String, figures: &Figures) -> Result<()> {
    write!(out, "\ndepth  prefixes")?;
    if figures.neighbours.is_some() {
        write!(out, "  neighbours kept")?;
    }
    if let Some(labels) = &figures.labels {
        write!(out, "  purity of {0}  information on {0}", labels.label)?;
    }
    writeln!(out)?;
    for (at, prefixes) in figures.distinct_prefixes.iter().enumerate() {
        write!(out, "{:>5}  {prefixes:>8}", at + 1)?;
        if let Some(neighbours) = &figures.neighbours {
            write!(out, "  {:>15.4}", neighbours.share_by_depth[at])?;
        }
        if let Some(labels) = &figures.labels {
            let (depth, width) = (&labels.by_depth[at], labels.label.chars().count());
            let (purity, information) = (depth.purity, depth.normalized_mutual_information);
            write!(out, "  {purity:>0$.4}  {information:>1$.4}", 10 + width, 15 + width)?;
        }
        writeln!(out)?;
    }
    Ok(())
}

fn join(values: &[usize]) -> String {
    values.iter().map(usize::to_string).collect::<Vec<_>>().join(", ")
}
