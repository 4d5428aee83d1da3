//! The properties of items that share IDs, read from the catalog: the columns in which the members of an ID must agree, and
//! the order of the members.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::spec::SharingSettings;
use crate::catalog::{CatalogJoin, CatalogReader, CatalogSpec, InteractionSpec, Interactions, MissingItems, TextSpec};
use crate::error::{Error, Result};
use crate::features::{ContentHash, HASH_BYTES};
use crate::item_ids::ItemIds;
use crate::progress::Progress;
use crate::semantic_id::{ItemClasses, MemberFacts};

/// Where the properties come from.
#[derive(Debug)]
pub(super) struct MemberSource {
    /// The catalog, whose `fields` are the columns `must-differ`, then the column of the ranks.
    catalog: CatalogSpec,
    /// Number of columns in which members must agree.
    agree: usize,
    /// Whether a column has the ranks.
    ranked: bool,
    /// Interactions, whose numbers of events rank the members, and the number of last events per user to leave out.
    interactions: Option<(InteractionSpec, usize)>,
}

impl MemberSource {
    /// Checks that the columns exist.
    ///
    /// # Errors
    /// As [`CatalogReader::open`].
    pub(super) fn open(
        settings: &SharingSettings,
        catalog: CatalogSpec,
        interactions: Option<(InteractionSpec, usize)>,
    ) -> Result<Self> {
        let fields = settings.columns();
        let catalog = CatalogSpec { fields, text: TextSpec::Joined(Vec::new()), images: Vec::new(), ..catalog };
        if !catalog.fields.is_empty() {
            CatalogReader::open(&catalog)?;
        }
        let ranked = settings.member_rank.is_some();
        let agree = catalog.fields.len() - usize::from(ranked);
        Ok(MemberSource { catalog, agree, ranked, interactions: interactions.filter(|_| !ranked) })
    }

    /// The properties of these items.
    ///
    /// # Errors
    /// As [`CatalogJoin::read`]; [`Error::Item`] for a rank that is not a number.
    pub(super) fn facts(&self, ids: &ItemIds, progress: &dyn Progress) -> Result<MemberFacts> {
        let mut names = vec![String::new(); ids.len()];
        let mut priority = if self.ranked { vec![f64::NEG_INFINITY; ids.len()] } else { Vec::new() };
        if !self.catalog.fields.is_empty() {
            CatalogJoin::new(ids).read(&self.catalog, MissingItems::Refuse, progress, |batch, pairs| {
                for &(at, row) in pairs {
                    let values = &batch.fields[at];
                    names[row] = class_name(&values[..self.agree]);
                    if let Some(rank) = priority.get_mut(row) {
                        *rank = self.number(&values[self.agree], &ids.text(row))?;
                    }
                }
                Ok(())
            })?;
        }
        if let Some((spec, held_out)) = &self.interactions {
            priority = popularity(&Interactions::read(spec, progress)?, *held_out, ids);
        }
        Ok(MemberFacts { classes: (self.agree > 0).then(|| ItemClasses::of_names(names)), priority })
    }

    /// The number in a cell of the column of the ranks; the lowest if the cell is empty.
    fn number(&self, cell: &[String], item: &str) -> Result<f64> {
        let [text] = cell else { return Ok(f64::NEG_INFINITY) };
        text.trim().parse::<f64>().ok().filter(|number| !number.is_nan()).ok_or_else(|| Error::Item {
            item: item.to_owned(),
            expected: format!("a number in the column {}", self.catalog.fields[self.agree]),
            got: crate::error::quoted(text),
            help: "correct the cell, or leave it empty; choose another column with --member-rank".into(),
        })
    }
}

/// The values of some cells as a JSON array: a string, a list of strings, or null for an empty cell.
fn class_name(cells: &[Vec<String>]) -> String {
    let value = |cell: &Vec<String>| match &cell[..] {
        [] => Value::Null,
        [one] => json!(one),
        many => json!(many),
    };
    Value::Array(cells.iter().map(value).collect()).to_string()
}

/// Number of events of each item, without the last `held_out` events of each user.
fn popularity(interactions: &Interactions, held_out: usize, ids: &ItemIds) -> Vec<f64> {
    let rows = ids.rows_by_text();
    let row_of: Vec<Option<usize>> = interactions.items.iter().map(|item| rows.get(item).copied()).collect();
    let mut events = vec![0.0; ids.len()];
    for history in &interactions.histories {
        for event in &history[..history.len().saturating_sub(held_out)] {
            if let Some(row) = row_of[event.item as usize] {
                events[row] += 1.0;
            }
        }
    }
    events
}

/// A content hash that also covers the name of the item's class, so that an item of another class counts as changed.
pub(super) fn with_class(hash: ContentHash, class: &str) -> ContentHash {
    let whole = Sha256::new().chain_update(hash).chain_update("class").chain_update(class).finalize();
    let mut classed = [0; HASH_BYTES];
    classed.copy_from_slice(&whole[..HASH_BYTES]);
    classed
}

/// The content hashes of all items, with their classes if there are any.
pub(super) fn with_classes(hashes: &mut [ContentHash], classes: Option<&ItemClasses>) {
    if let Some(classes) = classes {
        hashes.iter_mut().enumerate().for_each(|(row, hash)| *hash = with_class(*hash, classes.name(row)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Silent;

    fn facts(csv: &str, settings: &SharingSettings, ids: &[i64]) -> Result<MemberFacts> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.csv");
        std::fs::write(&path, csv).unwrap();
        let catalog = CatalogSpec { path, ..CatalogSpec::default() };
        MemberSource::open(settings, catalog, None)?.facts(&ItemIds::Integers(ids.to_vec()), &Silent)
    }

    fn settings(must_differ: &[&str], rank: Option<&str>) -> SharingSettings {
        SharingSettings {
            capacity: Some(4),
            must_differ: (!must_differ.is_empty()).then(|| must_differ.iter().map(ToString::to_string).collect()),
            member_rank: rank.map(str::to_owned),
        }
    }

    #[test]
    fn classes_and_ranks_come_from_the_columns() {
        let csv = "id,risk,market,sales\n1,low,DE,10\n2,,DE,\n3,low,DE,2.5\n";
        let found = facts(csv, &settings(&["risk", "market"], Some("sales")), &[3, 2, 1]).unwrap();
        let classes = found.classes.unwrap();
        assert_eq!((classes.name(0), classes.name(1)), (r#"["low","DE"]"#, r#"[null,"DE"]"#));
        assert_eq!(classes.class[0], classes.class[2]);
        assert_eq!(found.priority, [2.5, f64::NEG_INFINITY, 10.0]);
        let none = facts(csv, &settings(&[], None), &[3]).unwrap();
        assert_eq!(none, MemberFacts::default());
    }

    #[test]
    fn wrong_columns_and_ranks_are_refused() {
        let csv = "id,risk,sales\n1,low,many\n";
        let says = |settings: &SharingSettings, ids: &[i64]| facts(csv, settings, ids).unwrap_err().to_string();
        let rank = says(&settings(&[], Some("sales")), &[1]);
        assert!(rank.contains("item 1") && rank.contains("column sales") && rank.contains("many"), "{rank}");
        assert!(says(&settings(&["rysk"], None), &[1]).contains("rysk"));
        assert!(says(&settings(&["risk"], None), &[1, 2]).contains('2'), "an item that the catalog lacks");
    }
}
