//! Long work on threads of this process, without the interpreter lock, interruptible by Ctrl-C.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::process;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use catalex::progress::Progress;
use pyo3::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::errors::to_py;

/// Up to this many rows run on the calling thread: one block of the tokenizer, which is not split further.
const ONE_BLOCK: usize = 512;
/// Target duration of a chunk of rows, between two checks for Ctrl-C.
const CHUNK: Duration = Duration::from_millis(100);
/// Interval between two checks for Ctrl-C.
const CHECK_INTERVAL: Duration = Duration::from_millis(50);
/// How long to wait for interrupted work to stop before it is abandoned.
const GRACE: Duration = Duration::from_millis(300);

/// The thread pool of this process. A fork does not inherit threads, so it gets a pool of its own.
fn pool(_: Python<'_>) -> PyResult<Arc<ThreadPool>> {
    // Locked only while the interpreter lock is held, as a fork is: a fork never finds it locked.
    static POOL: Mutex<Option<(u32, Arc<ThreadPool>)>> = Mutex::new(None);
    let mut pool = POOL.lock().unwrap_or_else(PoisonError::into_inner);
    let here = process::id();
    match &*pool {
        Some((owner, pool)) if *owner == here => return Ok(pool.clone()),
        // Dropping the parent's pool would wait for threads that do not exist here.
        Some((_, parents)) => std::mem::forget(parents.clone()),
        None => {}
    }
    let made = ThreadPoolBuilder::new().build().map_err(|e| {
        to_py(catalex::Error::Unavailable {
            what: "threads".into(),
            reason: e.to_string(),
            help: "set fewer with RAYON_NUM_THREADS".into(),
        })
    })?;
    let made = Arc::new(made);
    *pool = Some((here, made.clone()));
    Ok(made)
}

/// Runs work that takes well under a second.
pub(crate) fn short<T: Send>(py: Python<'_>, work: impl FnOnce() -> catalex::Result<T> + Send) -> PyResult<T> {
    pooled(py, work)?.map_err(to_py)
}

/// Runs infallible work that takes well under a second.
pub(crate) fn pooled<T: Send>(py: Python<'_>, work: impl FnOnce() -> T + Send) -> PyResult<T> {
    let pool = pool(py)?;
    Ok(py.detach(|| pool.install(work)))
}

/// Runs work on `n` rows in chunks that are aligned to the tokenizer's blocks.
pub(crate) fn by_rows(
    py: Python<'_>,
    n: usize,
    mut work: impl FnMut(Range<usize>) -> catalex::Result<()> + Send,
) -> PyResult<()> {
    if n <= ONE_BLOCK {
        return py.detach(|| work(0..n)).map_err(to_py);
    }
    let pool = pool(py)?;
    let least = ONE_BLOCK * pool.current_num_threads();
    let (mut from, mut rows) = (0, least);
    while from < n {
        let to = n.min(from.saturating_add(rows));
        let began = Instant::now();
        py.detach(|| pool.install(|| work(from..to))).map_err(to_py)?;
        py.check_signals()?;
        from = to;
        let took = began.elapsed();
        if took < CHUNK / 2 {
            rows = rows.saturating_mul(2);
        } else if took > CHUNK * 2 {
            rows = least.max(rows / 2 / least * least);
        }
    }
    Ok(())
}

/// Runs work that owns its data. Ctrl-C stops it at its next report of progress; without one in time, it is abandoned.
pub(crate) fn long<T: Send + 'static>(
    py: Python<'_>,
    work: impl FnOnce(&dyn Progress) -> catalex::Result<T> + Send + 'static,
) -> PyResult<T> {
    let stop = Arc::new(AtomicBool::new(false));
    let (send, mut done) = channel();
    let watch = InterruptWatch(stop.clone());
    pool(py)?.spawn(move || {
        let outcome = catch_unwind(AssertUnwindSafe(|| work(&watch)));
        // The receiver is gone after an interrupt.
        let _ = send.send(outcome);
    });
    loop {
        let waited;
        (waited, done) = py.detach(move || (done.recv_timeout(CHECK_INTERVAL), done));
        match waited {
            Ok(Ok(outcome)) => return outcome.map_err(to_py),
            Ok(Err(panic)) => resume_unwind(panic),
            Err(RecvTimeoutError::Disconnected) => {
                return Err(to_py(catalex::Error::Unavailable {
                    what: "the result of a thread".into(),
                    reason: "it ended without a result".into(),
                    help: "please report this".into(),
                }));
            }
            Err(RecvTimeoutError::Timeout) => {
                if let Err(interrupt) = py.check_signals() {
                    stop.store(true, Ordering::Relaxed);
                    let _ = py.detach(move || done.recv_timeout(GRACE).is_ok());
                    return Err(interrupt);
                }
            }
        }
    }
}

/// Stops the work that reports to it by unwinding. This runs no panic hook and leaves no partial file.
struct InterruptWatch(Arc<AtomicBool>);

impl InterruptWatch {
    fn check(&self) {
        if self.0.load(Ordering::Relaxed) {
            resume_unwind(Box::new("interrupted"));
        }
    }
}

impl Progress for InterruptWatch {
    fn begin(&self, _stage: &str, _total: Option<u64>, _unit: &str) {
        self.check();
    }
    fn advance(&self, _n: u64) {
        self.check();
    }
    fn figure(&self, _name: &str, _value: f64) {}
    fn end(&self) {}
    fn warn(&self, _message: &str) {}
}
