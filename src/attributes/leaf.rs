//! Tests of single values: comparisons, sets, patterns and category paths.

use std::cmp::Ordering;
use std::collections::HashSet;

use super::kind::Cell;

/// A comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Comparison {
    /// Whether it holds for values in this order.
    pub(super) fn holds(self, order: Ordering) -> bool {
        match self {
            Comparison::Equal => order.is_eq(),
            Comparison::NotEqual => order.is_ne(),
            Comparison::Less => order.is_lt(),
            Comparison::LessOrEqual => order.is_le(),
            Comparison::Greater => order.is_gt(),
            Comparison::GreaterOrEqual => order.is_ge(),
        }
    }

    /// The same comparison with its sides exchanged.
    pub(super) fn flipped(self) -> Self {
        match self {
            Comparison::Less => Comparison::Greater,
            Comparison::LessOrEqual => Comparison::GreaterOrEqual,
            Comparison::Greater => Comparison::Less,
            Comparison::GreaterOrEqual => Comparison::LessOrEqual,
            same => same,
        }
    }
}

/// A truth value of SQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RuleTruth {
    True,
    False,
    Unknown,
}

/// How the pattern of `like` is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pattern {
    pub(super) escape: Option<char>,
    pub(super) ignore_case: bool,
}

/// A part of a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PatternPart {
    /// `%`.
    Any,
    /// `_`.
    One,
    Char(char),
}

/// A test of a value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Test {
    IsNull,
    /// An integer or a timestamp from `lo` to `hi`.
    Range {
        lo: i64,
        hi: i64,
        negated: bool,
    },
    Float(Comparison, f64),
    /// The results for `false` and `true`.
    Bool([bool; 2]),
    Text(Comparison, String),
    /// Integers or timestamps.
    Integers(HashSet<i64>, ListNulls),
    Floats(Vec<f64>, ListNulls),
    /// A string in the set, or a list with an element in the set.
    Texts(HashSet<String>, ListNulls),
    Like(LikeTest),
    Under {
        path: Vec<String>,
        separator: String,
    },
}

/// Whether the list after `in` contains null.
pub(super) type ListNulls = bool;

/// A character without case: one character for one, so that `_` stands for one character of the text.
fn folded(c: char) -> char {
    let mut lower = c.to_lowercase();
    match (lower.next(), lower.next()) {
        (Some('ς'), None) => 'σ',
        (Some(lower), None) => lower,
        _ => c,
    }
}

/// A compiled pattern of `like`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct LikeTest {
    parts: Vec<PatternPart>,
    ignore_case: bool,
}

impl Test {
    /// The result for a value; `None` if it is unknown.
    pub(super) fn of(&self, cell: Cell) -> Option<bool> {
        let found = |found: bool, nulls: ListNulls| if found || !nulls { Some(found) } else { None };
        match (self, cell) {
            (Test::IsNull, cell) => Some(cell == Cell::Null),
            (_, Cell::Null) => None,
            (Test::Range { lo, hi, negated }, Cell::Integer(value) | Cell::Timestamp(value)) => {
                Some(((*lo..=*hi).contains(&value)) != *negated)
            }
            (Test::Float(comparison, than), Cell::Float(value)) => value.partial_cmp(than).map(|o| comparison.holds(o)),
            (Test::Bool(results), Cell::Bool(value)) => Some(results[usize::from(value)]),
            (Test::Text(comparison, than), Cell::Text(value)) => Some(comparison.holds(value.cmp(than))),
            (Test::Integers(set, nulls), Cell::Integer(value) | Cell::Timestamp(value)) => {
                found(set.contains(&value), *nulls)
            }
            (Test::Floats(set, nulls), Cell::Float(value)) => found(set.contains(&value), *nulls),
            (Test::Texts(set, nulls), Cell::Text(value)) => found(set.contains(value), *nulls),
            (Test::Texts(set, nulls), Cell::List(values)) => found(values.iter().any(|v| set.contains(v)), *nulls),
            (Test::Like(like), Cell::Text(value)) => Some(like.matches(value)),
            (Test::Under { path, separator }, Cell::Text(value)) => Some(begins(levels(value, separator), path)),
            (Test::Under { path, separator }, Cell::List(values)) => {
                // Elements with the separator are paths; otherwise the elements are the levels of one path.
                Some(match values.iter().any(|value| value.contains(separator)) {
                    true => values.iter().any(|value| begins(levels(value, separator), path)),
                    false => begins(values.iter().map(|value| value.trim()).filter(|level| !level.is_empty()), path),
                })
            }
            _ => None,
        }
    }
}

