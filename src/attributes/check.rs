//! Checks a parsed rule against the attributes: names, types and supported expressions.

use std::cell::Cell;

use sqlparser::ast::{BinaryOperator, Expr, InTarget, Spanned, UnaryOperator};

use super::dialect::{HAS, UNDER};
use super::kind::{AttributeKind, AttributeValue};
use super::leaf::{Comparison, Pattern, RuleTruth};
use super::syntax::{Class, Operand, RuleSource};
use super::table::AttributeSchema;
use crate::error::{Error, Result};

/// The separator between the levels of a path in a string.
const SEPARATOR: &str = ">";
/// Maximum depth of conditions within conditions.
const MAX_NESTED: usize = 100;
const SYNTAX: &str = "see docs/constrained-decoding.md for the syntax";

/// A checked rule.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Checked {
    All(Vec<Checked>),
    Any(Vec<Checked>),
    Not(Box<Checked>),
    /// Whether the truth of an expression is this one.
    Is(Box<Checked>, RuleTruth),
    /// A bool column, constant or parameter.
    Bool(Operand),
    Compare(Operand, Comparison, Operand),
    IsNull(Operand),
    In(Operand, Vec<Operand>),
    Like(Operand, Operand, Pattern),
    Under(Operand, Operand, String),
    Has(Operand, Vec<Operand>),
}

impl Checked {
    /// Visits all operands.
    pub(super) fn operands<'a>(&'a self, visit: &mut impl FnMut(&'a Operand)) {
        match self {
            Checked::All(parts) | Checked::Any(parts) => parts.iter().for_each(|part| part.operands(visit)),
            Checked::Not(part) | Checked::Is(part, _) => part.operands(visit),
            Checked::Bool(operand) | Checked::IsNull(operand) => visit(operand),
            Checked::Compare(a, _, b) | Checked::Like(a, b, _) | Checked::Under(a, b, _) => {
                visit(a);
                visit(b);
            }
            Checked::In(operand, others) | Checked::Has(operand, others) => {
                visit(operand);
                others.iter().for_each(visit);
            }
        }
    }
}

/// Checks a parsed rule.
///
/// # Errors
/// [`Error::Rule`].
pub(super) fn check(expr: &Expr, source: &RuleSource, schema: &AttributeSchema) -> Result<Checked> {
    Checker { source, schema, depth: Cell::new(0) }.predicate(expr)
}

/// Checks the parts of a rule.
pub(super) struct Checker<'a> {
    source: &'a RuleSource<'a>,
    pub(super) schema: &'a AttributeSchema,
    /// The depth of the expression that is being checked.
    depth: Cell<usize>,
}

