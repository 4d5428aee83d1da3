//! `catalex build`.

use std::path::PathBuf;

use anyhow::Result;
use catalex::progress::Progress;
use catalex::semantic_id::{Collisions, TokenFormat};
use clap::Args;

use super::behaviour::BehaviourOptions;
use super::config_file::ConfigFile;
use super::options::{CheckpointOptions, EncodeOptions, Output, ThreadOptions, TrainOptions, VocabularyFlags};

#[derive(Debug, Args)]
pub(super) struct BuildArgs {
    /// Parquet, Arrow, CSV or JSONL table, or a folder of pictures.
    #[arg(value_name = "CATALOG")]
    catalog: PathBuf,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    encode: EncodeOptions,
    #[command(flatten)]
    behaviour: BehaviourOptions,
    #[command(flatten)]
    train: TrainOptions,
    #[command(flatten)]
    vocabulary: VocabularyFlags,
    /// Form of a token, with {level} (a letter) or {index} (a number) and {code}.
    #[arg(long, value_name = "FORMAT", default_value_t)]
    token_format: TokenFormat,
    /// Items of one code: resolve (move to free codes), keep, suffix (a level more that counts them), or lc-rec
    /// (LC-Rec's loop, which may leave some).
    #[arg(long, value_name = "POLICY", default_value_t)]
    collisions: Collisions,
    #[command(flatten)]
    threads: ThreadOptions,
    #[command(flatten)]
    checkpoints: CheckpointOptions,
    #[command(flatten)]
    config: ConfigFile,
}

