//! Progress of long work. The library never prints; it reports to a [`Progress`] that the caller passes in.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

/// Receives the progress of long work. Stages follow one another and do not nest.
pub trait Progress: Send + Sync {
    /// A stage starts. `total` is its size in `unit`s ("items", "epochs"), if known.
    fn begin(&self, stage: &str, total: Option<u64>, unit: &str);
    /// `n` more units of the stage are done.
    fn advance(&self, n: u64);
    /// A metric of the current stage, to show next to the progress bar ("loss", 0.31).
    fn figure(&self, name: &str, value: f64);
    /// The stage ends.
    fn end(&self);
    /// A warning for the user.
    fn warn(&self, message: &str);
    /// The cost of a part of the work: seconds, and the peak memory of the process during it, if known.
    fn cost(&self, _part: &str, _seconds: f64, _peak_bytes: Option<u64>) {}
}

/// Ignores all progress.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {
    fn begin(&self, _stage: &str, _total: Option<u64>, _unit: &str) {}
    fn advance(&self, _n: u64) {}
    fn figure(&self, _name: &str, _value: f64) {}
    fn end(&self) {}
    fn warn(&self, _message: &str) {}
}

/// Minimum time between two "progress" events.
const INTERVAL: Duration = Duration::from_secs(1);

/// Turns progress into JSON events: the lines of `--progress json`, and the events that a `progress` function in Python
/// receives.
///
/// `{"event": "progress", "stage": "train", "done": 3, "total": 60, "unit": "epochs", "rate": 1.5, "seconds_left": 38,
/// "loss": 0.4}`; the rate is in units per second. Other events are "begin", "end", "warning" and "cost".
#[derive(Debug)]
pub struct ProgressEvents<F> {
    send: F,
    stage: Mutex<Stage>,
}

impl<F: Fn(Value) + Send + Sync> ProgressEvents<F> {
    /// Passes each event to `send`.
    pub fn new(send: F) -> Self {
        ProgressEvents { send, stage: Mutex::new(Stage::default()) }
    }
}

#[derive(Debug, Default)]
struct Stage {
    name: String,
    unit: String,
    total: Option<u64>,
    done: u64,
    figures: Map<String, Value>,
    began: Option<Instant>,
    reported: Option<Instant>,
}

impl Stage {
    fn event(&mut self, event: &str) -> Value {
        let began = *self.began.get_or_insert_with(Instant::now);
        self.reported = Some(Instant::now());
        self.event_after(event, began.elapsed())
    }

    /// The event at a time after the start of the stage. Rate and time left are null until something is done.
    fn event_after(&self, event: &str, elapsed: Duration) -> Value {
        let rate = Some(self.done as f64 / elapsed.as_secs_f64()).filter(|rate| rate.is_finite() && *rate > 0.0);
        let left = self.total.zip(rate).map(|(total, rate)| (total.saturating_sub(self.done) as f64 / rate).round());
        let mut line = json!({
            "event": event, "stage": self.name, "done": self.done, "total": self.total, "unit": self.unit,
            "rate": rate, "seconds_left": left,
        });
        if let Some(line) = line.as_object_mut() {
            line.extend(self.figures.clone());
        }
        line
    }
}

impl<F: Fn(Value) + Send + Sync> Progress for ProgressEvents<F> {
    fn begin(&self, stage: &str, total: Option<u64>, unit: &str) {
        if let Ok(mut now) = self.stage.lock() {
            *now = Stage { name: stage.into(), unit: unit.into(), total, ..Stage::default() };
            (self.send)(now.event("begin"));
        }
    }

    fn advance(&self, n: u64) {
        if let Ok(mut now) = self.stage.lock() {
            now.done += n;
            if now.reported.is_none_or(|at| at.elapsed() >= INTERVAL) {
                (self.send)(now.event("progress"));
            }
        }
    }

    fn figure(&self, name: &str, value: f64) {
        if let Ok(mut now) = self.stage.lock() {
            now.figures.insert(name.into(), value.into());
        }
    }

    fn end(&self) {
        if let Ok(mut now) = self.stage.lock()
            && !now.name.is_empty()
        {
            (self.send)(now.event("end"));
            now.name.clear();
        }
    }

    fn warn(&self, message: &str) {
        (self.send)(json!({ "event": "warning", "message": message }));
    }

    fn cost(&self, part: &str, seconds: f64, peak_bytes: Option<u64>) {
        (self.send)(json!({ "event": "cost", "part": part, "seconds": seconds, "peak_bytes": peak_bytes }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_has_rate_and_time_left() {
        let mut stage =
            Stage { name: "encode text".into(), total: Some(500), unit: "texts".into(), ..Stage::default() };
        let begin = stage.event_after("begin", Duration::ZERO);
        assert!(begin["rate"].is_null() && begin["seconds_left"].is_null() && begin["done"] == 0);
        stage.done = 100;
        let event = stage.event_after("progress", Duration::from_secs(20));
        assert_eq!((event["rate"].as_f64(), event["seconds_left"].as_f64()), (Some(5.0), Some(80.0)));
        assert_eq!((event["total"].as_u64(), event["unit"].as_str()), (Some(500), Some("texts")));
        stage.total = None;
        assert!(stage.event_after("progress", Duration::from_secs(20))["seconds_left"].is_null());
    }

    #[test]
    fn a_stage_sends_begin_and_end_with_its_figures() {
        let (send, events) = std::sync::mpsc::channel();
        let progress = ProgressEvents::new(move |event| send.send(event).unwrap());
        progress.begin("train", Some(2), "epochs");
        progress.advance(2);
        progress.figure("loss", 0.5);
        progress.end();
        progress.end();
        progress.warn("slow");
        drop(progress);
        let sent: Vec<Value> = events.iter().collect();
        let kinds: Vec<&str> = sent.iter().filter_map(|event| event["event"].as_str()).collect();
        assert_eq!(kinds, ["begin", "end", "warning"]);
        assert_eq!((&sent[1]["done"], &sent[1]["loss"], &sent[2]["message"]), (&json!(2), &json!(0.5), &json!("slow")));
    }
}
