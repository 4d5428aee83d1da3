//! From a token table and interactions to the files of a family of LLM recommenders.

use super::sources;
use super::spec::{ExportOptions, ExportSpec, ReadsTexts, needs};
use crate::artifact::OutputLock;
use crate::behaviour::{Histories, HistorySplit, MAX_UNKNOWN_EVENTS, refuse_unknown};
use crate::catalog::{CatalogReader, CatalogSpec, InteractionSpec, Interactions};
use crate::error::{Error, Result};
use crate::export::{Export, ExportSettings, Exported, Family, ItemColumns, ItemTexts, Show, UserTexts};
use crate::index::resolve_index;
use crate::progress::Progress;
use crate::semantic_id::TokenTable;
use crate::settings::SettingGroup;

/// Default names of the title column.
const TITLE_NAMES: [&str; 3] = ["title", "name", "label"];

/// The templates of a family as TOML. Edit them and pass the file as `templates`.
///
/// # Errors
/// [`Error::Config`] for an unknown family.
pub fn family_templates(family: &str) -> Result<&'static str> {
    Ok(family.parse::<Family>()?.shipped_templates())
}

/// Writes items and histories in the form that a family of LLM recommenders reads. With `dry_run` nothing is written,
/// and the first records of each task are returned.
///
/// # Errors
/// As [`Export::write`], [`Interactions::read`], [`ItemTexts::read`]; [`Error::Config`] for missing settings.
pub fn export(spec: &ExportSpec, progress: &dyn Progress) -> Result<Exported> {
    spec.columns.check()?;
    spec.settings.check()?;
    let family: Family = spec.family.parse()?;
    let settings = resolved(spec, family)?;
    let given = &spec.settings;
    let interactions = given
        .interactions
        .clone()
        .ok_or_else(|| Error::config("interactions", "a file of interactions", "none", "see `catalex help export`"))?;
    let has_out = !spec.output.out.as_os_str().is_empty();
    let target = match (spec.dry_run, has_out) {
        (true, _) => None,
        (false, true) => Some((spec.output.out.as_path(), spec.output.overwrite())),
        (false, false) => return Err(Error::config("out", "a folder to write", "none", "name it, or pass --dry-run")),
    };
    let _lock = target.map(|(out, overwrite)| OutputLock::claim(out, overwrite)).transpose()?;
    let source = resolve_index(&spec.tokens)?;
    let table = sources::token_table(&source)?;
    let wanted = InteractionSpec {
        path: interactions,
        user: given.interactions_user.clone(),
        item: given.interactions_item.clone(),
        time: given.interactions_time.clone(),
        csv: spec.columns.csv(),
        rated: true,
        rating: given.interactions_rating.clone(),
    };
    let read = Interactions::read(&wanted, progress)?;
    let most = given.max_unknown_events.unwrap_or(MAX_UNKNOWN_EVENTS);
    refuse_unknown(&read, &table.item_ids, "the token table", most)?;
    let histories = Histories::new(&read, &table.item_ids, settings.split, settings.min_interactions)?;
    drop(read);
    let texts = texts(spec, &table, family, settings.show, progress)?;
    let users = given.users.as_deref().map(UserTexts::read).transpose()?;
    let vocabulary = given.vocabulary.as_deref();
    let tokens = match vocabulary.is_some() || family == Family::Sequences {
        true => sources::token_ids(vocabulary, &source, &table)?,
        false => None,
    };
    let export = Export {
        family,
        table: &table,
        texts: &texts,
        histories: &histories,
        users: users.as_ref(),
        tokens: tokens.as_ref(),
        settings: &settings,
    };
    let exported = export.write(target, progress)?;
    if spec.catalog.is_some() && texts.untitled > 0 {
        progress.warn(&format!("{} items have no title and are written by their IDs", texts.untitled));
    }
    Ok(exported)
}

/// The export's configuration: the family's defaults where a setting is not given.
fn resolved(spec: &ExportSpec, family: Family) -> Result<ExportSettings> {
    let (default, given) = (family.default_settings(), &spec.settings);
    let from_out = spec.output.out.file_name().map(|name| name.to_string_lossy().into_owned());
    Ok(ExportSettings {
        name: given.name.clone().or(from_out).unwrap_or(default.name),
        split: split(given)?,
        min_interactions: given.min_interactions.unwrap_or(default.min_interactions),
        history: given.history.unwrap_or(default.history),
        show: given.items.as_deref().map(str::parse::<Show>).transpose()?,
        prompts: given.prompts.unwrap_or(default.prompts),
        seed: given.seed.unwrap_or(default.seed),
        rating_threshold: given.rating_threshold.unwrap_or(default.rating_threshold),
        implicit: given.implicit.unwrap_or_default(),
        few_shot: given.few_shot.clone().unwrap_or(default.few_shot),
        candidates: given.candidates.unwrap_or(default.candidates),
        begin_token: given.begin_token.clone().unwrap_or(default.begin_token),
        end_token: given.end_token.clone().unwrap_or(default.end_token),
        templates: given.templates.clone(),
        tokenizer: given.tokenizer.clone(),
    })
}

fn split(given: &ExportOptions) -> Result<HistorySplit> {
    match given.split.as_deref().unwrap_or("leave-one-out").parse()? {
        HistorySplit::Time { valid, test } => {
            Ok(HistorySplit::Time { valid: given.valid_share.unwrap_or(valid), test: given.test_share.unwrap_or(test) })
        }
        split if given.valid_share.or(given.test_share).is_none() => Ok(split),
        _ => {
            let help = "pass --split time, or omit the shares";
            Err(Error::config("split", "time, because shares are given", "leave-one-out", help))
        }
    }
}

/// The texts of the items; empty ones without a catalog.
fn texts(
    spec: &ExportSpec,
    table: &TokenTable,
    family: Family,
    show: Option<Show>,
    progress: &dyn Progress,
) -> Result<ItemTexts> {
    let Some(path) = &spec.catalog else {
        if family.needs_titles(show) {
            let help = "name the catalog of the items, and its title column with --title";
            let expected = format!("a catalog, because {family} shows titles");
            return Err(Error::config("catalog", expected, "none", help));
        }
        if let Some(column) = spec.columns.first_given() {
            return Err(needs(&column, "catalog", "name the catalog"));
        }
        return Ok(ItemTexts::none(table.item_ids.len()));
    };
    let columns = &spec.columns;
    let catalog = columns.reading(CatalogSpec { path: path.clone(), id: columns.id.clone(), ..CatalogSpec::default() });
    let title = columns.title.clone().map_or_else(|| title_column(&catalog), Ok)?;
    let columns = ItemColumns {
        title,
        description: columns.description.clone().unwrap_or_default(),
        attributes: columns.attributes.clone().unwrap_or_default(),
    };
    ItemTexts::read(&catalog, &columns, &table.item_ids, progress)
}

/// The first default name of a title column that the catalog has.
fn title_column(catalog: &CatalogSpec) -> Result<Vec<String>> {
    for name in TITLE_NAMES {
        let fields = vec![name.to_owned()];
        match CatalogReader::open(&CatalogSpec { fields: fields.clone(), ..catalog.clone() }) {
            Ok(_) => return Ok(fields),
            Err(Error::Column { column, .. }) if column == name => {}
            Err(error) => return Err(error),
        }
    }
    let help = "name the column with --title";
    Err(Error::config("title", format!("a column {}", TITLE_NAMES.join(", ")), "none of them", help))
}
