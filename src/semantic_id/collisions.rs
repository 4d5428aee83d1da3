//! Policies for ID collisions: items to which the quantizer assigns the same codes.

use std::fmt;
use std::str::FromStr;

use ndarray::{Array2, ArrayView2, s};
use serde::{Serialize, Serializer};

use super::groups::{Groups, ranks};
use super::lc_rec::spread;
use super::members::{MemberFacts, Members};
use super::report::CollisionReport;
use super::resolve::{Assignment, UnresolvedItems, resolve, sorted};
use super::share::share;
use super::taken_seats::TakenSeats;
use crate::error::{Error, Result};
use crate::item_ids::ItemIds;
use crate::progress::Progress;
use crate::tokenizer::{MAX_CODEBOOK_SIZE, MAX_LEVELS, Quantizer};

/// The name of the policy of shared IDs.
pub(super) const SHARE: &str = "share";

/// How ID collisions are resolved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Collisions {
    /// All but one of the colliding items move to free codes: IDs are unique and have as many codes as the model has levels.
    #[default]
    Resolve,
    /// Colliding items share an ID.
    Keep,
    /// An additional level numbers the colliding items in the order of their ids (TIGER, arXiv 2305.05065): IDs are
    /// unique, and the last code carries no information about the item.
    Suffix,
    /// LC-Rec's published procedure (arXiv 2311.09049): up to 20 rounds of balanced assignment of colliding items to the
    /// codes of the last level. Collisions may remain.
    LcRec,
    /// At most `capacity` items share an ID: items that the quantizer gives the same codes, or that move there from a
    /// full code. Each has a rank among the members of its ID.
    Share {
        /// Maximum number of items per ID.
        capacity: u16,
    },
}

/// The IDs of items, as a policy assigns them.
pub(super) struct Settled {
    pub(super) assignment: Assignment,
    /// Codebook size per level, including a suffix.
    pub(super) codebook_sizes: Vec<usize>,
    pub(super) members: Option<Members>,
}

impl Collisions {
    const ALL: [Collisions; 4] = [Collisions::Resolve, Collisions::Keep, Collisions::Suffix, Collisions::LcRec];

    /// Whether IDs are unique under this policy.
    pub fn unique(self) -> bool {
        matches!(self, Collisions::Resolve | Collisions::Suffix)
    }

    /// Turns the codes `(n, levels)` of the quantizer into those of semantic IDs, and returns the codebook sizes too.
    ///
    /// # Errors
    /// As [`resolve`]; [`Error::Data`] if there is no room for a suffix: the model has 8 levels, or more than 65,536 items
    /// share their codes.
    pub(super) fn settle(
        self,
        items: &UnresolvedItems,
        quantizer: &Quantizer,
        progress: &dyn Progress,
    ) -> Result<Settled> {
        let mut codebook_sizes: Vec<usize> = quantizer.codebooks().iter().map(Array2::nrows).collect();
        let mut members = None;
        let assignment = match self {
            Collisions::Resolve => resolve(items, quantizer, progress)?,
            Collisions::Keep => kept(items)?,
            Collisions::LcRec => spread(items, quantizer)?,
            Collisions::Suffix => {
                let (with_suffix, size) = suffixed(items.codes, items.item_ids)?;
                codebook_sizes.push(size);
                Assignment { codes: with_suffix, ..kept(items)? }
            }
            Collisions::Share { capacity } => {
                let (facts, taken) = (MemberFacts::default(), TakenSeats::default());
                let (assignment, of_ids) = share(items, &facts, &taken, (quantizer, capacity), progress)?;
                members = Some(of_ids);
                assignment
            }
        };
        Ok(Settled { assignment, codebook_sizes, members })
    }
}

/// The unchanged codes.
fn kept(items: &UnresolvedItems) -> Result<Assignment> {
    let &UnresolvedItems { latents, codes, errors, item_ids } = items;
    let rank = ranks(item_ids);
    let groups = Groups::of(codes, codes.ncols(), &rank);
    let loaded = latents.load(sorted(groups.iter().filter(|group| group.len() > 1).flatten()))?;
    Ok(Assignment {
        codes: codes.to_owned(),
        errors: errors.to_vec(),
        reassigned: vec![false; codes.nrows()],
        report: CollisionReport::new(&loaded, (codes, codes), (errors, errors), &rank)?,
    })
}

