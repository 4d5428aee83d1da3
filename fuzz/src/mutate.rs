//! Mutations of an input: random ones, and ones that keep its outer format.

use serde_json::Value;

use crate::json;
use crate::random::Random;
use crate::reseal::{checksummed, reseal, unchecked};

/// The outer format of a target's inputs. Some mutations keep it, so that they reach deeper code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Bytes,
    Text,
    Json,
    /// A JSON value on each line.
    JsonLines,
    /// A JSON header, preceded by its length.
    SafeTensors,
    /// The SHA-256 of all bytes at the end, as in tries and FM-indexes.
    Checksummed,
}

/// Longer inputs are truncated.
pub(crate) const LONGEST: usize = 1 << 20;
const USUAL: usize = 1 << 16;

const INTERESTING: [u64; 20] = [
    0,
    1,
    2,
    7,
    8,
    16,
    63,
    64,
    127,
    128,
    255,
    256,
    32_767,
    65_535,
    0x7FFF_FFFF,
    0xFFFF_FFFF,
    0x1_0000_0000,
    0x7FFF_FFFF_FFFF_FFFF,
    0xFFFF_FFFF_FFFF_FFFF,
    0xFFFF_FFFF_FFFF_FFF8,
];

const WORDS: [&str; 44] = [
    "\"",
    "\\",
    "\n",
    "\r\n",
    "\t",
    ",",
    ";",
    "{",
    "}",
    "[",
    "]",
    "<",
    ">",
    "</",
    "<!--",
    "-->",
    "&amp;",
    "&#0;",
    "&#xD800;",
    "\\ud800",
    "\\u0000",
    "\u{FEFF}",
    "\u{200B}",
    "\u{1F600}",
    "\u{130}",
    "null",
    "NaN",
    "Infinity",
    "-0",
    "1e999",
    "1.0",
    "-9223372036854775808",
    "18446744073709551616",
    "4294967296",
    "true",
    "<a_0>",
    "<b_65535>",
    "<a_99999999999999999999>",
    "{{",
    "{title}",
    "1970-01-01T00:00:00Z",
    "262143-12-31",
    "..",
    "/dev/zero",
];

/// A mutated copy of `input`; `other` is another input of the same target. If the file has a seal, the seal is usually
/// updated.
pub(crate) fn mutated(form: Form, input: &[u8], other: &[u8], random: &mut Random) -> Vec<u8> {
    let mut changed = changed(form, input, other, random);
    if changed.len() > LONGEST {
        return input.to_vec();
    }
    if !random.once_in(16) {
        reseal(&mut changed);
    }
    changed
}

fn changed(form: Form, input: &[u8], other: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = input.to_vec();
    match form {
        Form::Json if !random.once_in(3) => {
            if let Ok(mut value) = serde_json::from_slice::<Value>(&bytes) {
                json::mutate(&mut value, random);
                return json::text(&value, random).into_bytes();
            }
        }
        Form::JsonLines if !random.once_in(3) => {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
            if !lines.is_empty() {
                let at = random.below(lines.len());
                if let Ok(mut value) = serde_json::from_str::<Value>(&lines[at]) {
                    json::mutate(&mut value, random);
                    lines[at] = json::text(&value, random);
                    return (lines.join("\n") + "\n").into_bytes();
                }
            }
        }
        Form::SafeTensors if !random.once_in(3) => {
            if let Some(changed) = changed_header(&bytes, random) {
                return changed;
            }
        }
        Form::Checksummed if !random.once_in(8) => {
            if let Some(content) = unchecked(input) {
                let mut bytes = content.to_vec();
                for _ in 0..=random.below(3) {
                    if random.once_in(4) { blind(&mut bytes, other, false, random) } else { number(&mut bytes, random) }
                }
                return checksummed(bytes);
            }
        }
        _ => {}
    }
    let text = matches!(form, Form::Text | Form::Json | Form::JsonLines);
    for _ in 0..=random.up_to_power(5) {
        blind(&mut bytes, other, text, random);
    }
    bytes.truncate(if random.once_in(50) { LONGEST } else { USUAL.max(input.len()) });
    bytes
}

