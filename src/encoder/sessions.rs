//! The sessions of a model, which compute batches at the same time.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use ort::session::Session;

use super::runtime::Runtime;
use crate::error::Result;

/// Maximum size in bytes of all copies of a model that is loaded several times.
const COPIES_BYTES: u64 = 512 << 20;
/// Number of batches per session from which further sessions are loaded. Loading takes as long as some batches.
const BATCHES: usize = 8;

/// A model that is loaded once or several times. A session with few threads makes better use of them, so a small model
/// computes several batches at the same time.
#[derive(Debug)]
pub(super) struct Sessions {
    path: PathBuf,
    runtime: Runtime,
    /// Maximum number of sessions.
    copies: usize,
    is_small: bool,
    /// At least one.
    loaded: Vec<Session>,
}

impl Sessions {
    /// Loads the first session. The others are loaded when there are enough batches for them.
    ///
    /// # Errors
    /// As [`Runtime::session`].
    pub(super) fn load(runtime: &Runtime, path: &Path) -> Result<Self> {
        let bytes = size(path);
        let copies = if runtime.shares_threads() { copies(bytes, runtime.threads()) } else { 1 };
        let first = runtime.session(path, share(runtime.threads(), copies, 0))?;
        let is_small = runtime.is_cpu() && bytes <= COPIES_BYTES / 2;
        Ok(Sessions { path: path.to_path_buf(), runtime: runtime.clone(), copies, is_small, loaded: vec![first] })
    }

    /// Whether the model runs on the CPU and is so small that it can be loaded several times. Does not depend on the
    /// number of threads.
    pub(super) fn is_small(&self) -> bool {
        self.is_small
    }

    pub(super) fn first(&self) -> &Session {
        &self.loaded[0]
    }

    /// Prepares and computes batches, and passes the results to `each` in the order of the batches. The next batch of a
    /// session is prepared while the session computes.
    ///
    /// # Errors
    /// The first error in the order of the batches. A further session that cannot be loaded is none: its batches are
    /// computed by the others.
    pub(super) fn run<B: Sync, P: Send, O: Send>(
        &mut self,
        batches: &[B],
        prepare: impl Fn(&B) -> P + Sync,
        compute: impl Fn(&mut Session, P) -> Result<O> + Sync,
        each: impl FnMut(&B, O) -> Result<()> + Send,
    ) -> Result<()> {
        let Sessions { path, runtime, copies, loaded, .. } = self;
        let wanted = (batches.len() / BATCHES).clamp(loaded.len(), *copies);
        let queue = Queue { batches, next: AtomicUsize::new(0), stopped: AtomicBool::new(false) };
        let results = Mutex::new(Results { each, early: BTreeMap::new(), passed: 0, outcome: Ok(()) });
        let pass = |at: usize, made: Result<O>| {
            let mut results = results.lock().unwrap_or_else(PoisonError::into_inner);
            if !results.pass(batches, at, made) {
                queue.stopped.store(true, Ordering::Relaxed);
            }
        };
        let work = |session: &mut Session| {
            let mut ready = queue.take().map(|(at, batch)| (at, prepare(batch)));
            while let Some((at, prepared)) = ready {
                let following = || queue.take().map(|(at, batch)| (at, prepare(batch)));
                let (made, next) = rayon::join(|| compute(session, prepared), following);
                pass(at, made);
                ready = next;
            }
        };
        let further = loaded.len()..wanted;
        let added = Mutex::new(Vec::new());
        rayon::scope(|scope| {
            for session in loaded.iter_mut() {
                scope.spawn(|_| work(session));
            }
            for copy in further {
                let threads = share(runtime.threads(), *copies, copy);
                let (runtime, path, work, added) = (&*runtime, &*path, &work, &added);
                scope.spawn(move |_| {
                    if let Ok(mut session) = runtime.session(path, threads) {
                        work(&mut session);
                        added.lock().unwrap_or_else(PoisonError::into_inner).push(session);
                    }
                });
            }
        });
        loaded.append(&mut added.into_inner().unwrap_or_else(PoisonError::into_inner));
        results.into_inner().unwrap_or_else(PoisonError::into_inner).outcome
    }
}

