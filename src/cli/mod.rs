//! Verbs, flags and exit codes: 0 for success, 1 for a failure, 2 for wrong usage.

mod adopt;
mod aggregate;
mod answers;
mod append;
mod build;
mod check;
mod compare;
mod config_file;
mod constrain;
mod delete;
mod diff;
mod drift;
mod embed;
mod environment;
mod export;
mod features;
mod flags;
mod ground;
mod history;
mod history_figures;
mod import_ids;
mod inspect;
mod lookup;
mod models;
mod output;
mod progress;
mod publish;
mod retrain;
mod serve;
mod tokenize;
mod train;
#[cfg(not(feature = "train"))]
mod training_program;
mod verify;
mod vocab;

use std::io::{self, Write};
use std::process::ExitCode;

use catalex::ErrorKind;
use catalex::printable::printable_json;
use clap::{CommandFactory, Parser, Subcommand};

use progress::ProgressMode;

#[derive(Debug, Parser)]
#[command(name = "catalex", version, about, max_term_width = 110, propagate_version = false)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
    /// Progress output on stderr. Default: a bar on a terminal, otherwise one line per stage.
    #[arg(long, global = true, value_enum, value_name = "HOW")]
    progress: Option<ProgressMode>,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Build an index of a catalog: encode, train, tokenize and write the vocabulary.
    Build(Box<build::BuildArgs>),
    /// Add new items of a catalog to an index and update changed items. By default, no existing ID changes.
    Append(Box<append::AppendArgs>),
    /// Delete items from an index. By default, their IDs are never reused.
    Delete(delete::DeleteArgs),
    /// Retrain the codebooks of an index, optionally with a new catalog. --keep limits how many codes change.
    Retrain(Box<retrain::RetrainArgs>),
    /// Compare new items with the training items of an index, and recommend append, reassign or retrain.
    Drift(Box<drift::DriftArgs>),
    /// Find likely mistakes in a catalog before encoding it.
    Check(check::CheckArgs),
    /// Encode the texts and images of a catalog.
    Embed(Box<embed::EmbedArgs>),
    /// Train the RQ-VAE on features.
    Train(Box<train::TrainArgs>),
    /// Give every item of the features a unique semantic ID.
    Tokenize(tokenize::TokenizeArgs),
    /// Write the files that add the tokens to a language model.
    Vocab(Box<vocab::VocabArgs>),
    /// Write the valid IDs for constrained decoding, so that a language model can only generate IDs of real items.
    Constrain(Box<constrain::ConstrainArgs>),
    /// Write semantic IDs as features of ranking models: integer columns with fixed cardinalities.
    Features(Box<features::FeaturesArgs>),
    /// Write items and histories in the form that a family of LLM recommenders reads.
    Export(Box<export::ExportArgs>),
    /// Parse answers to prompts of `export --for ranking`.
    Answers(answers::AnswersArgs),
    /// Match a language model's answers to items by the nearest vectors (BIGRec).
    Ground(Box<ground::GroundArgs>),
    /// Rank items from generated identifier fragments (TransRec).
    Aggregate(Box<aggregate::AggregateArgs>),
    /// Measure a model, a token table or an index.
    Inspect(inspect::InspectArgs),
    /// Find the item of a semantic ID, the ID of an item, or the items under a prefix.
    Lookup(lookup::LookupArgs),
    /// Convert semantic IDs of another system to a token table, and report problems.
    Import(import_ids::ImportArgs),
    /// Build an index from semantic IDs of another system by fitting a model to them. No ID changes.
    Adopt(Box<adopt::AdoptArgs>),
    /// Compare two token tables or indexes: items, IDs, renamed codes and neighbours.
    Diff(diff::DiffArgs),
    /// Compare how well the IDs of two token tables or indexes predict histories, and say which to take.
    Compare(Box<compare::CompareArgs>),
    /// List text and image encoders that are known to work, or fetch one.
    Models(models::ModelsArgs),
    /// Serve an index to agents as a Model Context Protocol server: search, similar items, IDs and prefixes.
    Serve(serve::ServeArgs),
    /// Publish an index to a store as its current generation, in one atomic step.
    Publish(publish::PublishArgs),
    /// Make another generation of a store the current one.
    Rollback(publish::RollbackArgs),
    /// List the generations of a store.
    History(history::HistoryArgs),
    /// Check that an index, a store or a file is complete and undamaged, and that its parts match.
    Verify(verify::VerifyArgs),
}

