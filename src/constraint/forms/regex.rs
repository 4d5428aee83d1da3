//! A regular expression for the IDs, and the list of all IDs.

use std::io::{self, Write};

use super::automaton::Automaton;
use crate::semantic_id::{TokenFormat, TokenTable};

/// Writes a regular expression that matches exactly the IDs, without anchors. IDs with a common prefix share a group:
/// `<a_1>(?:<b_2><c_3>|<b_4>(?:<c_5>|<c_6>))`.
pub(super) fn write_regex(out: &mut dyn Write, automaton: &Automaton, format: &TokenFormat) -> io::Result<()> {
    write_state(out, automaton, format, 0, 0)
}

fn write_state(
    out: &mut dyn Write,
    automaton: &Automaton,
    format: &TokenFormat,
    level: usize,
    index: usize,
) -> io::Result<()> {
    let Some(states) = automaton.states.get(level) else { return Ok(()) };
    let state = &states[index];
    let grouped = state.len() > 1;
    write!(out, "{}", if grouped { "(?:" } else { "" })?;
    for (at, alternative) in state.iter().enumerate() {
        write!(out, "{}{}", if at == 0 { "" } else { "|" }, one_of(format, level, &alternative.codes))?;
        write_state(out, automaton, format, level + 1, alternative.next)?;
    }
    write!(out, "{}", if grouped { ")" } else { "" })
}

/// An expression for the tokens of these codes. The common head and tail of a level's tokens are written once.
fn one_of(format: &TokenFormat, level: usize, codes: &[u16]) -> String {
    let (zero, one) = (format.token(level, 0), format.token(level, 1));
    let common = |a: &mut dyn Iterator<Item = char>, b: &mut dyn Iterator<Item = char>| -> Vec<char> {
        a.zip(b).take_while(|(x, y)| x == y).map(|(x, _)| x).collect()
    };
    let head = common(&mut zero.chars(), &mut one.chars());
    let mut tail = common(&mut zero.chars().rev(), &mut one.chars().rev());
    tail.reverse();
    let numbers: Vec<String> = codes.iter().map(u16::to_string).collect();
    let numbers = if numbers.len() == 1 { numbers.concat() } else { format!("(?:{})", numbers.join("|")) };
    escaped(&head) + &numbers + &escaped(&tail)
}

/// Escapes the special characters of regular expressions.
fn escaped(text: &[char]) -> String {
    let mut escaped = String::new();
    for &c in text {
        if r"\.+*?()|[]{}^$".contains(c) {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

/// Writes the IDs of these rows as a JSON array of strings, one per line.
pub(super) fn write_choices(
    out: &mut dyn Write,
    table: &TokenTable,
    rows: impl Iterator<Item = usize>,
) -> io::Result<()> {
    for (at, row) in rows.enumerate() {
        write!(out, "{}{}", if at == 0 { "[\n" } else { ",\n" }, serde_json::json!(table.semantic_id(row)))?;
    }
    writeln!(out, "\n]")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::constraint::Trie;
    use ndarray::array;

    #[test]
    fn common_prefixes_are_written_once() {
        let codes = array![[0u16, 1, 5], [0, 1, 6], [0, 1, 16], [0, 2, 5], [3, 1, 5]];
        let automaton = Automaton::new(&Trie::new(codes.view()).unwrap());
        let mut out = Vec::new();
        write_regex(&mut out, &automaton, &TokenFormat::default()).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "(?:<a_0>(?:<b_1><c_(?:5|6|16)>|<b_2><c_5>)|<a_3><b_1><c_5>)");
    }

    #[test]
    fn special_characters_are_escaped() {
        let one = |format: &str, codes: &[u16]| one_of(&format.parse().unwrap(), 1, codes);
        assert_eq!(one("<|{level}.{code}|>", &[7]), r"<\|b\.7\|>");
        assert_eq!(one("é{code}-{index}é", &[1, 11]), "é(?:1|11)-1é");
    }
}
