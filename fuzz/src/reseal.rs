//! New hashes for changed artefacts, as whoever changes a file on purpose would write them: otherwise the readers stop at the
//! hash, and what lies behind it is never reached.
//!
//! `tests/it/reseal.rs` checks that readers accept what is written here.

use catalex::artifact::{seal, sha256};
use serde_json::Value;

/// Hexadecimal digits of a hash.
const DIGITS: usize = 64;

/// Corrects the seal of a file that has one.
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

/// Corrects the checksum at the end of a trie or an FM-index: of the bytes before it.
pub(crate) fn checksummed(mut content: Vec<u8>) -> Vec<u8> {
    content.extend(sha256(&content).as_bytes());
    content
}

/// The bytes before the checksum at the end.
pub(crate) fn unchecked(bytes: &[u8]) -> Option<&[u8]> {
    bytes.get(..bytes.len().checked_sub(DIGITS)?)
}

/// The settings of a model with the hash of other weights.
pub(crate) fn settings_for(weights: &[u8], settings: &[u8]) -> Option<Vec<u8>> {
    let mut value: Value = serde_json::from_slice(settings).ok()?;
    *value.get_mut("weights_sha256")? = sha256(weights).into();
    let mut bytes = serde_json::to_vec_pretty(&value).ok()?;
    reseal(&mut bytes);
    Some(bytes)
}
