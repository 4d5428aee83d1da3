//! `catalex export`.

use std::path::{Path, PathBuf};

use anyhow::Result;
use catalex::behaviour::{Histories, HistorySplit};
use catalex::catalog::{CatalogReader, CatalogSpec, InteractionSpec, Interactions};
use catalex::error::Error;
use catalex::export::{EXPORT_FILE, Export, ExportSettings, Exported, Family, ItemColumns, ItemTexts, Show, UserTexts};
use catalex::index::{Index, VOCABULARY};
use catalex::progress::Progress;
use catalex::semantic_id::TokenTable;
use catalex::vocabulary::{TOKENIZER_FOLDER, TokenIds};
use clap::Args;

use catalex::artifact::Overwrite;

/// Names under which the column of titles is found when none is given.
const TITLE_NAMES: [&str; 3] = ["title", "name", "label"];

#[derive(Debug, Args)]
pub(super) struct ExportArgs {
    /// Token table, or an index.
    #[arg(value_name = "TOKENS")]
    tokens: Option<PathBuf>,
    /// For whom: lc-rec, tallrec, instructrec, bigrec, transrec, ranking, agents, minionerec, openonerec, llamafactory,
    /// trl, sequences.
    #[arg(long = "for", value_name = "FAMILY")]
    family: String,
    /// The items' catalog. Only sequences, and families that show IDs alone, do without.
    #[arg(long, value_name = "CATALOG")]
    catalog: Option<PathBuf>,
    #[command(flatten)]
    columns: Columns,
    #[command(flatten)]
    interactions: InteractionFlags,
    #[command(flatten)]
    prompts: PromptFlags,
    /// Folder to write.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Replace what catalex wrote there before.
    #[arg(long)]
    force: bool,
    /// Write nothing; print the first three records of each task, of the first users and items.
    #[arg(long, conflicts_with = "out")]
    dry_run: bool,
    /// Print JSON: what export.json holds.
    #[arg(long)]
    json: bool,
    /// Print the family's templates as TOML, to change them for --templates, and do nothing else.
    #[arg(long)]
    show_templates: bool,
}

/// Columns of the catalog.
#[derive(Debug, Args)]
struct Columns {
    /// Column of the item ids in the catalog [default: item_id or id]
    #[arg(long, value_name = "COLUMN", requires = "catalog")]
    id: Option<String>,
    /// Columns of the title [default: title, name or label]
    #[arg(long, value_name = "COLUMN,...", value_delimiter = ',', requires = "catalog")]
    title: Vec<String>,
    /// Columns of the description.
    #[arg(long, value_name = "COLUMN,...", value_delimiter = ',', requires = "catalog")]
    description: Vec<String>,
    /// Columns of attributes, such as categories and brands; each part of a list is one.
    #[arg(long, value_name = "COLUMN,...", value_delimiter = ',', requires = "catalog")]
    attributes: Vec<String>,
}

/// What users did, and how it is cut.
#[derive(Debug, Args)]
struct InteractionFlags {
    /// What users did: a table with a row an event, or .txt with lines "user item item ..."
    #[arg(long, value_name = "FILE")]
    interactions: Option<PathBuf>,
    /// Column of users [default: user_id or user]
    #[arg(long, value_name = "COLUMN")]
    interactions_user: Option<String>,
    /// Column of items [default: item_id or item]
    #[arg(long, value_name = "COLUMN")]
    interactions_item: Option<String>,
    /// Column of times [default: timestamp or time, else the order of the file]
    #[arg(long, value_name = "COLUMN")]
    interactions_time: Option<String>,
    /// Column of ratings [default: rating, where there is one]
    #[arg(long, value_name = "COLUMN")]
    interactions_rating: Option<String>,
    /// leave-one-out (each user's last event is tested on, the last but one is for validation), or time.
    #[arg(long, value_name = "HOW", default_value = "leave-one-out")]
    split: String,
    /// Share of the events, by time, that is for validation [default: 0.1]
    #[arg(long, value_name = "X")]
    valid_share: Option<f64>,
    /// Share of the events, by time, that is tested on [default: 0.1]
    #[arg(long, value_name = "X")]
    test_share: Option<f64>,
    /// Leave out users with fewer events.
    #[arg(long, value_name = "N", default_value_t = 5)]
    min_interactions: usize,
}

