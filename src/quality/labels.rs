//! Agreement of prefixes with a label of the catalog, for example a category or a brand.

use std::collections::HashMap;

use serde::Serialize;

use super::label_neighbours::LabelNeighbours;
use crate::error::{Error, Result};
use crate::semantic_id::TokenTable;

/// Agreement of the prefixes of one length with the label.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct LabelDepth {
    /// Number of codes in the prefix.
    pub depth: usize,
    /// Fraction of the items that have the most frequent label of their prefix.
    pub purity: f64,
    /// Mutual information of prefix and label, in bits.
    pub mutual_information: f64,
    /// Mutual information divided by the mean of both entropies: 0 if prefix and label are independent, 1 if each
    /// determines the other.
    pub normalized_mutual_information: f64,
}

/// Agreement of prefixes with a label. Items without one are left out.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LabelFigures {
    /// Name of the label.
    pub label: String,
    /// Number of distinct labels.
    pub labels: usize,
    /// Items with a label.
    pub labelled: usize,
    /// Fraction of the items with the most frequent label: the purity of the empty prefix.
    pub largest_share: f64,
    /// One entry per depth, from 1 to the number of levels.
    pub by_depth: Vec<LabelDepth>,
    /// Labels of near items; to be measured if model and features are given.
    pub neighbours: Option<LabelNeighbours>,
}

impl LabelFigures {
    /// Compares the prefixes of a table with labels, by row; an empty label is none.
    ///
    /// # Errors
    /// [`Error::Mismatch`] if the numbers of labels and items differ; [`Error::Data`] if no item has a label.
    pub fn measure(table: &TokenTable, label: &str, labels: &[String]) -> Result<Self> {
        if labels.len() != table.codes.nrows() {
            let help = "give every item a label, or an empty one";
            return Err(Error::mismatch("labels", table.codes.nrows(), labels.len(), help));
        }
        let mut numbers = HashMap::new();
        let mut labelled: Vec<(usize, usize)> = Vec::new();
        for (row, name) in labels.iter().enumerate().filter(|(_, name)| !name.is_empty()) {
            let next = numbers.len();
            labelled.push((row, *numbers.entry(name).or_insert(next)));
        }
        if labelled.is_empty() {
            let help = "name a column that some items have";
            return Err(Error::data(format!("label {label}"), "at least one item that has it", "none", help));
        }
        let mut of_label = vec![0; numbers.len()];
        labelled.iter().for_each(|&(_, label)| of_label[label] += 1);
        labelled.sort_by(|(a, _), (b, _)| table.codes.row(*a).iter().cmp(table.codes.row(*b).iter()));
        let by_depth = (1..=table.codes.ncols()).map(|depth| at_depth(table, &labelled, &of_label, depth)).collect();
        Ok(LabelFigures {
            label: label.to_owned(),
            labels: of_label.len(),
            labelled: labelled.len(),
            largest_share: of_label.iter().copied().max().unwrap_or(0) as f64 / labelled.len() as f64,
            by_depth,
            neighbours: None,
        })
    }
}

/// The agreement at one depth. `labelled` are rows with their labels, in the order of their codes.
fn at_depth(table: &TokenTable, labelled: &[(usize, usize)], of_label: &[usize], depth: usize) -> LabelDepth {
    let n = labelled.len() as f64;
    let same = |&(a, _): &(usize, usize), &(b, _): &(usize, usize)| {
        table.codes.row(a).iter().take(depth).eq(table.codes.row(b).iter().take(depth))
    };
    let (mut commonest, mut information, mut prefix_entropy) = (0, 0.0, 0.0);
    let mut counts = vec![0usize; of_label.len()];
    for prefix in labelled.chunk_by(same) {
        prefix.iter().for_each(|&(_, label)| counts[label] += 1);
        let size = prefix.len() as f64;
        prefix_entropy -= size / n * (size / n).log2();
        let mut most = 0;
        // Taking the count counts each label of the prefix once.
        for &(_, label) in prefix {
            let count = std::mem::take(&mut counts[label]);
            if count > 0 {
                most = most.max(count);
                let joint = count as f64;
                information += joint / n * (joint * n / (size * of_label[label] as f64)).log2();
            }
        }
        commonest += most;
    }
    let label_entropy: f64 = of_label.iter().map(|&c| c as f64 / n).map(|p| -p * p.log2()).sum();
    let mean_entropy = 0.5 * (prefix_entropy + label_entropy);
    LabelDepth {
        depth,
        purity: commonest as f64 / n,
        mutual_information: information.max(0.0),
        // One prefix and one label: each determines the other.
        normalized_mutual_information: if mean_entropy > 0.0 { information.max(0.0) / mean_entropy } else { 1.0 },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quality::tests::table;
    use ndarray::array;

    fn labels(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn agreement_by_hand() {
        let table = table(array![[0, 0], [1, 0], [0, 1], [1, 1], [1, 2]], &[2, 3]);
        // The first codes equal the label, except for the last item, which has none.
        let figures = LabelFigures::measure(&table, "kind", &labels(&["x", "y", "x", "y", ""])).unwrap();
        assert_eq!((figures.labels, figures.labelled, figures.largest_share), (2, 4, 0.5));
        let first = figures.by_depth[0];
        assert_eq!((first.purity, first.mutual_information, first.normalized_mutual_information), (1.0, 1.0, 1.0));
        // Whole IDs: one bit of the two that distinguish four items.
        let whole = figures.by_depth[1];
        assert_eq!((whole.purity, whole.mutual_information), (1.0, 1.0));
        assert!((whole.normalized_mutual_information - 1.0 / 1.5).abs() < 1e-12);
    }

    #[test]
    fn a_label_that_is_independent_of_the_codes() {
        let table = table(array![[0, 0], [0, 1], [1, 0], [1, 1]], &[2, 2]);
        let figures = LabelFigures::measure(&table, "kind", &labels(&["x", "y", "x", "y"])).unwrap();
        let first = figures.by_depth[0];
        assert_eq!((first.purity, first.mutual_information, first.normalized_mutual_information), (0.5, 0.0, 0.0));
    }

    #[test]
    fn wrong_labels_are_refused() {
        let table = table(array![[0, 0], [0, 1]], &[2, 2]);
        let fails = |names: &[&str]| LabelFigures::measure(&table, "kind", &labels(names)).unwrap_err().to_string();
        assert!(fails(&["x"]).contains("expected 2, got 1"));
        assert!(fails(&["", ""]).contains("label kind"));
    }
}