fn changed_header(bytes: &[u8], random: &mut Random) -> Option<Vec<u8>> {
    let length = usize::try_from(u64::from_le_bytes(bytes.get(..8)?.try_into().ok()?)).ok()?;
    let end = length.checked_add(8)?;
    let mut value: Value = serde_json::from_slice(bytes.get(8..end)?).ok()?;
    // A value may be JSON in a string, as in catalex's own metadata.
    json::mutate(&mut value, random);
    let header = value.to_string();
    Some([&(header.len() as u64).to_le_bytes(), header.as_bytes(), &bytes[end..]].concat())
}

/// Overwrites an aligned number.
fn number(bytes: &mut [u8], random: &mut Random) {
    let width = 1 << random.below(4);
    // Headers have the most influence, and are short.
    let reach = if random.once_in(2) { bytes.len().min(256) } else { bytes.len() };
    let at = random.below(reach / width + 1) * width;
    let Some(place) = bytes.get_mut(at..at + width) else { return };
    let mut old = [0; 8];
    old[..width].copy_from_slice(place);
    let old = u64::from_le_bytes(old);
    let new = match random.below(4) {
        0 => *random.choose(&INTERESTING),
        1 => old.wrapping_add(random.below(17) as u64).wrapping_sub(8),
        2 => old ^ 1 << random.below(8 * width),
        _ => random.next() >> random.below(64),
    };
    place.copy_from_slice(&new.to_le_bytes()[..width]);
    if random.once_in(8) {
        place.reverse();
    }
}

/// One random change, independent of the format.
fn blind(bytes: &mut Vec<u8>, other: &[u8], text: bool, random: &mut Random) {
    let length = bytes.len();
    match random.below(if text { 14 } else { 10 }) {
        0 | 1 if length > 0 => {
            let at = random.below(length);
            bytes[at] ^= 1 << random.below(8);
        }
        2 if length > 0 => {
            let at = random.below(length);
            bytes[at] = random.next() as u8;
        }
        3 | 4 => number(bytes, random),
        5 => drop(bytes.drain(random.range(length))),
        6 => {
            let copy = bytes[random.range(length)].to_vec();
            insert(bytes, &copy, random);
        }
        7 => {
            let copy = other[random.range(other.len())].to_vec();
            insert(bytes, &copy, random);
        }
        8 if random.once_in(3) => bytes.truncate(random.below(length + 1)),
        9 => {
            let piece = bytes[random.range(length)].to_vec();
            let most = if random.once_in(20) { LONGEST } else { 4096 } / piece.len().max(1);
            insert(bytes, &piece.repeat(random.below(most + 1)), random);
        }
        10 | 11 => insert(bytes, random.choose(&WORDS).as_bytes(), random),
        12 => {
            let word = random.choose(&WORDS).as_bytes();
            let most = if random.once_in(20) { LONGEST } else { 2048 } / word.len();
            insert(bytes, &word.repeat(random.below(most + 1)), random);
        }
        13 => {
            // Replaces a number by another one.
            let starts: Vec<usize> = (0..length).filter(|&at| bytes[at].is_ascii_digit()).collect();
            if !starts.is_empty() {
                let start = *random.choose(&starts);
                let end = (start..length).find(|&at| !bytes[at].is_ascii_digit()).unwrap_or(length);
                let new = random.choose(&INTERESTING).to_string();
                bytes.splice(start..end, new.bytes());
            }
        }
        _ => {}
    }
}

fn insert(bytes: &mut Vec<u8>, piece: &[u8], random: &mut Random) {
    let at = random.below(bytes.len() + 1);
    bytes.splice(at..at, piece.iter().copied());
}
