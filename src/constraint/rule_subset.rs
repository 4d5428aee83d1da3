//! Subsets by rule, which follow changes of the attributes.

use rayon::prelude::*;

use super::subset::Subset;
use super::trie::Trie;
use crate::attributes::{Attributes, BoundRule};
use crate::error::{Error, Result};

/// The items of a trie for which a rule is true. [`RuleSubset::refresh`] evaluates the rule again for the items whose
/// attributes changed.
#[derive(Debug, Clone)]
pub struct RuleSubset {
    rule: BoundRule,
    /// The version of the attributes that the subset is up to date with.
    version: u64,
    subset: Subset,
}

impl Trie {
    /// The leaf of each row of the token table; `u32::MAX` for a row that is not in the trie.
    fn leaf_of_row(&self) -> &[u32] {
        self.leaves.get_or_init(|| {
            let rows = self.rows();
            let most = rows.iter().max().map_or(0, |&row| row as usize + 1);
            let mut leaves = vec![u32::MAX; most];
            rows.iter().zip(0..).for_each(|(&row, leaf)| leaves[row as usize] = leaf);
            leaves
        })
    }

    /// The subset of all items.
    pub fn all(&self) -> Subset {
        self.subset(|_| true)
    }

    /// A subset with the items in some rows of the token table removed. Rows that are not in the trie are ignored. The
    /// cost is that of copying one bit per item.
    #[must_use]
    pub fn without(&self, subset: &Subset, rows: &[u32]) -> Subset {
        let leaves = self.leaf_of_row();
        let leaf = |&row: &u32| leaves.get(row as usize).copied().filter(|leaf| *leaf != u32::MAX);
        subset.changed(rows.iter().filter_map(leaf).map(|leaf| (leaf, false)))
    }
}

impl RuleSubset {
    /// Evaluates a rule for all items of a trie.
    ///
    /// # Errors
    /// As [`BoundRule::matching`]; [`Error::Mismatch`] for attributes of fewer items than the trie has.
    pub fn new(trie: &Trie, rule: BoundRule, attributes: &Attributes) -> Result<Self> {
        let most = trie.rows().par_iter().max().map_or(0, |&row| row as usize + 1);
        if most > attributes.len() {
            let (expected, help) = (format!("at least {most} rows"), "pass the attributes of the trie's index");
            return Err(Error::mismatch("attributes of a subset", expected, attributes.len(), help));
        }
        let matching = rule.matching(attributes)?;
        let subset = trie.subset(|row| matching.contains(row));
        Ok(RuleSubset { rule, version: attributes.version(), subset })
    }

    /// The items.
    pub fn subset(&self) -> &Subset {
        &self.subset
    }

