//! A shared page of memory: the worker writes it, and the supervisor reads it even after the worker has died.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use memmap2::MmapMut;

/// The numbers on the page.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct Status {
    /// Number of inputs started and ended.
    pub(crate) started: AtomicU64,
    pub(crate) ended: AtomicU64,
    /// Duration of the longest run in microseconds.
    pub(crate) slowest: AtomicU64,
    /// Peak memory of a run in bytes.
    pub(crate) most_bytes: AtomicU64,
    /// Number of inputs that reached new code, if the build has counters.
    pub(crate) corpus: AtomicU64,
    /// Number of panics, counted once per source location.
    pub(crate) panics: AtomicU64,
    /// 1 if a run allocated too much memory.
    pub(crate) memory: AtomicU64,
}

const PAGE: u64 = 4096;

static WORKER: OnceLock<Page> = OnceLock::new();

/// A mapped page.
#[derive(Debug)]
pub(crate) struct Page(MmapMut);

impl Page {
    /// Creates the page.
    pub(crate) fn create(path: &Path) -> io::Result<Self> {
        File::create(path)?.set_len(PAGE)?;
        Page::open(path)
    }

    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        // SAFETY: both processes use the page through atomic numbers only, and nobody makes the file shorter.
        #[allow(unsafe_code)]
        unsafe { MmapMut::map_mut(&file) }.map(Page)
    }

    pub(crate) fn status(&self) -> &Status {
        // SAFETY: a page is aligned and longer than the numbers, any bytes are valid numbers, and they are atomic.
        #[allow(unsafe_code)]
        unsafe {
            &*self.0.as_ptr().cast::<Status>()
        }
    }
}

/// The worker's page.
pub(crate) fn of_worker(path: &Path) -> io::Result<&'static Status> {
    let page = Page::open(path)?;
    Ok(WORKER.get_or_init(|| page).status())
}

/// Called by the allocator.
pub(crate) fn too_much_memory() {
    if let Some(page) = WORKER.get() {
        page.status().memory.store(1, Relaxed);
    }
}
