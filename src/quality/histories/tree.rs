//! The prefixes of a set of IDs as a tree: a node per prefix, and a leaf per distinct ID.

use std::ops::Range;

use ndarray::ArrayView2;
use rayon::prelude::*;

/// The prefix tree of the codes of items. Nodes of a depth are numbered in the order of their codes, so the leaves and the
/// children of a node are contiguous.
#[derive(Debug, PartialEq)]
pub(super) struct CodeTree {
    /// The leaf of each item.
    leaves: Vec<u32>,
    /// Number of items per leaf.
    sizes: Vec<u32>,
    /// Number of items of all leaves before each leaf, and of all leaves.
    before: Vec<u64>,
    /// Per depth from 0 to the number of levels: the first leaf of every node, and the number of leaves.
    begins: Vec<Vec<u32>>,
    /// Per depth from 0 to the number of levels: the node of every leaf.
    nodes: Vec<Vec<u32>>,
    /// Per depth except the last: the first child of every node, and the number of nodes of the next depth.
    children: Vec<Vec<u32>>,
}

impl CodeTree {
    /// The tree of `codes (n, levels)`.
    pub(super) fn new(codes: ArrayView2<u16>) -> Self {
        let levels = codes.ncols();
        let mut sorted: Vec<usize> = (0..codes.nrows()).collect();
        sorted.par_sort_unstable_by(|&a, &b| codes.row(a).iter().cmp(codes.row(b).iter()).then(a.cmp(&b)));
        let mut tree = CodeTree {
            leaves: vec![0; codes.nrows()],
            sizes: Vec::new(),
            before: vec![0],
            begins: vec![Vec::new(); levels + 1],
            nodes: vec![Vec::new(); levels + 1],
            children: vec![Vec::new(); levels],
        };
        let mut before: Option<usize> = None;
        for row in sorted {
            let shared =
                before.map(|before| codes.row(before).iter().zip(codes.row(row)).take_while(|(a, b)| a == b).count());
            if shared != Some(levels) {
                tree.add_leaf(shared);
            }
            let leaf = tree.sizes.len() - 1;
            tree.leaves[row] = leaf as u32;
            tree.sizes[leaf] += 1;
            before = Some(row);
        }
        for &size in &tree.sizes {
            tree.before.push(tree.before.last().unwrap_or(&0) + u64::from(size));
        }
        let leaves = tree.sizes.len() as u32;
        for depth in 0..=levels {
            if depth < levels {
                let next = tree.begins[depth + 1].len() as u32;
                tree.children[depth].push(next);
            }
            tree.begins[depth].push(leaves);
        }
        tree
    }

    /// Adds a leaf whose first `shared` codes are those of the leaf before it; `None` for the first leaf.
    fn add_leaf(&mut self, shared: Option<usize>) {
        let leaf = self.sizes.len() as u32;
        self.sizes.push(0);
        for depth in 0..self.nodes.len() {
            if shared.is_none_or(|shared| depth > shared) {
                if depth < self.children.len() {
                    // The first child is the next node of the next depth, which is added after this one.
                    let child = self.begins[depth + 1].len() as u32;
                    self.children[depth].push(child);
                }
                self.begins[depth].push(leaf);
            }
            let node = self.begins[depth].len() as u32 - 1;
            self.nodes[depth].push(node);
        }
    }

    /// Number of levels.
    pub(super) fn levels(&self) -> usize {
        self.children.len()
    }

    /// Number of leaves.
    pub(super) fn len(&self) -> usize {
        self.sizes.len()
    }

    /// Number of nodes of all depths except the root.
    pub(super) fn total_nodes(&self) -> usize {
        (1..=self.levels()).map(|depth| self.width(depth)).sum()
    }

    /// Number of nodes of a depth.
    pub(super) fn width(&self, depth: usize) -> usize {
        self.begins[depth].len() - 1
    }

    /// The leaf of an item.
    pub(super) fn leaf(&self, row: u32) -> u32 {
        self.leaves[row as usize]
    }

    /// Number of items with the ID of a leaf.
    pub(super) fn size(&self, leaf: u32) -> u32 {
        self.sizes[leaf as usize]
    }

    /// Number of items per leaf.
    pub(super) fn sizes(&self) -> &[u32] {
        &self.sizes
    }

    /// Number of items of a range of leaves.
    pub(super) fn items(&self, leaves: Range<u32>) -> u64 {
        self.before[leaves.end as usize] - self.before[leaves.start as usize]
    }

    /// The node of a leaf at a depth.
    pub(super) fn node(&self, depth: usize, leaf: u32) -> u32 {
        self.nodes[depth][leaf as usize]
    }

    /// The leaves of a node.
    pub(super) fn leaves_of(&self, depth: usize, node: u32) -> Range<u32> {
        self.begins[depth][node as usize]..self.begins[depth][node as usize + 1]
    }

    /// The children of a node.
    pub(super) fn children_of(&self, depth: usize, node: u32) -> Range<usize> {
        self.children[depth][node as usize] as usize..self.children[depth][node as usize + 1] as usize
    }

    /// Sums per node of a depth, from values per item.
    pub(super) fn sums(&self, depth: usize, of_items: &[u64]) -> Vec<u64> {
        let mut sums = vec![0; self.width(depth)];
        for (&leaf, &value) in self.leaves.iter().zip(of_items) {
            sums[self.node(depth, leaf) as usize] += value;
        }
        sums
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array2, array};

    #[test]
    fn nodes_and_leaves_by_hand() {
        // Sorted: (0,1), (0,4), (0,4), (2,4).
        let tree = CodeTree::new(array![[0u16, 4], [2, 4], [0, 1], [0, 4]].view());
        assert_eq!((tree.levels(), tree.len(), tree.total_nodes()), (2, 3, 5));
        assert_eq!([0, 1, 2, 3].map(|row| tree.leaf(row)), [1, 2, 0, 1]);
        assert_eq!((tree.sizes(), tree.items(1..3)), (&[1, 2, 1][..], 3));
        assert_eq!([0, 1, 2].map(|depth| tree.width(depth)), [1, 2, 3]);
        assert_eq!((tree.leaves_of(0, 0), tree.leaves_of(1, 0), tree.leaves_of(1, 1)), (0..3, 0..2, 2..3));
        assert_eq!((tree.children_of(0, 0), tree.children_of(1, 0), tree.children_of(1, 1)), (0..2, 0..2, 2..3));
        assert_eq!([0, 1, 2].map(|leaf| tree.node(1, leaf)), [0, 0, 1]);
        assert_eq!(tree.sums(1, &[1, 10, 100, 1000]), [1101, 10]);
    }

    #[test]
    fn a_table_without_items_has_no_leaves() {
        let tree = CodeTree::new(Array2::zeros((0, 3)).view());
        assert_eq!((tree.len(), tree.width(0), tree.total_nodes()), (0, 0, 0));
    }
}
