//! Progress on stderr: a bar, JSON lines, or nothing.

use std::io::{IsTerminal, Write, stderr};
use std::sync::Mutex;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use catalex::ErrorKind;
use catalex::printable::printable;
use catalex::progress::{Progress, ProgressEvents};
use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressStyle};

/// How progress is reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum ProgressMode {
    /// A progress bar with rate and remaining time.
    Bar,
    /// One JSON object per line.
    Json,
    /// No progress output.
    None,
}

/// The listener for a mode. Default: a bar on a terminal, otherwise one line per stage.
pub(super) fn listener(mode: Option<ProgressMode>) -> Box<dyn Progress> {
    match mode {
        Some(ProgressMode::Bar) => Box::new(Bars::default()),
        Some(ProgressMode::Json) => Box::new(ProgressEvents::new(|mut event| {
            event["time"] = now().into();
            let _ = writeln!(stderr(), "{}", printable(&event.to_string()));
        })),
        Some(ProgressMode::None) => Box::new(Lines { stages: false }),
        None if stderr().is_terminal() => Box::new(Bars::default()),
        None => Box::new(Lines { stages: true }),
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
        serde_json::json!({ "event": "error", "kind": kind, "message": message, "time": now() }).to_string()
    } else {
        format!("error: {message}")
    };
    let _ = writeln!(stderr(), "{}", printable(&line));
}

/// Prints warnings and, with `stages`, the stages and the time and memory of each part of the work.
struct Lines {
    stages: bool,
}

/// A line such as "train            41.3 s   0.62 GB".
fn print_cost(part: &str, seconds: f64, peak_bytes: Option<u64>) {
    let memory = peak_bytes.map(|bytes| format!("  {:>6.2} GB", bytes as f64 / 1e9)).unwrap_or_default();
    let _ = writeln!(stderr(), "{part:<12} {seconds:>8.1} s{memory}");
}

impl Progress for Lines {
    fn begin(&self, stage: &str, total: Option<u64>, unit: &str) {
        if self.stages {
            let size = total.map(|total| format!(": {total} {unit}")).unwrap_or_default();
            let _ = writeln!(stderr(), "{}  {stage}{size}", now());
        }
    }
    fn advance(&self, _n: u64) {}
    fn figure(&self, _name: &str, _value: f64) {}
    fn end(&self) {}
    fn warn(&self, message: &str) {
        let _ = writeln!(stderr(), "warning: {}", printable(message));
    }
    fn cost(&self, part: &str, seconds: f64, peak_bytes: Option<u64>) {
        if self.stages {
            print_cost(part, seconds, peak_bytes);
        }
    }
}

/// One progress bar per stage.
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

fn now() -> String {
    utc(SystemTime::now())
}

/// A time in UTC in ISO 8601 format, such as `2026-11-27T12:03:04Z`.
fn utc(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let (days, of_day) = (seconds / 86_400, seconds % 86_400);
    // Days from 1 March of the year 0, in eras of 400 years.
    let day = days + 719_468;
    let (era, of_era) = (day / 146_097, day % 146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let (date, month) = (of_year - (153 * month + 2) / 5 + 1, if month < 10 { month + 3 } else { month - 9 });
    let year = year + era * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{date:02}T{:02}:{:02}:{:02}Z", of_day / 3600, of_day / 60 % 60, of_day % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn utc_handles_leap_years() {
        let at = |seconds| utc(UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(at(0), "1970-01-01T00:00:00Z");
        assert_eq!(at(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(at(1_795_780_984), "2026-11-27T12:03:04Z");
        assert_eq!(at(4_107_542_399), "2100-02-28T23:59:59Z");
        assert_eq!(at(4_107_542_400), "2100-03-01T00:00:00Z");
    }
}
