//! Runs third-party parsers and turns their panics into errors.
//!
//! Libraries that parse files can panic on damaged input. [`guarded`] catches such a panic and returns its message
//! instead of printing it. It cannot catch an abort, so callers check the sizes that a file declares before memory is
//! allocated for them.

use std::cell::Cell;
use std::fmt;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

thread_local! {
    /// Whether this thread is in a guarded call.
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// A caught panic, with its message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Panicked(String);

impl Panicked {
    /// The message of the panic.
    #[cfg(any(feature = "encoders", feature = "train"))]
    pub(crate) fn message(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Panicked {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "its parser failed: {}", self.0)
    }
}

impl std::error::Error for Panicked {}

/// Runs `parse` and returns its panic as an error. After an error, do not use values that `parse` was changing.
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

/// Installs a panic hook that does not print the messages of guarded panics. Other panics go to the previous hook.
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
        assert_eq!(nested, Ok(Err::<(), _>("its parser failed: inner".to_owned())));
        assert!(!GUARDED.get());
    }
}
