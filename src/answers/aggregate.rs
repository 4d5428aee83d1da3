//! From generated identifiers of several facets to items: TransRec's aggregated grounding (Lin et al., arXiv 2310.06491).
//!
//! A language model that is held by an FM-index says pieces of identifiers: of a title, an attribute, a number, a semantic
//! ID. Many items may have a piece, and many pieces may be of one item. A piece `d` with probability `p(d)` counts by how
//! much likelier it is than chance, as in SEAL (Bevilacqua et al., arXiv 2204.10628), where `q(d)` is its share of all
//! places of the index:
//!
//! ```text
//! w(d) = max(0, log p(d) (1 - q(d)) / (q(d) (1 - p(d))))
//! score(i) = sum over facets f with a piece of i:  b_f + sum over these pieces d:  w(d)^gamma * cover(d, i)
//! ```
//!
//! `cover` is the share of the piece's tokens that no better piece of the same facet and item has said already, so that a
//! title does not win by being said in ten overlapping pieces. `gamma` stresses the best pieces, `b_f` a facet.

use std::collections::{BTreeMap, BTreeSet};

use crate::constraint::FmIndex;
use crate::error::{Error, Result};

/// Occurrences of a piece that are looked at: a piece that occurs more often says nothing.
const MOST_PLACES: usize = 100_000;
/// Probabilities are kept this far from 0 and 1, whose odds have no logarithm.
const SURE: f64 = 1e-12;

/// A generated piece of an identifier.
#[derive(Debug, Clone, PartialEq)]
pub struct IdentifierFragment {
    /// The facet that was asked for.
    pub facet: usize,
    /// Its token ids.
    pub tokens: Vec<u32>,
    /// Logarithm of its probability.
    pub log_probability: f64,
}

/// How pieces count.
#[derive(Debug, Clone, PartialEq)]
pub struct Aggregation {
    /// Power of a piece's weight.
    pub gamma: f64,
    /// Added once for each facet of which an item has a piece; a number a facet, zero for those without one.
    pub facet_bias: Vec<f64>,
}

impl Default for Aggregation {
    fn default() -> Self {
        Aggregation { gamma: 1.0, facet_bias: Vec::new() }
    }
}

impl Aggregation {
    /// The items that have pieces in the facets these are of, with their scores, the best first, of equally good ones the
    /// lowest row.
    ///
    /// # Errors
    /// [`Error::Mismatch`] for a facet that the index does not have, or a probability above 1.
    pub fn rank(&self, index: &FmIndex, pieces: &[IdentifierFragment]) -> Result<Vec<(usize, f64)>> {
        let places = index.count(&[]) as f64;
        let mut weighed: Vec<(f64, &IdentifierFragment)> = Vec::with_capacity(pieces.len());
        for piece in pieces {
            if piece.facet >= index.facets() {
                let expected = format!("a facet below {}", index.facets());
                return Err(Error::mismatch("piece", expected, piece.facet, "take the index that it was made with"));
            }
            if piece.log_probability.is_nan() || piece.log_probability > 0.0 {
                let help = "give natural logarithms of probabilities, as generate's sequence scores are";
                return Err(Error::mismatch("piece", "a score of at most 0", piece.log_probability, help));
            }
            if piece.tokens.is_empty() {
                continue;
            }
            let q = index.count(&piece.tokens) as f64 / places;
            weighed.push((weight(piece.log_probability.exp(), q), piece));
        }
        // The best first; the order of equals does not depend on where they stood.
        weighed.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.tokens.cmp(&b.1.tokens)));
        let mut covered: BTreeMap<(usize, usize), (f64, BTreeSet<u32>)> = BTreeMap::new();
        for (weight, piece) in weighed.into_iter().filter(|(weight, _)| *weight > 0.0) {
            let found = index.locate(index.range(&piece.tokens)).take(MOST_PLACES);
            let items: BTreeSet<usize> = found.filter(|at| at.facet == piece.facet).map(|at| at.item).collect();
            let tokens: BTreeSet<u32> = piece.tokens.iter().copied().collect();
            for item in items {
                let (score, said) = covered.entry((item, piece.facet)).or_default();
                let new = tokens.difference(said).count();
                *score += weight.powf(self.gamma) * new as f64 / tokens.len() as f64;
                said.extend(&tokens);
            }
        }
        let mut scores: BTreeMap<usize, f64> = BTreeMap::new();
        for ((item, facet), (score, _)) in covered {
            *scores.entry(item).or_default() += score + self.facet_bias.get(facet).copied().unwrap_or(0.0);
        }
        let mut ranked: Vec<(usize, f64)> = scores.into_iter().collect();
        ranked.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        Ok(ranked)
    }
}

