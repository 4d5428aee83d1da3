//! The disambiguating level of appended items, and its tokens in the vocabulary.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use ndarray::{Array2, ArrayView2, s};

use super::append_plan::ParentIndex;
use super::sources::own_token_ids;
use super::spec::{BuildSpec, OverflowItems};
use crate::artifact::{Overwrite, read_description};
use crate::error::{Error, Result};
use crate::index::{Index, IndexWriter, VOCABULARY};
use crate::progress::Progress;
use crate::semantic_id::{Collisions, TokenTable};
use crate::tokenizer::MAX_CODEBOOK_SIZE;
use crate::vocabulary::{VOCABULARY_FILE, write_vocabulary};

/// Checks that the disambiguating level of an index can get more codes.
///
/// # Errors
/// [`Error::Config`] for an index without a disambiguating level, and for a vocabulary with markers.
pub(super) fn check_growth(parent: &ParentIndex) -> Result<()> {
    let policy = parent.table.metadata.policy;
    if policy != Collisions::Suffix {
        let reason = "an additional level would change the tokens of every existing ID";
        return Err(Error::config(
            "overflow",
            "error, for an index without a disambiguating level",
            format!("suffix, and an index that was built with --collisions {policy}: {reason}"),
            "omit it; if no ID is free, release the IDs of deleted items (--quarantine), or build a new index with \
             more codes (--codebook-size, --levels) or with --collisions suffix; retrain keeps the number of codes",
        ));
    }
    let vocabulary = BuildSpec::of_manifest(&parent.index.manifest().settings)?.vocabulary;
    match vocabulary.begin_token.or(vocabulary.end_token) {
        None => Ok(()),
        Some(marker) => Err(Error::config(
            "overflow",
            "error, for a vocabulary with markers",
            format!("suffix, and the marker {marker:?}, whose id follows those of the codes and would change"),
            "omit it, or build a new index without --begin-token and --end-token",
        )),
    }
}

/// The codes of new items, including their numbers in the disambiguating level. In the order of the item ids, each item
/// gets the next number for its other codes, or, if the level has no more numbers for them, the lowest released number.
/// Otherwise, the level grows if `overflow` allows it. For an item that is in the index, `own` has its row; it keeps
/// its ID if its other codes are the same.
///
/// # Errors
/// [`Error::Data`] if no number is left. With [`OverflowItems::Suffix`], this happens only if the level would need more
/// than [`MAX_CODEBOOK_SIZE`] codes.
pub(super) fn suffixed(
    parent: &ParentIndex,
    new: &TokenTable,
    own: &[Option<usize>],
    overflow: OverflowItems,
) -> Result<Array2<u16>> {
    let last = parent.table.codes.ncols() - 1;
    let size = parent.table.metadata.codebook_sizes[last];
    let most = match overflow {
        OverflowItems::Error => size,
        OverflowItems::Suffix => MAX_CODEBOOK_SIZE,
    };
    let mut next: HashMap<Vec<u16>, usize> = HashMap::new();
    let mut note = |codes: ArrayView2<u16>| {
        for row in codes.rows() {
            let after = usize::from(row[last]) + 1;
            let number = next.entry(row.iter().take(last).copied().collect()).or_default();
            *number = (*number).max(after);
        }
    };
    note(parent.table.codes.view());
    note(parent.tombstones.codes.view());
    let mut released = Released { parent, size, looked: HashMap::new(), given: HashSet::new() };
    let mut order: Vec<usize> = (0..new.codes.nrows()).collect();
    order.sort_by(|&a, &b| new.item_ids.compare(a, b));
    let mut codes = Array2::zeros((new.codes.nrows(), last + 1));
    for row in order {
        let prefix = new.codes.row(row).to_vec();
        codes.slice_mut(s![row, ..last]).assign(&new.codes.row(row));
        if let Some(old) = own[row].map(|old| parent.table.codes.row(old))
            && old.iter().take(last).eq(&prefix)
        {
            codes[[row, last]] = old[last];
            continue;
        }
        let number = next.entry(prefix.clone()).or_default();
        let chosen = match *number < size {
            true => None,
            false => released.number(&prefix),
        };
        let chosen = match chosen {
            Some(released) => released,
            None if *number < most => {
                *number += 1;
                *number - 1
            }
            None => {
                let help = match overflow {
                    OverflowItems::Error => {
                        "add tokens to the disambiguating level with --overflow suffix, or build a new index; with \
                         --collisions resolve, items move to free codes instead"
                    }
                    OverflowItems::Suffix => "build a new index with more codes",
                };
                return Err(Error::data(
                    "suffixes of semantic IDs",
                    format!("at most {most} items with the codes {}", new.semantic_id(row)),
                    format!("one more, item {}", new.item_ids.text(row)),
                    help,
                ));
            }
        };
        // Below `MAX_CODEBOOK_SIZE`.
        codes[[row, last]] = chosen as u16;
        released.given.insert(codes.row(row).to_vec());
    }
    Ok(codes)
}