/// What prompts are made of.
#[derive(Debug, Args)]
struct PromptFlags {
    /// Most events of a history in a prompt.
    #[arg(long, value_name = "N", default_value_t = 20)]
    history: usize,
    /// How items are written in prompts: titles, ids or both [default: as the family does]
    #[arg(long, value_name = "HOW")]
    items: Option<String>,
    /// Name of the data set in names of files [default: that of --out]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// TOML file of templates whose tasks replace the shipped ones.
    #[arg(long, value_name = "FILE")]
    templates: Option<PathBuf>,
    /// Different templates that are filled for each thing.
    #[arg(long, value_name = "N", default_value_t = 1)]
    prompts: usize,
    /// Preferences and intentions of users, in the form of LC-Rec's user.json [default: derived from --attributes]
    #[arg(long, value_name = "FILE")]
    users: Option<PathBuf>,
    /// Ratings above this are likes, for tallrec and bigrec.
    #[arg(long, value_name = "X", default_value_t = 3.0)]
    rating_threshold: f32,
    /// Take every event as a like; tallrec then draws dislikes from what a user never had.
    #[arg(long)]
    implicit: bool,
    /// Sizes of tallrec's few-shot samples, each inside the next.
    #[arg(long, value_name = "N,...", value_delimiter = ',', default_value = "16,64,256")]
    few_shot: Vec<usize>,
    /// Candidates of a prompt that ranks.
    #[arg(long, value_name = "N", default_value_t = 20)]
    candidates: usize,
    /// Marker before each ID in prompts.
    #[arg(long, value_name = "TOKEN")]
    begin_token: Option<String>,
    /// Marker after each ID in prompts.
    #[arg(long, value_name = "TOKEN")]
    end_token: Option<String>,
    /// Hugging Face folder of a tokenizer that has the IDs' tokens: transrec then writes its FM-index.
    #[arg(long, value_name = "HF_DIR")]
    tokenizer: Option<PathBuf>,
    /// Folder that `catalex vocab --tokenizer` wrote: sequences then hold its token ids [default: the index's own]
    #[arg(long, value_name = "DIR")]
    vocabulary: Option<PathBuf>,
    /// Seed of every random draw.
    #[arg(long, value_name = "N", default_value_t = 42)]
    seed: u64,
}

pub(super) fn run(args: ExportArgs, progress: &dyn Progress) -> Result<()> {
    let family: Family = args.family.parse()?;
    if args.show_templates {
        return super::print(family.shipped_templates());
    }
    let tokens = needed("TOKENS", &args.tokens, "a token table or an index, as the first argument")?;
    let interactions = needed("interactions", &args.interactions.interactions, "a file of what users did")?;
    let settings = args.settings(family)?;
    let target = match (&args.out, args.dry_run) {
        (Some(out), _) => Some((out.as_path(), if args.force { Overwrite::Replace } else { Overwrite::Refuse })),
        (None, true) => None,
        (None, false) => {
            return Err(Error::config("out", "a folder to write", "none", "name it, or pass --dry-run").into());
        }
    };
    if let Some((out, overwrite)) = target {
        catalex::artifact::refuse_existing(out, overwrite)?;
    }
    let table = super::sources::token_table(tokens)?;
    let flags = &args.interactions;
    let read = Interactions::read(&InteractionSpec {
        path: interactions.clone(),
        user: flags.interactions_user.clone(),
        item: flags.interactions_item.clone(),
        time: flags.interactions_time.clone(),
        rated: true,
        rating: flags.interactions_rating.clone(),
    })?;
    let histories = Histories::new(&read, &table.item_ids, settings.split, settings.min_interactions)?;
    drop(read);
    let texts = args.texts(&table, family, settings.show)?;
    let users = args.prompts.users.as_deref().map(UserTexts::read).transpose()?;
    let ids = token_ids(tokens, &args.prompts.vocabulary, &table, family)?;
    let export = Export {
        family,
        table: &table,
        texts: &texts,
        histories: &histories,
        users: users.as_ref(),
        tokens: ids.as_ref(),
        settings: &settings,
    };
    let exported = export.write(target, progress)?;
    if args.catalog.is_some() && texts.untitled > 0 {
        progress.warn(&format!("{} items have no title, and stand there by their IDs", texts.untitled));
    }
    if args.json { super::print_json(&exported) } else { super::print(&told(&exported, args.out.as_deref())) }
}

fn needed<'a, T>(key: &str, given: &'a Option<T>, expected: &str) -> Result<&'a T> {
    given.as_ref().ok_or_else(|| Error::config(key, expected, "none", "see `catalex help export`").into())
}

