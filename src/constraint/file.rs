//! Memory-mapped files of arrays, and the file of a trie.

use std::io::Write;
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::OnceLock;

use memmap2::Mmap;

use super::layout::{Buffer, FORMAT_VERSION, HEADER, ITEMS, MAGIC, SHARED_VERSION, TOKENS, TrieLayout};
use super::trie::Trie;
use crate::artifact::{AtomicFile, Overwrite, open_regular, sha256};
use crate::error::{Error, Result};
use crate::tokenizer::MAX_LEVELS;
use crate::vocabulary::TokenIds;

/// Length of the checksum at the end of a file: SHA-256 of all bytes before it, in hexadecimal.
const CHECKSUM: usize = 64;

/// A binary file format: its header, and its name in errors.
pub(super) struct BinaryFormat {
    pub(super) magic: u64,
    /// The versions that can be read.
    pub(super) versions: RangeInclusive<u64>,
    /// Length of the header in 8-byte numbers.
    pub(super) header: usize,
    pub(super) name: &'static str,
    pub(super) help: &'static str,
}

const TRIE: BinaryFormat = BinaryFormat {
    magic: MAGIC,
    versions: FORMAT_VERSION..=SHARED_VERSION,
    header: HEADER,
    name: "a trie of semantic IDs",
    help: "create the trie again from its token table",
};

impl BinaryFormat {
    pub(super) fn wrong(&self, path: &Path, expected: impl Into<String>, got: impl ToString) -> Error {
        Error::artifact(path, expected, got, self.help)
    }

    /// Writes the memory of a structure to a file, atomically.
    pub(super) fn save(body: &[u8], path: &Path, overwrite: Overwrite) -> Result<()> {
        let mut file = AtomicFile::create(path, overwrite)?;
        file.write_all(body)
            .and_then(|()| file.write_all(sha256(body).as_bytes()))
            .map_err(|e| Error::io("write", path, e))?;
        file.commit()
    }

    /// Maps a file and checks its magic number, version and checksum.
    pub(super) fn map(&self, path: &Path) -> Result<Mmap> {
        let file = open_regular(path).map_err(|e| Error::io("read", path, e))?;
        // SAFETY: a mapped file must not change while it is mapped. catalex replaces files by renaming and never writes
        // to an existing one, and the checksum is verified before anything else is read.
        #[allow(unsafe_code)]
        let map = unsafe { Mmap::map(&file) }.map_err(|e| Error::io("read", path, e))?;
        if map.len() < self.header * 8 + CHECKSUM || number(&map, 0) != self.magic {
            return Err(self.wrong(
                path,
                self.name,
                format!("a file of {} bytes with another magic number", map.len()),
            ));
        }
        if !self.versions.contains(&number(&map, 1)) {
            let got = format!("version {}", number(&map, 1));
            let (oldest, newest) = (self.versions.start(), self.versions.end());
            let expected = if oldest == newest { newest.to_string() } else { format!("{oldest} or {newest}") };
            return Err(self.wrong(path, format!("format version {expected}"), got));
        }
        let body = &map[..map.len() - CHECKSUM];
        if sha256(body).as_bytes() != &map[body.len()..] {
            return Err(self.wrong(path, "a matching checksum", "another checksum: the file is damaged or truncated"));
        }
        Ok(map)
    }

    /// Checks the length of a mapped file against its header.
    pub(super) fn check_length(&self, path: &Path, map: &Mmap, end: usize) -> Result<()> {
        let expected = end.saturating_add(CHECKSUM);
        if expected == map.len() {
            return Ok(());
        }
        Err(self.wrong(path, format!("{expected} bytes"), map.len()))
    }
}

/// The number at an index of the header.
pub(super) fn number(map: &[u8], at: usize) -> u64 {
    let bytes = map.get(at * 8..at * 8 + 8).and_then(|bytes| bytes.try_into().ok());
    bytes.map_or(0, u64::from_ne_bytes)
}

