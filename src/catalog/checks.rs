//! Checks a catalog while it is read, and counts likely mistakes with examples.
//!
//! Memory holds only hashes of titles and contents.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::clean::has_markup;
use super::findings::{EXAMPLES, Finding, FindingExample, FindingKind, excerpt};
use super::lists::is_list;
use super::{CatalogSpec, ImageSource};
use crate::error::Result;
use crate::item_ids::ItemIds;

/// Names of the title column if none is given.
const TITLE_NAMES: [&str; 4] = ["title", "name", "label", "product_name"];
/// Words that programs write for a missing value.
const MISSING: [&str; 11] = ["nan", "NaN", "None", "null", "NULL", "N/A", "n/a", "NA", "<NA>", "undefined", "NaT"];
/// Maximum number of repeated texts that are kept as examples.
const EXCERPTS: usize = 1_000;

/// Options of the checks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CheckOptions {
    /// Maximum number of tokens of the text encoder.
    pub max_tokens: Option<usize>,
    /// The title column. Default: one of the usual names.
    pub title: Option<String>,
    /// Whether to report items that have neither text nor image.
    pub content: bool,
}

/// Determines for each text whether the encoder truncates it.
pub type AreCut = Box<dyn FnMut(&[String]) -> Result<Vec<bool>> + Send>;

/// The checks of a catalog that is being read.
pub(super) struct CatalogChecks {
    options: CheckOptions,
    /// Determines which texts the encoder truncates. Without it, the number of tokens is estimated.
    are_cut: Option<AreCut>,
    columns: Vec<ColumnChecks>,
    title: Option<usize>,
    is_raw: bool,
    items: u64,
    titles: Repeats,
    contents: Repeats,
    long: Cases,
    bare: Cases,
}

#[derive(Debug, Default)]
struct ColumnChecks {
    name: String,
    filled: u64,
    first: Option<u64>,
    varies: bool,
    lists: Cases,
    missing: Cases,
    markup: Cases,
}

/// Number of matching rows, and the first ones with their texts.
#[derive(Debug, Default)]
struct Cases {
    count: u64,
    first: Vec<(u64, String)>,
}

impl Cases {
    fn add(&mut self, row: u64, text: &str) {
        self.count += 1;
        if self.first.len() < EXAMPLES {
            self.first.push((row, excerpt(text)));
        }
    }
}

/// Texts that occur in several rows.
#[derive(Debug, Default)]
struct Repeats {
    /// By hash: the first row, the second one, and the number of rows.
    rows: HashMap<u64, (u64, u64, u32)>,
    excerpts: HashMap<u64, String>,
}

impl Repeats {
    fn add(&mut self, hash: u64, row: u64, text: &str) {
        let known = self.rows.entry(hash).or_insert((row, row, 0));
        known.2 = known.2.saturating_add(1);
        if known.2 == 2 {
            known.1 = row;
            if self.excerpts.len() < EXCERPTS {
                self.excerpts.insert(hash, excerpt(text));
            }
        }
    }
}

