//! Evaluates a rule for all rows, one attribute at a time.

use rayon::prelude::*;

use super::bound::{BoundRule, MatchingRows, RuleNode};
use super::column::{AttributeColumn, Coded, ColumnValues};
use super::kind::Cell;
use super::leaf::{Comparison, RuleTruth, Test, order};
use super::table::Attributes;
use crate::error::Result;

/// Words of 64 rows that are evaluated together.
const BLOCK: usize = 64;

/// The rows of a block for which an expression is true, and those for which it is false. It is unknown for the others.
struct BlockTruth {
    yes: [u64; BLOCK],
    no: [u64; BLOCK],
}

/// A part of a rule with the results for the distinct values of its attribute.
enum Prepared<'a> {
    All(Vec<Prepared<'a>>),
    Any(Vec<Prepared<'a>>),
    Not(Box<Prepared<'a>>),
    Is(Box<Prepared<'a>>, RuleTruth),
    Known(Option<bool>),
    IsNull(&'a AttributeColumn),
    /// Whether the distinct value of each number passes a test.
    Coded(&'a AttributeColumn, &'a [u32], Vec<Option<bool>>),
    Range(&'a AttributeColumn, &'a [i64], [i64; 2], bool),
    Floats(&'a AttributeColumn, &'a [f64], Comparison, f64),
    Bools(&'a AttributeColumn, &'a [bool], [bool; 2]),
    Cells(&'a AttributeColumn, &'a Test),
    Columns(&'a AttributeColumn, Comparison, &'a AttributeColumn),
}

impl BoundRule {
    /// The rows for which the rule is true, evaluated on the threads of the current pool.
    ///
    /// # Errors
    /// As [`BoundRule::check`].
    pub fn matching(&self, attributes: &Attributes) -> Result<MatchingRows> {
        self.check(attributes)?;
        let rows = attributes.len();
        let prepared = Prepared::new(&self.root, attributes);
        let mut words = vec![0; rows.div_ceil(64)];
        words.par_chunks_mut(BLOCK).enumerate().for_each(|(block, words)| {
            let truth = prepared.block(block * BLOCK, words.len(), rows);
            words.copy_from_slice(&truth.yes[..words.len()]);
        });
        if let Some(last) = words.last_mut().filter(|_| rows % 64 > 0) {
            *last &= (1 << (rows % 64)) - 1;
        }
        Ok(MatchingRows { words, rows })
    }
}

impl<'a> Prepared<'a> {
    fn new(node: &'a RuleNode, attributes: &'a Attributes) -> Self {
        let all = |parts: &'a [RuleNode]| parts.iter().map(|part| Prepared::new(part, attributes)).collect();
        let column = |at: usize| &attributes.columns[at];
        match node {
            RuleNode::All(parts) => Prepared::All(all(parts)),
            RuleNode::Any(parts) => Prepared::Any(all(parts)),
            RuleNode::Not(part) => Prepared::Not(Box::new(Prepared::new(part, attributes))),
            RuleNode::Is(part, truth) => Prepared::Is(Box::new(Prepared::new(part, attributes)), *truth),
            RuleNode::Known(truth) => Prepared::Known(*truth),
            RuleNode::Columns(a, comparison, b) => Prepared::Columns(column(*a), *comparison, column(*b)),
            RuleNode::Test(at, Test::IsNull) => Prepared::IsNull(column(*at)),
            RuleNode::Test(at, test) => {
                let column = column(*at);
                match (&column.values, test) {
                    (ColumnValues::Texts(coded), test) => coded_test(column, coded, test, |text| Cell::Text(text)),
                    (ColumnValues::Lists(coded), test) => coded_test(column, coded, test, |list| Cell::List(list)),
                    (
                        ColumnValues::Integers(values) | ColumnValues::Timestamps(values),
                        Test::Range { lo, hi, negated },
                    ) => Prepared::Range(column, values, [*lo, *hi], *negated),
                    (ColumnValues::Floats(values), Test::Float(comparison, than)) => {
                        Prepared::Floats(column, values, *comparison, *than)
                    }
                    (ColumnValues::Bools(values), Test::Bool(results)) => Prepared::Bools(column, values, *results),
                    (_, test) => Prepared::Cells(column, test),
                }
            }
        }
    }

    /// The truth for up to [`BLOCK`] words from `first`, of `rows` rows in total. Bits after the last row are arbitrary.
    fn block(&self, first: usize, words: usize, rows: usize) -> BlockTruth {
        let every = |yes: bool, no: bool| BlockTruth {
            yes: [if yes { u64::MAX } else { 0 }; BLOCK],
            no: [if no { u64::MAX } else { 0 }; BLOCK],
        };
        match self {
            Prepared::All(parts) => parts.iter().fold(every(true, false), |mut all, part| {
                let truth = part.block(first, words, rows);
                for at in 0..words {
                    all.yes[at] &= truth.yes[at];
                    all.no[at] |= truth.no[at];
                }
                all
            }),
            Prepared::Any(parts) => parts.iter().fold(every(false, true), |mut any, part| {
                let truth = part.block(first, words, rows);
                for at in 0..words {
                    any.yes[at] |= truth.yes[at];
                    any.no[at] &= truth.no[at];
                }
                any
            }),
            Prepared::Not(part) => {
                let BlockTruth { yes, no } = part.block(first, words, rows);
                BlockTruth { yes: no, no: yes }
            }
            Prepared::Is(part, wanted) => {
                let truth = part.block(first, words, rows);
                let mut is = every(false, false);
                for at in 0..words {
                    is.yes[at] = match wanted {
                        RuleTruth::True => truth.yes[at],
                        RuleTruth::False => truth.no[at],
                        RuleTruth::Unknown => !(truth.yes[at] | truth.no[at]),
                    };
                    is.no[at] = !is.yes[at];
                }
                is
            }
            Prepared::Known(truth) => every(*truth == Some(true), *truth == Some(false)),
            Prepared::IsNull(column) => {
                let mut truth = every(false, false);
                let valid = &column.valid[first..first + words];
                truth.no[..words].copy_from_slice(valid);
                (0..words).for_each(|at| truth.yes[at] = !valid[at]);
                truth
            }
            Prepared::Coded(column, codes, results) => {
                let mut truth = every(false, false);
                for at in 0..words {
                    let (from, valid) = ((first + at) * 64, column.valid[first + at]);
                    let codes = &codes[from..rows.min(from + 64)];
                    let bits = |wanted| fold(codes, |code| results[*code as usize] == Some(wanted));
                    (truth.yes[at], truth.no[at]) = (bits(true) & valid, bits(false) & valid);
                }
                truth
            }
            Prepared::Range(column, values, [lo, hi], negated) => {
                two_valued(column, values, first..first + words, rows, |v| (v >= lo && v <= hi) != *negated)
            }
            Prepared::Floats(column, values, comparison, than) => {
                let range = first..first + words;
                match comparison {
                    Comparison::Equal => two_valued(column, values, range, rows, |v| v == than),
                    Comparison::NotEqual => two_valued(column, values, range, rows, |v| v != than),
                    Comparison::Less => two_valued(column, values, range, rows, |v| v < than),
                    Comparison::LessOrEqual => two_valued(column, values, range, rows, |v| v <= than),
                    Comparison::Greater => two_valued(column, values, range, rows, |v| v > than),
                    Comparison::GreaterOrEqual => two_valued(column, values, range, rows, |v| v >= than),
                }
            }
            Prepared::Bools(column, values, results) => {
                two_valued(column, values, first..first + words, rows, |v| results[usize::from(*v)])
            }
            Prepared::Cells(column, test) => by_row(first, words, rows, |row| test.of(column.cell(row))),
            Prepared::Columns(a, comparison, b) => {
                by_row(first, words, rows, |row| order(a.cell(row), b.cell(row)).map(|order| comparison.holds(order)))
            }
        }
    }
}

/// The test of an attribute with few distinct values, or with values that are expensive to test.
fn coded_test<'a, T: Sync>(
    column: &'a AttributeColumn,
    coded: &'a Coded<T>,
    test: &Test,
    cell: impl Fn(&T) -> Cell<'_> + Sync,
) -> Prepared<'a> {
    let mut results: Vec<Option<bool>> =
        coded.distinct.par_iter().with_min_len(1_024).map(|value| test.of(cell(value))).collect();
    // Rows without a value have the number 0.
    if results.is_empty() {
        results.push(None);
    }
    Prepared::Coded(column, &coded.codes, results)
}

fn fold<T>(values: &[T], is: impl Fn(&T) -> bool) -> u64 {
    values.iter().enumerate().fold(0, |bits, (at, value)| bits | u64::from(is(value)) << at)
}

/// The truth of a test that is known for every value.
fn two_valued<T>(
    column: &AttributeColumn,
    values: &[T],
    words: std::ops::Range<usize>,
    rows: usize,
    is: impl Fn(&T) -> bool,
) -> BlockTruth {
    let mut truth = BlockTruth { yes: [0; BLOCK], no: [0; BLOCK] };
    for (at, word) in words.enumerate() {
        let bits = fold(&values[word * 64..rows.min(word * 64 + 64)], &is);
        let valid = column.valid[word];
        (truth.yes[at], truth.no[at]) = (bits & valid, !bits & valid);
    }
    truth
}

fn by_row(first: usize, words: usize, rows: usize, of: impl Fn(usize) -> Option<bool>) -> BlockTruth {
    let mut truth = BlockTruth { yes: [0; BLOCK], no: [0; BLOCK] };
    for at in 0..words {
        let from = (first + at) * 64;
        for row in from..rows.min(from + 64) {
            match of(row) {
                Some(true) => truth.yes[at] |= 1 << (row - from),
                Some(false) => truth.no[at] |= 1 << (row - from),
                None => {}
            }
        }
    }
    truth
}
