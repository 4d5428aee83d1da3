//! Gives the parameters of a rule their values.

use std::collections::{HashMap, HashSet};

use super::bound::{BoundRule, RuleNode};
use super::check::Checked;
use super::kind::{AttributeKind, AttributeValue, Cell, timestamp};
use super::leaf::{Comparison, LikeTest, Pattern, Test, levels, order, range};
use super::rule::Rule;
use super::syntax::{Class, Operand, Parameter, RuleSource};
use crate::error::Result;

/// A side of a comparison with its value.
enum Side {
    Column(usize),
    Value(AttributeValue),
}

impl Rule {
    /// Gives the parameters values. Values that the rule does not use are ignored. A parameter after `in` or `has` can
    /// be a list.
    ///
    /// # Errors
    /// [`crate::Error::Rule`] for a parameter without a value, and for a value of another type.
    pub fn bind(&self, user: &HashMap<String, AttributeValue>) -> Result<BoundRule> {
        let root = Binder { rule: self, user }.node(&self.checked)?;
        Ok(BoundRule { schema: self.schema.clone(), root })
    }
}

struct Binder<'a> {
    rule: &'a Rule,
    user: &'a HashMap<String, AttributeValue>,
}

impl Binder<'_> {
    fn node(&self, checked: &Checked) -> Result<RuleNode> {
        let all = |parts: &[Checked]| parts.iter().map(|part| self.node(part)).collect::<Result<Vec<_>>>();
        Ok(match checked {
            Checked::All(parts) => RuleNode::All(all(parts)?),
            Checked::Any(parts) => RuleNode::Any(all(parts)?),
            Checked::Not(part) => RuleNode::Not(Box::new(self.node(part)?)),
            Checked::Is(part, truth) => RuleNode::Is(Box::new(self.node(part)?), *truth),
            Checked::Bool(operand) => match self.side(operand)? {
                Side::Column(at) => RuleNode::Test(at, Test::Bool([false, true])),
                Side::Value(AttributeValue::Bool(value)) => RuleNode::Known(Some(value)),
                Side::Value(_) => RuleNode::Known(None),
            },
            Checked::IsNull(operand) => match self.side(operand)? {
                Side::Column(at) => RuleNode::Test(at, Test::IsNull),
                Side::Value(value) => RuleNode::Known(Some(value == AttributeValue::Null)),
            },
            Checked::Compare(a, comparison, b) => match (self.side(a)?, self.side(b)?) {
                (Side::Column(a), Side::Column(b)) => RuleNode::Columns(a, *comparison, b),
                (Side::Column(at), Side::Value(value)) => self.compare(at, *comparison, value),
                (Side::Value(value), Side::Column(at)) => self.compare(at, comparison.flipped(), value),
                (Side::Value(a), Side::Value(b)) => {
                    let known = |value: &AttributeValue| *value != AttributeValue::Null;
                    let order = order(cell(&a), cell(&b));
                    if known(&a) && known(&b) && order.is_none() {
                        return Err(self.two_types(&a, &b));
                    }
                    RuleNode::Known(order.map(|order| comparison.holds(order)))
                }
            },
            Checked::In(operand, list) => self.one_of(self.side(operand)?, self.values(list)?),
            Checked::Has(operand, list) => self.one_of(self.side(operand)?, self.values(list)?),
            Checked::Like(operand, pattern, how) => self.like(self.side(operand)?, pattern, *how)?,
            Checked::Under(operand, path, separator) => match (self.side(operand)?, self.side(path)?) {
                (Side::Column(at), Side::Value(AttributeValue::Text(path))) => {
                    let path: Vec<String> = levels(&path, separator).map(str::to_owned).collect();
                    if path.is_empty() {
                        let help = "write the name of a category";
                        return Err(self.source().error((1, 1), "a category path after under", "an empty one", help));
                    }
                    RuleNode::Test(at, Test::Under { path, separator: separator.clone() })
                }
                (_, Side::Value(_)) => RuleNode::Known(None),
                (_, Side::Column(_)) => {
                    let help = "write the path in single quotes";
                    return Err(self.source().error((1, 1), "a path after under", "an attribute", help));
                }
            },
        })
    }

    fn source(&self) -> RuleSource<'_> {
        RuleSource { name: &self.rule.name, text: "" }
    }

    fn kind(&self, column: usize) -> AttributeKind {
        self.rule.schema.columns[column].1
    }

    fn compare(&self, at: usize, comparison: Comparison, value: AttributeValue) -> RuleNode {
        let test = match (self.kind(at), &value) {
            (_, AttributeValue::Null) => return RuleNode::Known(None),
            (AttributeKind::Integer | AttributeKind::Timestamp, value) => range(comparison, cell(value)),
            (AttributeKind::Float, AttributeValue::Float(value)) => Test::Float(comparison, *value),
            (AttributeKind::Float, AttributeValue::Integer(value)) => Test::Float(comparison, *value as f64),
            (AttributeKind::Bool, AttributeValue::Bool(value)) => {
                Test::Bool([false, true].map(|cell| comparison.holds(cell.cmp(value))))
            }
            (_, AttributeValue::Text(text)) => Test::Text(comparison, text.clone()),
            _ => return RuleNode::Known(None),
        };
        RuleNode::Test(at, test)
    }

    /// Whether a value is in a list, or a list attribute has an element of the list.
    fn one_of(&self, side: Side, values: Vec<AttributeValue>) -> RuleNode {
        if values.is_empty() {
            return RuleNode::Known(Some(false));
        }
        let nulls = values.contains(&AttributeValue::Null);
        let at = match side {
            Side::Column(at) => at,
            Side::Value(value) => {
                let is = |other: &AttributeValue| order(cell(&value), cell(other)).is_some_and(|order| order.is_eq());
                let found = values.iter().any(is);
                let unknown = value == AttributeValue::Null || (nulls && !found);
                return RuleNode::Known((!unknown).then_some(found));
            }
        };
        let test = match self.kind(at) {
            AttributeKind::Bool => {
                let has = |wanted: bool| values.contains(&AttributeValue::Bool(wanted));
                let result = |wanted| if has(wanted) || !nulls { Some(has(wanted)) } else { None };
                let of = |wanted: bool| match result(wanted) {
                    Some(found) => RuleNode::Known(Some(found)),
                    None => RuleNode::Known(None),
                };
                // (column and result of true) or (not column and result of false).
                let column = || RuleNode::Test(at, Test::Bool([false, true]));
                let not = RuleNode::Not(Box::new(column()));
                return RuleNode::Any(vec![
                    RuleNode::All(vec![column(), of(true)]),
                    RuleNode::All(vec![not, of(false)]),
                ]);
            }
            AttributeKind::Integer | AttributeKind::Timestamp => {
                let whole = |value: &AttributeValue| match range(Comparison::Equal, cell(value)) {
                    Test::Range { lo, hi, .. } if lo == hi => Some(lo),
                    _ => None,
                };
                Test::Integers(values.iter().filter_map(whole).collect(), nulls)
            }
            AttributeKind::Float => {
                let number = |value: &AttributeValue| match value {
                    AttributeValue::Float(value) => Some(*value),
                    AttributeValue::Integer(value) => Some(*value as f64),
                    _ => None,
                };
                Test::Floats(values.iter().filter_map(number).collect(), nulls)
            }
            AttributeKind::Text | AttributeKind::List => {
                let text = |value| if let AttributeValue::Text(text) = value { Some(text) } else { None };
                Test::Texts(values.into_iter().filter_map(text).collect::<HashSet<_>>(), nulls)
            }
        };
        RuleNode::Test(at, test)
    }

    fn like(&self, side: Side, pattern: &Operand, how: Pattern) -> Result<RuleNode> {
        let pattern = match self.side(pattern)? {
            Side::Value(AttributeValue::Text(pattern)) => pattern,
            Side::Value(_) => return Ok(RuleNode::Known(None)),
            Side::Column(_) => {
                return Err(self.source().error(
                    (1, 1),
                    "a pattern after like",
                    "an attribute",
                    "write it in single quotes",
                ));
            }
        };
        let Some(test) = LikeTest::new(&pattern, how).map(Test::Like) else {
            let got = format!("{pattern:?}, which ends with it");
            return Err(self.source().error((1, 1), "a character after the escape character", got, "double it"));
        };
        Ok(match side {
            Side::Column(at) => RuleNode::Test(at, test),
            Side::Value(value) => RuleNode::Known(test.of(cell(&value))),
        })
    }

    fn side(&self, operand: &Operand) -> Result<Side> {
        Ok(match operand {
            Operand::Column(at) => Side::Column(*at),
            Operand::Constant(value) => Side::Value(value.clone()),
            Operand::Parameter(parameter) => {
                let value = self.given(parameter)?;
                Side::Value(self.fitted(parameter, value.clone())?)
            }
        })
    }

    /// The values of a list. Parameters that are lists contribute their elements.
    fn values(&self, list: &[Operand]) -> Result<Vec<AttributeValue>> {
        let mut values = Vec::with_capacity(list.len());
        for operand in list {
            match operand {
                Operand::Constant(value) => values.push(value.clone()),
                Operand::Column(_) => {
                    let help = "write the comparison with = and or";
                    return Err(self.source().error((1, 1), "values in the list", "an attribute", help));
                }
                Operand::Parameter(parameter) => {
                    let elements = match self.given(parameter)?.clone() {
                        AttributeValue::List(texts) => texts.into_iter().map(AttributeValue::Text).collect(),
                        AttributeValue::Values(values) => values,
                        value => vec![value],
                    };
                    for value in elements {
                        values.push(self.fitted(parameter, value)?);
                    }
                }
            }
        }
        Ok(values)
    }

    fn given(&self, parameter: &Parameter) -> Result<&AttributeValue> {
        self.user.get(&parameter.name).ok_or_else(|| {
            let (name, needed) = (&parameter.name, self.rule.parameters().join(", "));
            let help = format!("pass values for {needed}, such as --user {name}=VALUE or user={{\"{name}\": VALUE}}");
            self.source().error(parameter.at, format!("a value for user.{name}"), "none", help)
        })
    }

    /// A value of a parameter as one of its class.
    fn fitted(&self, parameter: &Parameter, value: AttributeValue) -> Result<AttributeValue> {
        use AttributeValue as V;
        let describe = value.describe();
        let fitted = match (parameter.class, value) {
            (_, V::Null) => Some(V::Null),
            (_, V::Float(value)) if value.is_nan() => None,
            (Some(Class::Timestamp), V::Text(text)) => timestamp(&text).map(V::Timestamp),
            (Some(Class::Timestamp), value @ V::Timestamp(_))
            | (Some(Class::Bool), value @ V::Bool(_))
            | (Some(Class::Number), value @ (V::Integer(_) | V::Float(_)))
            | (Some(Class::Text), value @ V::Text(_)) => Some(value),
            (Some(_), _) | (None, V::List(_) | V::Values(_)) => None,
            (None, value) => Some(value),
        };
        fitted.ok_or_else(|| {
            let expected = parameter.class.map_or("a single value", Class::name);
            let name = &parameter.name;
            let text = matches!(parameter.class, Some(Class::Text | Class::Timestamp));
            let help = match describe {
                "an integer" | "a float" | "a bool" if text => {
                    format!("pass it as a string; on the command line, in double quotes: --user '{name}=\"VALUE\"'")
                }
                _ => "pass a value of this type; only `in` and `has` take lists".to_owned(),
            };
            self.source().error(parameter.at, format!("{expected} as user.{name}"), describe, help)
        })
    }

    fn two_types(&self, a: &AttributeValue, b: &AttributeValue) -> crate::Error {
        let (expected, got) = ("values of one type to compare", format!("{} and {}", a.describe(), b.describe()));
        self.source().error((1, 1), expected, got, "pass parameters of the same type")
    }
}

fn cell(value: &AttributeValue) -> Cell<'_> {
    match value {
        AttributeValue::Null | AttributeValue::Values(_) => Cell::Null,
        AttributeValue::Bool(value) => Cell::Bool(*value),
        AttributeValue::Integer(value) => Cell::Integer(*value),
        AttributeValue::Float(value) => Cell::Float(*value),
        AttributeValue::Text(value) => Cell::Text(value),
        AttributeValue::List(value) => Cell::List(value),
        AttributeValue::Timestamp(value) => Cell::Timestamp(*value),
    }
}
