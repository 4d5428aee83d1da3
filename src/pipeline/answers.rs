//! From a language model's answers to ranking prompts to rankings of items.

use std::collections::HashMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::json_lines;
use super::spec::Output;
use crate::answers::{AnswerStatistics, parse_answer};
use crate::artifact::{AtomicFile, OutputLock};
use crate::candidate::Candidate;
use crate::error::{Error, Result};

/// Parse answers to prompts of `export --for ranking`: [`answers`].
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct AnswersSpec {
    /// Prompts that an export for ranking wrote: pointwise, pairwise or listwise.
    pub prompts: PathBuf,
    /// The answers of the language model: JSON Lines with the `id` of a prompt and its `answer`.
    pub answers: PathBuf,
    /// The rankings to write, as JSON Lines.
    pub output: Output,
}

/// Statistics of the answers.
#[derive(Debug, Serialize)]
pub struct AnswersSummary {
    /// Counts over all answers.
    #[serde(flatten)]
    pub statistics: AnswerStatistics,
    /// Mean NDCG of the answers whose prompt has a target.
    pub ndcg: f64,
}

/// The part of a prompt that is read.
#[derive(Deserialize)]
struct AnsweredPrompt {
    id: String,
    candidates: Vec<Candidate>,
    target: Option<usize>,
}

#[derive(Deserialize)]
struct ModelAnswer {
    id: String,
    answer: String,
}

/// A line of the output.
#[derive(Serialize)]
struct RankingLine<'a> {
    id: &'a str,
    /// Ids of the items that the answer names, the best first.
    ranking: Vec<&'a str>,
    /// Those that it does not name, in the order of the prompt.
    missing: Vec<&'a str>,
}

/// Parses the answers of a language model to ranking prompts and writes the rankings.
///
/// # Errors
/// [`Error::File`] for lines that are not as expected, and for an answer to an unknown prompt; for an output that
/// exists.
pub fn answers(spec: &AnswersSpec) -> Result<AnswersSummary> {
    let (out, overwrite) = (&spec.output.out, spec.output.overwrite());
    let _lock = OutputLock::claim(out, overwrite)?;
    let mut prompts: HashMap<String, AnsweredPrompt> = HashMap::new();
    json_lines::each(&spec.prompts, "prompts of `catalex export --for ranking`", |prompt: AnsweredPrompt, _| {
        prompts.insert(prompt.id.clone(), prompt);
        Ok(())
    })?;
    let mut file = AtomicFile::create(out, overwrite)?;
    let mut statistics = AnswerStatistics::default();
    json_lines::each(&spec.answers, "answers with id and answer", |answer: ModelAnswer, line| {
        let prompt = prompts.get(&answer.id).ok_or_else(|| {
            let got = format!("{:?} in line {line}", answer.id);
            Error::file(&spec.answers, "ids of the prompts", got, "name the prompts that were answered")
        })?;
        let parsed = parse_answer(&answer.answer, &prompt.candidates);
        statistics.add(&parsed, prompt.candidates.len(), prompt.target.and_then(|number| number.checked_sub(1)));
        let id = |place: usize| prompt.candidates[place].item_id.as_str();
        let missing = (0..prompt.candidates.len()).filter(|place| !parsed.ranking.contains(place));
        let ranked = RankingLine {
            id: &answer.id,
            ranking: parsed.ranking.iter().map(|&place| id(place)).collect(),
            missing: missing.map(id).collect(),
        };
        json_lines::write(&mut file, out, &ranked)
    })?;
    file.commit()?;
    Ok(AnswersSummary { ndcg: statistics.ndcg(), statistics })
}