/// The levels of a category path.
pub(super) fn levels<'t>(path: &'t str, separator: &'t str) -> impl Iterator<Item = &'t str> {
    path.split(separator).map(str::trim).filter(|level| !level.is_empty())
}

fn begins<'t>(mut levels: impl Iterator<Item = &'t str>, path: &[String]) -> bool {
    path.iter().all(|level| levels.next() == Some(level))
}

/// Compares two values of the same class. `None` if one of them is null.
pub(super) fn order(a: Cell, b: Cell) -> Option<Ordering> {
    match (a, b) {
        (Cell::Bool(a), Cell::Bool(b)) => Some(a.cmp(&b)),
        (Cell::Integer(a), Cell::Integer(b)) | (Cell::Timestamp(a), Cell::Timestamp(b)) => Some(a.cmp(&b)),
        (Cell::Float(a), Cell::Float(b)) => a.partial_cmp(&b),
        (Cell::Integer(a), Cell::Float(b)) => against_float(a, b),
        (Cell::Float(a), Cell::Integer(b)) => against_float(b, a).map(Ordering::reverse),
        (Cell::Text(a), Cell::Text(b)) => Some(a.cmp(b)),
        _ => None,
    }
}

/// Compares an integer with a float exactly.
fn against_float(a: i64, b: f64) -> Option<Ordering> {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    if b.is_nan() {
        None
    } else if b >= LIMIT {
        Some(Ordering::Less)
    } else if b < -LIMIT {
        Some(Ordering::Greater)
    } else {
        // Truncation moves towards zero, so the fraction has the sign of b.
        Some(a.cmp(&(b.trunc() as i64)).then_with(|| 0.0.partial_cmp(&b.fract()).unwrap_or(Ordering::Equal)))
    }
}

/// The test of integers that equals a comparison with a number.
pub(super) fn range(comparison: Comparison, than: Cell) -> Test {
    // The largest integer that is smaller than, and the smallest that is greater than the number.
    let (below, above, equal) = match than {
        Cell::Integer(value) | Cell::Timestamp(value) => (value.checked_sub(1), value.checked_add(1), Some(value)),
        Cell::Float(value) => {
            let is_whole = value.fract() == 0.0 && against_float(value as i64, value) == Some(Ordering::Equal);
            let whole = value as i64;
            let below = match against_float(i64::MIN, value) {
                Some(Ordering::Less) if is_whole => whole.checked_sub(1),
                Some(Ordering::Less) => Some(value.floor() as i64),
                _ => None,
            };
            let above = match against_float(i64::MAX, value) {
                Some(Ordering::Greater) if is_whole => whole.checked_add(1),
                Some(Ordering::Greater) => Some(value.ceil() as i64),
                _ => None,
            };
            (below, above, is_whole.then_some(whole))
        }
        _ => (None, None, None),
    };
    const NONE: (i64, i64) = (1, 0);
    let up_to = |hi: Option<i64>| hi.map_or(NONE, |hi| (i64::MIN, hi));
    let from = |lo: Option<i64>| lo.map_or(NONE, |lo| (lo, i64::MAX));
    let (lo, hi) = match comparison {
        Comparison::Equal | Comparison::NotEqual => equal.map_or(NONE, |value| (value, value)),
        Comparison::Less => up_to(below),
        Comparison::LessOrEqual => up_to(equal.or(below)),
        Comparison::Greater => from(above),
        Comparison::GreaterOrEqual => from(equal.or(above)),
    };
    Test::Range { lo, hi, negated: comparison == Comparison::NotEqual }
}

