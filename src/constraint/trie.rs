//! The trie of valid semantic IDs.

use std::sync::OnceLock;

use super::bits::Bits;
use super::layout::{Buffer, TrieLayout};
use super::subset::Subset;
use crate::error::{Error, Result};
use crate::vocabulary::TokenIds;

/// All valid semantic IDs as a trie: immutable, in one block of memory, which can be a mapped file.
///
/// The nodes of a level are sorted by their codes, so the children of a node are a contiguous range of the next level,
/// and the codes that may follow a prefix are a slice. One bit per node marks the start of such a range. An item takes 2
/// bytes per level that it does not share and 4 bytes for its row: at most 12 bytes with 4 levels. Several items can share
/// an ID; then their rows are in the order of their ranks.
#[derive(Debug)]
pub struct Trie {
    pub(super) buffer: Buffer,
    pub(super) layout: TrieLayout,
    /// Token ids of the codes in a language model, if known.
    pub(super) tokens: Option<TokenIds>,
    /// The leaf of each row, computed on first use.
    pub(super) leaves: OnceLock<Vec<u32>>,
}

/// A prefix of at least one item's ID.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prefix {
    /// Number of codes.
    depth: usize,
    /// Index among the prefixes of this length.
    index: usize,
}

impl Prefix {
    /// The empty prefix, which all items share.
    pub const EMPTY: Prefix = Prefix { depth: 0, index: 0 };

    /// Number of codes.
    pub fn depth(self) -> usize {
        self.depth
    }
}

impl Trie {
    /// Adds the token ids of the codes in a language model; [`Trie::save`] includes them.
    ///
    /// # Errors
    /// [`Error::Mismatch`] where the token ids have another number of levels, or a code has no token id.
    pub fn with_tokens(mut self, tokens: TokenIds) -> Result<Self> {
        let highest: Vec<usize> = (0..self.levels())
            .map(|level| self.codes(level).iter().max().map_or(0, |&code| usize::from(code)))
            .collect();
        let sizes = &tokens.codebook_sizes;
        if sizes.len() != highest.len() || sizes.iter().zip(&highest).any(|(&size, &code)| code >= size) {
            return Err(Error::mismatch(
                "trie and vocabulary",
                format!("codebooks with codes up to {highest:?}"),
                format!("codebooks of {sizes:?}"),
                "pass the vocabulary of this token table",
            ));
        }
        self.tokens = Some(tokens);
        Ok(self)
    }

    /// Token ids of the codes in a language model, if known.
    pub fn tokens(&self) -> Option<&TokenIds> {
        self.tokens.as_ref()
    }

    /// Whether items can share IDs.
    pub fn is_shared(&self) -> bool {
        self.layout.members.is_some()
    }

    /// Number of items.
    pub fn len(&self) -> usize {
        self.rows().len()
    }

    /// Always `false`.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of levels.
    pub fn levels(&self) -> usize {
        self.layout.levels.len()
    }

    /// Size in memory in bytes; the file has a checksum of 64 bytes in addition.
    pub fn size(&self) -> usize {
        self.layout.end
    }

    /// The prefix of these codes; `None` where no item has it.
    pub fn find(&self, codes: &[u16]) -> Option<Prefix> {
        codes.iter().try_fold(Prefix::EMPTY, |prefix, &code| self.child(prefix, code))
    }

    /// A prefix extended by one code; `None` where no item has it.
    pub fn child(&self, prefix: Prefix, code: u16) -> Option<Prefix> {
        let range = self.child_range(prefix);
        let at = self.codes(prefix.depth).get(range.clone())?.binary_search(&code).ok()?;
        Some(Prefix { depth: prefix.depth + 1, index: range.start + at })
    }

    /// The codes that are allowed next, ascending; none after a complete ID.
    pub fn allowed(&self, prefix: Prefix) -> &[u16] {
        self.codes(prefix.depth).get(self.child_range(prefix)).unwrap_or_default()
    }

    /// The codes that are allowed next and lead to an item of the subset. A shared ID is allowed if the subset has one of
    /// its items.
    pub fn allowed_in<'a>(&'a self, prefix: Prefix, subset: &'a Subset) -> impl Iterator<Item = u16> + 'a {
        let range = self.child_range(prefix);
        let depth = prefix.depth + 1;
        let codes = self.codes(prefix.depth).get(range.clone()).unwrap_or_default();
        let mut from = if codes.is_empty() { 0 } else { self.first_item(depth, range.start) };
        codes.iter().enumerate().filter_map(move |(at, &code)| {
            let to = self.first_item(depth, range.start + at + 1);
            (subset.any(std::mem::replace(&mut from, to)..to)).then_some(code)
        })
    }

    /// The rows of the token table whose IDs start with the prefix, in the order of their codes, then of their ranks.
    pub fn rows_under(&self, prefix: Prefix) -> &[u32] {
        if prefix.depth == 0 {
            return self.rows();
        }
        let (from, to) = (self.first_item(prefix.depth, prefix.index), self.first_item(prefix.depth, prefix.index + 1));
        self.rows().get(from..to).unwrap_or_default()
    }