impl ExportArgs {
    fn settings(&self, family: Family) -> Result<ExportSettings> {
        let (default, prompts, flags) = (family.default_settings(), &self.prompts, &self.interactions);
        let from_out = self.out.as_deref().and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
        Ok(ExportSettings {
            name: prompts.name.clone().or(from_out).unwrap_or(default.name),
            split: flags.split()?,
            min_interactions: flags.min_interactions,
            history: prompts.history,
            show: prompts.items.as_deref().map(str::parse::<Show>).transpose()?,
            prompts: prompts.prompts,
            seed: prompts.seed,
            rating_threshold: prompts.rating_threshold,
            implicit: prompts.implicit,
            few_shot: prompts.few_shot.clone(),
            candidates: prompts.candidates,
            begin_token: prompts.begin_token.clone().unwrap_or(default.begin_token),
            end_token: prompts.end_token.clone().unwrap_or(default.end_token),
            templates: prompts.templates.clone(),
            tokenizer: prompts.tokenizer.clone(),
        })
    }

    /// What the catalog says of the items; without one, nothing.
    fn texts(&self, table: &TokenTable, family: Family, show: Option<Show>) -> Result<ItemTexts> {
        let Some(path) = &self.catalog else {
            if family.needs_titles(show) {
                let help = "name the catalog that the items come from, and with --title its column of titles";
                let expected = format!("a catalog: {} shows titles", family);
                return Err(Error::config("catalog", expected, "none", help).into());
            }
            return Ok(ItemTexts::none(table.item_ids.len()));
        };
        let spec = CatalogSpec { path: path.clone(), id: self.columns.id.clone(), ..CatalogSpec::default() };
        let title = if self.columns.title.is_empty() { title_column(&spec)? } else { self.columns.title.clone() };
        let columns = ItemColumns {
            title,
            description: self.columns.description.clone(),
            attributes: self.columns.attributes.clone(),
        };
        Ok(ItemTexts::read(&spec, &columns, &table.item_ids)?)
    }
}

impl InteractionFlags {
    fn split(&self) -> Result<HistorySplit> {
        match self.split.parse()? {
            HistorySplit::Time { valid, test } => Ok(HistorySplit::Time {
                valid: self.valid_share.unwrap_or(valid),
                test: self.test_share.unwrap_or(test),
            }),
            split if self.valid_share.or(self.test_share).is_none() => Ok(split),
            _ => {
                let help = "pass --split time, or leave the shares out";
                Err(Error::config("split", "time, where shares are given", &self.split, help).into())
            }
        }
    }
}

/// The first usual name of a title's column that the catalog has.
fn title_column(spec: &CatalogSpec) -> Result<Vec<String>> {
    for name in TITLE_NAMES {
        let fields = vec![name.to_owned()];
        match CatalogReader::open(&CatalogSpec { fields: fields.clone(), ..spec.clone() }) {
            Ok(_) => return Ok(fields),
            Err(Error::Column { column, .. }) if column == name => {}
            Err(error) => return Err(error.into()),
        }
    }
    let help = "name the column with --title";
    Err(Error::config("title", format!("a column {}", TITLE_NAMES.join(", ")), "none of them", help).into())
}

/// The token ids of the vocabulary that was named, else of the index's own where it has a tokenizer.
fn token_ids(
    tokens: &Path,
    vocabulary: &Option<PathBuf>,
    table: &TokenTable,
    family: Family,
) -> Result<Option<TokenIds>> {
    let folder = match vocabulary {
        Some(folder) => folder.clone(),
        None if family == Family::Sequences && Index::is_index(tokens) => {
            let folder = tokens.join(VOCABULARY);
            if !folder.join(TOKENIZER_FOLDER).is_dir() {
                return Ok(None);
            }
            folder
        }
        None => return Ok(None),
    };
    Ok(Some(catalex::constraint::tokens_of(table, &folder)?))
}

/// What was done, for people.
fn told(exported: &Exported, out: Option<&Path>) -> String {
    let mut text = format!("{}\n", exported.interactions);
    for (task, report) in &exported.tasks {
        let skipped = if report.skipped > 0 { format!(", {} left out", report.skipped) } else { String::new() };
        if exported.dry_run {
            text += &format!("\n{task}\n");
            report.samples.iter().for_each(|sample| text += &format!("{sample}\n"));
        } else {
            text += &format!("{task:<28} {:>10} records{skipped}\n", report.records);
        }
    }
    for (name, file) in &exported.files {
        text += &format!("{name:<44} {:<7} {:>10} bytes\n", file.role.to_string(), file.bytes);
    }
    if let Some(out) = out {
        text += &format!("{}\n", out.join(EXPORT_FILE).display());
    }
    text
}
