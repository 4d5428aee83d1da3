//! Progress on stderr: a bar, JSON lines, or nothing.

use std::io::{IsTerminal, Write, stderr};
use std::sync::Mutex;
use std::time::Duration;

use catalex::ErrorKind;
use catalex::printable::printable;
use catalex::progress::{Progress, ProgressEvents};
use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressStyle};

/// How progress is reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum ProgressMode {
    /// A bar with rate and time left.
    Bar,
    /// One JSON object per line.
    Json,
    /// Nothing.
    None,
}

/// The listener for a mode; without one, a bar on a terminal and warnings only elsewhere.
pub(super) fn listener(mode: Option<ProgressMode>) -> Box<dyn Progress> {
    match mode {
        Some(ProgressMode::Bar) => Box::new(Bars::default()),
        Some(ProgressMode::Json) => Box::new(ProgressEvents::new(|event| {
            let _ = writeln!(stderr(), "{}", printable(&event.to_string()));
        })),
        Some(ProgressMode::None) => Box::new(WarningsOnly { costs: false }),
        None if stderr().is_terminal() => Box::new(Bars::default()),
        None => Box::new(WarningsOnly { costs: true }),
    }
}

/// Reports why the command failed; in JSON with the error category.
pub(super) fn report_error(mode: Option<ProgressMode>, message: &str, kind: Option<ErrorKind>) {
    let line = if mode == Some(ProgressMode::Json) {
        let kind = match kind {
            Some(ErrorKind::Input) => "input",
            Some(ErrorKind::Config) => "config",
            Some(ErrorKind::Artifact) => "artifact",
            Some(ErrorKind::Environment) | None => "environment",
        };
        serde_json::json!({ "event": "error", "kind": kind, "message": message }).to_string()
    } else {
        format!("error: {message}")
    };
    let _ = writeln!(stderr(), "{}", printable(&line));
}

/// Nothing but warnings, and perhaps what the work took.
struct WarningsOnly {
    costs: bool,
}

/// A line such as "train            41.3 s   0.62 GB".
fn print_cost(part: &str, seconds: f64, peak_bytes: Option<u64>) {
    let memory = peak_bytes.map(|bytes| format!("  {:>6.2} GB", bytes as f64 / 1e9)).unwrap_or_default();
    let _ = writeln!(stderr(), "{part:<12} {seconds:>8.1} s{memory}");
}

impl Progress for WarningsOnly {
    fn begin(&self, _stage: &str, _total: Option<u64>, _unit: &str) {}
    fn advance(&self, _n: u64) {}
    fn figure(&self, _name: &str, _value: f64) {}
    fn end(&self) {}
    fn warn(&self, message: &str) {
        let _ = writeln!(stderr(), "warning: {}", printable(message));
    }
    fn cost(&self, part: &str, seconds: f64, peak_bytes: Option<u64>) {
        if self.costs {
            print_cost(part, seconds, peak_bytes);
        }
    }
}

/// A bar a stage.
#[derive(Default)]
struct Bars {
    bar: Mutex<Option<ProgressBar>>,
    figures: Mutex<Vec<(String, f64)>>,
}

impl Bars {
    fn with(&self, act: impl FnOnce(&ProgressBar)) {
        if let Ok(bar) = self.bar.lock()
            && let Some(bar) = &*bar
        {
            act(bar);
        }
    }
}

impl Progress for Bars {
    fn begin(&self, stage: &str, total: Option<u64>, unit: &str) {
        self.end();
        let template = match total {
            Some(_) => "{prefix:>12} [{bar:32}] {human_pos}/{human_len} UNIT, {per_sec}, {eta} left {msg}",
            None => "{prefix:>12} {spinner} {human_pos} UNIT, {per_sec} {msg}",
        };
        let bar = total.map_or_else(ProgressBar::new_spinner, ProgressBar::new);
        if let Ok(style) = ProgressStyle::with_template(&template.replace("UNIT", unit)) {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_prefix(stage.to_owned());
        bar.enable_steady_tick(Duration::from_millis(200));
        if let (Ok(mut current), Ok(mut figures)) = (self.bar.lock(), self.figures.lock()) {
            *current = Some(bar);
            figures.clear();
        }
    }

    fn advance(&self, n: u64) {
        self.with(|bar| bar.inc(n));
    }

    fn figure(&self, name: &str, value: f64) {
        let Ok(mut figures) = self.figures.lock() else { return };
        match figures.iter_mut().find(|(known, _)| known == name) {
            Some((_, old)) => *old = value,
            None => figures.push((name.to_owned(), value)),
        }
        let message = figures.iter().map(|(name, value)| format!("{name} {value:.4}")).collect::<Vec<_>>().join(", ");
        self.with(|bar| bar.set_message(message));
    }

    fn end(&self) {
        if let Some(bar) = self.bar.lock().ok().and_then(|mut bar| bar.take()) {
            bar.abandon();
        }
    }

    fn warn(&self, message: &str) {
        self.with(|bar| bar.suspend(|| ()));
        let _ = writeln!(stderr(), "warning: {}", printable(message));
    }

    fn cost(&self, part: &str, seconds: f64, peak_bytes: Option<u64>) {
        print_cost(part, seconds, peak_bytes);
    }
}
