//! From generated identifiers of several facets to items: TransRec's aggregated grounding (Lin et al., arXiv 2310.06491).
//!
//! A language model that decodes under an FM-index generates fragments of identifiers: of a title, an attribute, a number
//! or a semantic ID. Many items may contain a fragment, and one item may contain many fragments. The weight of a fragment
//! `d` with probability `p(d)` compares it with chance, as in SEAL (Bevilacqua et al., arXiv 2204.10628); `q(d)` is its
//! share of all positions of the index:
//!
//! ```text
//! w(d) = max(0, log p(d) (1 - q(d)) / (q(d) (1 - p(d))))
//! score(i) = sum over facets f with a fragment of i:  b_f + sum over these fragments d:  w(d)^gamma * cover(d, i)
//! ```
//!
//! `cover` is the share of the fragment's tokens that no better fragment of the same facet and item contains, so that ten
//! overlapping fragments of a title do not count ten times. `gamma` emphasizes the best fragments, the bias `b_f` a facet.

use std::collections::{BTreeMap, BTreeSet};

use crate::constraint::FmIndex;
use crate::error::{Error, Result};

/// Maximum number of occurrences that are read per fragment; a more frequent one carries no information.
const MAX_OCCURRENCES: usize = 100_000;
/// Probabilities are clamped this far from 0 and 1, so that their log odds are finite.
const MIN_PROBABILITY: f64 = 1e-12;

/// A generated fragment of an identifier.
#[derive(Debug, Clone, PartialEq)]
pub struct IdentifierFragment {
    /// The facet that the prompt asked for.
    pub facet: usize,
    /// Its token ids.
    pub tokens: Vec<u32>,
    /// Natural logarithm of its probability.
    pub log_probability: f64,
}

/// How fragments are weighted.
#[derive(Debug, Clone, PartialEq)]
pub struct Aggregation {
    /// Exponent of a fragment's weight.
    pub gamma: f64,
    /// Bias per facet, added once for each facet with a fragment of the item; missing values are 0.
    pub facet_bias: Vec<f64>,
}

impl Default for Aggregation {
    fn default() -> Self {
        Aggregation { gamma: 1.0, facet_bias: Vec::new() }
    }
}

impl Aggregation {
    /// The items that contain fragments, with their scores, the best first; ties by row.
    ///
    /// # Errors
    /// [`Error::Mismatch`] for a facet that is not in the index, or a probability above 1.
    pub fn rank(&self, index: &FmIndex, fragments: &[IdentifierFragment]) -> Result<Vec<(usize, f64)>> {
        let positions = index.count(&[]) as f64;
        let mut weighted: Vec<(f64, &IdentifierFragment)> = Vec::with_capacity(fragments.len());
        for fragment in fragments {
            if fragment.facet >= index.facets() {
                let expected = format!("a facet below {}", index.facets());
                return Err(Error::mismatch(
                    "fragment",
                    expected,
                    fragment.facet,
                    "use the index that constrained its decoding",
                ));
            }
            if fragment.log_probability.is_nan() || fragment.log_probability > 0.0 {
                let help = "give natural logarithms of probabilities, such as the sequence scores of generate()";
                return Err(Error::mismatch("fragment", "a score of at most 0", fragment.log_probability, help));
            }
            if fragment.tokens.is_empty() {
                continue;
            }
            let q = index.count(&fragment.tokens) as f64 / positions;
            weighted.push((weight(fragment.log_probability.exp(), q), fragment));
        }
        // The best first; ties do not depend on the order of the input.
        weighted.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.tokens.cmp(&b.1.tokens)));
        let mut covered: BTreeMap<(usize, usize), (f64, BTreeSet<u32>)> = BTreeMap::new();
        for (weight, fragment) in weighted.into_iter().filter(|(weight, _)| *weight > 0.0) {
            let found = index.locate(index.range(&fragment.tokens)).take(MAX_OCCURRENCES);
            let items: BTreeSet<usize> = found.filter(|at| at.facet == fragment.facet).map(|at| at.item).collect();
            let tokens: BTreeSet<u32> = fragment.tokens.iter().copied().collect();
            for item in items {
                let (score, covered_tokens) = covered.entry((item, fragment.facet)).or_default();
                let new = tokens.difference(covered_tokens).count();
                *score += weight.powf(self.gamma) * new as f64 / tokens.len() as f64;
                covered_tokens.extend(&tokens);
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

/// The log odds ratio of a fragment's probability and chance; 0 where it is not positive.
fn weight(p: f64, q: f64) -> f64 {
    let odds = |x: f64| {
        let x = x.clamp(MIN_PROBABILITY, 1.0 - MIN_PROBABILITY);
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

    fn fragment(facet: usize, tokens: &[u32], probability: f64) -> IdentifierFragment {
        IdentifierFragment { facet, tokens: tokens.to_vec(), log_probability: probability.ln() }
    }

    #[test]
    fn scores_follow_the_formula() {
        let index = index();
        let fragments = [fragment(1, &[10, 11], 0.5), fragment(1, &[11, 12], 0.4), fragment(0, &[2], 0.9)];
        let aggregation = Aggregation { gamma: 2.0, facet_bias: vec![0.25] };
        let ranked = aggregation.rank(&index, &fragments).unwrap();
        let positions = index.count(&[]) as f64;
        let w = |p: f64, count: f64| {
            let q = count / positions;
            (p * (1.0 - q) / (q * (1.0 - p))).ln().max(0.0)
        };
        // Item 0 has both fragments of a title; the second adds one word.
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
    fn a_fragment_counts_once_and_in_its_own_facet_only() {
        let index = index();
        let title = Aggregation::default().rank(&index, &[fragment(1, &[14, 15], 0.5)]).unwrap();
        assert_eq!(title.iter().map(|(item, _)| *item).collect::<Vec<_>>(), [2]);
        assert!(Aggregation::default().rank(&index, &[fragment(0, &[14, 15], 0.5)]).unwrap().is_empty());
        let twice =
            Aggregation::default().rank(&index, &[fragment(1, &[14, 15], 0.5), fragment(1, &[14, 15], 0.5)]).unwrap();
        assert_eq!(twice, title);
        // A fragment of no item, one less likely than chance, and an empty one contribute nothing.
        let nothing = [fragment(1, &[99], 0.5), fragment(1, &[14], 1e-6), fragment(1, &[], 0.5)];
        assert!(Aggregation::default().rank(&index, &nothing).unwrap().is_empty());
    }

    #[test]
    fn invalid_fragments_are_refused() {
        let index = index();
        let says =
            |fragment: IdentifierFragment| Aggregation::default().rank(&index, &[fragment]).unwrap_err().to_string();
        assert!(says(fragment(2, &[1], 0.5)).contains("below 2"));
        assert!(says(fragment(1, &[1], 1.5)).contains("at most 0"));
        assert!(says(fragment(1, &[1], f64::NAN)).contains("at most 0"));
    }
}