impl Trie {
    /// Writes the trie to a file, atomically.
    ///
    /// # Errors
    /// As [`AtomicFile::create`] and [`AtomicFile::commit`].
    pub fn save(&self, path: &Path, overwrite: Overwrite) -> Result<()> {
        // `with_tokens` does not update the header in memory, so the token ids are written here.
        let mut bytes = self.buffer.bytes()[..self.layout.end].to_vec();
        bytes[TOKENS * 8..ITEMS * 8].copy_from_slice(bytemuck::cast_slice(&token_numbers(self.tokens.as_ref())));
        BinaryFormat::save(&bytes, path, overwrite)
    }

    /// Maps a file into memory and verifies it. Processes share the pages, and nothing is copied. The file must not be
    /// modified in place while it is mapped; catalex itself only replaces files.
    ///
    /// # Errors
    /// [`Error::Io`] where it cannot be read; [`Error::Artifact`] for another format or version and for a damaged file.
    pub fn load(path: &Path) -> Result<Self> {
        let map = TRIE.map(path)?;
        let wrong = |got: String| TRIE.wrong(path, "consistent arrays of a trie", got);
        let levels = usize::try_from(number(&map, 2)).ok().filter(|&levels| levels <= MAX_LEVELS);
        let levels = levels.ok_or_else(|| wrong(format!("{} levels", number(&map, 2))))?;
        let nodes: Vec<u64> = (0..levels).map(|level| number(&map, 3 + level)).collect();
        let items = number(&map, ITEMS);
        if (number(&map, 1) == SHARED_VERSION) != (items > 0) {
            return Err(wrong(format!("{items} items that share IDs in version {}", number(&map, 1))));
        }
        let layout = TrieLayout::checked(&nodes, items, map.len()).map_err(wrong)?;
        TRIE.check_length(path, &map, layout.end)?;
        let tokens = read_tokens(levels, |at| number(&map, TOKENS + at)).map_err(wrong)?;
        let trie = Trie { buffer: Buffer::Mapped(map), layout, tokens, leaves: OnceLock::new() };
        trie.check().map_err(wrong)?;
        Ok(trie)
    }
}

/// The token ids as header numbers; all zero without token ids.
fn token_numbers(tokens: Option<&TokenIds>) -> [u64; ITEMS - TOKENS] {
    let mut numbers = [0; ITEMS - TOKENS];
    if let Some(tokens) = tokens {
        let or_zero = |id: Option<u32>| id.map_or(0, |id| u64::from(id) + 1);
        let ids = [Some(tokens.first_id), tokens.begin, tokens.end].map(or_zero);
        let values = ids.into_iter().chain([u64::from(tokens.vocabulary_size)]);
        let values = values.chain(tokens.codebook_sizes.iter().map(|&size| size as u64));
        numbers.iter_mut().zip(values).for_each(|(number, value)| *number = value);
    }
    numbers
}