/// Batches that sessions take in turn.
struct Queue<'a, B> {
    batches: &'a [B],
    next: AtomicUsize,
    stopped: AtomicBool,
}

impl<'a, B> Queue<'a, B> {
    fn take(&self) -> Option<(usize, &'a B)> {
        if self.stopped.load(Ordering::Relaxed) {
            return None;
        }
        let at = self.next.fetch_add(1, Ordering::Relaxed);
        Some((at, self.batches.get(at)?))
    }
}

/// Passes results on in the order of the batches.
struct Results<O, F> {
    each: F,
    /// Results whose predecessors are missing.
    early: BTreeMap<usize, Result<O>>,
    /// Number of batches whose results were passed on.
    passed: usize,
    outcome: Result<()>,
}

impl<O, F> Results<O, F> {
    /// Adds the result of a batch, and passes on all results that are next. Returns whether there was no error yet.
    fn pass<B>(&mut self, batches: &[B], at: usize, made: Result<O>) -> bool
    where
        F: FnMut(&B, O) -> Result<()>,
    {
        self.early.insert(at, made);
        while self.outcome.is_ok()
            && let Some(made) = self.early.remove(&self.passed)
        {
            let batch = &batches[self.passed];
            self.outcome = made.and_then(|made| (self.each)(batch, made));
            self.passed += 1;
        }
        self.outcome.is_ok()
    }
}

/// How many times a model of this size is loaded: at most once per thread.
fn copies(bytes: u64, threads: usize) -> usize {
    usize::try_from(COPIES_BYTES / bytes.max(1)).unwrap_or(threads).clamp(1, threads.max(1))
}

/// The number of threads of a copy.
fn share(threads: usize, copies: usize, copy: usize) -> usize {
    (threads + copies - 1 - copy) / copies
}

/// Size in bytes of a model: its file, and files such as `model.onnx_data` with its weights.
fn size(path: &Path) -> u64 {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let folder = path.parent().and_then(|folder| std::fs::read_dir(folder).ok());
    let files = folder.into_iter().flatten().filter_map(std::result::Result::ok);
    let of_model = files.filter(|file| file.file_name().to_string_lossy().starts_with(&name));
    of_model.filter_map(|file| std::fs::metadata(file.path()).ok()).map(|metadata| metadata.len()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;

    #[test]
    fn a_small_model_is_loaded_once_per_thread_and_a_large_one_once() {
        assert_eq!((copies(90 << 20, 2), copies(90 << 20, 16), copies(600 << 20, 16), copies(0, 3)), (2, 5, 1, 3));
        let shares: Vec<usize> = (0..5).map(|copy| share(16, 5, copy)).collect();
        assert_eq!(shares, [4, 3, 3, 3, 3]);
    }

    #[test]
    fn the_size_of_a_model_includes_its_external_weights() {
        let folder = tempfile::tempdir().unwrap();
        for (name, bytes) in [("model.onnx", 3), ("model.onnx_data", 40), ("tokenizer.json", 500)] {
            std::fs::write(folder.path().join(name), vec![0; bytes]).unwrap();
        }
        assert_eq!(size(&folder.path().join("model.onnx")), 43);
    }

    #[test]
    fn results_are_passed_on_in_the_order_of_the_batches_up_to_the_first_error() {
        let batches = ["a", "b", "c", "d"];
        let mut seen = Vec::new();
        let each = |batch: &&str, made: usize| {
            seen.push((batch.to_string(), made));
            Ok(())
        };
        let mut results = Results { each, early: BTreeMap::new(), passed: 0, outcome: Ok(()) };
        assert!(results.pass(&batches, 1, Ok(10)));
        assert!(results.pass(&batches, 3, Err(Error::config("d", "", "", ""))));
        assert!(results.pass(&batches, 0, Ok(0)));
        assert!(!results.pass(&batches, 2, Err(Error::config("c", "", "", ""))));
        assert_eq!(results.outcome.unwrap_err().to_string(), Error::config("c", "", "", "").to_string());
        assert_eq!(seen, [("a".to_owned(), 0), ("b".to_owned(), 10)]);
    }
}
