//! Progress of long work. The library never prints; it reports to a [`Progress`] that the caller passes in.

/// Receives the progress of long work. Stages follow one another and do not nest.
pub trait Progress: Send + Sync {
    /// A stage starts. `total` is its size in `unit`s ("items", "epochs"), where known.
    fn begin(&self, stage: &str, total: Option<u64>, unit: &str);
    /// `n` more units of the stage are done.
    fn advance(&self, n: u64);
    /// A metric of the current stage, to show beside the progress bar ("loss", 0.31).
    fn figure(&self, name: &str, value: f64);
    /// The stage ends.
    fn end(&self);
    /// A warning for the user.
    fn warn(&self, message: &str);
    /// The cost of a part of the work: seconds, and the peak memory of the process during it, where known.
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
