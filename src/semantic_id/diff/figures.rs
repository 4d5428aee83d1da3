//! The figures of a comparison.

use rayon::prelude::*;
use serde::Serialize;

use super::compact::CompactTable;
use super::join::{Joined, join};
use super::neighbours::PrefixGroups;
use super::renaming::{LevelRenaming, level_renaming};
use crate::error::Result;
use crate::progress::Progress;

/// One of the two tables.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TableSide {
    /// Number of items.
    pub items: usize,
    /// Codes per level, including a suffix.
    pub codebook_sizes: Vec<usize>,
    /// How codes are written as tokens.
    pub token_format: String,
    /// Hash of the model that gave the codes.
    pub model_hash: String,
}

/// A code that has another name in the second table.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CodeRenaming {
    /// The token in the first table.
    pub before: String,
    /// The token in the second table.
    pub after: String,
    /// Items that have both.
    pub items: u32,
    /// Items of both tables that have the first.
    pub items_before: u32,
    /// Items of both tables that have the second.
    pub items_after: u32,
}

/// The codes of one level. Shares are of the items that both tables have.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LevelDiff {
    /// 0-based level.
    pub level: usize,
    /// Share of items with the same code.
    pub same: f64,
    /// Share of items with the same code, after the codes of the first table were renamed.
    pub same_after_renaming: f64,
    /// Codes that have another name.
    pub renamed_codes: usize,
    /// Share of the items with another code whose new code is the new name of their old one; none if no item has another
    /// code.
    pub moves_explained: Option<f64>,
    /// Whether no other renaming explains more. For codebooks of more than 1,024 codes, the renaming is only a good one.
    pub is_best: bool,
    /// Codes that items of both tables had before and none has now.
    pub codes_left: usize,
    /// Codes that no item of both tables had before and some have now.
    pub codes_taken: usize,
    /// The renamed codes of the most items.
    pub renamings: Vec<CodeRenaming>,
}

/// The prefixes of one depth. Shares are of the items that both tables have.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PrefixDiff {
    /// Number of codes in a prefix.
    pub depth: usize,
    /// Share of items with the same prefix.
    pub same: f64,
    /// Share of items with the same prefix, after the codes of the first table were renamed.
    pub same_after_renaming: f64,
    /// Of the items that shared an item's prefix, the share that still do, as a mean over items; none if no two did. It
    /// does not depend on the names of codes.
    pub neighbours_kept: Option<f64>,
    /// Distinct prefixes of these items in the first table.
    pub prefixes_before: usize,
    /// Distinct prefixes of these items in the second table.
    pub prefixes_after: usize,
}

/// An item that changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DiffItem {
    /// Its id in the catalog.
    pub item_id: String,
    /// Its semantic ID in the first table.
    pub before: Option<String>,
    /// Its semantic ID in the second table.
    pub after: Option<String>,
    /// Its title or text, where a catalog is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
}

/// The first items of each kind, in the order of the tables.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct DiffExamples {
    /// Items that only the second table has.
    pub added: Vec<DiffItem>,
    /// Items that only the first table has.
    pub removed: Vec<DiffItem>,
    /// Items with another ID that renamed codes do not explain.
    pub moved: Vec<DiffItem>,
    /// Items whose ID has other names of the same codes.
    pub renamed: Vec<DiffItem>,
    /// Items with an ID that another item had.
    pub reused: Vec<DiffItem>,
}

/// What changed between two token tables.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TableDiff {
    /// The first table.
    pub before: TableSide,
    /// The second table.
    pub after: TableSide,
    /// Items that only the second table has.
    pub added: usize,
    /// Items that only the first table has.
    pub removed: usize,
    /// Items that both tables have.
    pub common: usize,
    /// Of these, items with the same ID.
    pub same: usize,
    /// Of these, items with another ID.
    pub moved: usize,
    /// Of the moved items, those whose ID has other names of the same codes.
    pub renamed: usize,
    /// Items with an ID in the second table that only another item had in the first.
    pub reused_ids: usize,
    /// One entry per level that both tables have.
    pub levels: Vec<LevelDiff>,
    /// One entry per depth that both tables have.
    pub prefixes: Vec<PrefixDiff>,
    /// Some items of each kind.
    pub examples: DiffExamples,
}

