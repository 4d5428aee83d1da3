//! Compares two token tables.

use rayon::prelude::*;

use super::compact::CompactTable;
use super::figures::{CodeRenaming, DiffExamples, DiffItem, LevelDiff, PrefixDiff, TableDiff, TableSide};
use super::join::{Joined, join};
use super::neighbours::PrefixGroups;
use super::renaming::{LevelRenaming, level_renaming};
use crate::error::Result;
use crate::progress::Progress;

impl TableDiff {
    /// Compares two tables. Lists at most `examples` items of each kind, and at most `examples` renamed codes per
    /// level.
    ///
    /// # Errors
    /// [`crate::Error::Data`] if an id occurs twice in a table.
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

/// Both tables, the pairs of rows with the same item, and the renaming of codes per level.
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

    /// The new name of a code of the first table.
    fn renamed(&self, level: usize, code: u16) -> u16 {
        self.renamings[level].new_code[usize::from(code)]
    }

    /// Whether an item has the same ID in both tables: without renaming, and after renaming.
    fn kept(&self, pair: (u32, u32)) -> [bool; 2] {
        let (a, b) = self.codes(pair);
        let renamed = || a.iter().enumerate().map(|(level, &code)| self.renamed(level, code)).eq(b.iter().copied());
        [a == b, a.len() == b.len() && renamed()]
    }

    /// Number of items with the same ID, and of items whose IDs are equal only after renaming.
    fn whole(&self) -> [usize; 2] {
        let counts = self.joined.common.par_iter().map(|&pair| match self.kept(pair) {
            [true, _] => [1, 0],
            [false, renamed] => [0, usize::from(renamed)],
        });
        counts.reduce(|| [0, 0], |a, b| [a[0] + b[0], a[1] + b[1]])
    }

    /// Share of the common items for which `holds` returns true.
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

    /// Rows of the second table whose ID belonged to another item in the first table, ascending.
    fn reused(&self) -> Vec<u32> {
        if self.before.levels() != self.after.levels() {
            return Vec::new();
        }
        let key = |codes: &[u16]| codes.iter().fold(0u128, |key, &code| key << 16 | u128::from(code));
        let moved = || self.joined.common.par_iter().filter(|&&pair| !self.kept(pair)[0]);
        // IDs that an item gave up. An item that keeps such an ID already shared it in the first table, so it is not
        // counted.
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
