//! Titles, descriptions and attributes of the items, by row of a token table.

use crate::catalog::{CatalogJoin, CatalogSpec, MissingItems};
use crate::error::Result;
use crate::item_ids::ItemIds;
use crate::progress::Progress;

/// The catalog columns that hold titles, descriptions and attributes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ItemColumns {
    /// Columns of the title, joined by `": "`.
    pub title: Vec<String>,
    /// Columns of the description, joined by spaces.
    pub description: Vec<String>,
    /// Columns of attributes. Every value, and every element of a list, is one attribute.
    pub attributes: Vec<String>,
}

/// The texts of a token table's items, in one allocation so that catalogs of millions of items fit in memory.
#[derive(Debug, Clone, Default)]
pub struct ItemTexts {
    text: String,
    /// Per row: the start of title, description and attributes in `text`, and the end of the last.
    spans: Vec<[usize; 4]>,
    /// The end of every attribute in `text`.
    attribute_ends: Vec<usize>,
    /// Per row: the range of its attributes in `attribute_ends`.
    attributes: Vec<[usize; 2]>,
    /// Number of items without a title.
    pub untitled: usize,
}

impl ItemTexts {
    /// Reads the texts of a table's items batch by batch.
    ///
    /// # Errors
    /// As [`CatalogJoin::read`]: every item of the table must be in the catalog.
    pub fn read(
        catalog: &CatalogSpec,
        columns: &ItemColumns,
        item_ids: &ItemIds,
        progress: &dyn Progress,
    ) -> Result<Self> {
        let fields = [&columns.title[..], &columns.description, &columns.attributes].concat();
        let spec = CatalogSpec { fields, ..catalog.clone() };
        let mut found = ItemTexts {
            spans: vec![[0; 4]; item_ids.len()],
            attributes: vec![[0; 2]; item_ids.len()],
            ..ItemTexts::default()
        };
        let (titles, descriptions) = (columns.title.len(), columns.description.len());
        CatalogJoin::new(item_ids).read(&spec, MissingItems::Refuse, progress, |batch, pairs| {
            for &(at, row) in pairs {
                let (title, rest) = batch.fields[at].split_at(titles);
                let (description, attributes) = rest.split_at(descriptions);
                found.add(row, &joined(title, ": "), &joined(description, " "), attributes);
            }
            Ok(())
        })?;
        Ok(found)
    }

    /// Empty texts for `items` items, for exports without a catalog.
    pub fn none(items: usize) -> Self {
        ItemTexts { spans: vec![[0; 4]; items], attributes: vec![[0; 2]; items], untitled: items, ..Self::default() }
    }

    fn add(&mut self, row: usize, title: &str, description: &str, attributes: &[Vec<String>]) {
        let begin = self.text.len();
        self.text += title;
        let after_title = self.text.len();
        self.text += description;
        let after_description = self.text.len();
        let first = self.attribute_ends.len();
        for attribute in attributes.iter().flatten() {
            self.text += attribute;
            self.attribute_ends.push(self.text.len());
        }
        self.spans[row] = [begin, after_title, after_description, self.text.len()];
        self.attributes[row] = [first, self.attribute_ends.len()];
        self.untitled += usize::from(title.is_empty());
    }

    /// An item's title; possibly empty.
    pub fn title(&self, row: usize) -> &str {
        let [begin, end, ..] = self.spans[row];
        &self.text[begin..end]
    }

    /// An item's description; possibly empty.
    pub fn description(&self, row: usize) -> &str {
        let [_, begin, end, _] = self.spans[row];
        &self.text[begin..end]
    }

    /// An item's attributes, in the order of columns and list elements.
    pub fn attributes(&self, row: usize) -> Vec<&str> {
        let ([first, last], mut begin) = (self.attributes[row], self.spans[row][2]);
        let mut attributes = Vec::with_capacity(last - first);
        for &end in &self.attribute_ends[first..last] {
            attributes.push(&self.text[begin..end]);
            begin = end;
        }
        attributes
    }
}

fn joined(fields: &[Vec<String>], between: &str) -> String {
    let fields = fields.iter().filter(|parts| !parts.is_empty()).map(|parts| parts.join(", "));
    fields.collect::<Vec<_>>().join(between)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Silent;
    use std::fs;

    #[test]
    fn texts_are_found_by_row() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.jsonl");
        let lines = [
            r#"{"id": "b", "name": "Pen", "brand": null, "tags": ["blue", "ink"], "kind": "office"}"#,
            r#"{"id": "other", "name": "Saw", "brand": "X", "tags": []}"#,
            r#"{"id": "a", "name": "", "brand": "Bic", "tags": []}"#,
        ];
        fs::write(&path, lines.join("\n")).unwrap();
        let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        let columns = ItemColumns {
            title: names(&["name"]),
            description: names(&["brand", "name"]),
            attributes: names(&["tags", "kind"]),
        };
        let ids = ItemIds::Strings(names(&["a", "b"]));
        let catalog = CatalogSpec { path, ..CatalogSpec::default() };
        let texts = ItemTexts::read(&catalog, &columns, &ids, &Silent).unwrap();
        assert_eq!((texts.title(0), texts.description(0), texts.untitled), ("", "Bic", 1));
        assert_eq!((texts.title(1), texts.description(1)), ("Pen", "Pen"));
        assert_eq!((texts.attributes(0), texts.attributes(1)), (vec![], vec!["blue", "ink", "office"]));
        let more = ItemIds::Strings(names(&["a", "c"]));
        assert!(ItemTexts::read(&catalog, &columns, &more, &Silent).unwrap_err().to_string().contains("such as \"c\""));
    }
}
