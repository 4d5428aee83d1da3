//! The IDs as a minimal automaton, the source of grammars and regular expressions.

use std::collections::HashMap;

use crate::constraint::Trie;

/// Codes that lead to the same state.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Alternative {
    /// Ascending.
    pub(super) codes: Vec<u16>,
    /// The state of the next level; 0 after the last level.
    pub(super) next: usize,
}

/// A state: the alternatives that may follow a prefix.
pub(super) type AutomatonState = Vec<Alternative>;

/// A minimized trie: all prefixes with the same continuations share one state. The first level has one state, the start.
#[derive(Debug)]
pub(super) struct Automaton {
    /// States per level.
    pub(super) states: Vec<Vec<AutomatonState>>,
}

impl Automaton {
    /// The automaton of a trie. The states of a level are ordered by their first prefix.
    pub(super) fn new(trie: &Trie) -> Self {
        let levels = trie.levels();
        let mut states: Vec<Vec<AutomatonState>> = vec![Vec::new(); levels];
        // The state of each prefix of the next length.
        let mut after = vec![0; trie.codes(levels - 1).len()];
        for level in (0..levels).rev() {
            let mut known: HashMap<AutomatonState, usize> = HashMap::new();
            let parents = if level == 0 { 1 } else { trie.codes(level - 1).len() };
            let mut leads_to = Vec::with_capacity(parents);
            let mut child = 0;
            for parent in 0..parents {
                let codes = trie.children(level, parent);
                let state = grouped(codes, &after[child..child + codes.len()]);
                child += codes.len();
                let of_level = &mut states[level];
                let index = *known.entry(state).or_insert_with_key(|state| {
                    of_level.push(state.clone());
                    of_level.len() - 1
                });
                leads_to.push(index);
            }
            after = leads_to;
        }
        Automaton { states }
    }
}

/// Groups codes by the state they lead to, in the order of first appearance.
fn grouped(codes: &[u16], after: &[usize]) -> AutomatonState {
    let mut state = AutomatonState::new();
    let mut index_of: HashMap<usize, usize> = HashMap::new();
    for (&code, &next) in codes.iter().zip(after) {
        let index = *index_of.entry(next).or_insert(state.len());
        match state.get_mut(index) {
            Some(alternative) => alternative.codes.push(code),
            None => state.push(Alternative { codes: vec![code], next }),
        }
    }
    state
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array2, array};
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn accepted(automaton: &Automaton, level: usize, state: usize) -> BTreeSet<Vec<u16>> {
        let Some(states) = automaton.states.get(level) else { return BTreeSet::from([vec![]]) };
        let mut all = BTreeSet::new();
        for alternative in &states[state] {
            for rest in accepted(automaton, level + 1, alternative.next) {
                for &code in &alternative.codes {
                    assert!(all.insert([&[code][..], &rest].concat()), "accepted twice");
                }
            }
        }
        all
    }

    #[test]
    fn equal_branches_share_a_state() {
        let codes = array![[0u16, 1, 5], [0, 2, 5], [3, 1, 5], [3, 2, 5], [4, 1, 6]];
        let automaton = Automaton::new(&Trie::new(codes.view()).unwrap());
        let alternative = |codes: &[u16], next| Alternative { codes: codes.to_vec(), next };
        assert_eq!(automaton.states[0], [[alternative(&[0, 3], 0), alternative(&[4], 1)]]);
        assert_eq!(automaton.states[1], [[alternative(&[1, 2], 0)], [alternative(&[1], 1)]]);
        assert_eq!(automaton.states[2].len(), 2);
    }

    proptest! {
        #[test]
        fn the_automaton_accepts_exactly_the_ids(ids in prop::collection::btree_set(prop::collection::vec(0u16..4, 3), 1..50)) {
            let rows: Vec<&Vec<u16>> = ids.iter().collect();
            let codes = Array2::from_shape_fn((rows.len(), 3), |(i, l)| rows[i][l]);
            let automaton = Automaton::new(&Trie::new(codes.view()).unwrap());
            prop_assert_eq!(accepted(&automaton, 0, 0), ids);
            for states in &automaton.states {
                prop_assert_eq!(states.iter().collect::<std::collections::HashSet<_>>().len(), states.len());
            }
        }
    }
}