impl LikeTest {
    /// Compiles a pattern. `None` for one that ends with the escape character.
    pub(super) fn new(pattern: &str, how: Pattern) -> Option<Self> {
        let character = |c: char| PatternPart::Char(if how.ignore_case { folded(c) } else { c });
        let mut parts = Vec::new();
        let mut characters = pattern.chars();
        while let Some(c) = characters.next() {
            match c {
                c if Some(c) == how.escape => {
                    parts.push(character(characters.next()?));
                }
                '%' => parts.push(PatternPart::Any),
                '_' => parts.push(PatternPart::One),
                c => parts.push(character(c)),
            }
        }
        Some(LikeTest { parts, ignore_case: how.ignore_case })
    }

    fn matches(&self, text: &str) -> bool {
        let text: Vec<char> =
            if self.ignore_case { text.chars().map(folded).collect() } else { text.chars().collect() };
        let (mut part, mut at) = (0, 0);
        // The last `%`, and the text that the parts after it were compared with.
        let mut any: Option<(usize, usize)> = None;
        while at < text.len() {
            match self.parts.get(part) {
                Some(PatternPart::Any) => {
                    any = Some((part, at));
                    part += 1;
                }
                Some(PatternPart::One) => (part, at) = (part + 1, at + 1),
                Some(PatternPart::Char(c)) if *c == text[at] => (part, at) = (part + 1, at + 1),
                _ => {
                    let Some((last, from)) = any else { return false };
                    (part, at) = (last + 1, from + 1);
                    any = Some((last, from + 1));
                }
            }
        }
        self.parts[part..].iter().all(|part| *part == PatternPart::Any)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn patterns_follow_sql() {
        let plain = Pattern { escape: Some('\\'), ignore_case: false };
        let matches = |pattern: &str, text: &str| LikeTest::new(pattern, plain).unwrap().matches(text);
        for (pattern, text, expected) in [
            ("", "", true),
            ("", "a", false),
            ("%", "", true),
            ("a%c", "abbc", true),
            ("a%c", "abcd", false),
            ("%bc%", "abcd", true),
            ("_", "é", true),
            ("a_c", "ac", false),
            ("%a%b%", "xxbaxb", true),
            ("100\\%", "100%", true),
            ("100\\%", "1000", false),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
        assert!(LikeTest::new("ÉCLAIR%", Pattern { escape: None, ignore_case: true }).unwrap().matches("éclairs"));
        assert_eq!(LikeTest::new("a\\", plain), None);
    }

    proptest! {
        #[test]
        fn a_range_equals_the_comparison(
            value in prop_oneof![any::<i64>(), -5i64..5, Just(i64::MAX), Just(i64::MIN)],
            than in prop_oneof![
                any::<i64>().prop_map(Cell::Integer),
                (-5i64..5).prop_map(Cell::Integer),
                (-10i64..10).prop_map(|half| Cell::Float(half as f64 / 2.0)),
                any::<f64>().prop_filter("no NaN", |value| !value.is_nan()).prop_map(Cell::Float),
                prop_oneof![Just(9.3e18), Just(-9.3e18), Just(9_223_372_036_854_775_808.0)].prop_map(Cell::Float),
                Just(Cell::Integer(i64::MIN)),
            ],
        ) {
            for comparison in [Comparison::Equal, Comparison::NotEqual, Comparison::Less, Comparison::LessOrEqual,
                Comparison::Greater, Comparison::GreaterOrEqual] {
                let expected = order(Cell::Integer(value), than).map(|order| comparison.holds(order));
                prop_assert_eq!(range(comparison, than).of(Cell::Integer(value)), expected);
                let flipped = order(than, Cell::Integer(value)).map(|order| comparison.flipped().holds(order));
                prop_assert_eq!(flipped, expected);
            }
        }
    }
}
