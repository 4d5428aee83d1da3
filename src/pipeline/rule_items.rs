//! The items of an index for which a rule is true.

use std::collections::HashMap;

use crate::attributes::{AttributeValue, Attributes, Rule};
use crate::constraint::{ItemRules, rows_of};
use crate::error::{Error, Result};
use crate::semantic_id::TokenTable;

/// The rows of the items for which a rule is true, ascending. Errors call the rule `name`.
///
/// # Errors
/// [`Error::Rule`] for a rule that does not fit the attributes; [`Error::Mismatch`] without attributes, and for those of
/// other items.
pub(super) fn rule_rows(
    rules: &ItemRules,
    name: &str,
    table: &TokenTable,
    attributes: Option<&Attributes>,
) -> Result<Vec<u32>> {
    let help = "pass an index that was built with --attributes";
    let Some(attributes) = attributes else {
        return Err(Error::mismatch("rules", "an index with attributes", "none", help));
    };
    if attributes.len() != table.item_ids.len() {
        return Err(Error::mismatch("attributes", table.item_ids.len(), attributes.len(), help));
    }
    let mut user = HashMap::new();
    for (name, value) in &rules.user {
        let expected = "null, true, false, a number, a string or a list of these";
        let value = AttributeValue::of_json(value)
            .ok_or_else(|| Error::config("user", expected, format!("{name}={value}"), "pass another value"))?;
        user.insert(name.clone(), value);
    }
    let rule = Rule::compile_named(name, &rules.rule, &attributes.schema())?;
    let parameters = rule.parameters();
    if let Some(unused) = rules.user.keys().find(|name| !parameters.contains(&name.as_str())) {
        let expected = match parameters.is_empty() {
            true => "no values: the rule has no parameters".to_owned(),
            false => format!("values of the parameters of the rule: {}", parameters.join(", ")),
        };
        return Err(Error::config("user", expected, unused, "correct the name"));
    }
    let matching = rule.bind(&user)?.matching(attributes)?;
    let rows: Vec<u32> = match &rules.only {
        Some(ids) => rows_of(ids, table).0,
        None => (0..).take(table.item_ids.len()).collect(),
    };
    Ok(rows.into_iter().filter(|&row| matching.contains(row as usize)).collect())
}
