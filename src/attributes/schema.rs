//! Finds attributes by name, with suggestions for names that do not exist.

use super::kind::AttributeKind;
use super::table::AttributeSchema;
use crate::error::{Error, Result};
use crate::table::list_columns;

impl AttributeSchema {
    /// The position of an attribute.
    ///
    /// # Errors
    /// [`Error::Config`] lists the attributes.
    pub(super) fn position(&self, name: &str) -> Result<usize> {
        self.find(name)
            .map(|(at, _)| at)
            .ok_or_else(|| Error::config("attributes", self.listed(), format!("{name:?}"), self.suggestion(name)))
    }

    /// The position and the type of an attribute.
    pub(super) fn find(&self, name: &str) -> Option<(usize, AttributeKind)> {
        let mut columns = self.columns.iter().enumerate();
        columns.find(|(_, (known, _))| known == name).map(|(at, (_, kind))| (at, *kind))
    }

    /// The attributes, for error messages.
    pub(super) fn listed(&self) -> String {
        if self.columns.is_empty() {
            return "an attribute of the index, which has none".into();
        }
        let columns = self.columns.iter().map(|(name, kind)| format!("{name} ({kind})"));
        format!("one of the attributes {}", list_columns(columns))
    }

    /// What to do about a name that is not an attribute.
    pub(super) fn suggestion(&self, name: &str) -> String {
        let lower = name.to_lowercase();
        let near =
            self.columns.iter().map(|(known, _)| (strsim::damerau_levenshtein(&known.to_lowercase(), &lower), known));
        match near.min_by_key(|(distance, _)| *distance) {
            Some((distance, known)) if distance <= 1 + name.chars().count() / 4 => format!("did you mean {known}?"),
            _ => "name one of these, or build the index with this column in --attributes".into(),
        }
    }
}
