//! Updates the hashes of mutated artifacts, as an attacker would. Otherwise, readers would stop at the hash check, and
//! the code behind it would not be reached.
//!
//! `tests/it/reseal.rs` checks that readers accept these hashes.

use catalex::artifact::{seal, sha256};
use serde_json::Value;

/// Number of hexadecimal digits of a hash.
const DIGITS: usize = 64;

/// Updates the seal of a file, if it has one.
pub(crate) fn reseal(bytes: &mut [u8]) {
    let blank = seal::blank();
    let mark = blank.trim_end_matches('0').as_bytes();
    let Some(at) = bytes.windows(mark.len()).rposition(|window| window == mark) else { return };
    let digits = at + mark.len()..at + blank.len();
    if digits.end <= bytes.len() {
        bytes[digits.clone()].fill(b'0');
        let hash = sha256(bytes);
        bytes[digits].copy_from_slice(hash.as_bytes());
    }
}

/// Appends the checksum of a trie or an FM-index to its content.
pub(crate) fn checksummed(mut content: Vec<u8>) -> Vec<u8> {
    content.extend(sha256(&content).as_bytes());
    content
}

/// The bytes before the checksum at the end. `None` if the file is shorter than a checksum.
pub(crate) fn unchecked(bytes: &[u8]) -> Option<&[u8]> {
    bytes.get(..bytes.len().checked_sub(DIGITS)?)
}

/// The settings of a model, with the hash of these weights.
pub(crate) fn settings_for(weights: &[u8], settings: &[u8]) -> Option<Vec<u8>> {
    let mut value: Value = serde_json::from_slice(settings).ok()?;
    *value.get_mut("weights_sha256")? = sha256(weights).into();
    let mut bytes = serde_json::to_vec_pretty(&value).ok()?;
    reseal(&mut bytes);
    Some(bytes)
}