    /// Evaluates the rule for the items whose attributes changed since the last call, or for all items if more than
    /// half of them changed. Returns the number of changes.
    ///
    /// # Errors
    /// As [`RuleSubset::new`].
    pub fn refresh(&mut self, trie: &Trie, attributes: &Attributes) -> Result<usize> {
        let Some(changed) = attributes.changed_since(self.version) else {
            *self = RuleSubset::new(trie, self.rule.clone(), attributes)?;
            return Ok(attributes.len());
        };
        self.rule.check(attributes)?;
        let leaves = trie.leaf_of_row();
        let changed: Vec<&[u32]> = changed.collect();
        let changes: Vec<(u32, bool)> = changed
            .par_iter()
            .flat_map(|rows| rows.par_iter().with_min_len(1_024))
            .filter_map(|&row| {
                let leaf = leaves.get(row as usize).copied().filter(|leaf| *leaf != u32::MAX)?;
                Some((leaf, self.rule.matches(attributes, row as usize)))
            })
            .collect();
        self.version = attributes.version();
        if !changes.is_empty() {
            self.subset = self.subset.changed(changes.iter().copied());
        }
        Ok(changes.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attributes::{AttributeRequest, AttributeValue, NewValues, Rule};
    use crate::catalog::CatalogSpec;
    use crate::constraint::Prefix;
    use ndarray::Array2;
    use proptest::prelude::*;
    use std::collections::HashMap;

    /// Attributes of this many items, and the trie of their IDs in reverse order.
    fn made(items: usize) -> (Trie, Attributes) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.csv");
        let line = |i: usize| format!("{i},{},{}\n", i % 5, ["DE", "AT", "CH"][i % 3]);
        std::fs::write(&path, format!("id,stock,market\n{}", (0..items).map(line).collect::<String>())).unwrap();
        let spec = CatalogSpec { path, ..CatalogSpec::default() };
        let requests: Vec<AttributeRequest> = ["stock", "market"].map(|name| name.parse().unwrap()).into();
        let codes = Array2::from_shape_fn((items, 2), |(i, l)| if l == 0 { (items - i) / 16 } else { i % 16 } as u16);
        (Trie::new(codes.view()).unwrap(), Attributes::of_catalog(&spec, &requests, false).unwrap())
    }

    fn rule(attributes: &Attributes) -> BoundRule {
        let rule = Rule::compile("stock > 1 and market in ('DE', 'FR') or stock is null", &attributes.schema());
        rule.unwrap().bind(&HashMap::new()).unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn refreshing_equals_evaluation_from_scratch(
            updates in prop::collection::vec((prop::collection::vec(0u32..200, 0..60), 0u8..6, any::<bool>()), 1..6),
        ) {
            let (trie, mut attributes) = made(200);
            let mut subset = RuleSubset::new(&trie, rule(&attributes), &attributes).unwrap();
            for (rows, value, refresh) in updates {
                let (name, value) = match value {
                    0 => ("stock", AttributeValue::Null),
                    1 => ("market", AttributeValue::Text("FR".into())),
                    2 => ("market", AttributeValue::Null),
                    stock => ("stock", AttributeValue::Integer(i64::from(stock) - 3)),
                };
                attributes.update(&rows, &[(name.to_owned(), NewValues::Same(value))]).unwrap();
                if refresh {
                    subset.refresh(&trie, &attributes).unwrap();
                    let whole = RuleSubset::new(&trie, rule(&attributes), &attributes).unwrap();
                    prop_assert_eq!(&subset.subset.len(), &whole.subset.len());
                    let differs = |leaf: usize| {
                        subset.subset.any(leaf..leaf + 1) != whole.subset.any(leaf..leaf + 1)
                    };
                    prop_assert_eq!((0..200).find(|leaf| differs(*leaf)), None);
                }
            }
        }

        #[test]
        fn combinations_agree_with_sets(a in any::<[bool; 100]>(), b in any::<[bool; 100]>(), gone in 0u32..120) {
            let (trie, _) = made(100);
            let (left, right) = (trie.subset(|row| a[row]), trie.subset(|row| b[row]));
            let rows = trie.rows_under(Prefix::EMPTY);
            let agrees = |subset: &Subset, expected: &dyn Fn(usize) -> bool| {
                subset.len() == (0..100).filter(|&row| expected(row)).count()
                    && (0..100).all(|leaf| subset.any(leaf..leaf + 1) == expected(rows[leaf] as usize))
            };
            prop_assert!(agrees(&left.and(&right), &|row| a[row] && b[row]));
            prop_assert!(agrees(&left.or(&right), &|row| a[row] || b[row]));
            prop_assert!(agrees(&left.minus(&right), &|row| a[row] && !b[row]));
            prop_assert!(agrees(&left.complement(), &|row| !a[row]));
            prop_assert!(agrees(&trie.without(&trie.all(), &[gone, 3]), &|row| row != gone as usize && row != 3));
        }
    }

    #[test]
    fn attributes_of_another_index_are_refused() {
        let (trie, _) = made(100);
        let (_, attributes) = made(50);
        let error = RuleSubset::new(&trie, rule(&attributes), &attributes).unwrap_err().to_string();
        assert!(error.contains("at least 100 rows, got 50"), "{error}");
    }
}