impl TableDiff {
    /// Compares two tables, with at most `examples` items and renamed codes of each kind.
    ///
    /// # Errors
    /// [`crate::Error::Data`] for an id that one table has twice.
    pub fn of(before: &CompactTable, after: &CompactTable, examples: usize, progress: &dyn Progress) -> Result<Self> {
        let levels = before.levels().min(after.levels());
        progress.begin("compare", Some(1 + 2 * levels as u64), "steps");
        let joined = join(before, after)?;
        progress.advance(1);
        let renamings: Vec<LevelRenaming> = (0..levels)
            .map(|level| {
                let pair = |&(a, b): &(u32, u32)| (before.codes(a as usize)[level], after.codes(b as usize)[level]);
                let mut pairs: Vec<(u16, u16)> = joined.common.par_iter().map(pair).collect();
                let sizes = (before.metadata.codebook_sizes[level], after.metadata.codebook_sizes[level]);
                progress.advance(1);
                level_renaming(&mut pairs, sizes)
            })
            .collect();
        let sides = Sides { before, after, joined: &joined, renamings: &renamings };
        let [same, renamed] = sides.whole();
        let moved = joined.common.len() - same;
        let reused = sides.reused();
        let side = |table: &CompactTable| TableSide {
            items: table.len(),
            codebook_sizes: table.metadata.codebook_sizes.clone(),
            token_format: table.metadata.token_format.to_string(),
            model_hash: table.metadata.model_hash.clone(),
        };
        let diff = TableDiff {
            before: side(before),
            after: side(after),
            added: joined.added.len(),
            removed: joined.removed.len(),
            common: joined.common.len(),
            same,
            moved,
            renamed,
            reused_ids: reused.len(),
            levels: (0..levels).map(|level| sides.level(level, examples)).collect(),
            prefixes: sides.prefixes(levels, progress),
            examples: sides.examples(examples, &reused),
        };
        progress.end();
        Ok(diff)
    }
}

/// Both tables, and which of their rows and codes belong together.
struct Sides<'a> {
    before: &'a CompactTable,
    after: &'a CompactTable,
    joined: &'a Joined,
    renamings: &'a [LevelRenaming],
}