    /// The items whose row satisfies `belongs`, as a filter for [`Trie::allowed_in`].
    pub fn subset(&self, belongs: impl Fn(usize) -> bool + Sync) -> Subset {
        Subset::new(self.rows(), belongs)
    }

    /// The last codes of all prefixes of `level + 1` codes, in the order of the prefixes.
    pub(super) fn codes(&self, level: usize) -> &[u16] {
        self.layout.levels.get(level).map_or(&[], |layout| self.buffer.read(&layout.codes))
    }

    /// The codes of `level` that follow the prefix at an index of the level before.
    pub(super) fn children(&self, level: usize, index: usize) -> &[u16] {
        self.allowed(Prefix { depth: level, index })
    }

    /// Row of each item, in the order of the leaves.
    pub(super) fn rows(&self) -> &[u32] {
        self.buffer.read(&self.layout.rows)
    }

    /// A bit per node of a level below the first: whether it is the first child of its parent.
    pub(super) fn firsts(&self, level: usize) -> Bits<'_> {
        let layout = &self.layout.levels[level];
        Bits { words: self.buffer.read(&layout.words), directory: self.buffer.read(&layout.directory) }
    }

    /// A bit per item: whether it is the first item of its leaf. `None` if each ID has one item.
    pub(super) fn members(&self) -> Option<Bits<'_>> {
        let (words, directory) = self.layout.members.as_ref()?;
        Some(Bits { words: self.buffer.read(words), directory: self.buffer.read(directory) })
    }

    /// The indices of a prefix's children among the nodes of the next level.
    fn child_range(&self, prefix: Prefix) -> std::ops::Range<usize> {
        match prefix.depth {
            0 => 0..self.codes(0).len(),
            depth if depth < self.levels() => {
                let firsts = self.firsts(depth);
                let end = self.codes(depth).len();
                let from = firsts.select(prefix.index).unwrap_or(end);
                from..firsts.next_one(from + 1).unwrap_or(end)
            }
            _ => 0..0,
        }
    }

    /// The first item under the prefix at an index of a depth; for the index after the last, the number of items.
    fn first_item(&self, depth: usize, index: usize) -> usize {
        let leaf = (depth..self.levels()).try_fold(index, |index, level| self.firsts(level).select(index));
        let item = match self.members() {
            None => leaf,
            Some(members) => leaf.and_then(|leaf| members.select(leaf)),
        };
        item.unwrap_or_else(|| self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::item_ids::ItemIds;
    use crate::semantic_id::{Collisions, MemberFacts, Members, TableMetadata, TokenFormat, TokenTable};
    use ndarray::Array2;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn table() -> impl Strategy<Value = (usize, BTreeSet<Vec<u16>>)> {
        (1usize..6).prop_flat_map(|levels| {
            let code = prop_oneof![0u16..5, 65_530u16..=65_535];
            let rows = prop::collection::btree_set(prop::collection::vec(code, levels), 1..200);
            (Just(levels), rows)
        })
    }

    fn array(levels: usize, rows: &[Vec<u16>]) -> Array2<u16> {
        Array2::from_shape_fn((rows.len(), levels), |(i, l)| rows[i][l])
    }

    proptest! {
        #[test]
        fn the_trie_agrees_with_a_list_of_ids((levels, ids) in table(), odd in any::<bool>()) {
            // Unsorted.
            let mut rows: Vec<Vec<u16>> = ids.iter().cloned().collect();
            let middle = rows.len() / 2;
            rows.rotate_left(middle);
            let trie = Trie::new(array(levels, &rows).view()).unwrap();
            prop_assert_eq!((trie.len(), trie.levels()), (rows.len(), levels));
            let subset = trie.subset(|row| (row % 2 == 1) == odd);
            let prefixes: BTreeSet<&[u16]> = rows.iter().flat_map(|row| (0..=levels).map(|d| &row[..d])).collect();
            for prefix in prefixes {
                let found = trie.find(prefix).unwrap();
                prop_assert_eq!(found.depth(), prefix.len());
                let under: Vec<usize> = (0..rows.len()).filter(|&row| rows[row].starts_with(prefix)).collect();
                let next = |keep: &dyn Fn(usize) -> bool| -> Vec<u16> {
                    let kept = under.iter().filter(|&&row| keep(row));
                    kept.filter_map(|&row| rows[row].get(prefix.len()).copied()).collect::<BTreeSet<_>>().into_iter().collect()
                };
                let (all, some) = (next(&|_| true), next(&|row| (row % 2 == 1) == odd));
                prop_assert_eq!(trie.allowed(found), all.as_slice());
                prop_assert_eq!(trie.allowed_in(found, &subset).collect::<Vec<_>>(), some);
                let mut held: Vec<usize> = trie.rows_under(found).iter().map(|&row| row as usize).collect();
                held.sort_unstable();
                prop_assert_eq!(held, under);
                prop_assert_eq!(trie.child(found, 77), None);
            }
        }
    }

    proptest! {
        #[test]
        fn shared_ids_lead_to_their_items_in_the_order_of_ranks(
            items in prop::collection::vec((0u16..3, 0u16..3, 0u16..4), 1..150), odd in any::<bool>(),
        ) {
            let codes = Array2::from_shape_fn((items.len(), 2), |(i, l)| if l == 0 { items[i].0 } else { items[i].1 });
            let ids = ItemIds::row_numbers(items.len());
            let facts = MemberFacts { priority: items.iter().map(|item| f64::from(item.2)).collect(), classes: None };
            let members = Members::ranked(codes.view(), &ids, facts, &[]);
            let table = table_of(codes, ids, members);
            let trie = Trie::of_table(&table, &crate::constraint::all_rows(&table)).unwrap();
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("trie");
            trie.save(&path, crate::artifact::Overwrite::Refuse).unwrap();
            let subset = |row: usize| (row % 2 == 1) == odd;
            for trie in [Trie::load(&path).unwrap(), trie] {
                prop_assert_eq!((trie.len(), trie.is_shared()), (items.len(), true));
                let chosen = trie.subset(subset);
                for a in 0..3 {
                    let next = |keep: &dyn Fn(usize) -> bool| -> Vec<u16> {
                        let kept = (0..items.len()).filter(|&row| items[row].0 == a && keep(row));
                        kept.map(|row| items[row].1).collect::<BTreeSet<_>>().into_iter().collect()
                    };
                    let Some(prefix) = trie.find(&[a]) else { continue };
                    prop_assert_eq!(trie.allowed(prefix), next(&|_| true));
                    prop_assert_eq!(trie.allowed_in(prefix, &chosen).collect::<Vec<_>>(), next(&subset));
                    for b in 0..3 {
                        let mut of_id: Vec<usize> =
                            (0..items.len()).filter(|&row| (items[row].0, items[row].1) == (a, b)).collect();
                        of_id.sort_by(|&x, &y| items[y].2.cmp(&items[x].2).then(x.cmp(&y)));
                        let rows = trie.find(&[a, b]).map_or(&[][..], |prefix| trie.rows_under(prefix));
                        prop_assert_eq!(rows.iter().map(|&row| row as usize).collect::<Vec<_>>(), of_id);
                    }
                }
                prop_assert!(trie.check_table(&table).is_ok());
            }
        }
    }

    fn table_of(codes: Array2<u16>, item_ids: ItemIds, members: Members) -> TokenTable {
        TokenTable {
            residual_error: vec![0.0; codes.nrows()],
            reassigned: vec![false; codes.nrows()],
            metadata: TableMetadata {
                model_hash: String::new(),
                codebook_sizes: vec![4, 4],
                token_format: TokenFormat::default(),
                policy: Collisions::Share { capacity: u16::MAX },
                collisions: None,
            },
            members: Some(members),
            item_ids,
            codes,
        }
    }

    #[test]
    fn equal_ids_are_refused_with_their_rows() {
        let error = Trie::new(ndarray::array![[1u16, 2], [3, 4], [1, 2]].view()).unwrap_err().to_string();
        assert!(error.contains("rows 1 and 3"), "{error}");
        assert!(Trie::new(Array2::<u16>::zeros((0, 4)).view()).is_err());
        assert!(Trie::new(Array2::<u16>::zeros((1, 9)).view()).is_err());
    }

    #[test]
    fn a_trie_of_some_rows_keeps_the_row_numbers() {
        let codes = ndarray::array![[1u16, 2], [3, 4], [1, 2], [0, 9]];
        let trie = Trie::of_rows(codes.view(), &[3, 2]).unwrap();
        assert_eq!(trie.rows_under(Prefix::EMPTY), [3, 2]);
        assert_eq!(trie.find(&[3]), None);
    }

    #[test]
    fn token_ids_of_another_table_are_refused() {
        let tokens = |sizes: &[usize]| TokenIds {
            first_id: 10,
            codebook_sizes: sizes.to_vec(),
            begin: None,
            end: None,
            vocabulary_size: 30,
        };
        let trie = || Trie::new(ndarray::array![[1u16, 2], [3, 4]].view()).unwrap();
        assert!(trie().with_tokens(tokens(&[4, 5])).is_ok());
        for wrong in [&[4, 4][..], &[4], &[4, 5, 6]] {
            let message = trie().with_tokens(tokens(wrong)).unwrap_err().to_string();
            assert!(message.contains("[3, 4]"), "{message}");
        }
    }

    #[test]
    fn an_item_takes_at_most_twelve_bytes() {
        // The worst case at 4 levels: after the first, no two items share a prefix.
        let codes = Array2::from_shape_fn((40_000, 4), |(i, l)| [0, i, i * 7 % 40_009, i * 11 % 40_009][l] as u16);
        let trie = Trie::new(codes.view()).unwrap();
        assert!(trie.size() <= 12 * trie.len(), "{} bytes for {} items", trie.size(), trie.len());
    }
}
