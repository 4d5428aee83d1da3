//! Grammars: Lark for llguidance, EBNF for xgrammar, GBNF for llama.cpp.
//!
//! A rule is a state of the automaton. A terminal is a set of tokens, given by id if the ids are known, else by text.

use std::io::{self, Write};

use super::automaton::{Alternative, Automaton};
use crate::semantic_id::TokenFormat;
use crate::vocabulary::TokenIds;

/// States with one alternative and at most this many codes are inlined.
const MAX_INLINE_CODES: usize = 4;

/// The grammar format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    /// llguidance's variant of Lark.
    Lark,
    /// xgrammar's EBNF.
    Ebnf,
    /// llama.cpp's GBNF.
    Gbnf,
}

/// How tokens are written.
#[derive(Debug, Clone, Copy)]
pub(super) enum Terminals<'a> {
    /// By id in the language model's vocabulary.
    Ids(&'a TokenIds),
    /// By text.
    Texts(&'a TokenFormat),
}

/// Writes a grammar of the automaton's IDs, one rule per line.
pub(super) fn write(
    out: &mut dyn Write,
    automaton: &Automaton,
    terminals: Terminals,
    dialect: Dialect,
) -> io::Result<()> {
    let grammar = Grammar { automaton, terminals, dialect };
    let (start, is) = match dialect {
        Dialect::Lark => ("start", ":"),
        Dialect::Ebnf | Dialect::Gbnf => ("root", " ::="),
    };
    let (begin, end) = grammar.markers();
    writeln!(out, "{start}{is} {begin}r0-0{end}")?;
    for (level, states) in automaton.states.iter().enumerate() {
        for (index, state) in states.iter().enumerate() {
            if level > 0 && is_inline(state) {
                continue;
            }
            write!(out, "{}{is} ", name(level, index))?;
            for (at, alternative) in state.iter().enumerate() {
                let bar = if at == 0 { "" } else { " | " };
                write!(out, "{bar}{}", grammar.sequence(level, alternative))?;
            }
            writeln!(out)?;
        }
    }
    Ok(())
}

struct Grammar<'a> {
    automaton: &'a Automaton,
    terminals: Terminals<'a>,
    dialect: Dialect,
}

impl Grammar<'_> {
    /// The codes of an alternative and their continuation.
    fn sequence(&self, level: usize, alternative: &Alternative) -> String {
        let terminal = self.terminal(level, &alternative.codes);
        match self.automaton.states.get(level + 1).map(|states| &states[alternative.next]) {
            None => terminal,
            Some(next) if is_inline(next) => format!("{terminal} {}", self.sequence(level + 1, &next[0])),
            Some(_) => format!("{terminal} {}", name(level + 1, alternative.next)),
        }
    }

    /// One of these codes.
    fn terminal(&self, level: usize, codes: &[u16]) -> String {
        match self.terminals {
            Terminals::Ids(ids) => self.token_ids(&codes.iter().map(|&code| ids.id(level, code)).collect::<Vec<_>>()),
            Terminals::Texts(format) => one_of(codes.iter().map(|&code| self.text(&format.token(level, code)))),
        }
    }

    /// A token by its text. llguidance treats added tokens in angle brackets as special tokens, which literals do not match
    /// and which are referred to by name.
    fn text(&self, token: &str) -> String {
        let inside = token.strip_prefix('<').and_then(|rest| rest.strip_suffix('>')).unwrap_or_default();
        let is_name = !inside.is_empty() && !inside.starts_with('[') && !inside.contains(['<', '>']);
        if self.dialect == Dialect::Lark && is_name { token.to_owned() } else { quoted(token) }
    }

    fn token_ids(&self, ids: &[u32]) -> String {
        match self.dialect {
            Dialect::Lark => format!("<[{}]>", ranges(ids)),
            Dialect::Ebnf => format!("Token({})", ids.iter().map(u32::to_string).collect::<Vec<_>>().join(", ")),
            Dialect::Gbnf => one_of(ids.iter().map(|id| format!("<[{id}]>"))),
        }
    }

    /// The markers before and after an ID.
    fn markers(&self) -> (String, String) {
        let Terminals::Ids(ids) = self.terminals else { return Default::default() };
        let marker = |id: Option<u32>| id.map(|id| self.token_ids(&[id])).unwrap_or_default();
        let (begin, end) = (marker(ids.begin), marker(ids.end));
        let spaced = |at: usize, text: String| match (at, text.is_empty()) {
            (_, true) => text,
            (0, false) => text + " ",
            (_, false) => format!(" {text}"),
        };
        (spaced(0, begin), spaced(1, end))
    }
}