/// Parses the command line, runs the verb and sets the exit code.
pub(crate) fn main() -> ExitCode {
    let arguments = config_file::with_file(Cli::command(), std::env::args_os().collect());
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(wrong) => return print_usage(&wrong),
    };
    let progress = progress::listener(cli.progress);
    let outcome = match cli.verb {
        Verb::Build(args) => build::run(*args, &*progress),
        Verb::Append(args) => append::run(*args, &*progress),
        Verb::Delete(args) => delete::run(args, &*progress),
        Verb::Retrain(args) => retrain::run(*args, &*progress),
        Verb::Drift(args) => drift::run(*args, &*progress),
        Verb::Check(args) => check::run(args, &*progress),
        Verb::Embed(args) => embed::run(*args, &*progress),
        Verb::Train(args) => train::run(*args, &*progress),
        Verb::Tokenize(args) => tokenize::run(args, &*progress),
        Verb::Vocab(args) => vocab::run(*args, &*progress),
        Verb::Constrain(args) => constrain::run(*args, &*progress),
        Verb::Features(args) => features::run(*args, &*progress),
        Verb::Export(args) => export::run(*args, &*progress),
        Verb::Answers(args) => answers::run(args),
        Verb::Ground(args) => ground::run(*args, &*progress),
        Verb::Aggregate(args) => aggregate::run(*args, &*progress),
        Verb::Inspect(args) => inspect::run(args, &*progress),
        Verb::Lookup(args) => lookup::run(args),
        Verb::Import(args) => import_ids::run(args, &*progress),
        Verb::Adopt(args) => adopt::run(*args, &*progress),
        Verb::Diff(args) => diff::run(args, &*progress),
        Verb::Compare(args) => compare::run(*args, &*progress),
        Verb::Models(args) => models::run(args, &*progress),
        Verb::Serve(args) => serve::run(args, &*progress),
        Verb::Publish(args) => publish::run(args),
        Verb::Rollback(args) => publish::run_rollback(args),
        Verb::History(args) => history::run(args),
        Verb::Verify(args) => verify::run(args, &*progress),
    };
    progress.end();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            let kind = error.downcast_ref::<catalex::Error>().map(catalex::Error::kind);
            progress::report_error(cli.progress, &described(&error), kind);
            ExitCode::from(if kind == Some(ErrorKind::Config) { 2 } else { 1 })
        }
    }
}

/// Prints the help or a usage error. Control characters in arguments that the error quotes are escaped.
fn print_usage(wrong: &clap::Error) -> ExitCode {
    let text = wrong.render().to_string();
    let shown = printable_json(&text);
    if *shown == *text {
        wrong.exit();
    }
    let _ = io::stderr().write_all(shown.as_bytes());
    ExitCode::from(2)
}

/// An error with its causes. Library errors already state their cause, so it is not repeated.
fn described(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).reduce(with_cause).unwrap_or_default()
}

fn with_cause(text: String, cause: String) -> String {
    if text.contains(&cause) { text } else { format!("{text}: {cause}") }
}

/// Whether the reader of stdout closed the pipe, as `head` does.
fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe)
}

/// Writes to stdout; an error there is an error of the command.
fn print(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

/// Prints a value as JSON.
fn print_json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    print(&(printable_json(&serde_json::to_string_pretty(value)?).into_owned() + "\n"))
}

/// The error of a verb that needs a feature this binary was built without.
#[cfg(not(all(feature = "encoders", feature = "serve")))]
fn not_built(what: &str, feature: &str) -> anyhow::Error {
    catalex::Error::Unavailable {
        what: what.into(),
        reason: format!("this catalex was built without the feature \"{feature}\""),
        help: "build it with its default features".into(),
    }
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_printed_once() {
        let cause = || io::Error::other("no such disk");
        let own = anyhow::Error::from(catalex::Error::io("read", "a.csv".as_ref(), cause()));
        assert_eq!(described(&own).matches("no such disk").count(), 1, "{}", described(&own));
        let other = anyhow::Error::from(cause()).context("cannot write");
        assert_eq!(described(&other), "cannot write: no such disk");
    }

    #[test]
    fn every_verb_that_reads_texts_has_the_reading_settings() {
        let command = Cli::command();
        let has = |verb: &clap::Command, name: &str| verb.get_arguments().any(|argument| argument.get_id() == name);
        let reads = |verb: &&clap::Command| ["catalog", "text", "title", "description"].iter().any(|of| has(verb, of));
        let verbs: Vec<&clap::Command> = command.get_subcommands().filter(reads).collect();
        let names: Vec<&str> = verbs.iter().map(|verb| verb.get_name()).collect();
        assert!(names.len() >= 10 && ["build", "embed", "serve"].iter().all(|name| names.contains(name)), "{names:?}");
        for verb in verbs {
            for setting in ["raw_text", "parse_lists"] {
                assert!(has(verb, setting), "{} without {setting}", verb.get_name());
            }
        }
    }
}
