//! From a token table to features of ranking models.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::sources;
use super::spec::{NAME_BOTH, RankingSettings, RankingSpec, needs};
use crate::artifact::{OutputLock, Overwrite};
use crate::behaviour::{MAX_UNKNOWN_EVENTS, refuse_unknown};
use crate::catalog::Interactions;
use crate::error::{Error, Result};
use crate::index::resolve_index;
use crate::progress::Progress;
use crate::ranking::{PrefixIds, RankingColumn, RankingFeatures, RankingForm, SubwordVocabulary, train_subwords};
use crate::semantic_id::TokenTable;
use crate::settings::SettingGroup;

/// Result of [`ranking_features`].
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RankingSummary {
    /// Number of items.
    pub items: usize,
    /// The columns after `item_id`.
    pub columns: Vec<RankingColumn>,
    /// The subword vocabulary, if there is a column of subwords.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subword_vocabulary: Option<SubwordSummary>,
}

/// The subword vocabulary that was used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SubwordSummary {
    /// Its file.
    pub path: PathBuf,
    /// Number of pieces.
    pub pieces: usize,
    /// Whether it was trained and written. If not, it was read.
    pub trained: bool,
}

/// Writes semantic IDs as integer columns for ranking models: one row per item, in the order of the token table.
///
/// # Errors
/// [`Error::Config`] for an unknown form and for settings that require others; [`Error::Mismatch`] for a subword
/// vocabulary of other codebook sizes; for files that cannot be read, and for an output that exists.
pub fn ranking_features(spec: &RankingSpec, progress: &dyn Progress) -> Result<RankingSummary> {
    let settings = &spec.ranking;
    settings.check()?;
    let forms = forms(settings.form.as_deref().unwrap_or_default())?;
    check_settings(settings, &forms)?;
    let (out, overwrite) = (&spec.output.out, spec.output.overwrite());
    let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    if settings.subword_vocabulary.as_deref().map(absolute) == Some(absolute(out)) {
        let help = "name another file for one of them";
        return Err(Error::config("subword-vocabulary", "another file than --out", out.display(), help));
    }
    let _lock = OutputLock::claim(out, overwrite)?;
    let table = sources::token_table(&resolve_index(&spec.tokens)?)?;
    let levels = table.quantized().ncols();
    if levels < table.codes.ncols() {
        progress.warn("the last level only numbers items with equal codes, so it is not a feature");
    }
    let sizes = &table.metadata.codebook_sizes[..levels];
    let prefixes = match forms.contains(&RankingForm::PrefixNgrams) {
        true => PrefixIds::new(sizes, settings.table_size)?,
        false => PrefixIds::new(&[], None)?,
    };
    let subwords = settings.subword_vocabulary.as_deref();
    let subwords = subwords.map(|path| vocabulary(path, settings, &table, sizes, progress)).transpose()?;
    let features = RankingFeatures {
        table: &table,
        forms: &forms,
        prefixes: &prefixes,
        subwords: subwords.as_ref().map(|(vocabulary, hash, _)| (vocabulary, &**hash)),
    };
    features.write(out, overwrite, progress)?;
    let subword_vocabulary = settings.subword_vocabulary.clone().zip(subwords.as_ref());
    let subword_vocabulary = subword_vocabulary.map(|(path, (vocabulary, _, trained))| SubwordSummary {
        path,
        pieces: vocabulary.pieces(),
        trained: *trained,
    });
    Ok(RankingSummary { items: table.item_ids.len(), columns: features.columns(), subword_vocabulary })
}

fn forms(names: &[String]) -> Result<Vec<RankingForm>> {
    let forms = names.iter().map(|name| name.parse()).collect::<Result<Vec<RankingForm>>>()?;
    if forms.is_empty() {
        return Err(Error::config("form", "at least one form", "none", "name it, such as --form prefix-ngrams"));
    }
    match forms.iter().enumerate().find(|(at, form)| forms[..*at].contains(form)) {
        Some((_, twice)) => Err(Error::config("form", "each form once", format!("{twice} twice"), "name it once")),
        None => Ok(forms),
    }
}

