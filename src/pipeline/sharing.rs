//! The properties of items that share IDs, read from the catalog: the columns in which the members of an ID must agree, and
//! the order of the members.

use arrow::temporal_conversions::timestamp_us_to_datetime;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::spec::SharingSettings;
use crate::attributes::{AttributeColumn, AttributeRequest, AttributeValue, Attributes};
use crate::catalog::{CatalogSpec, InteractionSpec, Interactions};
use crate::error::{Error, Result, quoted};
use crate::features::{ContentHash, FeatureSource, HASH_BYTES};
use crate::item_ids::ItemIds;
use crate::progress::Progress;
use crate::semantic_id::{ItemClasses, MemberFacts, TakenSeats, TokenFormat, TokenizedItems};
use crate::tokenizer::Tokenizer;

/// The columns of a catalog that say which items may share an ID, and in which order.
#[derive(Debug)]
pub(super) struct MemberSource {
    columns: Attributes,
    /// The columns in which members must agree, by their places in `columns`.
    agree: Vec<usize>,
    /// The place of the column of the ranks.
    rank: Option<usize>,
    /// Interactions, whose numbers of events rank the members, and the number of last events per user to leave out.
    interactions: Option<(InteractionSpec, usize)>,
}

impl MemberSource {
    /// Reads the columns of all items of a catalog, without changes to their texts.
    ///
    /// # Errors
    /// As [`Attributes::of_catalog`]; [`Error::Config`] for an empty or repeated name; [`Error::Item`] for a rank that is
    /// not a number.
    pub(super) fn read(
        settings: &SharingSettings,
        catalog: &CatalogSpec,
        interactions: Option<(InteractionSpec, usize)>,
    ) -> Result<Self> {
        let must_differ = settings.must_differ.as_deref().unwrap_or_default();
        let mut names: Vec<&String> = Vec::new();
        for name in must_differ {
            if name.is_empty() || names.contains(&name) {
                let got = if name.is_empty() { "an empty name".into() } else { quoted(name) };
                return Err(Error::config("must-differ", "each column once", got, "name columns of the catalog"));
            }
            names.push(name);
        }
        let agree = (0..names.len()).collect();
        let rank = settings.member_rank.as_ref().map(|rank| {
            names.iter().position(|name| *name == rank).unwrap_or_else(|| {
                names.push(rank);
                names.len() - 1
            })
        });
        let requests: Vec<_> =
            names.iter().map(|name| AttributeRequest { name: (*name).clone(), kind: None }).collect();
        let columns = match requests.is_empty() {
            true => Attributes::default(),
            false => Attributes::of_catalog(catalog, &requests, true)?,
        };
        let source = MemberSource { columns, agree, rank, interactions: interactions.filter(|_| rank.is_none()) };
        (0..source.columns.len()).try_for_each(|row| source.priority(row).map(drop))?;
        Ok(source)
    }

    /// The properties of these items.
    ///
    /// # Errors
    /// [`Error::Item`] for an item that the catalog lacks; as [`Interactions::read`].
    pub(super) fn facts(&self, ids: &ItemIds, progress: &dyn Progress) -> Result<MemberFacts> {
        let mut facts = MemberFacts::default();
        if !self.columns.columns().is_empty() {
            let missing = |row: usize| Error::Item {
                item: ids.text(row),
                expected: "an item of the catalog with the columns of --must-differ and --member-rank".into(),
                got: "none".into(),
                help: "add the item to the catalog".into(),
            };
            let rows = ids.rows_in(self.columns.item_ids()).into_iter().enumerate();
            let rows: Vec<usize> = rows.map(|(row, found)| found.ok_or_else(|| missing(row))).collect::<Result<_>>()?;
            if !self.agree.is_empty() {
                facts.classes = Some(ItemClasses::of_names(rows.iter().map(|&row| self.class_name(row))));
            }
            if self.rank.is_some() {
                facts.priority = rows.iter().map(|&row| self.priority(row)).collect::<Result<_>>()?;
            }
        }
        if let Some((spec, held_out)) = &self.interactions {
            facts.priority = popularity(&Interactions::read(spec, progress)?, *held_out, ids);
        }
        Ok(facts)
    }

    /// The values in which members must agree, as a JSON array.
    fn class_name(&self, row: usize) -> String {
        let columns = self.columns.columns();
        Value::Array(self.agree.iter().map(|&at| canonical(&columns[at], row)).collect()).to_string()
    }

