//! How an item's text is made from its columns.

use super::TextTemplate;

/// The text columns, and how an item's text is made from them. Empty values are dropped; an item without any has no text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TextSpec {
    /// One passage: the columns, joined by `". "`.
    Joined(Vec<String>),
    /// One passage per column. Their vectors are averaged, as in LC-Rec (arXiv 2311.09049).
    Separate(Vec<String>),
    /// One passage: a template with column names in it.
    Template(TextTemplate),
}

impl Default for TextSpec {
    fn default() -> Self {
        TextSpec::Joined(Vec::new())
    }
}

impl TextSpec {
    /// The columns to read, in order.
    pub fn columns(&self) -> Vec<&str> {
        match self {
            TextSpec::Joined(columns) | TextSpec::Separate(columns) => columns.iter().map(String::as_str).collect(),
            TextSpec::Template(template) => template.columns().collect(),
        }
    }

    /// Whether there are no columns to read.
    pub fn is_empty(&self) -> bool {
        self.columns().is_empty()
    }

    /// An item's passages. `fields` has the values of each column of [`TextSpec::columns`], cleaned and without empty ones.
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
    fn empty_fields_are_dropped() {
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
