//! Detects which code an input reached, with the counters that LLVM's coverage pass adds to the library. `make fuzz`
//! builds with these counters (`fuzz/rustc.sh`). Without them, no input counts as new, and only the seeds are mutated.

use std::sync::Mutex;

/// The counters of one object file.
struct Region {
    start: usize,
    length: usize,
}

static REGIONS: Mutex<Vec<Region>> = Mutex::new(Vec::new());

/// Called once by each instrumented object file when the program starts.
///
/// # Safety
/// The two pointers delimit the counters, which live as long as the program.
#[allow(unsafe_code)]
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn __sanitizer_cov_8bit_counters_init(start: *mut u8, stop: *mut u8) {
    let region = Region { start: start as usize, length: stop as usize - start as usize };
    if region.length > 0
        && let Ok(mut regions) = REGIONS.lock()
        && !regions.iter().any(|known| known.start == region.start)
    {
        regions.push(region);
    }
}

/// The code that all inputs so far have reached.
pub(crate) struct Coverage {
    counters: Vec<&'static mut [u8]>,
    seen: Vec<u8>,
}

impl Coverage {
    pub(crate) fn new() -> Self {
        let regions = REGIONS.lock().map(|mut regions| std::mem::take(&mut *regions)).unwrap_or_default();
        // SAFETY: the regions were given by the program's start-up code, do not overlap, and are plain bytes. The library
        // increments them without synchronization; a lost increment does not matter.
        #[allow(unsafe_code)]
        let slice = |region: Region| unsafe { std::slice::from_raw_parts_mut(region.start as *mut u8, region.length) };
        let counters: Vec<_> = regions.into_iter().map(slice).collect();
        let length = counters.iter().map(|counters| counters.len()).sum();
        Coverage { counters, seen: vec![0; length] }
    }

    /// Whether the library was built with counters.
    pub(crate) fn is_there(&self) -> bool {
        !self.seen.is_empty()
    }

    pub(crate) fn reset(&mut self) {
        self.counters.iter_mut().for_each(|counters| counters.fill(0));
    }

    /// Whether this run reached a new edge, or reached an edge more often than before (by order of magnitude).
    pub(crate) fn is_new(&mut self) -> bool {
        let mut new = false;
        let mut at = 0;
        for counters in &self.counters {
            let seen = &mut self.seen[at..at + counters.len()];
            at += counters.len();
            for (counts, seen) in counters.chunks(16).zip(seen.chunks_mut(16)) {
                if counts.iter().all(|&count| count == 0) {
                    continue;
                }
                for (&count, seen) in counts.iter().zip(seen) {
                    let bucket = bucket(count);
                    new |= bucket & !*seen != 0;
                    *seen |= bucket;
                }
            }
        }
        new
    }
}

/// One bit for each order of magnitude.
fn bucket(count: u8) -> u8 {
    match count {
        0 => 0,
        1 => 1,
        2 => 2,
        3 => 4,
        4..=7 => 8,
        8..=15 => 16,
        16..=31 => 32,
        32..=127 => 64,
        128..=255 => 128,
    }
}