#[cfg(all(feature = "train", feature = "encoders"))]
pub(super) fn run(args: BuildArgs, progress: &dyn Progress) -> Result<()> {
    use catalex::Error;
    use catalex::artifact::Overwrite;
    use catalex::features::{FeatureSource, Features};
    use catalex::index::{BAD_IMAGES, FEATURES, IndexWriter, MODEL, Partial, REPORT, TOKENS, VOCABULARY};
    use catalex::quality::{Figures, Map, Report};
    use catalex::semantic_id::TokenTable;
    use catalex::{rqvae, vocabulary};

    use super::costs::Costs;
    use super::embed::PARTS;
    use super::modalities::Request;

    let mut settings = args.config.read()?;
    let encode: EncodeOptions = settings.fill(args.encode)?;
    let behaviour: BehaviourOptions = settings.fill(args.behaviour)?;
    let train: TrainOptions = settings.fill(args.train)?;
    let threads = settings.fill(args.threads)?;
    settings.finish()?;
    let config = train.config()?;
    let catalog = super::sources::catalog_spec(&args.catalog, &encode)?;
    // What can be refused is refused before the hours of work.
    let writer = IndexWriter::create(&args.output.out, args.output.overwrite())?;
    let options = args.vocabulary.options();
    let words = vocabulary::Vocabulary::new(&config.codebook_sizes, args.token_format.clone());
    vocabulary::check_options(&options, &words)?;
    let threads = threads.apply()?;
    let request = Request { catalog: &args.catalog, encode: &encode, behaviour: &behaviour, threads };
    let begun = request.settings()?;
    let partial = Partial::begin(&args.output.out, &begun, args.checkpoints.resume, args.output.overwrite())?;

    let mut costs = Costs::new();
    let features = costs.of("encode", || -> Result<Features> {
        let encoded = partial.path(FEATURES);
        if !encoded.exists() {
            let (parts, finished) = (partial.path(PARTS), partial.path("encoded.parquet"));
            let made = request.write(&finished, Overwrite::Replace, &parts, progress)?;
            // First the list: where there are features, it is there.
            if let Some(bad) = &made.bad_images {
                catalex::artifact::write_file(&partial.path(BAD_IMAGES), &bad.lines, Overwrite::Replace)?;
                progress.warn(&format!("{} pictures cannot be read; {BAD_IMAGES} of the index lists them", bad.count));
            }
            std::fs::rename(&finished, &encoded).map_err(|e| Error::io("rename", &finished, e))?;
            // Features without an encoder have no parts.
            let _ = std::fs::remove_dir_all(&parts);
        }
        Ok(Features::read(&encoded)?)
    })?;
    partial.share(FEATURES, &writer.path(FEATURES))?;
    if partial.path(BAD_IMAGES).exists() {
        partial.share(BAD_IMAGES, &writer.path(BAD_IMAGES))?;
    }
    let checkpoints = args.checkpoints.at(&partial.path(MODEL), false)?;
    let trained = costs.of("train", || rqvae::train(&features, config.clone(), Some(&checkpoints), progress))?;
    let model = &trained.tokenizer;
    model.save(&writer.path(MODEL), Overwrite::Refuse)?;
    let table = costs
        .of("tokenize", || TokenTable::of_features(&features, model, args.token_format, args.collisions, progress))?;
    table.write(&writer.path(TOKENS), Overwrite::Refuse)?;
    let folder = writer.path(VOCABULARY);
    costs.of("vocabulary", || vocabulary::write_vocabulary(&folder, &table, &options, Overwrite::Refuse, progress))?;

    let figures =
        costs.of("measure", || Figures::of_table(&table, Some((model, &features as &dyn FeatureSource)), progress))?;
    let (cards, html) = costs.of("report", || -> Result<_> {
        let cards = super::cards::read(&table, &catalog, progress)?;
        let map = Map::of_items(&table, model, &features)?;
        let training = Some(&model.config().training);
        let title = super::cards::title(&args.catalog);
        let report =
            Report { title: &title, table: &table, figures: &figures, cards: &cards, training, map: Some(&map) };
        let html = report.html()?;
        Ok((cards, html))
    })?;
    catalex::artifact::write_file(&writer.path(REPORT), html.as_bytes(), Overwrite::Refuse)?;
    let settings = serde_json::json!({
        "catalog": args.catalog, "encode": encode, "behaviour": behaviour, "train": config,
        "tokenizer": options.tokenizer, "threads": threads,
        "collisions": args.collisions,
    });
    writer.commit(table.item_ids.len() as u64, model.hash(), settings)?;
    partial.remove()?;

    progress.end();
    super::inspect::show(&figures, false)?;
    let (index, report) = (args.output.out.display(), args.output.out.join(REPORT));
    super::print(&format!("{}\nindex   {index}\nreport  {}\n", neighbours(&table, &cards.texts), report.display()))?;
    // What a part took is different every time, and so has no place in the index.
    costs.tell(progress);
    Ok(())
}

/// The fullest prefixes, each with some of its items.
#[cfg(all(feature = "train", feature = "encoders"))]
fn neighbours(table: &catalex::semantic_id::TokenTable, texts: &std::collections::BTreeMap<usize, String>) -> String {
    const PREFIXES: usize = 6;
    const MEMBERS: usize = 6;
    const LONGEST: usize = 80;
    let lookup = catalex::semantic_id::Lookup::new(table);
    let depth = (table.codes.ncols() - 1).clamp(1, 2);
    let name = |row: usize| match texts.get(&row).filter(|text| !text.is_empty()) {
        Some(text) if text.chars().count() > LONGEST => text.chars().take(LONGEST).collect::<String>() + "…",
        Some(text) => text.clone(),
        None => table.item_ids.text(row),
    };
    let mut out = String::from("\nitems that share a prefix\n");
    for (codes, _) in lookup.fullest_prefixes(depth, PREFIXES) {
        let members: Vec<String> = lookup.rows(&codes).iter().take(MEMBERS).map(|&row| name(row)).collect();
        out += &format!("  {}  {}\n", table.metadata.token_format.semantic_id(&codes), members.join(" | "));
    }
    out
}

#[cfg(not(all(feature = "train", feature = "encoders")))]
pub(super) fn run(_args: BuildArgs, _progress: &dyn Progress) -> Result<()> {
    Err(super::not_built("catalex build", if cfg!(feature = "train") { "encoders" } else { "train" }))
}
