//! Feeds damaged inputs to every parser of catalex.
//!
//! A worker process runs the inputs of one target after the other: mutations of seeds, and of earlier inputs that
//! reached new code. An input that panics, takes more than 10 seconds or allocates more than 1 GB is a finding. It is
//! stored in a file, which `--replay` runs again.
//!
//! | file | content |
//! |---|---|
//! | `supervisor.rs` | starts workers, watches their time and memory, and prints the table |
//! | `worker.rs` | the loop over inputs |
//! | `targets/` | one function for each parser |
//! | `home.rs`, `seeds.rs` | valid files, written by the library itself |
//! | `mutate.rs`, `json.rs` | mutations of inputs |
//! | `reseal.rs` | new hashes for mutated artifacts |
//! | `coverage.rs`, `memory.rs`, `status.rs` | coverage, memory and time of a run |

mod coverage;
mod home;
mod json;
mod memory;
mod mutate;
mod random;
mod reseal;
mod seeds;
mod status;
mod supervisor;
mod targets;
mod worker;

use std::path::PathBuf;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: memory::Counting = memory::Counting;

const USAGE: &str = "\
Usage: catalex-fuzz [TARGET...] [--seconds N] [--seed S] [--state DIR]   fuzz targets (default: all), N seconds in total
       catalex-fuzz --replay TARGET FILE...                              run inputs again
       catalex-fuzz --seeds [TARGET...]                                  run the seeds and print their errors
       catalex-fuzz --list                                               list the targets";

/// The options of the command line.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) targets: Vec<String>,
    pub(crate) seconds: f64,
    pub(crate) seed: u64,
    /// The folder of the corpus and the findings.
    pub(crate) state: PathBuf,
    /// In workers: the folder shared with the supervisor.
    pub(crate) worker: Option<PathBuf>,
    /// Whether only the seeds are run, and errors are printed.
    pub(crate) seeds: bool,
    /// Inputs to run once.
    pub(crate) replay: Vec<PathBuf>,
}

fn main() -> ExitCode {
    let options = match options() {
        Ok(Some(options)) => options,
        Ok(None) => return ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("catalex-fuzz: {message}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let outcome = match &options.worker {
        Some(shared) => worker::run(&options, shared).map(|()| true),
        None => supervisor::run(&options),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("catalex-fuzz: {error}");
            ExitCode::FAILURE
        }
    }
}

fn options() -> Result<Option<Options>, String> {
    let mut options = Options {
        targets: Vec::new(),
        seconds: 60.0,
        seed: 1,
        state: PathBuf::from("target/fuzz"),
        worker: None,
        seeds: false,
        replay: Vec::new(),
    };
    let mut arguments = std::env::args().skip(1);
    let mut replays = false;
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
        match argument.as_str() {
            "--seconds" => options.seconds = value()?.parse().map_err(|e| format!("--seconds: {e}"))?,
            "--seed" => options.seed = value()?.parse().map_err(|e| format!("--seed: {e}"))?,
            "--state" => options.state = value()?.into(),
            "--worker" => options.worker = Some(value()?.into()),
            "--replay" => replays = true,
            "--seeds" => options.seeds = true,
            "--list" => {
                targets::all().for_each(|target| println!("{}", target.name));
                return Ok(None);
            }
            "--help" => {
                println!("{USAGE}");
                return Ok(None);
            }
            flag if flag.starts_with("--") => return Err(format!("unknown flag {flag}")),
            _ if replays && !options.targets.is_empty() => options.replay.push(argument.into()),
            _ => options.targets.push(argument),
        }
    }
    if let Some(unknown) = options.targets.iter().find(|name| targets::of_name(name).is_none()) {
        return Err(format!("no target is called {unknown}: see --list"));
    }
    if replays && options.replay.is_empty() {
        return Err("--replay needs a target and files".into());
    }
    Ok(Some(options))
}
