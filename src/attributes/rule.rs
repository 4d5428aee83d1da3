//! Rules: expressions over attributes that have been checked.

use super::check::{Checked, check};
use super::dialect::parse;
use super::kind::AttributeValue;
use super::table::AttributeSchema;
use crate::error::{Error, Result};

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

/// A rule over the attributes of a schema, whose parameters have no values yet.
#[derive(Debug, Clone)]
pub struct Rule {
    pub(super) name: String,
    pub(super) schema: AttributeSchema,
    pub(super) checked: Checked,
}

impl Rule {
    /// Parses a rule, and checks it against the attributes.
    ///
    /// # Errors
    /// [`Error::Rule`] with the line and the column of a syntax error, an unknown attribute, and types that do not fit.
    pub fn compile(text: &str, schema: &AttributeSchema) -> Result<Self> {
        Self::compile_named("rule", text, schema)
    }

    /// As [`Rule::compile`]. Errors call the rule `name`, such as the path of its file.
    ///
    /// # Errors
    /// As [`Rule::compile`].
    pub fn compile_named(name: &str, text: &str, schema: &AttributeSchema) -> Result<Self> {
        let source = RuleSource { name, text };
        let checked = check(&parse(&source)?, &source, schema)?;
        Ok(Rule { name: name.to_owned(), schema: schema.clone(), checked })
    }

    /// The names of the parameters, sorted.
    pub fn parameters(&self) -> Vec<&str> {
        let mut names = Vec::new();
        self.checked.operands(&mut |operand| {
            if let Operand::Parameter(parameter) = operand {
                names.push(parameter.name.as_str());
            }
        });
        names.sort_unstable();
        names.dedup();
        names
    }
}
