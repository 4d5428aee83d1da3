//! The loop over inputs, in a separate process.

use std::fs;
use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Instant;

use crate::Options;
use crate::coverage::Coverage;
use crate::home::Home;
use crate::memory;
use crate::mutate;
use crate::random::Random;
use crate::status::{self, Status};
use crate::targets::{self, Target};

/// File with the current input. The supervisor stores it if the worker dies.
pub(crate) const CURRENT: &str = "current";
/// File with the counters of the run.
pub(crate) const STATUS: &str = "status";

static MESSAGE: Mutex<String> = Mutex::new(String::new());
static IN_INPUT: AtomicBool = AtomicBool::new(false);
/// Whether the code of the library itself panicked, even if the panic was caught. Caught panics of dependencies are not
/// findings.
static OWN_PANIC: AtomicBool = AtomicBool::new(false);
/// Prefix of source paths of the library. Those of dependencies are absolute.
const OWN: &str = "src/";

struct Run<'a> {
    target: &'static Target,
    home: &'a Home,
    /// Emptied before each input.
    scratch: PathBuf,
    current: PathBuf,
    findings: PathBuf,
    status: &'static Status,
    coverage: Coverage,
}

/// Runs the inputs of one target until the time is over.
pub(crate) fn run(options: &Options, shared: &Path) -> io::Result<()> {
    let target = options.targets.first().and_then(|name| targets::of_name(name));
    let target = target.ok_or_else(|| io::Error::other("a worker needs a target"))?;
    panic::set_hook(Box::new(|info| {
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        let message = info.payload_as_str().unwrap_or("no message");
        if !IN_INPUT.load(Relaxed) {
            eprintln!("{place}: {message}");
        }
        let own = place.starts_with(OWN);
        if let Ok(mut last) = MESSAGE.lock()
            && (own || !OWN_PANIC.load(Relaxed))
        {
            *last = format!("{place}: {message}");
        }
        OWN_PANIC.fetch_or(own, Relaxed);
    }));
    let home = Home::create(&shared.join("home"))?;
    let mut run = Run {
        target,
        home: &home,
        scratch: shared.join("scratch"),
        current: shared.join(CURRENT),
        findings: options.state.join("findings"),
        status: status::of_worker(&shared.join(STATUS))?,
        coverage: Coverage::new(),
    };
    if options.seeds {
        targets::PRINT_ERRORS.store(true, Relaxed);
        for (at, input) in (target.seeds)(run.home).iter().enumerate() {
            println!("{} seed {at}, {} bytes", target.name, input.len());
            run.input(input)?;
        }
        return Ok(());
    }
    for path in &options.replay {
        run.input(&fs::read(path)?)?;
    }
    if options.replay.is_empty() { run.attack(options) } else { Ok(()) }
}

impl Run<'_> {
    fn attack(&mut self, options: &Options) -> io::Result<()> {
        let until = Instant::now() + std::time::Duration::from_secs_f64(options.seconds);
        let mut random = Random::new(options.seed);
        let kept = options.state.join("corpus").join(self.target.name);
        fs::create_dir_all(&kept)?;
        let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(self.target.name);
        let mut corpus = (self.target.seeds)(self.home);
        for folder in [&committed, &kept] {
            corpus.extend(files(folder)?.iter().map(fs::read).collect::<io::Result<Vec<_>>>()?);
        }
        corpus.retain(|input| input.len() <= mutate::LONGEST);
        if corpus.is_empty() {
            corpus.push(Vec::new());
        }
        for input in &corpus {
            self.input(input)?;
            self.coverage.is_new();
        }
        while Instant::now() < until {
            // Newer inputs are more likely to reach new code.
            let mut place = || {
                let last = if random.once_in(2) { corpus.len().min(32) } else { corpus.len() };
                corpus.len() - 1 - random.below(last)
            };
            let (one, other) = (place(), place());
            let input = mutate::mutated(self.target.form, &corpus[one], &corpus[other], &mut random);
            self.input(&input)?;
            if self.coverage.is_there() && self.coverage.is_new() {
                self.status.corpus.fetch_add(1, Relaxed);
                fs::write(kept.join(&catalex::artifact::sha256(&input)[..16]), &input)?;
                corpus.push(input);
            }
        }
        Ok(())
    }

    /// Runs one input and records its time and memory.
    fn input(&mut self, input: &[u8]) -> io::Result<()> {
        if fs::read_dir(&self.scratch).map_or(true, |mut entries| entries.next().is_some()) {
            let _ = fs::remove_dir_all(&self.scratch);
            fs::create_dir_all(&self.scratch)?;
        }
        fs::write(&self.current, input)?;
        self.status.started.fetch_add(1, Relaxed);
        self.coverage.reset();
        let began = Instant::now();
        let (target, home, scratch) = (self.target, self.home, &self.scratch);
        let mut outcome = Ok(());
        OWN_PANIC.store(false, Relaxed);
        IN_INPUT.store(true, Relaxed);
        let bytes = memory::measured(|| {
            outcome = panic::catch_unwind(AssertUnwindSafe(|| (target.run)(home, scratch, input)));
        });
        IN_INPUT.store(false, Relaxed);
        self.status.slowest.fetch_max(began.elapsed().as_micros() as u64, Relaxed);
        self.status.most_bytes.fetch_max(bytes as u64, Relaxed);
        self.status.ended.fetch_add(1, Relaxed);
        if outcome.is_err() || OWN_PANIC.load(Relaxed) { self.panicked(input) } else { Ok(()) }
    }

    /// Stores the first input for each source location that panics.
    fn panicked(&self, input: &[u8]) -> io::Result<()> {
        let message = MESSAGE.lock().map(|last| last.clone()).unwrap_or_default();
        let place = message.split(": ").next().unwrap_or_default();
        let name = format!("{}-panic-{}", self.target.name, &catalex::artifact::sha256(place.as_bytes())[..8]);
        let path = self.findings.join(&name);
        if !path.exists() {
            fs::create_dir_all(&self.findings)?;
            fs::write(&path, input)?;
            fs::write(self.findings.join(name + ".txt"), format!("panicked at {message}\n"))?;
            self.status.panics.fetch_add(1, Relaxed);
            eprintln!("{}: panicked at {message}: {}", self.target.name, path.display());
        }
        Ok(())
    }
}

/// The files of a folder by name; none if there is no such folder.
fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    if folder.is_dir() {
        for entry in fs::read_dir(folder)? {
            found.push(entry?.path());
        }
    }
    found.sort();
    Ok(found)
}
