//! From generated identifier fragments to rankings of items (TransRec).

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::json_lines;
use super::spec::Output;
use crate::answers::{Aggregation, IdentifierFragment};
use crate::artifact::{AtomicFile, OutputLock};
use crate::constraint::FmIndex;
use crate::error::{Error, Result};
use crate::progress::Progress;
use crate::settings::{MAX_COUNT, Range, SettingGroup, settings};
use crate::vocabulary::FacetTokenizer;

/// The files of an export for transrec.
const FM_INDEX: &str = "items.fm";
const DOCUMENTS: &str = "documents.jsonl";
/// The facets of such an export.
const FACETS: [&str; 4] = ["number", "attributes", "semantic-id", "title"];
/// Default number of items per answer.
const TOP: usize = 20;

settings! {
    /// How fragments are scored and items ranked.
    pub struct AggregateSettings {
        /// Language model's tokenizer, for fragments that are texts.
        tokenizer: PathBuf, "HF_DIR";
        /// Exponent on a fragment's score: larger values favour the best fragments.
        gamma: f64, "X", default "1";
        /// Bonus of an item for a fragment of a facet, such as title=1,number=0.5; 0 for other facets.
        facet_bias: Vec<String>, "FACET=X,...";
        /// Number of items per answer.
        top: usize, "N", default "20", range Range::Between(1.0, MAX_COUNT);
    }
}

/// Rank items from generated identifier fragments: [`aggregate`].
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct AggregateSpec {
    /// The fragments, as JSON Lines: an `id`, and `pieces` with a `facet`, `tokens` (ids) or a `text`, and a `score`
    /// (logarithm of the probability).
    pub pieces: PathBuf,
    /// Folder that an export for transrec with a tokenizer wrote.
    pub export: PathBuf,
    /// Scores and ranking.
    pub settings: AggregateSettings,
    /// The rankings to write, as JSON Lines.
    pub output: Output,
}

#[derive(Deserialize)]
struct FacetDocument {
    item_id: serde_json::Value,
}

#[derive(Deserialize)]
struct GeneratedAnswer {
    id: serde_json::Value,
    pieces: Vec<GeneratedFragment>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GeneratedFragment {
    facet: String,
    tokens: Option<Vec<u32>>,
    text: Option<String>,
    score: f64,
}

/// A line of the output.
#[derive(Serialize)]
struct AggregatedLine<'a> {
    id: &'a serde_json::Value,
    items: Vec<&'a serde_json::Value>,
    scores: Vec<f64>,
}

/// Ranks the items of each answer by the identifier fragments that a language model generated for it.
///
/// # Errors
/// As [`FmIndex::load`] and [`Aggregation::rank`]; [`Error::Row`] names the line of a fragment that cannot be used.
pub fn aggregate(spec: &AggregateSpec, progress: &dyn Progress) -> Result<()> {
    let settings = &spec.settings;
    settings.check()?;
    let (out, overwrite) = (&spec.output.out, spec.output.overwrite());
    let _lock = OutputLock::claim(out, overwrite)?;
    let facet_bias = facet_bias(settings.facet_bias.as_deref().unwrap_or_default())?;
    let aggregation = Aggregation { gamma: settings.gamma.unwrap_or(1.0), facet_bias };
    let index = FmIndex::load(&spec.export.join(FM_INDEX))?;
    let path = spec.export.join(DOCUMENTS);
    let documents: Vec<FacetDocument> = json_lines::all(&path, "documents of an export for transrec")?;
    if documents.len() != index.len() {
        let (expected, got) = (format!("{} documents", index.len()), documents.len());
        return Err(Error::file(&path, expected, got, "take both files from one export"));
    }
    let tokenizer = settings.tokenizer.as_deref().map(FacetTokenizer::load).transpose()?;
    let mut answers: Vec<(GeneratedAnswer, usize)> = Vec::new();
    json_lines::each(&spec.pieces, "answers with id and pieces, see `catalex help aggregate`", |answer, line| {
        answers.push((answer, line));
        Ok(())
    })?;
    progress.begin("aggregate", Some(answers.len() as u64), "answers");
    let mut file = AtomicFile::create(out, overwrite)?;
    for (answer, line) in &answers {
        let fragments = answer.pieces.iter().map(|piece| piece.fragment(tokenizer.as_ref(), spec, *line));
        let fragments = fragments.collect::<Result<Vec<_>>>()?;
        let mut ranked = aggregation.rank(&index, &fragments).map_err(|error| in_line(error, spec, *line))?;
        ranked.truncate(settings.top.unwrap_or(TOP));
        let (items, scores) = ranked.into_iter().map(|(row, score)| (&documents[row].item_id, score)).unzip();
        json_lines::write(&mut file, out, &AggregatedLine { id: &answer.id, items, scores })?;
        progress.advance(1);
    }
    progress.end();
    file.commit()
}

/// The bonus of each facet.
fn facet_bias(given: &[String]) -> Result<Vec<f64>> {
    let mut facet_bias = vec![0.0; FACETS.len()];
    for given in given {
        let parts = given.split_once('=').and_then(|(name, x)| Some((facet(name)?, x.parse::<f64>().ok()?)));
        let Some((facet, bias)) = parts.filter(|(_, bias)| bias.is_finite()) else {
            let help = format!("name some of {}", FACETS.join(", "));
            return Err(Error::config("facet-bias", "FACET=NUMBER", given, help));
        };
        facet_bias[facet] = bias;
    }
    Ok(facet_bias)
}

/// Adds the line of an invalid fragment to the error.
fn in_line(error: Error, spec: &AggregateSpec, line: usize) -> Error {
    match error {
        Error::Mismatch { what, expected, got, help } => {
            Error::Mismatch { what: format!("{}, line {line}, {what}", spec.pieces.display()), expected, got, help }
        }
        error => error,
    }
}

fn facet(name: &str) -> Option<usize> {
    FACETS.iter().position(|facet| *facet == name.trim())
}

impl GeneratedFragment {
    fn fragment(
        &self,
        tokenizer: Option<&FacetTokenizer>,
        spec: &AggregateSpec,
        line: usize,
    ) -> Result<IdentifierFragment> {
        let wrong = |column: &str, expected: String, got: &str, help: &str| Error::Row {
            path: spec.pieces.clone(),
            row: line as u64,
            column: column.into(),
            expected,
            got: got.into(),
            help: help.into(),
        };
        let facet = facet(&self.facet)
            .ok_or_else(|| wrong("facet", FACETS.join(", "), &self.facet, "name the facet that was asked for"))?;
        let tokens = match (&self.tokens, &self.text, tokenizer) {
            (Some(tokens), None, _) => tokens.clone(),
            (None, Some(text), Some(tokenizer)) => tokenizer.tokenize(&[text])?.concat(),
            (None, Some(_), None) => {
                return Err(wrong("text", "a tokenizer".into(), "none", "pass the language model's with --tokenizer"));
            }
            _ => return Err(wrong("pieces", "tokens or a text".into(), "both or neither", "give one of them")),
        };
        Ok(IdentifierFragment { facet, tokens, log_probability: self.score })
    }
}