/// Finds released numbers: those of deleted items whose quarantine has ended.
struct Released<'a> {
    parent: &'a ParentIndex,
    size: usize,
    /// Per prefix, the first number that has not been checked yet.
    looked: HashMap<Vec<u16>, usize>,
    /// The IDs that this append has assigned.
    given: HashSet<Vec<u16>>,
}

impl Released<'_> {
    /// The lowest free number of a prefix.
    fn number(&mut self, prefix: &[u16]) -> Option<usize> {
        let from = self.looked.entry(prefix.to_vec()).or_default();
        let is_free = |&number: &usize| {
            let id = [prefix, &[number as u16]].concat();
            !self.parent.occupied.contains(&id) && !self.given.contains(&id)
        };
        let found = (*from..self.size).find(is_free);
        *from = found.map_or(self.size, |found| found + 1);
        found
    }
}

/// Writes the vocabulary folder of a generation whose disambiguating level has more codes than that of its parent. All
/// tokens of the parent keep their ids.
///
/// # Errors
/// [`Error::Config`] if the tokenizer of the build is missing; [`Error::Mismatch`] if a token would get another id; as
/// [`write_vocabulary`].
pub(super) fn write_grown_vocabulary(
    writer: &IndexWriter,
    parent: &Index,
    table: &TokenTable,
    progress: &dyn Progress,
) -> Result<()> {
    if !parent.manifest().files.contains_key(&format!("{VOCABULARY}/{VOCABULARY_FILE}")) {
        return Ok(());
    }
    let built = BuildSpec::of_manifest(&parent.manifest().settings)?.vocabulary;
    if let Some(folder) = built.tokenizer.as_ref().filter(|folder| !folder.is_dir()) {
        let expected = format!("the tokenizer that the index was built with, at {}", folder.display());
        let help = "restore the folder, or run the command from the folder in which the index was built";
        return Err(Error::config("overflow", expected, "no such folder", help));
    }
    let (before, folder) = (parent.path(VOCABULARY), writer.path(VOCABULARY));
    write_vocabulary(&folder, table, &built.options(), Overwrite::Refuse, progress)?;
    let first = |folder: &Path| own_token_ids(folder).map(|ids| ids.map(|ids| ids.first_id));
    let described = |first: Option<u32>| first.map_or("without ids".to_owned(), |id| format!("with ids from {id}"));
    let (expected, got) = (first(&before)?, first(&folder)?);
    let (old, new) = (tokens(&before)?, tokens(&folder)?);
    match expected == got && new.starts_with(&old) {
        true => Ok(()),
        false => Err(Error::mismatch(
            "vocabulary of the next generation",
            format!("the {} tokens of the index, {}, before all new tokens", old.len(), described(expected)),
            format!("{} tokens, {}", new.len(), described(got)),
            "restore the tokenizer that the index was built with",
        )),
    }
}

/// The tokens of a vocabulary folder in order.
fn tokens(folder: &Path) -> Result<Vec<String>> {
    let path = folder.join("new_tokens.json");
    let bytes = read_description(&path).map_err(|e| Error::io("read", &path, e))?;
    serde_json::from_slice(&bytes)
        .map_err(|e| Error::artifact(&path, "a list of tokens", e, "restore the index from a copy"))
}
