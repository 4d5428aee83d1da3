//! The IDs as a minimal automaton: what grammars and regular expressions are written from.

use std::collections::HashMap;

use crate::constraint::Trie;

/// Codes after which the same codes may follow.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Alternative {
    /// In ascending order.
    pub(super) codes: Vec<u16>,
    /// The state of the next level that they lead to; 0 after the last level, where there is none.
    pub(super) next: usize,
}

/// What may follow a prefix.
pub(super) type AutomatonState = Vec<Alternative>;

/// A trie whose equal branches are one: prefixes after which the same codes may follow, to the end of the ID, are one
/// state. Its first level has one state, the beginning.
#[derive(Debug)]
pub(super) struct Automaton {
    /// Level by level.
    pub(super) states: Vec<Vec<AutomatonState>>,
}

impl Automaton {
    /// The automaton of a trie. States stand in the order in which their first prefix does.
    pub(super) fn new(trie: &Trie) -> Self {
        let levels = trie.levels();
        let mut states: Vec<Vec<AutomatonState>> = vec![Vec::new(); levels];
        // The state that each prefix of one code more leads to.
        let mut after = vec![0; trie.codes(levels - 1).len()];
        for level in (0..levels).rev() {
            let mut known: HashMap<AutomatonState, usize> = HashMap::new();
            let parents = if level == 0 { 1 } else { trie.codes(level - 1).len() };
            let mut leads_to = Vec::with_capacity(parents);
            let mut child = 0;
            for parent in 0..parents {
                let codes = trie.children(level, parent);
                let state = gathered(codes, &after[child..child + codes.len()]);
                child += codes.len();
                let of_level = &mut states[level];
                let place = *known.entry(state).or_insert_with_key(|state| {
                    of_level.push(state.clone());
                    of_level.len() - 1
                });
                leads_to.push(place);
            }
            after = leads_to;
        }
        Automaton { states }
    }
}

/// The codes by what they lead to, in the order of the first code of each.
fn gathered(codes: &[u16], after: &[usize]) -> AutomatonState {
    let mut state = AutomatonState::new();
    let mut place_of: HashMap<usize, usize> = HashMap::new();
    for (&code, &next) in codes.iter().zip(after) {
        let place = *place_of.entry(next).or_insert(state.len());
        match state.get_mut(place) {
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

    fn said(automaton: &Automaton, level: usize, state: usize) -> BTreeSet<Vec<u16>> {
        let Some(states) = automaton.states.get(level) else { return BTreeSet::from([vec![]]) };
        let mut all = BTreeSet::new();
        for alternative in &states[state] {
            for rest in said(automaton, level + 1, alternative.next) {
                for &code in &alternative.codes {
                    assert!(all.insert([&[code][..], &rest].concat()), "said twice");
                }
            }
        }
        all
    }

    #[test]
    fn equal_branches_are_one_state() {
        let codes = array![[0u16, 1, 5], [0, 2, 5], [3, 1, 5], [3, 2, 5], [4, 1, 6]];
        let automaton = Automaton::new(&Trie::new(codes.view()).unwrap());
        let alternative = |codes: &[u16], next| Alternative { codes: codes.to_vec(), next };
        assert_eq!(automaton.states[0], [[alternative(&[0, 3], 0), alternative(&[4], 1)]]);
        assert_eq!(automaton.states[1], [[alternative(&[1, 2], 0)], [alternative(&[1], 1)]]);
        assert_eq!(automaton.states[2].len(), 2);
    }

    proptest! {
        #[test]
        fn it_says_the_ids_and_nothing_else(ids in prop::collection::btree_set(prop::collection::vec(0u16..4, 3), 1..50)) {
            let rows: Vec<&Vec<u16>> = ids.iter().collect();
            let codes = Array2::from_shape_fn((rows.len(), 3), |(i, l)| rows[i][l]);
            let automaton = Automaton::new(&Trie::new(codes.view()).unwrap());
            prop_assert_eq!(said(&automaton, 0, 0), ids);
            for states in &automaton.states {
                prop_assert_eq!(states.iter().collect::<std::collections::HashSet<_>>().len(), states.len());
            }
        }
    }
}
