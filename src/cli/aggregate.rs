//! `catalex aggregate`.

use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};

use anyhow::Result;
use catalex::answers::{Aggregation, IdentifierFragment};
use catalex::artifact::{AtomicFile, refuse_existing};
use catalex::constraint::FmIndex;
use catalex::error::Error;
use catalex::progress::Progress;
use catalex::vocabulary::FacetTokenizer;
use clap::Args;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::options::Output;

/// What `catalex export --for transrec` calls its files.
const INDEX: &str = "items.fm";
const DOCUMENTS: &str = "documents.jsonl";
/// Its facets.
const FACETS: [&str; 4] = ["number", "attributes", "semantic-id", "title"];

#[derive(Debug, Args)]
pub(super) struct AggregateArgs {
    /// What was generated, JSON Lines: an "id", and "pieces" with a "facet", "tokens" (ids) or a "text", and a "score" (logarithm
    /// of the probability).
    #[arg(value_name = "PIECES")]
    pieces: PathBuf,
    /// Folder that `catalex export --for transrec --tokenizer` wrote.
    #[arg(long, value_name = "DIR")]
    export: PathBuf,
    #[command(flatten)]
    output: Output,
    /// The language model's tokenizer, for pieces that are texts.
    #[arg(long, value_name = "HF_DIR")]
    tokenizer: Option<PathBuf>,
    /// How much the best pieces are stressed.
    #[arg(long, value_name = "X", default_value_t = 1.0)]
    gamma: f64,
    /// What an item gets for having a piece of a facet: title=1,number=0.5; nothing for the others.
    #[arg(long, value_name = "FACET=X,...", value_delimiter = ',')]
    facet_bias: Vec<String>,
    /// Items an answer.
    #[arg(long, value_name = "N", default_value_t = 20)]
    top: usize,
}

#[derive(Deserialize)]
struct Document {
    item_id: serde_json::Value,
}

#[derive(Deserialize)]
struct Generated {
    id: serde_json::Value,
    pieces: Vec<Said>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Said {
    facet: String,
    tokens: Option<Vec<u32>>,
    text: Option<String>,
    score: f64,
}

/// A line of the output.
#[derive(Serialize)]
struct Line<'a> {
    id: &'a serde_json::Value,
    items: Vec<&'a serde_json::Value>,
    scores: Vec<f64>,
}

pub(super) fn run(args: AggregateArgs, progress: &dyn Progress) -> Result<()> {
    refuse_existing(&args.output.out, args.output.overwrite())?;
    let mut facet_bias = vec![0.0; FACETS.len()];
    for given in &args.facet_bias {
        let parts = given.split_once('=').and_then(|(name, x)| Some((facet(name)?, x.parse::<f64>().ok()?)));
        let Some((facet, bias)) = parts.filter(|(_, bias)| bias.is_finite()) else {
            let help = format!("name some of {}", FACETS.join(", "));
            return Err(Error::config("facet-bias", "FACET=NUMBER", given, help).into());
        };
        facet_bias[facet] = bias;
    }
    let aggregation = Aggregation { gamma: args.gamma, facet_bias };
    let index = FmIndex::load(&args.export.join(INDEX))?;
    let documents: Vec<Document> = lines(&args.export.join(DOCUMENTS))?;
    if documents.len() != index.len() {
        let (expected, got) = (format!("{} documents", index.len()), documents.len());
        let help = "take both files from one export";
        return Err(Error::file(&args.export.join(DOCUMENTS), expected, got, help).into());
    }
    let tokenizer = args.tokenizer.as_deref().map(FacetTokenizer::load).transpose()?;
    let generated: Vec<Generated> = lines(&args.pieces)?;
    progress.begin("aggregate", Some(generated.len() as u64), "answers");
    let mut file = AtomicFile::create(&args.output.out, args.output.overwrite())?;
    for (at, generated) in generated.iter().enumerate() {
        let pieces: Vec<IdentifierFragment> = generated
            .pieces
            .iter()
            .map(|said| said.piece(tokenizer.as_ref()).map_err(|problem| problem.at(&args.pieces, at)))
            .collect::<Result<_>>()?;
        let mut ranked =
            aggregation.rank(&index, &pieces).map_err(|e| anyhow::Error::from(e).context(place(&args.pieces, at)))?;
        ranked.truncate(args.top);
        let (items, scores) = ranked.into_iter().map(|(row, score)| (&documents[row].item_id, score)).unzip();
        writeln!(file, "{}", serde_json::to_string(&Line { id: &generated.id, items, scores })?)?;
        progress.advance(1);
    }
    file.commit()?;
    Ok(())
}

/// What is wrong with a piece.
enum Problem {
    Facet(String),
    Form,
    Text,
    Library(catalex::Error),
}

impl Problem {
    fn at(self, path: &Path, line: usize) -> anyhow::Error {
        let (column, expected, got, help) = match self {
            Problem::Facet(got) => ("facet", FACETS.join(", "), got, "name the facet that was asked for"),
            Problem::Form => ("pieces", "tokens or a text".into(), "both or neither".into(), "give one of them"),
            Problem::Text => {
                ("text", "a tokenizer".into(), "none".into(), "name the language model's with --tokenizer")
            }
            Problem::Library(error) => return anyhow::Error::from(error).context(place(path, line)),
        };
        let row = line as u64 + 1;
        Error::Row { path: path.into(), row, column: column.into(), expected, got, help: help.into() }.into()
    }
}

impl Said {
    fn piece(&self, tokenizer: Option<&FacetTokenizer>) -> std::result::Result<IdentifierFragment, Problem> {
        let facet = facet(&self.facet).ok_or_else(|| Problem::Facet(self.facet.clone()))?;
        let tokens = match (&self.tokens, &self.text) {
            (Some(tokens), None) => tokens.clone(),
            (None, Some(text)) => {
                let tokenizer = tokenizer.ok_or(Problem::Text)?;
                tokenizer.tokenize(&[text]).map_err(Problem::Library)?.concat()
            }
            _ => return Err(Problem::Form),
        };
        Ok(IdentifierFragment { facet, tokens, log_probability: self.score })
    }
}

fn facet(name: &str) -> Option<usize> {
    FACETS.iter().position(|facet| *facet == name.trim())
}

fn place(path: &Path, line: usize) -> String {
    format!("{}, line {}", path.display(), line + 1)
}

/// The objects of a file, one a line.
fn lines<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>> {
    let file = std::fs::File::open(path).map_err(|e| Error::io("read", path, e))?;
    let mut found = Vec::new();
    for (at, line) in std::io::BufReader::new(file).lines().enumerate() {
        let line = line.map_err(|e| Error::io("read", path, e))?;
        found.push(serde_json::from_str(&line).map_err(|e| {
            let help = "write one object a line";
            Error::file(
                path,
                "JSON Lines as `catalex aggregate --help` has them",
                format!("line {}: {e}", at + 1),
                help,
            )
        })?);
    }
    Ok(found)
}