/// The token ids of a header. `None` if the first number is zero.
fn read_tokens(levels: usize, number: impl Fn(usize) -> u64) -> std::result::Result<Option<TokenIds>, String> {
    let id = |at: usize| match number(at).checked_sub(1).map(u32::try_from).transpose() {
        Ok(id) => Ok(id),
        Err(_) => Err(format!("the token id {}", number(at) - 1)),
    };
    let Some(first_id) = id(0)? else {
        return if (1..ITEMS - TOKENS).all(|at| number(at) == 0) {
            Ok(None)
        } else {
            Err("incomplete token ids".into())
        };
    };
    let sizes: Vec<usize> = (0..levels).map(|level| usize::try_from(number(4 + level)).unwrap_or(usize::MAX)).collect();
    let vocabulary_size = u32::try_from(number(3)).map_err(|_| format!("a vocabulary of {}", number(3)))?;
    Ok(Some(TokenIds { first_id, begin: id(1)?, end: id(2)?, vocabulary_size, codebook_sizes: sizes }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::constraint::Prefix;
    use ndarray::array;

    #[test]
    fn a_mapped_trie_equals_the_saved_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("trie");
        let trie = Trie::new(array![[1u16, 2, 3], [1, 2, 4], [9, 0, 0]].view()).unwrap();
        trie.save(&path, Overwrite::Refuse).unwrap();
        let mapped = Trie::load(&path).unwrap();
        assert_eq!(mapped.buffer.bytes()[..mapped.layout.end], *trie.buffer.bytes());
        assert_eq!(mapped.allowed(Prefix::EMPTY), [1, 9]);
        assert_eq!(mapped.allowed(mapped.find(&[1, 2]).unwrap()), [3, 4]);
        assert!(trie.save(&path, Overwrite::Refuse).is_err());
        assert_eq!(mapped.tokens(), None);
    }

    #[test]
    fn token_ids_are_saved_with_the_trie() {
        let folder = tempfile::tempdir().unwrap();
        let (path, again) = (folder.path().join("trie"), folder.path().join("again"));
        let tokens = TokenIds {
            first_id: 0,
            codebook_sizes: vec![10, 256, 300],
            begin: Some(566),
            end: None,
            vocabulary_size: 567,
        };
        let trie = Trie::new(array![[1u16, 2, 3], [1, 2, 4], [9, 0, 0]].view()).unwrap();
        trie.with_tokens(tokens.clone()).unwrap().save(&path, Overwrite::Refuse).unwrap();
        let mapped = Trie::load(&path).unwrap();
        assert_eq!(mapped.tokens(), Some(&tokens));
        mapped.save(&again, Overwrite::Refuse).unwrap();
        assert_eq!(std::fs::read(path).unwrap(), std::fs::read(again).unwrap());
    }

    #[test]
    fn every_modified_byte_and_every_truncation_is_detected() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("trie");
        Trie::new(array![[1u16, 2], [1, 3]].view()).unwrap().save(&path, Overwrite::Refuse).unwrap();
        let whole = std::fs::read(&path).unwrap();
        let load = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            Trie::load(&path).map(|_| ())
        };
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 4;
            assert!(load(&bytes).is_err(), "byte {at}");
            assert!(load(&whole[..at]).is_err(), "cut at {at}");
        }
        load(&whole).unwrap();
    }

    #[test]
    fn damaged_arrays_with_a_correct_checksum_are_refused_or_form_a_trie() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("trie");
        let codes = ndarray::Array2::from_shape_fn((150, 3), |(i, l)| [i % 5, i / 5 % 6, i / 30][l] as u16);
        let tokens = TokenIds {
            first_id: 9,
            codebook_sizes: vec![8, 8, 8],
            begin: Some(33),
            end: Some(34),
            vocabulary_size: 35,
        };
        Trie::new(codes.view()).unwrap().with_tokens(tokens).unwrap().save(&path, Overwrite::Refuse).unwrap();
        let whole = std::fs::read(&path).unwrap();
        let body = whole.len() - CHECKSUM;
        let mut random = 5u64;
        let mut next = |below: usize| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) as usize % below
        };
        let mut accepted = 0;
        for round in 0..1_500 {
            let mut bytes = whole[..body].to_vec();
            let (at, byte, length) = (next(body - 16), next(256) as u8, 1 + next(8));
            match round % 3 {
                0 => bytes[at] = byte,
                1 => bytes[at..at + length].fill(byte),
                _ => bytes.swap(at, at + length),
            }
            bytes.extend(sha256(&bytes).as_bytes());
            std::fs::write(&path, &bytes).unwrap();
            let Ok(trie) = Trie::load(&path) else { continue };
            accepted += 1;
            // Every ID is found at its row of the file, and a new trie of these IDs gives the same answers.
            let mut found: Vec<(u32, Vec<u16>)> = Vec::new();
            let mut open = vec![vec![]];
            while let Some(prefix) = open.pop() {
                let node = trie.find(&prefix).unwrap();
                match prefix.len() == trie.levels() {
                    true => found.push((trie.rows_under(node)[0], prefix)),
                    false => open.extend(trie.allowed(node).iter().map(|&code| [&prefix[..], &[code]].concat())),
                }
            }
            found.sort();
            let codes = ndarray::Array2::from_shape_fn((found.len(), trie.levels()), |(i, l)| found[i].1[l]);
            let again = Trie::new(codes.view()).unwrap();
            assert_eq!((again.len(), again.levels()), (trie.len(), trie.levels()));
            for (_, id) in &found {
                for depth in 0..id.len() {
                    let (one, other) = (trie.find(&id[..depth]).unwrap(), again.find(&id[..depth]).unwrap());
                    assert_eq!(trie.allowed(one), again.allowed(other));
                    assert_eq!(trie.rows_under(one).len(), again.rows_under(other).len());
                }
            }
        }
        assert!(accepted < 900, "{accepted}");
    }
}