/// How much likelier a piece is than by chance, in logarithms of odds; nothing where it is not.
fn weight(p: f64, q: f64) -> f64 {
    let odds = |x: f64| {
        let x = x.clamp(SURE, 1.0 - SURE);
        (x / (1.0 - x)).ln()
    };
    if q > 0.0 { (odds(p) - odds(q)).max(0.0) } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::constraint::Document;

    /// Numbers, and titles of three words each: two items share two of them.
    fn index() -> FmIndex {
        let titles = [[10, 11, 12], [10, 11, 13], [14, 15, 16], [17, 18, 19]];
        let document = |(item, title): (usize, &[u32; 3])| Document { facets: vec![vec![item as u32], title.to_vec()] };
        FmIndex::new(titles.iter().enumerate().map(document)).unwrap()
    }

    fn piece(facet: usize, tokens: &[u32], probability: f64) -> IdentifierFragment {
        IdentifierFragment { facet, tokens: tokens.to_vec(), log_probability: probability.ln() }
    }

    #[test]
    fn scores_are_those_of_the_formula() {
        let index = index();
        let pieces = [piece(1, &[10, 11], 0.5), piece(1, &[11, 12], 0.4), piece(0, &[2], 0.9)];
        let aggregation = Aggregation { gamma: 2.0, facet_bias: vec![0.25] };
        let ranked = aggregation.rank(&index, &pieces).unwrap();
        let places = index.count(&[]) as f64;
        let w = |p: f64, count: f64| {
            let q = count / places;
            (p * (1.0 - q) / (q * (1.0 - p))).ln().max(0.0)
        };
        // Item 0 has both pieces of a title; the second adds a word that the first has not.
        let first = w(0.5, 2.0).powi(2);
        let second = w(0.4, 1.0).powi(2);
        // The rarer one counts more, although it is less likely.
        assert!(second > first);
        let expected = [(2, w(0.9, 1.0).powi(2) + 0.25), (0, second + first / 2.0), (1, first)];
        assert_eq!(ranked.len(), 3);
        for ((item, score), (wanted, expected)) in ranked.iter().zip(expected) {
            assert!(*item == wanted && (score - expected).abs() < 1e-9, "{ranked:?}");
        }
    }

    #[test]
    fn a_piece_counts_in_its_own_facet_and_once() {
        let index = index();
        let title = Aggregation::default().rank(&index, &[piece(1, &[14, 15], 0.5)]).unwrap();
        assert_eq!(title.iter().map(|(item, _)| *item).collect::<Vec<_>>(), [2]);
        assert!(Aggregation::default().rank(&index, &[piece(0, &[14, 15], 0.5)]).unwrap().is_empty());
        let twice = Aggregation::default().rank(&index, &[piece(1, &[14, 15], 0.5), piece(1, &[14, 15], 0.5)]).unwrap();
        assert_eq!(twice, title);
        // What no item has, what is less likely than by chance, and nothing at all say nothing.
        let nothing = [piece(1, &[99], 0.5), piece(1, &[14], 1e-6), piece(1, &[], 0.5)];
        assert!(Aggregation::default().rank(&index, &nothing).unwrap().is_empty());
    }

    #[test]
    fn pieces_that_cannot_be_are_refused() {
        let index = index();
        let says = |piece: IdentifierFragment| Aggregation::default().rank(&index, &[piece]).unwrap_err().to_string();
        assert!(says(piece(2, &[1], 0.5)).contains("below 2"));
        assert!(says(piece(1, &[1], 1.5)).contains("at most 0"));
        assert!(says(piece(1, &[1], f64::NAN)).contains("at most 0"));
    }
}
