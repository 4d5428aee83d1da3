//! The text of a rule, and the operands of its parts.

use super::kind::AttributeValue;
use crate::error::Error;

/// The text of a rule, and its name in error messages.
#[derive(Debug, Clone, Copy)]
pub(super) struct RuleSource<'a> {
    pub(super) name: &'a str,
    pub(super) text: &'a str,
}

impl RuleSource<'_> {
    /// An error at a line and a column.
    pub(super) fn error(
        &self,
        (line, column): (u64, u64),
        expected: impl Into<String>,
        got: impl Into<String>,
        help: impl Into<String>,
    ) -> Error {
        Error::Rule {
            rule: self.name.to_owned(),
            line: line.max(1),
            column: column.max(1),
            expected: expected.into(),
            got: got.into(),
            help: help.into(),
        }
    }
}

/// What a value is compared with, which determines the values that a parameter can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    Bool,
    Number,
    Text,
    Timestamp,
}

impl Class {
    pub(super) fn name(self) -> &'static str {
        match self {
            Class::Bool => "a bool",
            Class::Number => "a number",
            Class::Text => "a string",
            Class::Timestamp => "a timestamp",
        }
    }
}

/// A parameter `user.NAME`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Parameter {
    pub(super) name: String,
    pub(super) at: (u64, u64),
    /// What it is compared with; `None` for another parameter.
    pub(super) class: Option<Class>,
}

/// A side of a comparison.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Operand {
    Column(usize),
    Constant(AttributeValue),
    Parameter(Parameter),
}
