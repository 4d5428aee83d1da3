//! The prefixes of a semantic ID as integers: mixed radix, or a hash where that is too large.

use crate::error::{Error, Result};

/// The largest cardinality whose ids are positive 64-bit integers.
const MAX_CARDINALITY: u64 = i64::MAX as u64;

/// Turns prefixes of codes into ids, depth by depth.
///
/// Depth `d` has one id for each sequence of `d` codes: `((c1 * S2 + c2) * S3 + c3) ...` for codebook sizes `S`. With a
/// table size `N`, depths with more than `N` sequences use a hash modulo `N` instead, so that prefixes may
/// share an id. An id depends only on its codes, the codebook sizes and the table size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrefixIds {
    sizes: Vec<u64>,
    /// Number of ids per depth, and whether they are hashes.
    spaces: Vec<(u64, bool)>,
}

impl PrefixIds {
    /// The ids of all depths for these codebook sizes.
    ///
    /// # Errors
    /// [`Error::Config`] without a table size, if the ids of a depth do not fit in 63 bits; for a table size below 2 or
    /// above 2^63 - 1, and for codebooks without codes.
    pub fn new(codebook_sizes: &[usize], table_size: Option<u64>) -> Result<Self> {
        if let Some(size) = table_size.filter(|size| !(2..=MAX_CARDINALITY).contains(size)) {
            let (expected, help) = (format!("from 2 to {MAX_CARDINALITY}"), "pass another, such as 1000000");
            return Err(Error::config("table-size", expected, size, help));
        }
        if codebook_sizes.contains(&0) {
            let (expected, got) = ("at least one code per level", format!("{codebook_sizes:?}"));
            return Err(Error::config("codebook-size", expected, got, "pass the model's codebook sizes"));
        }
        let sizes: Vec<u64> = codebook_sizes.iter().map(|&size| size as u64).collect();
        let mut exact = Some(1u64);
        let mut spaces = Vec::with_capacity(sizes.len());
        for (level, &size) in sizes.iter().enumerate() {
            exact = exact.and_then(|product| product.checked_mul(size)).filter(|&product| product <= MAX_CARDINALITY);
            spaces.push(match (exact, table_size) {
                (Some(exact), Some(table)) if exact > table => (table, true),
                (Some(exact), _) => (exact, false),
                (None, Some(table)) => (table, true),
                (None, None) => {
                    let expected = format!("a table size, because the prefixes of {} codes exceed 63 bits", level + 1);
                    return Err(Error::config("table-size", expected, "none", "pass --table-size, such as 1000000"));
                }
            });
        }
        Ok(PrefixIds { sizes, spaces })
    }

    /// Number of possible ids of the prefixes of `depth` codes, from 1.
    pub fn cardinality(&self, depth: usize) -> u64 {
        self.spaces[depth - 1].0
    }

    /// Whether the ids of this depth are hashes, so that prefixes may share an id.
    pub fn hashed(&self, depth: usize) -> bool {
        self.spaces[depth - 1].1
    }

    /// The ids of all prefixes of an item's codes, the shortest first.
    pub fn ids(&self, codes: &[u16]) -> impl Iterator<Item = i64> {
        let mut exact = 0u64;
        let levels = self.sizes.iter().zip(&self.spaces).take(codes.len()).enumerate();
        levels.map(move |(level, (size, &(cardinality, hashed)))| {
            // Wraps only where the ids are hashes.
            exact = exact.wrapping_mul(*size).wrapping_add(u64::from(codes[level]));
            (if hashed { prefix_hash(&codes[..=level]) % cardinality } else { exact }) as i64
        })
    }
}

/// The hash of a prefix: `h = splitmix64(depth)`, and `h = splitmix64(h XOR code)` for each code in order. The depth is
/// the salt.
pub(super) fn prefix_hash(codes: &[u16]) -> u64 {
    codes.iter().fold(splitmix64(codes.len() as u64), |hash, &code| splitmix64(hash ^ u64::from(code)))
}

/// One step of the SplitMix64 generator (Steele, Lea and Flood, 2014) from a state, modulo 2^64.
fn splitmix64(state: u64) -> u64 {
    let z = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
