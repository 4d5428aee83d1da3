//! Rules: expressions over attributes that have been checked.

use super::check::{Checked, check};
use super::dialect::parse;
use super::syntax::{Operand, RuleSource};
use super::table::AttributeSchema;
use crate::error::Result;
use crate::guard::guarded;

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
    /// [`crate::Error::Rule`] with the line and the column of a syntax error, an unknown attribute, and types that do not fit.
    pub fn compile(text: &str, schema: &AttributeSchema) -> Result<Self> {
        Self::compile_named("rule", text, schema)
    }

    /// As [`Rule::compile`]. Errors call the rule `name`, such as the path of its file.
    ///
    /// # Errors
    /// As [`Rule::compile`].
    pub fn compile_named(name: &str, text: &str, schema: &AttributeSchema) -> Result<Self> {
        let source = RuleSource { name, text };
        let checked = guarded(|| check(&parse(&source)?, &source, schema)).unwrap_or_else(|panic| {
            Err(source.error((1, 1), "a rule", panic.to_string(), "see docs/constrained-decoding.md for the syntax"))
        })?;
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
