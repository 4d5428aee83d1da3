//! Runs foreign parsers so that a panic in them becomes an error.
//!
//! Libraries that read files of other programs may panic on damaged input. [`guarded`] catches such a panic, keeps its
//! message off stderr, and returns it. It does not catch an abort: sizes that a file declares are checked before memory is
//! allocated for them.

use std::cell::Cell;
use std::fmt;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

thread_local! {
    /// Whether this thread runs a guarded call.
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// A caught panic, with its message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Panicked(String);

impl Panicked {
    /// The message of the panic.
    #[cfg(feature = "encoders")]
    pub(crate) fn message(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Panicked {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "its reader gave up: {}", self.0)
    }
}

impl std::error::Error for Panicked {}

/// Runs `parse`; a panic in it becomes an error. What `parse` was changing must not be used afterwards.
///
/// # Errors
/// [`Panicked`] with the message of the panic.
pub(crate) fn guarded<T>(parse: impl FnOnce() -> T) -> Result<T, Panicked> {
    silence_guarded_panics();
    let outer = GUARDED.replace(true);
    let outcome = panic::catch_unwind(AssertUnwindSafe(parse));
    GUARDED.set(outer);
    outcome.map_err(|payload| {
        let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| payload.downcast_ref::<String>().cloned());
        Panicked(text.unwrap_or_else(|| "no message".into()))
    })
}

/// The messages of guarded panics reach the caller; the hook of the process prints all others as before.
fn silence_guarded_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !GUARDED.get() {
                before(info);
            }
        }));
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_an_error_with_its_message() {
        assert_eq!(guarded(|| 7), Ok(7));
        let at = |place: usize| [1, 2][place];
        assert!(guarded(|| at(2)).unwrap_err().to_string().contains("index out of bounds"));
        let nested = guarded(|| guarded(|| panic!("{}", "inner")).map_err(|e| e.to_string()));
        assert_eq!(nested, Ok(Err::<(), _>("its reader gave up: inner".to_owned())));
        assert!(!GUARDED.get());
    }
}