fn is_inline(state: &[Alternative]) -> bool {
    matches!(state, [alternative] if alternative.codes.len() <= MAX_INLINE_CODES)
}

fn name(level: usize, index: usize) -> String {
    format!("r{level}-{index}")
}

fn one_of(parts: impl Iterator<Item = String>) -> String {
    let parts: Vec<String> = parts.collect();
    if parts.len() == 1 { parts.concat() } else { format!("({})", parts.join(" | ")) }
}

/// Ascending ids as `3,5-9`.
fn ranges(ids: &[u32]) -> String {
    let runs = ids.chunk_by(|a, b| a + 1 == *b).map(|run| match run {
        [first, .., last] => format!("{first}-{last}"),
        _ => run[0].to_string(),
    });
    runs.collect::<Vec<_>>().join(",")
}

/// A text as a string literal.
fn quoted(text: &str) -> String {
    let mut literal = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => literal.extend(['\\', c]),
            // All three formats support `\u` with four digits.
            c if c.is_control() => literal += &format!("\\u{:04x}", u32::from(c)),
            c => literal.push(c),
        }
    }
    literal + "\""
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::constraint::Trie;
    use ndarray::array;

    fn grammar(dialect: Dialect, with_ids: bool, marked: bool) -> String {
        let codes = array![[0u16, 1, 5], [0, 1, 6], [0, 1, 8], [0, 2, 5], [3, 1, 5]];
        let ids = TokenIds {
            first_id: 100,
            codebook_sizes: vec![10; 3],
            begin: marked.then_some(130),
            end: marked.then_some(131),
            vocabulary_size: 132,
        };
        let format = TokenFormat::default();
        let terminals = if with_ids { Terminals::Ids(&ids) } else { Terminals::Texts(&format) };
        let automaton = Automaton::new(&Trie::new(codes.view()).unwrap());
        let mut out = Vec::new();
        write(&mut out, &automaton, terminals, dialect).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_dialect_writes_tokens_in_its_own_syntax() {
        assert_eq!(
            grammar(Dialect::Lark, true, true),
            "start: <[130]> r0-0 <[131]>\nr0-0: <[100]> r1-0 | <[103]> <[111]> <[125]>\n\
             r1-0: <[111]> <[125-126,128]> | <[112]> <[125]>\n"
        );
        assert_eq!(
            grammar(Dialect::Ebnf, true, false),
            "root ::= r0-0\nr0-0 ::= Token(100) r1-0 | Token(103) Token(111) Token(125)\n\
             r1-0 ::= Token(111) Token(125, 126, 128) | Token(112) Token(125)\n"
        );
        assert_eq!(
            grammar(Dialect::Gbnf, true, false),
            "root ::= r0-0\nr0-0 ::= <[100]> r1-0 | <[103]> <[111]> <[125]>\n\
             r1-0 ::= <[111]> (<[125]> | <[126]> | <[128]>) | <[112]> <[125]>\n"
        );
        assert_eq!(
            grammar(Dialect::Gbnf, false, false),
            "root ::= r0-0\nr0-0 ::= \"<a_0>\" r1-0 | \"<a_3>\" \"<b_1>\" \"<c_5>\"\n\
             r1-0 ::= \"<b_1>\" (\"<c_5>\" | \"<c_6>\" | \"<c_8>\") | \"<b_2>\" \"<c_5>\"\n"
        );
    }

    #[test]
    fn llguidance_gets_tokens_in_angle_brackets_by_name() {
        let automaton = Automaton::new(&Trie::new(array![[0u16], [3]].view()).unwrap());
        for (format, expected) in [("<{level}_{code}>", "(<a_0> | <a_3>)"), ("{level}-{code}", "(\"a-0\" | \"a-3\")")] {
            let mut out = Vec::new();
            write(&mut out, &automaton, Terminals::Texts(&format.parse().unwrap()), Dialect::Lark).unwrap();
            assert_eq!(String::from_utf8(out).unwrap(), format!("start: r0-0\nr0-0: {expected}\n"));
        }
    }

    #[test]
    fn literals_are_escaped() {
        assert_eq!(quoted("a\"b\\c\u{7f}é"), "\"a\\\"b\\\\c\\u007fé\"");
        assert_eq!(ranges(&[1, 2, 3, 7, 9, 10]), "1-3,7,9-10");
    }
}