impl Sides<'_> {
    fn codes(&self, (a, b): (u32, u32)) -> (&[u16], &[u16]) {
        (self.before.codes(a as usize), self.after.codes(b as usize))
    }

    /// The new name of an old code.
    fn renamed(&self, level: usize, code: u16) -> u16 {
        self.renamings[level].new_code[usize::from(code)]
    }

    /// Whether an item's whole ID is the same, and whether it is after renaming.
    fn kept(&self, pair: (u32, u32)) -> [bool; 2] {
        let (a, b) = self.codes(pair);
        let renamed = || a.iter().enumerate().map(|(level, &code)| self.renamed(level, code)).eq(b.iter().copied());
        [a == b, a.len() == b.len() && renamed()]
    }

    /// Number of items with the same ID, and of those with other names of the same codes.
    fn whole(&self) -> [usize; 2] {
        let counts = self.joined.common.par_iter().map(|&pair| match self.kept(pair) {
            [true, _] => [1, 0],
            [false, renamed] => [0, usize::from(renamed)],
        });
        counts.reduce(|| [0, 0], |a, b| [a[0] + b[0], a[1] + b[1]])
    }

    /// Share of common items for which something holds.
    fn share(&self, holds: impl Fn(&[u16], &[u16]) -> bool + Sync) -> f64 {
        let count = self.joined.common.par_iter().filter(|&&pair| {
            let (a, b) = self.codes(pair);
            holds(a, b)
        });
        count.count() as f64 / self.joined.common.len().max(1) as f64
    }

    fn level(&self, level: usize, examples: usize) -> LevelDiff {
        let renaming = &self.renamings[level];
        let same = self.share(|a, b| a[level] == b[level]);
        let explained = self.share(|a, b| a[level] != b[level] && self.renamed(level, a[level]) == b[level]);
        let token = |table: &CompactTable, code: u16| table.metadata.token_format.token(level, code);
        let shown = renaming.renamed.iter().take(examples).map(|&(old, new, items)| CodeRenaming {
            before: token(self.before, old),
            after: token(self.after, new),
            items,
            items_before: renaming.before[usize::from(old)],
            items_after: renaming.after[usize::from(new)],
        });
        let only = |some: &[u32], others: &[u32]| {
            let absent = |code: usize| others.get(code).is_none_or(|&items| items == 0);
            some.iter().enumerate().filter(|&(code, &items)| items > 0 && absent(code)).count()
        };
        LevelDiff {
            level,
            same,
            same_after_renaming: self.share(|a, b| self.renamed(level, a[level]) == b[level]),
            renamed_codes: renaming.renamed.len(),
            moves_explained: (same < 1.0 && !self.joined.common.is_empty()).then(|| explained / (1.0 - same)),
            is_best: renaming.is_exact,
            codes_left: only(&renaming.before, &renaming.after),
            codes_taken: only(&renaming.after, &renaming.before),
            renamings: shown.collect(),
        }
    }

    fn prefixes(&self, levels: usize, progress: &dyn Progress) -> Vec<PrefixDiff> {
        let common = &self.joined.common;
        let (mut old, mut new) = (PrefixGroups::new(common.len()), PrefixGroups::new(common.len()));
        let by_depth = (1..=levels).map(|depth| {
            old.extend(|item| self.codes(common[item]).0[depth - 1]);
            new.extend(|item| self.codes(common[item]).1[depth - 1]);
            progress.advance(1);
            PrefixDiff {
                depth,
                same: self.share(|a, b| a[..depth] == b[..depth]),
                same_after_renaming: self.share(|a, b| (0..depth).all(|l| self.renamed(l, a[l]) == b[l])),
                neighbours_kept: old.kept_in(&new),
                prefixes_before: old.len(),
                prefixes_after: new.len(),
            }
        });
        by_depth.collect()
    }

    /// Rows of the second table whose ID only another item had in the first, ascending.
    fn reused(&self) -> Vec<u32> {
        if self.before.levels() != self.after.levels() {
            return Vec::new();
        }
        let key = |codes: &[u16]| codes.iter().fold(0u128, |key, &code| key << 16 | u128::from(code));
        let moved = || self.joined.common.par_iter().filter(|&&pair| !self.kept(pair)[0]);
        // IDs that an item gave up. An item that kept one of them shares it, and did so before.
        let given_up = moved().map(|&(a, _)| a).chain(self.joined.removed.par_iter().copied());
        let mut given_up: Vec<u128> = given_up.map(|row| key(self.before.codes(row as usize))).collect();
        given_up.par_sort_unstable();
        let taken = moved().map(|&(_, b)| b).chain(self.joined.added.par_iter().copied());
        let had = |row: &u32| given_up.binary_search(&key(self.after.codes(*row as usize))).is_ok();
        let mut reused: Vec<u32> = taken.filter(had).collect();
        reused.par_sort_unstable();
        reused
    }

    fn examples(&self, most: usize, reused: &[u32]) -> DiffExamples {
        let old = |row: u32| Some(self.before.semantic_id(row as usize));
        let new = |row: u32| Some(self.after.semantic_id(row as usize));
        let item = |item_id: String, before, after| DiffItem { item_id, before, after, title: None };
        let of_kind = |wanted: [bool; 2]| {
            let found = self.joined.common.iter().filter(|&&pair| self.kept(pair) == wanted).take(most);
            found.map(|&(a, b)| item(self.before.id(a as usize), old(a), new(b))).collect()
        };
        let (added, removed) = (self.joined.added.iter().take(most), self.joined.removed.iter().take(most));
        let before_of = |row: u32| self.joined.common.iter().find(|&&(_, b)| b == row).and_then(|&(a, _)| old(a));
        DiffExamples {
            added: added.map(|&row| item(self.after.id(row as usize), None, new(row))).collect(),
            removed: removed.map(|&row| item(self.before.id(row as usize), old(row), None)).collect(),
            moved: of_kind([false, false]),
            renamed: of_kind([false, true]),
            reused: reused
                .iter()
                .take(most)
                .map(|&row| item(self.after.id(row as usize), before_of(row), new(row)))
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::item_ids::ItemIds;
    use crate::progress::Silent;
    use crate::semantic_id::{Collisions, TableMetadata, TokenFormat, TokenTable};
    use ndarray::Array2;

    fn table(ids: &[&str], codes: &[&[u16]]) -> CompactTable {
        let levels = codes[0].len();
        let item_ids = match ids.iter().map(|id| id.parse()).collect() {
            Ok(numbers) => ItemIds::Integers(numbers),
            Err(_) => ItemIds::Strings(ids.iter().map(|&id| id.to_owned()).collect()),
        };
        CompactTable::of_table(&TokenTable {
            item_ids,
            codes: Array2::from_shape_vec((ids.len(), levels), codes.concat()).unwrap(),
            residual_error: vec![0.0; ids.len()],
            reassigned: vec![false; ids.len()],
            metadata: TableMetadata {
                model_hash: String::new(),
                codebook_sizes: vec![4; levels],
                token_format: TokenFormat::default(),
                policy: Collisions::Keep,
                collisions: None,
            },
        })
    }

    fn diff(before: &CompactTable, after: &CompactTable) -> TableDiff {
        TableDiff::of(before, after, 3, &Silent).unwrap()
    }

    #[test]
    fn added_removed_and_moved_items_and_reused_ids() {
        let before = table(&["a", "b", "c", "d"], &[&[0, 0], &[0, 1], &[1, 0], &[2, 2]]);
        // In another order; a gave its ID to e, b moved within its prefix, d is gone.
        let after = table(&["c", "e", "a", "b"], &[&[1, 0], &[0, 0], &[3, 3], &[0, 2]]);
        let diff = diff(&before, &after);
        assert_eq!([diff.added, diff.removed, diff.common, diff.same, diff.moved, diff.reused_ids], [1, 1, 3, 1, 2, 1]);
        let shown = |item: &DiffItem| (item.item_id.clone(), item.before.clone(), item.after.clone());
        let id = |text: &str| Some(text.to_owned());
        assert_eq!(shown(&diff.examples.reused[0]), ("e".into(), None, id("<a_0><b_0>")));
        assert_eq!(shown(&diff.examples.removed[0]), ("d".into(), id("<a_2><b_2>"), None));
        assert_eq!(diff.examples.added, diff.examples.reused);
        assert_eq!(diff.levels[0].same, 2.0 / 3.0);
        let depths: Vec<f64> = diff.prefixes.iter().map(|prefix| prefix.same).collect();
        assert_eq!(depths, [2.0 / 3.0, 1.0 / 3.0]);
        // a and b shared their first code, and do no more.
        assert_eq!(diff.prefixes[0].neighbours_kept, Some(0.0));
        assert_eq!((diff.prefixes[0].prefixes_before, diff.prefixes[1].prefixes_after), (2, 3));
    }

    #[test]
    fn other_names_of_all_codes_explain_all_moves() {
        let codes: Vec<[u16; 2]> = (0..16).map(|i| [i / 4, i % 4]).collect();
        let other: Vec<[u16; 2]> = codes.iter().map(|c| [(c[0] + 1) % 4, (c[1] + 3) % 4]).collect();
        let ids: Vec<String> = (0..16).map(|i| i.to_string()).collect();
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        let lists = |codes: &[[u16; 2]]| table(&ids, &codes.iter().map(|c| &c[..]).collect::<Vec<_>>());
        let mut diff = diff(&lists(&codes), &lists(&other));
        assert_eq!((diff.same, diff.moved, diff.renamed, diff.reused_ids), (0, 16, 16, 16));
        let first = diff.levels.remove(0);
        assert_eq!((first.same, first.same_after_renaming, first.moves_explained), (0.0, 1.0, Some(1.0)));
        assert_eq!((first.renamed_codes, first.renamings.len(), first.codes_left), (4, 3, 0));
        let renaming = &first.renamings[0];
        assert_eq!((&*renaming.before, &*renaming.after, renaming.items), ("<a_0>", "<a_1>", 4));
        assert_eq!((diff.prefixes[0].neighbours_kept, diff.prefixes[1].same_after_renaming), (Some(1.0), 1.0));
        assert!(diff.examples.moved.is_empty() && diff.examples.renamed.len() == 3);
    }

    #[test]
    fn integers_and_texts_are_the_same_ids_and_a_suffix_is_another_id() {
        let before = table(&["7", "8"], &[&[0, 0], &[1, 1]]);
        let after = table(&["8", "x", "7"], &[&[1, 1, 0], &[2, 2, 0], &[0, 0, 0]]);
        let diff = diff(&before, &after);
        assert_eq!((diff.common, diff.added, diff.same, diff.moved, diff.renamed), (2, 1, 0, 2, 0));
        assert_eq!((diff.levels.len(), diff.prefixes[1].same), (2, 1.0));
    }

    #[test]
    fn nothing_in_common_and_ids_twice() {
        let nothing = diff(&table(&["a"], &[&[0]]), &table(&["b"], &[&[0]]));
        assert_eq!((nothing.common, nothing.levels[0].moves_explained, nothing.reused_ids), (0, None, 1));
        let twice = TableDiff::of(&table(&["a", "a"], &[&[0], &[1]]), &table(&["b"], &[&[0]]), 1, &Silent);
        assert!(twice.unwrap_err().to_string().contains("a in rows 1 and 2"));
    }

    #[test]
    fn a_file_gives_what_memory_gives() {
        let folder = tempfile::tempdir().unwrap();
        for ids in [&["a", "bb", ""][..2], &["7", "-9"]] {
            let table = table(ids, &[&[0, 3], &[1, 2]]);
            let path = folder.path().join("t.parquet");
            let item_ids = match ids[0] {
                "a" => ItemIds::Strings(ids.iter().map(|&id| id.to_owned()).collect()),
                _ => ItemIds::Integers(vec![7, -9]),
            };
            let whole = TokenTable {
                item_ids,
                codes: ndarray::array![[0, 3], [1, 2]],
                residual_error: vec![0.0; 2],
                reassigned: vec![false; 2],
                metadata: table.metadata.clone(),
            };
            whole.write(&path, crate::artifact::Overwrite::Replace).unwrap();
            let read = CompactTable::read(&path).unwrap();
            assert_eq!((read.id(1), read.codes(1), read.len()), (ids[1].to_owned(), table.codes(1), 2));
            assert_eq!(diff(&read, &table).same, 2);
            let mut bytes = std::fs::read(&path).unwrap();
            let middle = bytes.len() / 3;
            bytes[middle] ^= 1;
            std::fs::write(&path, bytes).unwrap();
            assert!(CompactTable::read(&path).is_err());
        }
    }
}
