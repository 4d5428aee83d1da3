//! Attributes of items, such as stock, market and category, and rules over them.
//!
//! [`Attributes`] holds typed columns of the catalog, one row per item. A [`Rule`] is an expression in the syntax of
//! SQL's `WHERE`, such as `stock > 0 and market in ('DE', 'AT') and age_rating <= user.age`. It is checked against the
//! [`AttributeSchema`] when it is compiled. [`Rule::bind`] gives the parameters `user.NAME` their values, and
//! [`BoundRule::matching`] finds the items for which the rule is true. Nulls follow SQL: a comparison with null is
//! unknown, and an item matches only if the rule is true.

mod bind;
mod bound;
mod check;
mod collect;
mod column;
mod dialect;
mod evaluate;
mod kind;
mod leaf;
mod operands;
mod rule;
mod schema;
mod syntax;
mod table;
#[cfg(test)]
mod tests;
mod update;

pub use bound::{BoundRule, MatchingRows};
pub use column::AttributeColumn;
pub use kind::{AttributeKind, AttributeRequest, AttributeValue, decimal};
pub use rule::Rule;
pub use table::{AttributeSchema, Attributes};
pub use update::NewValues;

/// The file in an index.
pub const ATTRIBUTES: &str = "attributes.parquet";
/// The column of the item ids in the file.
const ID: &str = "item_id";