/// The codes with an additional level, and the codebook size of that level.
fn suffixed(codes: ArrayView2<u16>, item_ids: &ItemIds) -> Result<(Array2<u16>, usize)> {
    let (n, levels) = codes.dim();
    let groups = Groups::of(codes, levels, &ranks(item_ids));
    let largest = groups.largest();
    if levels >= MAX_LEVELS || largest > MAX_CODEBOOK_SIZE {
        return Err(Error::data(
            "suffix of the semantic IDs",
            format!("at most {} levels before it and {MAX_CODEBOOK_SIZE} items with equal codes", MAX_LEVELS - 1),
            format!("{levels} levels and {largest} items with equal codes"),
            "use --collisions resolve",
        ));
    }
    let mut with = Array2::zeros((n, levels + 1));
    with.slice_mut(s![.., ..levels]).assign(&codes);
    for group in groups.iter() {
        // Below `largest`, which is checked above.
        group.iter().enumerate().for_each(|(place, &row)| with[[row, levels]] = place as u16);
    }
    Ok((with, largest.max(2)))
}

impl fmt::Display for Collisions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Collisions::Resolve => "resolve",
            Collisions::Keep => "keep",
            Collisions::Suffix => "suffix",
            Collisions::LcRec => "lc-rec",
            Collisions::Share { .. } => SHARE,
        })
    }
}

impl Serialize for Collisions {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl FromStr for Collisions {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Collisions::ALL.into_iter().find(|collisions| collisions.to_string() == text).ok_or_else(|| {
            let help = match text {
                SHARE => "omit it, and set the number of items that may share an ID with --capacity",
                _ => "omit it for the default, resolve",
            };
            Error::config("collisions", "resolve, keep, suffix or lc-rec", text, help)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Silent;
    use crate::tokenizer::Offsets;
    use ndarray::array;

    fn settled(collisions: Collisions) -> (Assignment, Vec<usize>) {
        let quantizer = Quantizer::new(vec![array![[0.0f32], [10.0]], array![[0.0f32], [1.0]]], Offsets::zero([2, 2]));
        let latents = array![[0.2f32], [0.1], [11.0], [0.1]];
        let codes = quantizer.encode(latents.view());
        let ids = ItemIds::Integers(vec![7, 9, 1, 3]);
        let items =
            UnresolvedItems { latents: &latents.view(), codes: codes.view(), errors: &[0.0; 4], item_ids: &ids };
        let settled = collisions.settle(&items, &quantizer, &Silent).unwrap_or_else(|e| panic!("{e}"));
        (settled.assignment, settled.codebook_sizes)
    }

    #[test]
    fn keep_leaves_the_codes_of_the_quantizer() {
        let (kept, sizes) = settled(Collisions::Keep);
        assert_eq!(kept.codes, array![[0, 0], [0, 0], [1, 1], [0, 0]]);
        assert_eq!(sizes, [2, 2]);
        assert_eq!((kept.report.distinct_before, kept.report.moved, kept.report.added_distortion), (2, 0, 0.0));
        assert_eq!((kept.report.largest_group, kept.report.exact_duplicates), (3, 1));
    }

    #[test]
    fn a_suffix_numbers_items_in_the_order_of_their_ids() {
        let (counted, sizes) = settled(Collisions::Suffix);
        assert_eq!(counted.codes, array![[0, 0, 1], [0, 0, 2], [1, 1, 0], [0, 0, 0]]);
        assert_eq!(sizes, [2, 2, 3]);
        assert!(!counted.reassigned.contains(&true));
    }

    #[test]
    fn a_suffix_needs_room() {
        let codes = Array2::<u16>::zeros((3, 8));
        let error = suffixed(codes.view(), &ItemIds::row_numbers(3)).unwrap_err().to_string();
        assert!(error.contains("8 levels"), "{error}");
    }

    #[test]
    fn names_are_read_again() {
        for collisions in Collisions::ALL {
            assert_eq!(collisions.to_string().parse::<Collisions>().unwrap(), collisions);
        }
        assert!("drop".parse::<Collisions>().unwrap_err().to_string().contains("resolve, keep, suffix"));
    }
}
