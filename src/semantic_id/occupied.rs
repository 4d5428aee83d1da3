//! Taken codes: those of items whose IDs are frozen, and of deleted items whose IDs are still in quarantine.

use ndarray::{ArrayView1, ArrayView2};
use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::tokenizer::check_codebook_sizes;

/// A set of taken codes, which no new item may get. Each code is a sequence with one entry per level. Takes 16 bytes
/// per code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Occupied {
    codebook_sizes: Vec<usize>,
    /// Each code as one number, 16 bits per level, so that the codes under a prefix are a range. Ascending and unique.
    keys: Vec<u128>,
}

impl Occupied {
    /// An empty set, for a model with these codebook sizes.
    ///
    /// # Errors
    /// As [`check_codebook_sizes`].
    pub fn new(codebook_sizes: &[usize]) -> Result<Self> {
        check_codebook_sizes(codebook_sizes)?;
        Ok(Self::none(codebook_sizes.to_vec()))
    }

    pub(super) fn none(codebook_sizes: Vec<usize>) -> Self {
        Occupied { codebook_sizes, keys: Vec::new() }
    }

    /// The set of these codes `(n, levels)`.
    ///
    /// # Errors
    /// As [`Occupied::new`] and [`Occupied::insert`].
    pub fn of_codes(codes: ArrayView2<u16>, codebook_sizes: &[usize]) -> Result<Self> {
        let mut occupied = Self::new(codebook_sizes)?;
        occupied.insert(codes)?;
        Ok(occupied)
    }

    /// Adds codes `(n, levels)`. Duplicates, and codes that are already taken, are allowed.
    ///
    /// # Errors
    /// [`Error::Mismatch`] if the number of levels differs, or a code is outside its codebook.
    pub fn insert(&mut self, codes: ArrayView2<u16>) -> Result<()> {
        self.check(codes)?;
        self.keys.reserve_exact(codes.nrows());
        self.keys.extend(codes.rows().into_iter().map(|code| key_of(code.iter().copied())));
        self.keys.par_sort_unstable();
        self.keys.dedup();
        Ok(())
    }

    /// Frees codes `(n, levels)`. Codes that are not taken are ignored.
    ///
    /// # Errors
    /// As [`Occupied::insert`].
    pub fn remove(&mut self, codes: ArrayView2<u16>) -> Result<()> {
        self.check(codes)?;
        let mut freed: Vec<u128> = codes.rows().into_iter().map(|code| key_of(code.iter().copied())).collect();
        freed.par_sort_unstable();
        self.keys.retain(|key| freed.binary_search(key).is_err());
        Ok(())
    }

    /// Number of taken codes.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether no code is taken.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The codebook sizes of the model.
    pub fn codebook_sizes(&self) -> &[usize] {
        &self.codebook_sizes
    }

    /// Whether a code is taken. False for a prefix.
    pub fn contains(&self, code: &[u16]) -> bool {
        code.len() == self.codebook_sizes.len() && !self.range(code).is_empty()
    }

    /// Number of taken codes that start with `prefix`, which has at most as many codes as there are levels.
    pub fn under(&self, prefix: &[u16]) -> usize {
        self.range(prefix).len()
    }

    pub(super) fn has(&self, code: ArrayView1<u16>) -> bool {
        self.keys.binary_search(&key_of(code.iter().copied())).is_ok()
    }

    /// Number of taken codes under a prefix of `depth` codes. The prefix is one number, 16 bits per code.
    pub(super) fn under_key(&self, prefix: u128, depth: usize) -> usize {
        self.range_of_key(prefix, depth).len()
    }

    /// The taken last-level codes under a prefix of all codes but the last, ascending.
    pub(super) fn last_codes(&self, prefix: &[u16]) -> impl Iterator<Item = u16> {
        self.range(prefix).iter().map(|&key| key as u16)
    }

    /// Whether each of the `size` last-level codes under a prefix is free.
    pub(super) fn free(&self, prefix: &[u16], size: usize) -> Vec<bool> {
        let mut free = vec![true; size];
        self.last_codes(prefix).for_each(|code| free[usize::from(code)] = false);
        free
    }

    /// Checks that the set has these codebook sizes.
    pub(super) fn check_sizes(&self, sizes: &[usize]) -> Result<()> {
        if self.codebook_sizes == sizes {
            return Ok(());
        }
        let (expected, got) = (format!("{sizes:?}"), format!("{:?}", self.codebook_sizes));
        Err(Error::mismatch("codebook sizes of the taken codes", expected, got, "pass the model that assigned them"))
    }

