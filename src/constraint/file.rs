//! A trie as a file.

use std::fs::File;
use std::path::Path;

use memmap2::Mmap;

use super::layout::{Buffer, FORMAT_VERSION, HEADER, Layout, MAGIC, TOKENS};
use super::trie::Trie;
use crate::artifact::{Overwrite, sha256, write_file};
use crate::error::{Error, Result};
use crate::vocabulary::TokenIds;

/// Bytes of the checksum at the end: SHA-256 of all before it, in hexadecimal.
const CHECKSUM: usize = 64;

impl Trie {
    /// Writes it to a file, which is whole or not there.
    ///
    /// # Errors
    /// As [`write_file`].
    pub fn save(&self, path: &Path, overwrite: Overwrite) -> Result<()> {
        let mut bytes = self.buffer.bytes()[..self.layout.end].to_vec();
        bytes[TOKENS * 8..HEADER * 8].copy_from_slice(bytemuck::cast_slice(&token_numbers(self.tokens.as_ref())));
        let checksum = sha256(&bytes);
        bytes.extend_from_slice(checksum.as_bytes());
        write_file(path, &bytes, overwrite)
    }

    /// Maps a file into memory and checks it: pages are shared by all processes that use the file, and nothing is
    /// copied. The file must not be changed in place while it is mapped; catalex replaces files, and never does.
    ///
    /// # Errors
    /// [`Error::Io`] when it cannot be read; [`Error::Artifact`] for another format, another version, or damage.
    pub fn load(path: &Path) -> Result<Self> {
        let wrong = |expected: String, got: String| {
            Error::artifact(path, expected, got, "write the trie again from its token table")
        };
        let file = File::open(path).map_err(|e| Error::io("read", path, e))?;
        // SAFETY: a mapped file must not change under the map. Files of catalex appear by a rename and are replaced,
        // never written to, and what is read from the map is checked against its checksum first.
        #[allow(unsafe_code)]
        let map = unsafe { Mmap::map(&file) }.map_err(|e| Error::io("read", path, e))?;
        let number = |at: usize| {
            let bytes = map.get(at * 8..at * 8 + 8).and_then(|bytes| bytes.try_into().ok());
            bytes.map_or(0, u64::from_ne_bytes)
        };
        if map.len() < HEADER * 8 + CHECKSUM || number(0) != MAGIC {
            return Err(wrong(
                "a trie of semantic IDs".into(),
                format!("a file of {} bytes without its mark", map.len()),
            ));
        }
        if number(1) != FORMAT_VERSION {
            return Err(wrong(format!("format version {FORMAT_VERSION}"), format!("version {}", number(1))));
        }
        let body = &map[..map.len() - CHECKSUM];
        if sha256(body).as_bytes() != &map[body.len()..] {
            return Err(wrong("a file as it was written".into(), "another checksum: it is damaged or cut off".into()));
        }
        let nodes: Vec<usize> = (0..number(2).min(8) as usize).map(|level| number(3 + level) as usize).collect();
        let layout = Layout::new(&nodes);
        if layout.end != body.len() {
            return Err(wrong(format!("{} bytes", layout.end + CHECKSUM), format!("{}", map.len())));
        }
        let tokens = read_tokens(nodes.len(), |at| number(TOKENS + at));
        Ok(Trie { buffer: Buffer::Mapped(map), layout, tokens })
    }
}

/// What the header says of token ids.
fn token_numbers(tokens: Option<&TokenIds>) -> [u64; HEADER - TOKENS] {
    let mut numbers = [0; HEADER - TOKENS];
    if let Some(tokens) = tokens {
        let or_zero = |id: Option<u32>| id.map_or(0, |id| u64::from(id) + 1);
        let ids = [Some(tokens.first_id), tokens.begin, tokens.end].map(or_zero);
        let values = ids.into_iter().chain([u64::from(tokens.vocabulary_size)]);
        let values = values.chain(tokens.codebook_sizes.iter().map(|&size| size as u64));
        numbers.iter_mut().zip(values).for_each(|(number, value)| *number = value);
    }
    numbers
}

/// The reverse; the numbers are as they were written, for the checksum was right.
fn read_tokens(levels: usize, number: impl Fn(usize) -> u64) -> Option<TokenIds> {
    let id = |at: usize| number(at).checked_sub(1).map(|id| id as u32);
    Some(TokenIds {
        first_id: id(0)?,
        begin: id(1),
        end: id(2),
        vocabulary_size: number(3) as u32,
        codebook_sizes: (0..levels).map(|level| number(4 + level) as usize).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::constraint::Prefix;
    use ndarray::array;

    #[test]
    fn a_mapped_trie_answers_like_the_saved_one() {
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
    fn token_ids_are_saved_along() {
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
    fn every_flipped_byte_and_every_cut_is_noticed() {
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
}
