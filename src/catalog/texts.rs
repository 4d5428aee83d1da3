//! How an item's text is put together from its columns.

use super::Template;

/// Columns of text, and how an item's text comes of them. Empty fields drop out; an item with none has no text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TextSpec {
    /// One passage: the columns in this order, joined by `". "`.
    Joined(Vec<String>),
    /// A passage a column, whose vectors are averaged, as LC-Rec does it (arXiv 2311.09049).
    Separate(Vec<String>),
    /// One passage: a form with the columns' names in it.
    Template(Template),
}

impl Default for TextSpec {
    fn default() -> Self {
        TextSpec::Joined(Vec::new())
    }
}

impl TextSpec {
    /// The columns that are read, in order.
    pub fn columns(&self) -> Vec<&str> {
        match self {
            TextSpec::Joined(columns) | TextSpec::Separate(columns) => columns.iter().map(String::as_str).collect(),
            TextSpec::Template(template) => template.columns().collect(),
        }
    }

    /// Whether no column is read.
    pub fn is_empty(&self) -> bool {
        self.columns().is_empty()
    }

    /// An item's passages. `fields` has an entry a column of [`TextSpec::columns`]: the parts of that cell, cleaned and
    /// none of them empty.
    pub(super) fn passages(&self, fields: &[&[String]]) -> Vec<String> {
        let columns = || fields.iter().filter(|parts| !parts.is_empty()).map(|parts| parts.join(", "));
        match self {
            TextSpec::Separate(_) => columns().collect(),
            TextSpec::Joined(_) => one(columns().collect::<Vec<_>>().join(". ")),
            TextSpec::Template(template) => one(template.fill(fields)),
        }
    }
}

fn one(text: String) -> Vec<String> {
    if text.is_empty() { Vec::new() } else { vec![text] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_fields_drop_out() {
        let names = || vec!["title".to_owned(), "brand".into(), "categories".into()];
        let (pen, office) = (vec!["Pen".to_owned()], vec!["Office".to_owned(), "Paper".into()]);
        let fields: [&[String]; 3] = [&pen, &[], &office];
        assert_eq!(TextSpec::Joined(names()).passages(&fields), ["Pen. Office, Paper"]);
        assert_eq!(TextSpec::Separate(names()).passages(&fields), ["Pen", "Office, Paper"]);
        let template = "{title} by {brand} in {categories:\" > \"}".parse().unwrap();
        assert_eq!(TextSpec::Template(template).passages(&fields), ["Pen in Office > Paper"]);
        for spec in [TextSpec::Joined(names()), TextSpec::Separate(names())] {
            assert!(spec.passages(&[&[], &[], &[]]).is_empty());
        }
    }
}