    /// The rank of an item as a number: the lowest for an empty cell.
    fn priority(&self, row: usize) -> Result<f64> {
        let Some(rank) = self.rank else { return Ok(0.0) };
        let column = &self.columns.columns()[rank];
        let (number, got) = match column.value(row) {
            AttributeValue::Null => return Ok(f64::NEG_INFINITY),
            AttributeValue::Integer(value) | AttributeValue::Timestamp(value) => return Ok(value as f64),
            AttributeValue::Bool(value) => return Ok(f64::from(u8::from(value))),
            AttributeValue::Float(value) => (Some(value), value.to_string()),
            AttributeValue::Text(text) if text.trim().is_empty() => return Ok(f64::NEG_INFINITY),
            AttributeValue::Text(text) => (text.trim().parse().ok(), quoted(&text)),
            other => (None, format!("{other:?}")),
        };
        number.filter(|number: &f64| number.is_finite()).ok_or_else(|| Error::Item {
            item: self.columns.item_ids().text(row),
            expected: format!("a number in the column {}", column.name()),
            got,
            help: "correct the cell, or leave it empty; choose another column with --member-rank".into(),
        })
    }
}

/// A value as JSON that does not depend on the type in which a file stores it: a number is the text of its shortest form,
/// so that `1` and `1.0` are equal; NaN and empty texts are null.
fn canonical(column: &AttributeColumn, row: usize) -> Value {
    match column.value(row) {
        AttributeValue::Bool(value) => json!(value.to_string()),
        AttributeValue::Integer(value) => json!(value.to_string()),
        // Adding zero turns -0 into 0.
        AttributeValue::Float(value) => json!((value + 0.0).to_string()),
        AttributeValue::Timestamp(value) => {
            json!(timestamp_us_to_datetime(value).map_or_else(|| value.to_string(), |time| time.to_string()))
        }
        AttributeValue::Text(text) if !text.is_empty() => json!(text),
        AttributeValue::List(texts) => json!(texts),
        _ => Value::Null,
    }
}

/// IDs that items share.
#[derive(Debug)]
pub(super) struct SharedIds {
    /// Maximum number of items per ID.
    pub(super) capacity: u16,
    pub(super) members: MemberSource,
}

impl SharedIds {
    /// Encodes items and assigns IDs, none of which is taken.
    ///
    /// # Errors
    /// As [`TokenizedItems::sharing`] and [`MemberSource::facts`].
    pub(super) fn tokenize(
        &self,
        features: &dyn FeatureSource,
        model: &Tokenizer,
        format: TokenFormat,
        progress: &dyn Progress,
    ) -> Result<TokenizedItems> {
        let facts = |ids: &ItemIds| self.members.facts(ids, progress);
        let none = |_: &MemberFacts| TakenSeats::default();
        TokenizedItems::sharing(features, model, format, self.capacity, facts, none, progress)
    }
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
fn with_class(hash: ContentHash, class: &str) -> ContentHash {
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
        MemberSource::read(settings, &catalog, None)?.facts(&ItemIds::Integers(ids.to_vec()), &Silent)
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
        let csv = "id,risk,market,sales\n1,low,DE,10\n2,,DE,\n3,low,DE,2.5\n4,<b>low</b>,DE,0\n";
        let found = facts(csv, &settings(&["risk", "market"], Some("sales")), &[3, 2, 1]).unwrap();
        let classes = found.classes.unwrap();
        assert_eq!((classes.name(0), classes.name(1)), (r#"["low","DE"]"#, r#"[null,"DE"]"#));
        assert_eq!(classes.class[0], classes.class[2]);
        assert_eq!(found.priority, [2.5, f64::NEG_INFINITY, 10.0]);
        // Texts are compared as they are.
        let raw = facts(csv, &settings(&["risk"], None), &[4]).unwrap();
        assert_eq!(raw.classes.unwrap().name(0), r#"["<b>low</b>"]"#);
        let none = facts(csv, &settings(&[], None), &[3]).unwrap();
        assert_eq!(none, MemberFacts::default());
    }

    #[test]
    fn numbers_are_compared_by_value() {
        let name =
            |csv: &str| facts(csv, &settings(&["tier"], None), &[1]).unwrap().classes.unwrap().name(0).to_owned();
        for same in ["id,tier\n1,1\n2,5\n", "id,tier\n1,1.0\n2,2.5\n", "id,tier\n1,1\n2,gold\n"] {
            assert_eq!(name(same), r#"["1"]"#, "{same}");
        }
        assert_eq!(name("id,tier\n1,-0.0\n2,0.5\n"), r#"["0"]"#);
        assert_eq!(name("id,tier\n1,007\n2,1\n"), r#"["007"]"#);
    }

    #[test]
    fn wrong_columns_and_ranks_are_refused() {
        let csv = "id,risk,sales\n1,low,many\n";
        let says = |settings: &SharingSettings, ids: &[i64]| facts(csv, settings, ids).unwrap_err().to_string();
        let rank = says(&settings(&[], Some("sales")), &[1]);
        assert!(rank.contains("item 1") && rank.contains("column sales") && rank.contains("many"), "{rank}");
        assert!(says(&settings(&["rysk"], None), &[1]).contains("rysk"));
        assert!(says(&settings(&["risk", "risk"], None), &[1]).contains("each column once"));
        assert!(says(&settings(&[""], None), &[1]).contains("an empty name"));
        assert!(says(&settings(&["risk"], None), &[1, 2]).contains('2'), "an item that the catalog lacks");
    }
}
