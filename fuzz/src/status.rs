//! A page of memory that the worker writes and the supervisor reads, also after the worker has died.

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
    /// Inputs that were started, and those that ended.
    pub(crate) started: AtomicU64,
    pub(crate) ended: AtomicU64,
    /// Longest run in microseconds.
    pub(crate) slowest: AtomicU64,
    /// Most bytes that a run held.
    pub(crate) most_bytes: AtomicU64,
    /// Inputs that reached new code, as far as the build tells.
    pub(crate) corpus: AtomicU64,
    /// Panics, counted once per place.
    pub(crate) panics: AtomicU64,
    /// 1 where a run asked for too much memory.
    pub(crate) memory: AtomicU64,
}

const PAGE: u64 = 4096;

static WORKER: OnceLock<Page> = OnceLock::new();

/// A mapped page.
#[derive(Debug)]
pub(crate) struct Page(MmapMut);

impl Page {
    /// Makes the page anew.
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