/// Refuses settings without the form or the setting that they belong to.
fn check_settings(settings: &RankingSettings, forms: &[RankingForm]) -> Result<()> {
    let of_form = |key: &str, form: RankingForm| {
        let help = format!("omit it, or pass --form {form}");
        Err(Error::config(key, format!("the form {form} as well"), "other forms only", help))
    };
    if settings.table_size.is_some() && !forms.contains(&RankingForm::PrefixNgrams) {
        return of_form("table-size", RankingForm::PrefixNgrams);
    }
    let given = [
        ("subword-vocabulary", settings.subword_vocabulary.is_some()),
        ("subwords", settings.subwords.is_some()),
        ("interactions", settings.interactions.is_some()),
    ];
    match given.iter().find(|(_, given)| *given) {
        Some((key, _)) if !forms.contains(&RankingForm::Subwords) => return of_form(key, RankingForm::Subwords),
        _ => {}
    }
    if forms.contains(&RankingForm::Subwords) && settings.subword_vocabulary.is_none() {
        let help = "name a file; a vocabulary is trained if it does not exist, and read the next time";
        return Err(Error::config("subword-vocabulary", "a file, for the form subwords", "none", help));
    }
    let of_interactions = [
        ("interactions-user", settings.interactions_user.is_some()),
        ("interactions-item", settings.interactions_item.is_some()),
        ("interactions-time", settings.interactions_time.is_some()),
        ("max-unknown-events", settings.max_unknown_events.is_some()),
        ("csv-quote", settings.csv_quote.is_some()),
        ("csv-escape", settings.csv_escape.is_some()),
    ];
    match of_interactions.iter().find(|(_, given)| *given) {
        Some((key, _)) if settings.interactions.is_none() => Err(needs(key, "interactions", NAME_BOTH)),
        _ => Ok(()),
    }
}

/// The subword vocabulary with the SHA-256 of its file, and whether it was trained now.
fn vocabulary(
    path: &Path,
    settings: &RankingSettings,
    table: &TokenTable,
    sizes: &[usize],
    progress: &dyn Progress,
) -> Result<(SubwordVocabulary, String, bool)> {
    let model_hash = &table.metadata.model_hash;
    if path.exists() {
        let (vocabulary, hash) = SubwordVocabulary::read(path)?;
        vocabulary.check_sizes(sizes)?;
        if let Some(pieces) = settings.subwords.filter(|&pieces| pieces != vocabulary.requested()) {
            let expected = format!("{}, as {} was trained with", vocabulary.requested(), path.display());
            let help = "omit it, or name a new file in --subword-vocabulary to train another vocabulary";
            return Err(Error::config("subwords", expected, pieces, help));
        }
        if vocabulary.model_hash() != model_hash {
            progress.warn(&format!(
                "{}: trained on IDs of another model; its pieces are the same sequences of codes, but codes may now \
                 stand for other items; train a new vocabulary together with a new ranking model",
                path.display()
            ));
        }
        return Ok((vocabulary, hash, false));
    }
    let Some(pieces) = settings.subwords else {
        let expected = format!("a number of pieces, because {} does not exist", path.display());
        let help = format!("pass more than {}, the number of codes of all levels", sizes.iter().sum::<usize>());
        return Err(Error::config("subwords", expected, "none", help));
    };
    let _lock = OutputLock::claim(path, Overwrite::Refuse)?;
    let weights = weights(settings, table, progress)?;
    let vocabulary = train_subwords(table.quantized(), &weights, sizes, model_hash, pieces, progress)?;
    if vocabulary.pieces() < pieces {
        progress.warn(&format!(
            "the subword vocabulary has {} pieces, and not {pieces}: no further pair of pieces occurs twice",
            vocabulary.pieces()
        ));
    }
    let hash = vocabulary.write(path, Overwrite::Refuse)?;
    Ok((vocabulary, hash, true))
}

/// The weight of each item: 1 and its number of events.
fn weights(settings: &RankingSettings, table: &TokenTable, progress: &dyn Progress) -> Result<Vec<u64>> {
    let mut weights = vec![1; table.item_ids.len()];
    let Some(wanted) = settings.weights() else { return Ok(weights) };
    let read = Interactions::read(&wanted, progress)?;
    let most = settings.max_unknown_events.unwrap_or(MAX_UNKNOWN_EVENTS);
    refuse_unknown(&read, &table.item_ids, "the token table", most)?;
    let row_of = table.item_ids.rows_by_text();
    let rows: Vec<Option<usize>> = read.items.iter().map(|item| row_of.get(item).copied()).collect();
    for event in read.histories.iter().flatten() {
        if let Some(row) = rows[event.item as usize] {
            weights[row] += 1;
        }
    }
    Ok(weights)
}