impl Checker<'_> {
    pub(super) fn error(
        &self,
        at: &Expr,
        expected: impl Into<String>,
        got: impl Into<String>,
        help: impl Into<String>,
    ) -> Error {
        self.source.error(place(at), expected, got, help)
    }

    /// Checks a condition. The parser does not limit chains such as `a is true is true`, which nest too.
    fn predicate(&self, expr: &Expr) -> Result<Checked> {
        if self.depth.get() > MAX_NESTED {
            return Err(self.error(expr, format!("nesting of at most {MAX_NESTED} levels"), "more", SYNTAX));
        }
        self.depth.set(self.depth.get() + 1);
        let checked = self.condition(expr);
        self.depth.set(self.depth.get() - 1);
        checked
    }

    fn condition(&self, expr: &Expr) -> Result<Checked> {
        let part = |expr: &Expr| self.predicate(expr).map(Box::new);
        let negated = |negated: bool, checked| if negated { Checked::Not(Box::new(checked)) } else { checked };
        Ok(match expr {
            Expr::Nested(inner) => self.predicate(inner)?,
            Expr::UnaryOp { op: UnaryOperator::Not, expr } => Checked::Not(part(expr)?),
            Expr::BinaryOp { op: op @ (BinaryOperator::And | BinaryOperator::Or), .. } => {
                let parts = chain(expr, op).into_iter().map(|part| self.predicate(part)).collect::<Result<_>>()?;
                if *op == BinaryOperator::And { Checked::All(parts) } else { Checked::Any(parts) }
            }
            Expr::BinaryOp { left, op: BinaryOperator::Custom(op), right } => self.own_operator(left, op, right)?,
            Expr::BinaryOp { left, op, right } => {
                let comparison = match op {
                    BinaryOperator::Eq => Comparison::Equal,
                    BinaryOperator::NotEq => Comparison::NotEqual,
                    BinaryOperator::Lt => Comparison::Less,
                    BinaryOperator::LtEq => Comparison::LessOrEqual,
                    BinaryOperator::Gt => Comparison::Greater,
                    BinaryOperator::GtEq => Comparison::GreaterOrEqual,
                    other => {
                        let help = "arithmetic and other operators are not supported; compute the value beforehand";
                        return Err(self.error(expr, "a comparison", format!("{other}"), help));
                    }
                };
                let (left, right) = self.pair(left, right)?;
                Checked::Compare(left, comparison, right)
            }
            Expr::Between { expr, negated: not, low, high } => {
                let bound = |comparison, bound| {
                    let (value, bound) = self.pair(expr, bound)?;
                    Ok::<_, Error>(Checked::Compare(value, comparison, bound))
                };
                let (low, high) = (bound(Comparison::GreaterOrEqual, low)?, bound(Comparison::LessOrEqual, high)?);
                negated(*not, Checked::All(vec![low, high]))
            }
            Expr::In { expr: value, target: InTarget::List(list), negated: not, global: false } => {
                let operand = self.operand(value)?;
                let class = self.scalar(value, &operand)?;
                let list = list.iter().map(|other| self.fitted(other, class)).collect::<Result<_>>()?;
                negated(*not, Checked::In(operand, list))
            }
            Expr::Like { negated: not, any: false, expr, pattern, escape_char } => {
                negated(*not, self.like(expr, pattern, escape_char.as_deref(), false)?)
            }
            Expr::ILike { negated: not, any: false, expr, pattern, escape_char } => {
                negated(*not, self.like(expr, pattern, escape_char.as_deref(), true)?)
            }
            Expr::IsNull(operand) => Checked::IsNull(self.operand(operand)?),
            Expr::IsNotNull(operand) => Checked::Not(Box::new(Checked::IsNull(self.operand(operand)?))),
            Expr::IsTrue(inner) => Checked::Is(part(inner)?, RuleTruth::True),
            Expr::IsFalse(inner) => Checked::Is(part(inner)?, RuleTruth::False),
            Expr::IsUnknown(inner) => Checked::Is(part(inner)?, RuleTruth::Unknown),
            Expr::IsNotTrue(inner) => Checked::Not(Box::new(Checked::Is(part(inner)?, RuleTruth::True))),
            Expr::IsNotFalse(inner) => Checked::Not(Box::new(Checked::Is(part(inner)?, RuleTruth::False))),
            Expr::IsNotUnknown(inner) => Checked::Not(Box::new(Checked::Is(part(inner)?, RuleTruth::Unknown))),
            Expr::Identifier(_) | Expr::CompoundIdentifier(_) | Expr::Value(_) => {
                let mut operand = self.operand(expr)?;
                match (self.class(&operand), &mut operand) {
                    (_, Operand::Parameter(parameter)) => parameter.class = Some(Class::Bool),
                    (Some(Class::Bool) | None, _) => {}
                    _ => {
                        let got = self.describe(&operand);
                        return Err(self.error(expr, "a condition", got, "compare it with a value"));
                    }
                }
                Checked::Bool(operand)
            }
            other => return Err(self.unsupported(other)),
        })
    }

    fn own_operator(&self, left: &Expr, op: &str, right: &Expr) -> Result<Checked> {
        let operand = self.operand(left)?;
        let (name, separator) = op.split_once(' ').unwrap_or((op, SEPARATOR));
        let kind = match &operand {
            Operand::Column(at) => Some(self.schema.columns[*at].1),
            _ => None,
        };
        if name == UNDER {
            if !matches!(kind, Some(AttributeKind::Text | AttributeKind::List)) {
                let got = self.describe(&operand);
                return Err(self.error(
                    left,
                    "an attribute with category paths before under",
                    got,
                    "name a string or list",
                ));
            }
            if separator.is_empty() {
                return Err(self.error(
                    right,
                    "a separator that is not empty",
                    "''",
                    "write it in quotes, such as '/'",
                ));
            }
            return Ok(Checked::Under(operand, self.fitted(right, Class::Text)?, separator.to_owned()));
        }
        if kind != Some(AttributeKind::List) {
            let (got, help) = (self.describe(&operand), "use = or in for attributes with a single value");
            return Err(self.error(left, format!("a list attribute before {HAS}"), got, help));
        }
        let values = match right {
            Expr::Tuple(values) => values.iter().collect(),
            Expr::Nested(value) => vec![&**value],
            value => vec![value],
        };
        let values = values.into_iter().map(|value| self.fitted(value, Class::Text)).collect::<Result<_>>()?;
        Ok(Checked::Has(operand, values))
    }

    fn like(&self, value: &Expr, pattern: &Expr, escape: Option<&Expr>, ignore_case: bool) -> Result<Checked> {
        let escape = match escape.map(|escape| (escape, self.operand(escape))) {
            None => None,
            Some((_, Ok(Operand::Constant(AttributeValue::Text(text))))) if text.chars().count() == 1 => {
                text.chars().next()
            }
            Some((at, _)) => return Err(self.error(at, "one character after escape", format!("{at}"), SYNTAX)),
        };
        let (operand, pattern) = (self.fitted(value, Class::Text)?, self.fitted(pattern, Class::Text)?);
        Ok(Checked::Like(operand, pattern, Pattern { escape, ignore_case }))
    }

    pub(super) fn unsupported(&self, expr: &Expr) -> Error {
        let (expected, help) = match expr {
            Expr::Function(_) => ("a rule without functions", "compute the value beforehand, or pass it as user.NAME"),
            _ => ("comparisons, in, between, like, under, has, is null, and, or, not", SYNTAX),
        };
        self.error(expr, expected, format!("{expr}"), help)
    }
}

/// The operands of a chain of the same operator, such as `a and b and c`, without recursion.
fn chain<'e>(mut expr: &'e Expr, wanted: &BinaryOperator) -> Vec<&'e Expr> {
    let mut parts = Vec::new();
    while let Expr::BinaryOp { left, op, right } = expr
        && op == wanted
    {
        parts.push(&**right);
        expr = left;
    }
    parts.push(expr);
    parts.reverse();
    parts
}

/// The line and the column of an expression.
pub(super) fn place(expr: &Expr) -> (u64, u64) {
    let start = expr.span().start;
    (start.line, start.column)
}
