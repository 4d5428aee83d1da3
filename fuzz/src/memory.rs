//! An allocator that counts bytes, so that an input that allocates too much memory is stopped early.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Maximum additional memory of one input.
pub(crate) const MAX_BYTES: usize = 1 << 30;

static IN_USE: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);
/// Maximum memory of a worker between inputs, so that a bug in the fuzzer does not exhaust the machine's memory.
const MAX_OTHERWISE: usize = 3 << 30;

static LIMIT: AtomicUsize = AtomicUsize::new(MAX_OTHERWISE);

/// Counts the allocations of Rust code. For C libraries, the supervisor reads the resident size.
pub(crate) struct Counting;

impl Counting {
    fn add(size: usize) {
        let now = IN_USE.fetch_add(size, Relaxed) + size;
        MOST.fetch_max(now, Relaxed);
        if now > LIMIT.load(Relaxed) {
            LIMIT.store(usize::MAX, Relaxed);
            crate::status::too_much_memory();
            std::process::abort();
        }
    }
}

// SAFETY: every call is passed on to the system's allocator unchanged.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Counting::add(layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        Counting::add(layout.size());
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        IN_USE.fetch_sub(layout.size(), Relaxed);
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        Counting::add(size);
        IN_USE.fetch_sub(layout.size(), Relaxed);
        unsafe { System.realloc(pointer, layout, size) }
    }
}

/// Runs a function under the limit and returns its peak memory in bytes.
pub(crate) fn measured(work: impl FnOnce()) -> usize {
    let before = IN_USE.load(Relaxed);
    MOST.store(before, Relaxed);
    LIMIT.store(before + MAX_BYTES, Relaxed);
    work();
    LIMIT.store(MAX_OTHERWISE, Relaxed);
    MOST.load(Relaxed).saturating_sub(before)
}
