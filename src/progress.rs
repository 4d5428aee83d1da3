//! How long work tells how far it is. The library never prints: it calls a [`Progress`] it was given.

/// A listener to long work. Stages follow one another and do not nest.
pub trait Progress: Send + Sync {
    /// A stage begins; `total` counts `unit`s where it is known ("items", "epochs").
    fn begin(&self, stage: &str, total: Option<u64>, unit: &str);
    /// `n` more units are done.
    fn advance(&self, n: u64);
    /// A figure of the running stage worth showing beside the bar ("loss", 0.31).
    fn figure(&self, name: &str, value: f64);
    /// The stage is over.
    fn end(&self);
    /// Something the user should know although it is no error.
    fn warn(&self, message: &str);
    /// What a part of the work took: seconds, and the most memory the process held meanwhile, where that is known.
    fn cost(&self, _part: &str, _seconds: f64, _peak_bytes: Option<u64>) {}
}

/// Tells nobody.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {
    fn begin(&self, _stage: &str, _total: Option<u64>, _unit: &str) {}
    fn advance(&self, _n: u64) {}
    fn figure(&self, _name: &str, _value: f64) {}
    fn end(&self) {}
    fn warn(&self, _message: &str) {}
}
