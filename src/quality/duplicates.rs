//! Groups of items that the quantizer cannot distinguish.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::error::Result;
use crate::features::FeatureSource;
use crate::semantic_id::TokenTable;

/// Maximum number of listed groups, and of listed items per group.
const GROUPS: usize = 10;
const MEMBERS: usize = 5;

/// Items with equal vectors, or with equal IDs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DuplicateGroup {
    /// Rows of the first items.
    pub rows: Vec<usize>,
    /// Number of items.
    pub items: usize,
}

impl DuplicateGroup {
    /// The largest groups of items with equal vectors in the features of a table, or with equal IDs without features.
    /// Takes eight bytes of memory per item.
    ///
    /// # Errors
    /// As [`FeatureSource::blocks`].
    pub fn largest(table: &TokenTable, features: Option<&dyn FeatureSource>) -> Result<Vec<Self>> {
        let exact = table.metadata.collisions.as_ref().map_or(0, |report| report.exact_duplicates);
        let mut hashes = Vec::with_capacity(table.item_ids.len());
        match features {
            // The record says that there are no duplicates.
            Some(_) if exact == 0 => return Ok(Vec::new()),
            Some(features) => {
                for block in features.all()? {
                    let features = block?.features;
                    for row in 0..features.len() {
                        hashes.push(hash(features.modalities().iter().map(|modality| {
                            let vector = modality.vectors.row(row).into_iter().map(|value| (value + 0.0).to_bits());
                            (modality.present[row], vector.collect::<Vec<u32>>())
                        })));
                    }
                }
            }
            None => hashes.extend(table.codes.rows().into_iter().map(|codes| hash(codes.iter().copied()))),
        }
        let mut groups: HashMap<u64, (usize, usize)> = HashMap::new();
        for (row, &hash) in hashes.iter().enumerate() {
            groups.entry(hash).or_insert((row, 0)).1 += 1;
        }
        let mut largest: Vec<(usize, usize)> = groups.into_values().filter(|&(_, items)| items > 1).collect();
        largest.sort_unstable_by_key(|&(first, items)| (std::cmp::Reverse(items), first));
        largest.truncate(GROUPS);
        let members = |(first, items): (usize, usize)| {
            let same = (first..hashes.len()).filter(|&row| hashes[row] == hashes[first]);
            DuplicateGroup { rows: same.take(MEMBERS).collect(), items }
        };
        Ok(largest.into_iter().map(members).collect())
    }
}

fn hash<T: Hash>(values: impl Iterator<Item = T>) -> u64 {
    let mut hasher = DefaultHasher::new();
    values.for_each(|value| value.hash(&mut hasher));
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quality::tests::table;
    use ndarray::array;

    #[test]
    fn the_largest_groups_are_first() {
        let table = table(array![[0, 1], [1, 1], [0, 0], [1, 1], [0, 1], [1, 1]], &[2, 2]);
        let groups = DuplicateGroup::largest(&table, None).unwrap();
        let found: Vec<(usize, &[usize])> = groups.iter().map(|group| (group.items, &group.rows[..])).collect();
        assert_eq!(found, [(3, &[1, 3, 5][..]), (2, &[0, 4][..])]);
    }
}
