//! Reads image files, and limits the memory that all images take together.

use std::borrow::Cow;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use sha2::{Digest, Sha256};

use super::image_fault::{ImageFault, fault};
use crate::artifact::open_regular;
use crate::catalog::ImageSource;

/// Maximum number of bytes of an image file.
pub(super) const MAX_FILE_BYTES: u64 = 256 << 20;
/// Only one file larger than this is in memory at a time.
const LARGE_FILE_BYTES: u64 = 16 << 20;
/// Maximum number of bytes that all threads together use for decoding images. An image that needs more is decoded
/// alone.
pub(super) const MAX_IN_FLIGHT: u64 = 512 << 20;

/// Locked while a large file is in memory.
static LARGE_FILE: Mutex<()> = Mutex::new(());

/// The bytes of an image, and its name in errors.
pub(super) struct PictureBytes<'a> {
    pub(super) bytes: Cow<'a, [u8]>,
    pub(super) name: String,
    _large: Option<MutexGuard<'static, ()>>,
}

impl<'a> PictureBytes<'a> {
    /// Reads an image. Only regular files are opened: a device can be endless, and a pipe can block forever.
    pub(super) fn read(source: &'a ImageSource) -> Result<Self, ImageFault> {
        match source {
            ImageSource::Bytes(bytes) => {
                let name = "the image in the table".to_owned();
                Ok(PictureBytes { bytes: bytes.into(), name, _large: None })
            }
            ImageSource::Unusable(reason) => {
                Err(fault("the path or the bytes of an image, or a data: URI with its bytes", reason))
            }
            ImageSource::Path(path) => PictureBytes::of_file(path),
        }
    }

    fn of_file(path: &Path) -> Result<Self, ImageFault> {
        let at = |e: &dyn std::fmt::Display| fault(format!("an image at {}", path.display()), e);
        let file = open_regular(path).map_err(|e| match e.kind() {
            ErrorKind::IsADirectory => at(&"a folder"),
            _ => at(&e),
        })?;
        let about = file.metadata().map_err(|e| at(&e))?;
        let large = (about.len() > LARGE_FILE_BYTES).then(|| LARGE_FILE.lock().unwrap_or_else(PoisonError::into_inner));
        let bytes = at_most(file, MAX_FILE_BYTES).map_err(|e| at(&e))?;
        let Some(bytes) = bytes else {
            let expected = format!("an image file of at most {} MiB at {}", MAX_FILE_BYTES >> 20, path.display());
            return Err(fault(expected, "a larger file"));
        };
        Ok(PictureBytes { bytes: bytes.into(), name: path.display().to_string(), _large: large })
    }
}

/// SHA-256 of the bytes of an image. `None` if the image cannot be read, such as a missing or too large file.
pub fn picture_digest(source: &ImageSource) -> Option<[u8; 32]> {
    PictureBytes::read(source).ok().map(|picture| Sha256::digest(&picture.bytes).into())
}

/// The content of a file. `None` if the file is larger than `most` bytes.
fn at_most(file: File, most: u64) -> std::io::Result<Option<Vec<u8>>> {
    if file.metadata()?.len() > most {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    file.take(most + 1).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= most).then_some(bytes))
}

/// A number of bytes that several threads share.
pub(super) struct MemoryBudget {
    all: u64,
    free: Mutex<u64>,
    freed: Condvar,
}

/// The memory of all images that are being decoded.
pub(super) static IN_FLIGHT: MemoryBudget = MemoryBudget::new(MAX_IN_FLIGHT);

/// A part of a budget, returned when dropped.
pub(super) struct MemoryShare<'a>(&'a MemoryBudget, u64);

impl MemoryBudget {
    const fn new(all: u64) -> Self {
        MemoryBudget { all, free: Mutex::new(all), freed: Condvar::new() }
    }

    /// Waits until `bytes` (at most the whole budget) are free, and takes them. A thread must not hold two parts.
    pub(super) fn take(&self, bytes: u64) -> MemoryShare<'_> {
        let wanted = bytes.min(self.all);
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let enough = self.freed.wait_while(free, |free| *free < wanted);
        *enough.unwrap_or_else(PoisonError::into_inner) -= wanted;
        MemoryShare(self, wanted)
    }
}

impl Drop for MemoryShare<'_> {
    fn drop(&mut self) {
        *self.0.free.lock().unwrap_or_else(PoisonError::into_inner) += self.1;
        self.0.freed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};

    fn says(path: &Path) -> String {
        match PictureBytes::read(&ImageSource::Path(path.to_path_buf())) {
            Err(fault) => format!("{}; {}", fault.expected, fault.got),
            Ok(read) => panic!("{} bytes", read.bytes.len()),
        }
    }

    #[test]
    fn only_regular_files_of_a_limited_size_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        assert!(says(Path::new("/dev/zero")).contains("a device or a pipe"));
        rustix::fs::mknodat(rustix::fs::CWD, at("fifo"), rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        assert!(says(&at("fifo")).contains("a device or a pipe"));
        std::os::unix::fs::symlink(at("fifo"), at("link.png")).unwrap();
        assert!(says(&at("link.png")).contains("a device or a pipe"));
        assert!(says(folder.path()).contains("a folder"));
        assert!(says(&at("none.png")).contains("No such file"));
        let sparse = File::create(at("sparse.png")).unwrap();
        sparse.set_len(MAX_FILE_BYTES + 1).unwrap();
        assert!(says(&at("sparse.png")).contains("at most 256 MiB"));
    }

    #[test]
    fn threads_never_take_more_than_the_budget() {
        let (budget, used, most) = (MemoryBudget::new(10), AtomicU64::new(0), AtomicU64::new(0));
        std::thread::scope(|scope| {
            for thread in 0..8u64 {
                let (budget, used, most) = (&budget, &used, &most);
                scope.spawn(move || {
                    for round in 0..50 {
                        let wanted = (thread * 7 + round) % 14;
                        let share = budget.take(wanted);
                        most.fetch_max(used.fetch_add(share.1, Ordering::SeqCst) + share.1, Ordering::SeqCst);
                        std::thread::yield_now();
                        used.fetch_sub(share.1, Ordering::SeqCst);
                    }
                });
            }
        });
        assert!(most.into_inner() <= 10 && *budget.free.lock().unwrap() == 10);
    }
}