    fn check(&self, codes: ArrayView2<u16>) -> Result<()> {
        let levels = self.codebook_sizes.len();
        let help = "pass the model that assigned them";
        if codes.ncols() != levels {
            return Err(Error::mismatch("levels of the taken codes", levels, codes.ncols(), help));
        }
        for (level, &size) in self.codebook_sizes.iter().enumerate() {
            if let Some(code) = codes.column(level).iter().find(|&&code| usize::from(code) >= size) {
                let what = format!("taken codes of level {level}");
                return Err(Error::mismatch(what, format!("below {size}"), code, help));
            }
        }
        Ok(())
    }

    fn range(&self, prefix: &[u16]) -> &[u128] {
        self.range_of_key(key_of(prefix.iter().copied()), prefix.len())
    }

    fn range_of_key(&self, prefix: u128, depth: usize) -> &[u128] {
        let below = 16 * self.codebook_sizes.len().saturating_sub(depth) as u32;
        // For the empty prefix of eight levels, the shift by 128 bits overflows.
        let above = |key: &u128| key.checked_shr(below).unwrap_or(0);
        let start = self.keys.partition_point(|key| above(key) < prefix);
        let rest = &self.keys[start..];
        // Exponential search: most prefixes have few codes, so the end is near the start.
        let mut step = 1;
        while step < rest.len() && above(&rest[step]) <= prefix {
            step *= 2;
        }
        let end = rest[..rest.len().min(step + 1)].partition_point(|key| above(key) <= prefix);
        &rest[..end]
    }
}

fn key_of(codes: impl Iterator<Item = u16>) -> u128 {
    codes.fold(0, |key, code| key << 16 | u128::from(code))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array2, array};
    use proptest::prelude::*;

    #[test]
    fn codes_of_other_models_are_refused() {
        let mut occupied = Occupied::new(&[3, 4]).unwrap();
        let says = |result: Result<()>| result.unwrap_err().to_string();
        assert!(
            says(occupied.insert(array![[0, 1, 2]].view())).contains("levels of the taken codes: expected 2, got 3")
        );
        assert!(
            says(occupied.insert(array![[0, 4]].view())).contains("taken codes of level 1: expected below 4, got 4")
        );
        assert!(says(occupied.check_sizes(&[3, 5])).contains("expected [3, 5], got [3, 4]"));
        assert!(Occupied::new(&[]).is_err());
        assert!(occupied.is_empty() && occupied.under(&[]) == 0 && !occupied.contains(&[0]));
    }

    proptest! {
        #[test]
        fn counts_equal_those_of_a_list(
            codes in prop::collection::vec(0u16..3, 8 * 30), gone in 0usize..30, levels in 1usize..=8,
            prefix in prop::collection::vec(0u16..3, 8), depth in 0usize..=8,
        ) {
            let codes = Array2::from_shape_fn((30, levels), |(i, j)| codes[8 * i + j]);
            let mut occupied = Occupied::new(&vec![3; levels]).unwrap();
            let (first, second) = codes.view().split_at(ndarray::Axis(0), 17);
            occupied.insert(second).unwrap();
            occupied.insert(first).unwrap();
            let freed = codes.slice(ndarray::s![..gone, ..]);
            occupied.remove(freed).unwrap();
            let list: std::collections::BTreeSet<Vec<u16>> =
                codes.rows().into_iter().map(|row| row.to_vec()).filter(|row| !freed.rows().into_iter().any(|f| f.to_vec() == *row)).collect();
            let prefix = &prefix[..depth.min(levels)];
            prop_assert_eq!(occupied.len(), list.len());
            prop_assert_eq!(occupied.under(prefix), list.iter().filter(|code| code.starts_with(prefix)).count());
            let whole = prefix.len() == levels && list.contains(prefix);
            prop_assert_eq!(occupied.contains(prefix), whole);
            if prefix.len() + 1 == levels {
                let last: Vec<u16> = list.iter().filter(|code| code.starts_with(prefix)).map(|code| code[levels - 1]).collect();
                prop_assert_eq!(occupied.last_codes(prefix).collect::<Vec<_>>(), last);
            }
        }
    }
}
