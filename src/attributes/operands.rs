//! The operands of a rule: attributes, constants and parameters, and their classes.

use sqlparser::ast::{Expr, Ident, UnaryOperator, Value, ValueWithSpan};

use super::check::{Checker, place};
use super::kind::{AttributeKind, AttributeValue, timestamp};
use super::syntax::{Class, Operand, Parameter};
use crate::error::Result;

impl Checker<'_> {
    /// Two operands of the same class.
    pub(super) fn pair(&self, left: &Expr, right: &Expr) -> Result<(Operand, Operand)> {
        let (a, b) = (self.operand(left)?, self.operand(right)?);
        for (at, operand) in [(left, &a), (right, &b)] {
            if *operand == Operand::Constant(AttributeValue::Null) {
                return Err(self.error(at, "a value", "null", "use `is null` or `is not null`"));
            }
        }
        // A string can be a point in time, so the other side determines the class.
        let (of_a, of_b) = (self.scalar_class(left, &a)?, self.scalar_class(right, &b)?);
        match (of_a, of_b) {
            (Some(class @ Class::Timestamp), _)
            | (_, Some(class @ Class::Timestamp))
            | (Some(class), _)
            | (None, Some(class)) => Ok((self.fitted(left, class)?, self.fitted(right, class)?)),
            (None, None) => Ok((a, b)),
        }
    }

    /// The class of an operand that must have one.
    pub(super) fn scalar(&self, at: &Expr, operand: &Operand) -> Result<Class> {
        self.scalar_class(at, operand)?.ok_or_else(|| {
            self.error(at, "an attribute or a value before in", self.describe(operand), "write the attribute first")
        })
    }

    pub(super) fn scalar_class(&self, at: &Expr, operand: &Operand) -> Result<Option<Class>> {
        match operand {
            Operand::Column(column) if self.schema.columns[*column].1 == AttributeKind::List => {
                let help = "use `has` for an element of the list, or `under` for a category path";
                Err(self.error(at, "an attribute with a single value", self.describe(operand), help))
            }
            operand => Ok(self.class(operand)),
        }
    }

    /// An operand of this class.
    pub(super) fn fitted(&self, expr: &Expr, class: Class) -> Result<Operand> {
        let mut operand = self.operand(expr)?;
        if let Operand::Parameter(parameter) = &mut operand {
            parameter.class = Some(class);
            return Ok(operand);
        }
        if let (Class::Timestamp, Operand::Constant(AttributeValue::Text(text))) = (class, &operand) {
            let time = timestamp(text).ok_or_else(|| {
                let help = "write it as '2026-11-28' or '2026-11-28T12:30:00Z'";
                self.error(expr, "a date or a timestamp", format!("{text:?}"), help)
            })?;
            return Ok(Operand::Constant(AttributeValue::Timestamp(time)));
        }
        match self.scalar_class(expr, &operand)? {
            Some(found) if found != class => {
                let help = "compare values of one type; strings are in single quotes";
                Err(self.error(expr, class.name(), self.describe(&operand), help))
            }
            _ => Ok(operand),
        }
    }

    pub(super) fn operand(&self, expr: &Expr) -> Result<Operand> {
        match expr {
            Expr::Nested(inner) => self.operand(inner),
            Expr::Identifier(Ident { value, .. }) => match self.schema.find(value) {
                Some((at, _)) => Ok(Operand::Column(at)),
                None => {
                    let help = if value == "user" { "write user.NAME".into() } else { self.schema.suggestion(value) };
                    Err(self.error(expr, self.schema.listed(), format!("{value:?}"), help))
                }
            },
            Expr::CompoundIdentifier(parts) => match &parts[..] {
                [root, name] if root.value == "user" => {
                    Ok(Operand::Parameter(Parameter { name: name.value.clone(), at: place(expr), class: None }))
                }
                _ => {
                    let help = "write user.NAME, or an attribute whose name has a dot in double quotes";
                    Err(self.error(expr, "an attribute or a parameter user.NAME", format!("{expr}"), help))
                }
            },
            Expr::Value(ValueWithSpan { value, .. }) => self.constant(expr, value),
            Expr::UnaryOp { op: UnaryOperator::Minus, expr: inner } => match self.operand(inner)? {
                Operand::Constant(AttributeValue::Integer(value)) => {
                    Ok(Operand::Constant(AttributeValue::Integer(-value)))
                }
                Operand::Constant(AttributeValue::Float(value)) => Ok(Operand::Constant(AttributeValue::Float(-value))),
                operand => {
                    Err(self.error(expr, "a number after -", self.describe(&operand), "arithmetic is not supported"))
                }
            },
            other => Err(self.unsupported(other)),
        }
    }

    pub(super) fn constant(&self, expr: &Expr, value: &Value) -> Result<Operand> {
        Ok(Operand::Constant(match value {
            Value::Boolean(value) => AttributeValue::Bool(*value),
            Value::Null => AttributeValue::Null,
            Value::SingleQuotedString(text) => AttributeValue::Text(text.clone()),
            Value::Number(text, _) => match (text.parse(), text.parse::<f64>()) {
                (Ok(value), _) => AttributeValue::Integer(value),
                (_, Ok(value)) if value.is_finite() => AttributeValue::Float(value),
                _ => return Err(self.error(expr, "a number", text.as_str(), "write it in decimal")),
            },
            other => {
                let help = "write strings in single quotes and names in double quotes";
                return Err(self.error(
                    expr,
                    "a number, a string in single quotes, true, false or null",
                    format!("{other}"),
                    help,
                ));
            }
        }))
    }

    /// The class of an operand; `None` for null and parameters.
    pub(super) fn class(&self, operand: &Operand) -> Option<Class> {
        match operand {
            Operand::Column(at) => match self.schema.columns[*at].1 {
                AttributeKind::Bool => Some(Class::Bool),
                AttributeKind::Integer | AttributeKind::Float => Some(Class::Number),
                AttributeKind::Text | AttributeKind::List => Some(Class::Text),
                AttributeKind::Timestamp => Some(Class::Timestamp),
            },
            Operand::Constant(AttributeValue::Bool(_)) => Some(Class::Bool),
            Operand::Constant(AttributeValue::Integer(_) | AttributeValue::Float(_)) => Some(Class::Number),
            Operand::Constant(AttributeValue::Text(_)) => Some(Class::Text),
            Operand::Constant(AttributeValue::Timestamp(_)) => Some(Class::Timestamp),
            Operand::Constant(_) | Operand::Parameter(_) => None,
        }
    }

    pub(super) fn describe(&self, operand: &Operand) -> String {
        match operand {
            Operand::Column(at) => {
                let (name, kind) = &self.schema.columns[*at];
                format!("{name}, of type {kind}")
            }
            Operand::Constant(AttributeValue::Text(text)) => format!("the string {}", crate::error::quoted(text)),
            Operand::Constant(value) => value.describe().to_owned(),
            Operand::Parameter(parameter) => format!("user.{}", parameter.name),
        }
    }
}
