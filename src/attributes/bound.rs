//! Rules that are ready to be evaluated, and the rows for which they are true.

use super::leaf::{Comparison, RuleTruth, Test, order};
use super::table::{AttributeSchema, Attributes};
use crate::error::{Error, Result};

/// A rule whose parameters have values.
#[derive(Debug, Clone)]
pub struct BoundRule {
    pub(super) schema: AttributeSchema,
    pub(super) root: RuleNode,
}

/// A part of a rule.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum RuleNode {
    All(Vec<RuleNode>),
    Any(Vec<RuleNode>),
    Not(Box<RuleNode>),
    Is(Box<RuleNode>, RuleTruth),
    /// The same for all items.
    Known(Option<bool>),
    /// A test of an attribute.
    Test(usize, Test),
    /// A comparison of two attributes.
    Columns(usize, Comparison, usize),
}

/// The rows of the items for which a rule is true.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MatchingRows {
    /// A bit per row.
    pub(super) words: Vec<u64>,
    pub(super) rows: usize,
}

impl MatchingRows {
    /// Number of matching rows.
    pub fn len(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Whether no row matches.
    pub fn is_empty(&self) -> bool {
        self.words.iter().all(|word| *word == 0)
    }

    /// Whether a row matches. Rows that do not exist do not match.
    pub fn contains(&self, row: usize) -> bool {
        row < self.rows && self.words[row / 64] >> (row % 64) & 1 == 1
    }
}

impl BoundRule {
    /// Checks that attributes have the names and types that the rule was compiled for.
    ///
    /// # Errors
    /// [`Error::Mismatch`].
    pub fn check(&self, attributes: &Attributes) -> Result<()> {
        let schema = attributes.schema();
        if schema == self.schema {
            return Ok(());
        }
        let help = "compile the rule for these attributes";
        Err(Error::mismatch("attributes of a rule", self.schema.listed(), schema.listed(), help))
    }

    /// Whether the rule is true for a row, by its current values.
    pub fn matches(&self, attributes: &Attributes, row: usize) -> bool {
        self.root.of_row(attributes, row) == Some(true)
    }
}

impl RuleNode {
    /// The truth for a row; `None` if it is unknown.
    fn of_row(&self, attributes: &Attributes, row: usize) -> Option<bool> {
        let cell = |at: usize| attributes.columns[at].cell(row);
        match self {
            RuleNode::All(parts) => {
                let mut result = Some(true);
                for part in parts {
                    match part.of_row(attributes, row) {
                        Some(false) => return Some(false),
                        None => result = None,
                        Some(true) => {}
                    }
                }
                result
            }
            RuleNode::Any(parts) => {
                let mut result = Some(false);
                for part in parts {
                    match part.of_row(attributes, row) {
                        Some(true) => return Some(true),
                        None => result = None,
                        Some(false) => {}
                    }
                }
                result
            }
            RuleNode::Not(part) => part.of_row(attributes, row).map(|truth| !truth),
            RuleNode::Is(part, truth) => Some(match part.of_row(attributes, row) {
                Some(true) => *truth == RuleTruth::True,
                Some(false) => *truth == RuleTruth::False,
                None => *truth == RuleTruth::Unknown,
            }),
            RuleNode::Known(truth) => *truth,
            RuleNode::Test(at, test) => test.of(cell(*at)),
            RuleNode::Columns(a, comparison, b) => order(cell(*a), cell(*b)).map(|order| comparison.holds(order)),
        }
    }
}