fn hash(value: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

impl CatalogChecks {
    /// Creates the checks of the text columns that `spec` names.
    pub(super) fn new(spec: &CatalogSpec, options: CheckOptions, are_cut: Option<AreCut>) -> Self {
        let names: Vec<&str> = spec.text.columns().into_iter().chain(spec.fields.iter().map(String::as_str)).collect();
        let at = |name: &str| names.iter().position(|column| *column == name);
        let title = match &options.title {
            Some(title) => at(title),
            None => TITLE_NAMES.iter().find_map(|name| at(name)),
        };
        let column = |name: &&str| ColumnChecks { name: (*name).to_owned(), ..ColumnChecks::default() };
        CatalogChecks {
            columns: names.iter().map(column).collect(),
            title,
            options,
            are_cut,
            is_raw: spec.raw_text,
            items: 0,
            titles: Repeats::default(),
            contents: Repeats::default(),
            long: Cases::default(),
            bare: Cases::default(),
        }
    }

    /// Checks the cells of a column before lists are parsed and texts are cleaned.
    pub(super) fn raw(&mut self, column: usize, cells: &[Vec<String>]) {
        let checks = &mut self.columns[column];
        for (row, parts) in (self.items..).zip(cells) {
            if let Some(list) = parts.iter().find(|part| is_list(part)) {
                checks.lists.add(row, list);
            }
        }
    }

    /// Checks the cells of a column after cleaning, without empty ones.
    pub(super) fn cleaned(&mut self, column: usize, cells: &[Vec<String>]) {
        let checks = &mut self.columns[column];
        for (row, parts) in (self.items..).zip(cells) {
            let hash = hash(parts);
            checks.varies |= *checks.first.get_or_insert(hash) != hash;
            checks.filled += u64::from(!parts.is_empty());
            if let [word] = &parts[..]
                && MISSING.contains(&word.as_str())
            {
                checks.missing.add(row, word);
            }
            if !self.is_raw
                && let Some(part) = parts.iter().find(|part| has_markup(part))
            {
                checks.markup.add(row, part);
            }
            if self.title == Some(column) && !parts.is_empty() {
                self.titles.add(hash, row, &parts.join(", "));
            }
        }
    }

    /// Checks the items of a batch after its columns.
    pub(super) fn items(&mut self, texts: &[Vec<String>], images: &[Vec<ImageSource>]) -> Result<()> {
        for (row, (passages, images)) in (self.items..).zip(texts.iter().zip(images)) {
            if passages.is_empty() && images.is_empty() {
                self.bare.add(row, "");
                continue;
            }
            let first = passages.first().map(String::as_str).unwrap_or_default();
            self.contents.add(hash((passages, images)), row, first);
            if let Some(most) = self.options.max_tokens.filter(|_| self.are_cut.is_none()) {
                for passage in passages.iter().filter(|passage| tokens(passage, most) > most) {
                    self.long.add(row, passage);
                }
            }
        }
        if let Some(are_cut) = &mut self.are_cut {
            let of_rows = (self.items..).zip(texts).flat_map(|(row, passages)| passages.iter().map(move |p| (row, p)));
            let (rows, passages): (Vec<u64>, Vec<String>) = of_rows.map(|(row, p)| (row, p.clone())).unzip();
            let cut = are_cut(&passages)?;
            for ((row, passage), _) in rows.into_iter().zip(&passages).zip(cut).filter(|(_, is_cut)| *is_cut) {
                self.long.add(row, passage);
            }
        }
        self.items += texts.len() as u64;
        Ok(())
    }

    /// The findings, column by column.
    pub(super) fn findings(self, ids: &ItemIds) -> Vec<Finding> {
        let items = self.items;
        let finding = |kind, column: Option<&str>, count, examples| {
            let column = column.map(str::to_owned);
            let max_tokens = self.options.max_tokens.filter(|_| kind == FindingKind::LongTexts);
            let is_estimate = kind == FindingKind::LongTexts && self.are_cut.is_none();
            Finding { kind, column, count, items, max_tokens, is_estimate, examples }
        };
        let id = |row: u64| usize::try_from(row).ok().filter(|&row| row < ids.len()).map(|row| ids.text(row));
        let of_cases = |kind, column: Option<&str>, cases: Cases| {
            let example = |(row, text): (u64, String)| FindingExample { items: id(row).into_iter().collect(), text };
            (cases.count > 0)
                .then(|| finding(kind, column, cases.count, cases.first.into_iter().map(example).collect()))
        };
        let of_repeats = |kind, column: Option<&str>, repeats: Repeats| {
            let count: u64 =
                repeats.rows.values().filter(|(.., rows)| *rows > 1).map(|(.., rows)| u64::from(*rows)).sum();
            let mut most: Vec<_> =
                repeats.excerpts.into_iter().map(|(hash, text)| (repeats.rows[&hash], text)).collect();
            most.sort_by_key(|&((first, _, rows), _)| (std::cmp::Reverse(rows), first));
            let example = |((first, second, _), text): ((u64, u64, u32), String)| FindingExample {
                items: [first, second].into_iter().filter_map(id).collect(),
                text,
            };
            let examples = most.into_iter().take(EXAMPLES).map(example).collect();
            (count > 0).then(|| finding(kind, column, count, examples))
        };
        let mut found = Vec::new();
        let title = self.title.map(|at| self.columns[at].name.clone());
        for column in self.columns {
            let name = Some(column.name.as_str());
            if items > 0 && column.filled == 0 {
                found.push(finding(FindingKind::EmptyColumn, name, items, Vec::new()));
            } else if items > 1 && !column.varies {
                found.push(finding(FindingKind::ConstantColumn, name, items, Vec::new()));
            }
            found.extend(of_cases(FindingKind::ListsInText, name, column.lists));
            found.extend(of_cases(FindingKind::MissingWords, name, column.missing));
            found.extend(of_cases(FindingKind::Markup, name, column.markup));
        }
        found.extend(of_repeats(FindingKind::RepeatedTitles, title.as_deref(), self.titles));
        found.extend(of_repeats(FindingKind::Duplicates, None, self.contents));
        found.extend(of_cases(FindingKind::LongTexts, None, self.long));
        found.extend(of_cases(FindingKind::NoContent, None, self.bare).filter(|_| self.options.content));
        found
    }
}

/// Estimates the number of tokens of a text: four tokens for three words or one token for four characters, whichever is
/// more. A text of at most `most` bytes is too short to exceed `most` tokens, so its number of bytes is returned.
fn tokens(text: &str, most: usize) -> usize {
    if text.len() <= most {
        return text.len();
    }
    (text.split_whitespace().count() * 4 / 3).max(text.chars().count() / 4)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::TextSpec;

    #[test]
    fn each_kind_of_finding_lists_its_items() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.csv");
        let long = "word ".repeat(300);
        let rows = [
            "a,Pen,,same,\"['x', 'y']\",",
            "b,Pen,,same,nan,",
            "c,Pen,,same,nan,",
            &format!("d,Ink,,same,{long},"),
            "e,Ink,,same,&amp;lt;b&amp;gt; bold,",
        ];
        std::fs::write(&path, format!("id,title,brand,shop,description,image\n{}\n", rows.join("\n"))).unwrap();
        let columns = ["title", "brand", "shop", "description"].map(str::to_owned);
        let spec = CatalogSpec { path, text: TextSpec::Joined(columns.into()), ..CatalogSpec::default() };
        let options = CheckOptions { max_tokens: Some(256), content: true, ..CheckOptions::default() };
        let found = spec.check(options.clone(), None).unwrap().1;
        let lines: Vec<String> = found.iter().map(Finding::to_string).collect();
        let starts = [
            "column brand: empty in all 5 items",
            "column shop: the same value in all 5 items",
            "column description: 1 cells are lists in the notation of Python or JSON, such as a \"['x', 'y']\"; --parse",
            "column description: 2 cells contain a word for a missing value, such as b \"nan\"; c \"nan\"; write",
            "column description: 1 cells seem to contain markup after cleaning, such as e \"&lt;b&gt; bold\"",
            "column title: 5 of 5 items have the same title as another item, such as a = b \"Pen\"; d = e \"Ink\"",
            "2 of 5 items have the same content as another item, such as b = c \"Pen. same. nan\"",
            "an estimated 1 texts have more than 256 tokens and will be truncated, such as d \"Ink. same. word",
        ];
        assert_eq!(lines.len(), starts.len(), "{lines:#?}");
        for (line, start) in lines.iter().zip(starts) {
            assert!(line.starts_with(start), "{line}");
        }
        let bare = CatalogSpec { text: TextSpec::Joined(vec!["brand".into()]), ..spec };
        let found = bare.check(options, None).unwrap().1;
        assert_eq!(found[1].to_string(), "5 of 5 items have no text and no image, such as a; b; c");
        assert_eq!(serde_json::to_value(&found[1]).unwrap()["kind"], "no-content");
    }

    #[test]
    fn the_encoder_determines_which_texts_are_too_long() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.csv");
        std::fs::write(&path, format!("id,t\na,{}\nb,\nc,x-y-z\nd,e\n", "word ".repeat(900))).unwrap();
        let spec = CatalogSpec { path, text: TextSpec::Joined(vec!["t".into()]), ..CatalogSpec::default() };
        let options = CheckOptions { max_tokens: Some(4), ..CheckOptions::default() };
        let by_hyphens: AreCut = Box::new(|texts| Ok(texts.iter().map(|text| text.contains('-')).collect()));
        let found = spec.check(options, Some(by_hyphens)).unwrap().1;
        let [long] = &found[..] else { panic!("{found:#?}") };
        assert_eq!(long.to_string(), "1 texts have more than 4 tokens and will be truncated, such as c \"x-y-z\"");
        assert!(!long.is_estimate);
        let fails: AreCut = Box::new(|_| Err(crate::Error::data("tokenizer", "a", "b", "c")));
        assert!(spec.check(CheckOptions::default(), Some(fails)).is_err());
    }
}
