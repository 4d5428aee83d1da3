//! Codebook usage: how often each code of each level is used.

use ndarray::ArrayView2;

/// How often each code of one codebook is used.
#[derive(Debug, Clone, PartialEq)]
pub struct CodeUsage {
    /// Number of items per code.
    pub counts: Vec<u64>,
}

impl CodeUsage {
    /// Counts `codes (n, levels)` per level; `sizes` are the codebook sizes.
    pub fn of_levels(codes: ArrayView2<u16>, sizes: &[usize]) -> Vec<CodeUsage> {
        sizes
            .iter()
            .enumerate()
            .map(|(level, &size)| {
                let mut counts = vec![0; size];
                codes.column(level).iter().for_each(|&code| counts[usize::from(code)] += 1);
                CodeUsage { counts }
            })
            .collect()
    }

    /// Number of codes that at least one item has.
    pub fn used(&self) -> usize {
        self.counts.iter().filter(|&&c| c > 0).count()
    }

    /// Perplexity: the exponential of the entropy of the code distribution, from 1 to the codebook size. A codebook of
    /// this many equally frequent codes would carry the same information.
    pub fn perplexity(&self) -> f64 {
        let total = self.counts.iter().sum::<u64>() as f64;
        let entropy: f64 = self
            .counts
            .iter()
            .filter(|&&c| c > 0)
            .map(|&c| {
                let p = c as f64 / total;
                -p * p.ln()
            })
            .sum();
        entropy.exp()
    }

    /// Gini coefficient: 0 if all codes are used equally often, near 1 if one code has all items.
    pub fn gini(&self) -> f64 {
        let mut counts = self.counts.clone();
        counts.sort_unstable();
        let (n, total) = (counts.len() as f64, counts.iter().sum::<u64>() as f64);
        if total == 0.0 {
            return 0.0;
        }
        let ranked: f64 = counts.iter().enumerate().map(|(i, &c)| (i as f64 + 1.0) * c as f64).sum();
        2.0 * ranked / (n * total) - (n + 1.0) / n
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn even_and_collapsed_codebooks() {
        let usage = CodeUsage::of_levels(array![[0u16, 3], [1, 3], [2, 3], [3, 3]].view(), &[4, 4]);
        assert!((usage[0].perplexity() - 4.0).abs() < 1e-9 && usage[0].gini().abs() < 1e-9);
        assert!((usage[1].perplexity() - 1.0).abs() < 1e-9 && (usage[1].gini() - 0.75).abs() < 1e-9);
        assert_eq!((usage[0].used(), usage[1].used()), (4, 1));
    }
}
