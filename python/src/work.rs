//! Long work on threads of this process, without the interpreter lock, interruptible by Ctrl-C.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::process;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use catalex::progress::{Progress, ProgressEvents};
use pyo3::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::errors::to_py;

/// Up to this many rows run on the calling thread: one block of the tokenizer, which is not split further.
const ONE_BLOCK: usize = 512;
/// Target duration of a chunk of rows, between two checks for Ctrl-C.
const CHUNK: Duration = Duration::from_millis(100);
/// Interval between two checks for Ctrl-C, which also pass progress on.
const CHECK_INTERVAL: Duration = Duration::from_millis(50);
/// How long to wait for interrupted work to stop before it is abandoned.
const GRACE: Duration = Duration::from_millis(300);

/// The thread pool of this process. A fork does not inherit threads, so it gets a new pool.
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

/// Runs work that takes well under a second with a locked value. The calling thread waits for the lock, and a thread of
/// the pool never does: while it waits for a part of its work, it runs other work of the pool, which could wait for the
/// lock that it holds itself.
pub(crate) fn reading<L: Send + Sync, T: Send>(
    py: Python<'_>,
    lock: &RwLock<L>,
    work: impl FnOnce(&L) -> catalex::Result<T> + Send,
) -> PyResult<T> {
    let pool = pool(py)?;
    py.detach(|| {
        let guard = lock.read().unwrap_or_else(PoisonError::into_inner);
        let value = &*guard;
        pool.install(|| work(value))
    })
    .map_err(to_py)
}

/// As [`reading`], for work that changes the value.
pub(crate) fn writing<L: Send + Sync, T: Send>(
    py: Python<'_>,
    lock: &RwLock<L>,
    work: impl FnOnce(&mut L) -> catalex::Result<T> + Send,
) -> PyResult<T> {
    refreshing(py, (lock, &RwLock::new(())), |value, ()| work(value))
}

/// As [`reading`], for work that changes the first value and reads the second.
pub(crate) fn refreshing<L: Send + Sync, M: Send + Sync, T: Send>(
    py: Python<'_>,
    (lock, source): (&RwLock<L>, &RwLock<M>),
    work: impl FnOnce(&mut L, &M) -> catalex::Result<T> + Send,
) -> PyResult<T> {
    let pool = pool(py)?;
    py.detach(|| {
        let source = source.read().unwrap_or_else(PoisonError::into_inner);
        let mut guard = lock.write().unwrap_or_else(PoisonError::into_inner);
        let (value, source) = (&mut *guard, &*source);
        pool.install(|| work(value, source))
    })
    .map_err(to_py)
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

/// Runs work that owns its data. Ctrl-C stops it at its next progress report. Work that does not report in time is
/// abandoned.
pub(crate) fn long<T: Send + 'static>(
    py: Python<'_>,
    work: impl FnOnce(&dyn Progress) -> catalex::Result<T> + Send + 'static,
) -> PyResult<T> {
    run(py, None, work)
}

/// As [`long`], and calls `listener` on this thread with each progress event as JSON text. An exception of the listener
/// stops the work.
pub(crate) fn long_with_events<T: Send + 'static>(
    py: Python<'_>,
    listener: &Bound<'_, PyAny>,
    work: impl FnOnce(&dyn Progress) -> catalex::Result<T> + Send + 'static,
) -> PyResult<T> {
    run(py, Some(listener), work)
}

fn run<T: Send + 'static>(
    py: Python<'_>,
    listener: Option<&Bound<'_, PyAny>>,
    work: impl FnOnce(&dyn Progress) -> catalex::Result<T> + Send + 'static,
) -> PyResult<T> {
    let stop = Arc::new(AtomicBool::new(false));
    let (send, mut done) = channel();
    let (report, events) = channel::<serde_json::Value>();
    let report = move |event| drop(report.send(event));
    let watch = Watch { stop: stop.clone(), events: listener.is_some().then(|| ProgressEvents::new(report)) };
    pool(py)?.spawn(move || {
        let outcome = catch_unwind(AssertUnwindSafe(|| work(&watch)));
        // The receiver is gone after an interrupt.
        let _ = send.send(outcome);
    });
    let pass_on = || match listener {
        Some(listener) => events.try_iter().try_for_each(|event| listener.call1((event.to_string(),)).map(drop)),
        None => Ok(()),
    };
    loop {
        let waited;
        (waited, done) = py.detach(move || (done.recv_timeout(CHECK_INTERVAL), done));
        let heard = pass_on();
        match waited {
            Ok(Ok(outcome)) => return heard.and_then(|()| outcome.map_err(to_py)),
            Ok(Err(panic)) => resume_unwind(panic),
            Err(RecvTimeoutError::Disconnected) => {
                return Err(to_py(catalex::Error::Unavailable {
                    what: "the answer of a thread".into(),
                    reason: "it ended without one".into(),
                    help: "please report this".into(),
                }));
            }
            Err(RecvTimeoutError::Timeout) => {
                if let Err(interrupt) = heard.and_then(|()| py.check_signals()) {
                    stop.store(true, Ordering::Relaxed);
                    let _ = py.detach(move || done.recv_timeout(GRACE).is_ok());
                    return Err(interrupt);
                }
            }
        }
    }
}

/// Stops the work that reports to it by unwinding, which runs no panic hook and leaves no half-written file.
struct Watch<F> {
    stop: Arc<AtomicBool>,
    /// The receiver of progress events. `None` without a listener.
    events: Option<ProgressEvents<F>>,
}

impl<F> Watch<F> {
    fn stop_if_asked(&self) {
        if self.stop.load(Ordering::Relaxed) {
            resume_unwind(Box::new("interrupted"));
        }
    }
}

impl<F: Fn(serde_json::Value) + Send + Sync> Progress for Watch<F> {
    fn begin(&self, stage: &str, total: Option<u64>, unit: &str) {
        self.stop_if_asked();
        if let Some(events) = &self.events {
            events.begin(stage, total, unit);
        }
    }

    fn advance(&self, n: u64) {
        self.stop_if_asked();
        if let Some(events) = &self.events {
            events.advance(n);
        }
    }

    fn figure(&self, name: &str, value: f64) {
        if let Some(events) = &self.events {
            events.figure(name, value);
        }
    }

    fn end(&self) {
        if let Some(events) = &self.events {
            events.end();
        }
    }

    fn warn(&self, message: &str) {
        if let Some(events) = &self.events {
            events.warn(message);
        }
    }

    fn cost(&self, part: &str, seconds: f64, peak_bytes: Option<u64>) {
        if let Some(events) = &self.events {
            events.cost(part, seconds, peak_bytes);
        }
    }
}
