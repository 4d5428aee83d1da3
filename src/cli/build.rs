//! `catalex build`.

use std::path::PathBuf;

use anyhow::Result;
use catalex::progress::Progress;
use catalex::semantic_id::TokenFormat;
use clap::Args;

use super::config_file::ConfigFile;
use super::options::{EncodeOptions, Output, ThreadOptions, TrainOptions};

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
    train: TrainOptions,
    /// Hugging Face tokenizer folder to write an extended copy of.
    #[arg(long, value_name = "HF_DIR")]
    tokenizer: Option<PathBuf>,
    /// Form of a token, with {level} (a letter) or {index} (a number) and {code}.
    #[arg(long, value_name = "FORMAT", default_value_t)]
    token_format: TokenFormat,
    #[command(flatten)]
    threads: ThreadOptions,
    #[command(flatten)]
    config: ConfigFile,
}

#[cfg(all(feature = "train", feature = "encoders"))]
pub(super) fn run(args: BuildArgs, progress: &dyn Progress) -> Result<()> {
    use catalex::artifact::Overwrite;
    use catalex::index::{FEATURES, IndexWriter, MODEL, REPORT, TOKENS, VOCABULARY};
    use catalex::semantic_id::TokenTable;
    use catalex::{quality, rqvae, vocabulary};

    let mut settings = args.config.read()?;
    let encode: EncodeOptions = settings.fill(args.encode)?;
    let train: TrainOptions = settings.fill(args.train)?;
    let threads = settings.fill(args.threads)?;
    settings.finish()?;
    let config = train.config()?;
    // What can be refused is refused before the hours of work.
    let index = IndexWriter::create(&args.output.out, args.output.overwrite())?;
    if let Some(tokenizer) = &args.tokenizer {
        vocabulary::check_tokenizer(tokenizer)?;
    }
    let threads = threads.apply()?;

    let features = super::sources::encode_catalog(&args.catalog, &encode, threads, progress)?;
    features.write(&index.path(FEATURES), Overwrite::Refuse)?;
    let trained = rqvae::train(&features, config.clone(), progress)?;
    let model = &trained.tokenizer;
    model.save(&index.path(MODEL), Overwrite::Refuse)?;
    let table = TokenTable::of_features(&features, model, args.token_format, progress)?;
    table.write(&index.path(TOKENS), Overwrite::Refuse)?;
    let (tokenizer, folder) = (args.tokenizer.as_deref(), index.path(VOCABULARY));
    vocabulary::write_vocabulary(&folder, &table, tokenizer, Overwrite::Refuse, progress)?;

    let figures = quality::Figures::of_table(&table, Some((model, &features)))?;
    let neighbours = neighbours(&table, &texts(&args.catalog, &encode)?);
    let errors: Vec<f64> = trained.history.iter().map(|epoch| epoch.error).collect();
    let name = args.catalog.file_stem().unwrap_or_default().to_string_lossy();
    let html = quality::report(&format!("Semantic IDs of {name}"), &figures, &errors, &neighbours);
    catalex::artifact::write_file(&index.path(REPORT), html.as_bytes(), Overwrite::Refuse)?;
    let settings = serde_json::json!({
        "catalog": args.catalog, "encode": encode, "train": config, "tokenizer": args.tokenizer, "threads": threads,
    });
    index.commit(table.item_ids.len() as u64, model.hash(), settings)?;

    progress.end();
    super::inspect::show(&figures, false)?;
    let mut out = String::from("\nitems that share a prefix\n");
    for group in neighbours.iter().take(SHOWN) {
        let members: Vec<&str> = group
            .members
            .iter()
            .map(|(id, text)| if text.is_empty() { id } else { text })
            .map(String::as_str)
            .collect();
        out += &format!("  {}  {}\n", group.prefix, members.join(" | "));
    }
    out += &format!("\nindex   {}\nreport  {}\n", args.output.out.display(), args.output.out.join(REPORT).display());
    super::print(&out)
}

/// Groups of neighbours in the report, and those of them that are printed.
#[cfg(all(feature = "train", feature = "encoders"))]
const REPORTED: usize = 60;
#[cfg(all(feature = "train", feature = "encoders"))]
const SHOWN: usize = 6;

/// The items' texts, by row; empty where only pictures were read.
#[cfg(all(feature = "train", feature = "encoders"))]
fn texts(catalog: &std::path::Path, encode: &EncodeOptions) -> Result<Vec<String>> {
    let mut spec = super::sources::catalog_spec(catalog, encode);
    spec.image = None;
    let mut texts = Vec::new();
    for batch in catalex::catalog::CatalogReader::open(&spec)? {
        texts.extend(batch?.texts);
    }
    Ok(texts)
}

/// The fullest prefixes of two codes, with some of their items.
#[cfg(all(feature = "train", feature = "encoders"))]
fn neighbours(table: &catalex::semantic_id::TokenTable, texts: &[String]) -> Vec<catalex::quality::Neighbours> {
    const MEMBERS: usize = 6;
    const LONGEST: usize = 80;
    let lookup = catalex::semantic_id::Lookup::new(table);
    let depth = (table.codes.ncols() - 1).clamp(1, 2);
    let shorten = |text: &String| {
        let short: String = text.chars().take(LONGEST).collect();
        if short.len() < text.len() { short + "…" } else { short }
    };
    lookup
        .prefix_counts(depth)
        .into_iter()
        .take(REPORTED)
        .map(|(codes, items)| catalex::quality::Neighbours {
            prefix: table.metadata.token_format.semantic_id(&codes),
            items,
            members: lookup
                .rows(&codes)
                .iter()
                .take(MEMBERS)
                .map(|&row| (table.item_ids.text(row), texts.get(row).map(shorten).unwrap_or_default()))
                .collect(),
        })
        .collect()
}

#[cfg(not(all(feature = "train", feature = "encoders")))]
pub(super) fn run(_args: BuildArgs, _progress: &dyn Progress) -> Result<()> {
    Err(super::not_built("catalex build", if cfg!(feature = "train") { "encoders" } else { "train" }))
}
