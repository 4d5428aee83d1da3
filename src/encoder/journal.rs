//! The encoded batches of an unfinished part, so that a killed run loses only the batches that it was computing.
//!
//! The batches of a part depend only on its items, so a batch is identified by its number. A journal is a file of
//! records. A record has a length, a description in JSON, a length, numbers, and a hash of these. The first record
//! describes the part.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::image_fault::ImageFault;
use crate::artifact::{read_regular, sha256};
use crate::error::{Error, Result};

/// Length of a hexadecimal hash in bytes.
const HASH: usize = 64;

/// The journal of a part.
#[derive(Debug)]
pub(super) struct BatchJournal {
    path: PathBuf,
    file: File,
    /// Batches of an earlier run that have not been taken yet.
    done: VecDeque<EncodedBatch>,
}

/// The result of encoding a batch of texts or images.
#[derive(Debug, Default, PartialEq)]
pub(super) struct EncodedBatch {
    /// One per image; none for texts.
    pub(super) faults: Vec<Option<ImageFault>>,
    /// The vectors, row by row.
    pub(super) vectors: Vec<f32>,
}

#[derive(Serialize, Deserialize)]
struct BatchRecord {
    /// The expected and the actual content.
    faults: Vec<Option<(String, String)>>,
}

impl BatchJournal {
    /// Opens the journal of a part. Starts a new one if there is none, or if the part has another description.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub(super) fn open(path: &Path, part: &impl Serialize) -> Result<Self> {
        let part = serde_json::to_vec(part).map_err(|e| Error::io("write", path, e.into()))?;
        let found = read_regular(path).unwrap_or_default();
        let mut rest = found.as_slice();
        let mut done = VecDeque::new();
        let mut whole = 0;
        if take(&mut rest).is_some_and(|(described, _)| described == part) {
            whole = found.len() - rest.len();
            while let Some(batch) = take(&mut rest).and_then(|(record, vectors)| read(record, vectors)) {
                done.push_back(batch);
                whole = found.len() - rest.len();
            }
        }
        let file = OpenOptions::new().create(true).append(true).open(path).map_err(|e| Error::io("create", path, e))?;
        // The last record of a killed run can be incomplete.
        file.set_len(whole as u64).map_err(|e| Error::io("write", path, e))?;
        let mut journal = BatchJournal { path: path.to_path_buf(), file, done };
        if whole == 0 {
            journal.append(&part, &[])?;
        }
        Ok(journal)
    }

    /// The next batch, if an earlier run encoded it.
    pub(super) fn next(&mut self) -> Option<EncodedBatch> {
        self.done.pop_front()
    }

    /// Adds a batch.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub(super) fn keep(&mut self, faults: &[Option<ImageFault>], vectors: &[f32]) -> Result<()> {
        let of = |fault: &ImageFault| (fault.expected.clone(), fault.got.clone());
        let record = BatchRecord { faults: faults.iter().map(|fault| fault.as_ref().map(of)).collect() };
        let record = serde_json::to_vec(&record).map_err(|e| Error::io("write", &self.path, e.into()))?;
        self.append(&record, vectors)
    }

    fn append(&mut self, record: &[u8], vectors: &[f32]) -> Result<()> {
        let mut bytes = Vec::with_capacity(8 + record.len() + 4 * vectors.len() + HASH);
        bytes.extend((record.len() as u32).to_le_bytes());
        bytes.extend(record);
        bytes.extend((vectors.len() as u32).to_le_bytes());
        bytes.extend(vectors.iter().flat_map(|value| value.to_le_bytes()));
        bytes.extend(sha256(&bytes).into_bytes());
        self.file.write_all(&bytes).map_err(|e| Error::io("write", &self.path, e))
    }

    /// Removes the journal of a part that is finished.
    pub(super) fn remove(self) -> Result<()> {
        std::fs::remove_file(&self.path).map_err(|e| Error::io("remove", &self.path, e))
    }
}

/// The next complete record: its description, and the bytes of its numbers.
fn take<'a>(rest: &mut &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
    let all = *rest;
    let length = |at: usize| Some(u32::from_le_bytes(all.get(at..at + 4)?.try_into().ok()?) as usize);
    let record = all.get(4..4 + length(0)?)?;
    let start = 8 + record.len();
    let numbers = all.get(start..start + 4 * length(start - 4)?)?;
    let end = start + numbers.len();
    let hash = all.get(end..end + HASH)?;
    *rest = &all[end + HASH..];
    (sha256(&all[..end]).as_bytes() == hash).then_some((record, numbers))
}

fn read(record: &[u8], numbers: &[u8]) -> Option<EncodedBatch> {
    let record: BatchRecord = serde_json::from_slice(record).ok()?;
    let fault = |(expected, got): (String, String)| ImageFault { expected, got };
    let vectors = numbers.chunks_exact(4).map(|value| f32::from_le_bytes([value[0], value[1], value[2], value[3]]));
    Some(EncodedBatch {
        faults: record.faults.into_iter().map(|both| both.map(fault)).collect(),
        vectors: vectors.collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A truncated or damaged journal returns only complete batches, and new batches are written after them.
    #[test]
    fn a_journal_returns_only_complete_batches() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("000000.journal");
        let fault = || Some(ImageFault { expected: "a".into(), got: "b".into() });
        let mut journal = BatchJournal::open(&path, &("part", 7)).unwrap();
        assert!(journal.next().is_none());
        journal.keep(&[], &[1.5, f32::MIN_POSITIVE]).unwrap();
        journal.keep(&[None, fault()], &[2.0, 0.0]).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let batches = |part: (&str, u32)| {
            let mut journal = BatchJournal::open(&path, &part).unwrap();
            std::iter::from_fn(|| journal.next()).collect::<Vec<_>>()
        };
        let kept = batches(("part", 7));
        assert_eq!(kept[0], EncodedBatch { faults: vec![], vectors: vec![1.5, f32::MIN_POSITIVE] });
        assert_eq!(kept[1], EncodedBatch { faults: vec![None, fault()], vectors: vec![2.0, 0.0] });
        for cut in 0..bytes.len() {
            std::fs::write(&path, &bytes[..cut]).unwrap();
            let found = batches(("part", 7));
            assert!(found.len() < 2 && found == kept[..found.len()], "cut after {cut} bytes");
            let mut journal = BatchJournal::open(&path, &("part", 7)).unwrap();
            while journal.next().is_some() {}
            journal.keep(&[], &[9.0]).unwrap();
            assert_eq!(batches(("part", 7)).last().unwrap().vectors, [9.0], "cut after {cut} bytes");
        }
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            std::fs::write(&path, damaged).unwrap();
            let found = batches(("part", 7));
            assert!(found.len() < 2 && found == kept[..found.len()], "damaged at {at}");
        }
        std::fs::write(&path, &bytes).unwrap();
        assert!(batches(("part", 8)).is_empty() && batches(("part", 7)).is_empty());
    }
}
