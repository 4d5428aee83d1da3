//! What the catalog says of the items: titles, descriptions, attributes, by the rows of a token table.

use crate::catalog::{CatalogReader, CatalogSpec};
use crate::error::{Error, Result};
use crate::item_ids::ItemIds;

/// Which columns of the catalog hold what.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ItemColumns {
    /// The title, joined by `": "`.
    pub title: Vec<String>,
    /// The description, joined by spaces.
    pub description: Vec<String>,
    /// Attributes: every value, and every part of a list, is one.
    pub attributes: Vec<String>,
}

/// The texts of a token table's items. They are kept in one piece of memory: a catalog of millions fits.
#[derive(Debug, Clone, Default)]
pub struct ItemTexts {
    text: String,
    /// By row: where title, description and attributes begin in `text`, and their end.
    places: Vec<[usize; 4]>,
    /// Ends of the single attributes in `text`, and where each row's begin among them.
    attribute_ends: Vec<usize>,
    attributes: Vec<[usize; 2]>,
    /// Items without a title.
    pub untitled: usize,
}

impl ItemTexts {
    /// Reads the texts of a table's items, batch by batch. Items that the table does not have are passed over.
    ///
    /// # Errors
    /// As [`CatalogReader`]; [`Error::Item`] for an item of the table that the catalog does not have.
    pub fn read(catalog: &CatalogSpec, columns: &ItemColumns, item_ids: &ItemIds) -> Result<Self> {
        let fields = [&columns.title[..], &columns.description, &columns.attributes].concat();
        let spec = CatalogSpec { fields, ..catalog.clone() };
        let row_of = item_ids.rows_by_text();
        let mut found = ItemTexts {
            places: vec![[usize::MAX; 4]; item_ids.len()],
            attributes: vec![[0; 2]; item_ids.len()],
            ..ItemTexts::default()
        };
        let (titles, descriptions) = (columns.title.len(), columns.description.len());
        for batch in CatalogReader::open(&spec)? {
            let batch = batch?;
            for (at, fields) in batch.fields.iter().enumerate() {
                if let Some(&row) = row_of.get(&batch.item_ids.text(at)) {
                    let (title, rest) = fields.split_at(titles);
                    let (description, attributes) = rest.split_at(descriptions);
                    found.add(row, &joined(title, ": "), &joined(description, " "), attributes);
                }
            }
        }
        match found.places.iter().position(|places| places[0] == usize::MAX) {
            None => Ok(found),
            Some(row) => Err(Error::Item {
                item: item_ids.text(row),
                expected: format!("a row of it in {}", catalog.path.display()),
                got: "none".into(),
                help: "name the catalog that the token table was made from, and with --id its column of ids".into(),
            }),
        }
    }

    /// Texts of `items` items that are all empty: where there is no catalog.
    pub fn none(items: usize) -> Self {
        ItemTexts { places: vec![[0; 4]; items], attributes: vec![[0; 2]; items], untitled: items, ..Self::default() }
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
        self.places[row] = [begin, after_title, after_description, self.text.len()];
        self.attributes[row] = [first, self.attribute_ends.len()];
        self.untitled += usize::from(title.is_empty());
    }

    /// An item's title; may be empty.
    pub fn title(&self, row: usize) -> &str {
        let [begin, end, ..] = self.places[row];
        &self.text[begin..end]
    }

    /// An item's description; may be empty.
    pub fn description(&self, row: usize) -> &str {
        let [_, begin, end, _] = self.places[row];
        &self.text[begin..end]
    }

    /// An item's attributes, in the order of columns and lists.
    pub fn attributes(&self, row: usize) -> Vec<&str> {
        let ([first, last], mut begin) = (self.attributes[row], self.places[row][2]);
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
        let texts = ItemTexts::read(&catalog, &columns, &ids).unwrap();
        assert_eq!((texts.title(0), texts.description(0), texts.untitled), ("", "Bic", 1));
        assert_eq!((texts.title(1), texts.description(1)), ("Pen", "Pen"));
        assert_eq!((texts.attributes(0), texts.attributes(1)), (vec![], vec!["blue", "ink", "office"]));
        let more = ItemIds::Strings(names(&["a", "c"]));
        assert!(ItemTexts::read(&catalog, &columns, &more).unwrap_err().to_string().contains("item c"));
    }
}
