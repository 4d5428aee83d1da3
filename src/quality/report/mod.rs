//! `report.html`: a self-contained page that opens offline, for people who know the catalog.
//!
//! The figures are static HTML. The page's scripts draw the prefixes, the items and the map from compressed data in the
//! page. The same input gives the same bytes.

mod cards;
mod charts;
mod drift_section;
mod histories_section;
mod map;
mod markup;
mod packed;
mod rows;
mod sections;
mod words;

use std::fmt::Write;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

pub use cards::{Cards, PICTURES_AT_MOST, Pictures, picture_order};
pub use map::Map;
pub use rows::report_rows;

use super::drift_advice::DriftSince;
use super::duplicates::DuplicateGroup;
use super::figures::Figures;
use crate::error::{Error, Result};
use crate::semantic_id::TokenTable;
use crate::training::TrainingRecord;
use markup::{count, escape, fill, grouped};

/// Size limit of a report in bytes.
const LIMIT: usize = 4_800_000;
/// Bytes of this limit that are reserved for images if the texts are long.
const PICTURE_SHARE: usize = 900_000;

const PAGE: &str = include_str!("page.html");
const STYLE: &str = include_str!("style.css");
/// The files are concatenated to one module; the last one starts the page.
const SCRIPTS: [&str; 7] = [
    include_str!("catalog.js"),
    include_str!("words.js"),
    include_str!("tree.js"),
    include_str!("details.js"),
    include_str!("search.js"),
    include_str!("map.js"),
    include_str!("main.js"),
];

/// The contents of a report.
#[derive(Debug, Clone, Copy)]
pub struct Report<'a> {
    /// Name of the catalog or the table.
    pub title: &'a str,
    /// The items and their codes.
    pub table: &'a TokenTable,
    /// The figures of the table.
    pub figures: &'a Figures,
    /// Texts and images of the items.
    pub cards: &'a Cards,
    /// The largest groups of items that the quantizer cannot distinguish.
    pub duplicates: &'a [DuplicateGroup],
    /// The record of the model's training; without it the report has no training curves.
    pub training: Option<&'a TrainingRecord>,
    /// The items as points.
    pub map: Option<&'a Map>,
    /// The drift of items that were added after training, if there are any.
    pub drift: Option<&'a DriftSince>,
}

impl Report<'_> {
    /// Renders the page.
    ///
    /// # Errors
    /// [`Error::Io`] if the data cannot be compressed.
    pub fn html(&self) -> Result<String> {
        let failed = |e| Error::io("write", Path::new("report.html"), e);
        let frame = self.page("", "", "", "");
        let wanted = self.cards.pictures.as_ref();
        let reserved = wanted.map_or(0, |p| p.sheets.iter().map(|s| s.len() * 4 / 3 + 64).sum()).min(PICTURE_SHARE);
        let budget = LIMIT.saturating_sub(frame.len() + reserved);
        let packed = packed::pack(self.table, self.cards, self.map, budget).map_err(failed)?;
        let left = LIMIT.saturating_sub(frame.len() + packed.base64.len() + 8 * PICTURES_AT_MOST);
        let pictures = wanted.map(|pictures| pictures.within(left)).filter(|pictures| !pictures.sheets.is_empty());
        let (mut tiles, mut sheets) = ("null".to_owned(), String::new());
        if let Some(pictures) = &pictures {
            tiles = packed.tiles(pictures).map_err(failed)?;
            for (at, sheet) in pictures.sheets.iter().enumerate() {
                let _ = write!(
                    sheets,
                    ".sheet-{at}{{background-image:url(data:image/jpeg;base64,{})}}",
                    STANDARD.encode(sheet)
                );
            }
        }
        let note = self.note(packed.rows.len());
        Ok(self.page(&packed.base64, &tiles, &sheets, &note))
    }

    fn page(&self, data: &str, tiles: &str, sheets: &str, note: &str) -> String {
        let figures = self.figures;
        let subtitle =
            format!("{} with semantic IDs of {}", count(figures.items, "item"), words::shape(&figures.codebook_sizes));
        let script = SCRIPTS.concat();
        let map = match self.map {
            Some(map) => fill(include_str!("map.html"), &[("shown", &markup::percent(map.shown))]),
            None => String::new(),
        };
        fill(
            PAGE,
            &[
                ("title", &escape(self.title)),
                ("style", STYLE),
                ("sheets", sheets),
                ("subtitle", &escape(&subtitle)),
                ("headlines", &sections::headlines(figures)),
                ("note", note),
                ("map", &map),
                ("histories", &figures.histories.as_ref().map(histories_section::histories).unwrap_or_default()),
                ("codebooks", &sections::codebooks(self.table, figures)),
                ("depths", &sections::depths(figures)),
                (
                    "collisions",
                    &(sections::collisions(figures) + &sections::duplicates(self.duplicates, self.table, self.cards)),
                ),
                ("drift", &self.drift.map(drift_section::drift).unwrap_or_default()),
                ("training", &self.training.map(sections::training).unwrap_or_default()),
                ("model", &escape(figures.model_hash.get(..12).unwrap_or(&figures.model_hash))),
                ("version", env!("CARGO_PKG_VERSION")),
                ("data", data),
                ("tiles", tiles),
                ("script", &script),
            ],
        )
    }

    /// The note that the page shows a sample of the items.
    fn note(&self, shown: usize) -> String {
        let items = self.figures.items;
        if shown == items {
            return String::new();
        }
        format!(
            "<p class=\"note\">This page shows one item in {} of the catalog, in the order of the IDs ({} of {}). Counts per \
             prefix are estimates from this sample; the figures below are of all items.</p>",
            items.div_ceil(shown.max(1)),
            grouped(shown),
            grouped(items)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Silent;
    use crate::quality::tests::table;
    use ndarray::{Array2, array};

    fn html(title: &str, table: &TokenTable, cards: &Cards) -> String {
        let figures = Figures::of_table(table, None, &Silent).unwrap();
        let duplicates = DuplicateGroup::largest(table, None).unwrap();
        let (training, map, drift) = (None, None, None);
        Report { title, table, figures: &figures, cards, duplicates: &duplicates, training, map, drift }.html().unwrap()
    }

    #[test]
    fn texts_of_the_catalog_are_escaped() {
        let table = table(array![[0, 0], [0, 1]], &[2, 2]);
        let nasty = "</script><script>alert(1)</script>{{data}}";
        let cards = Cards { texts: [(0, nasty.into()), (1, "{{script}}".into())].into(), pictures: None };
        let html = html(nasty, &table, &cards);
        assert!(html.contains("&lt;/script&gt;") && !html.contains("<script>alert"));
        assert_eq!(html.matches("<script").count(), html.matches("</script>").count());
        assert_eq!(html.matches("<html").count(), 1);
        assert!(!html.contains("http://") && !html.contains("https://"), "the page loads no other resource");
    }

    #[test]
    fn duplicates_are_listed_by_name() {
        let table = table(array![[0, 0], [0, 1], [0, 0], [0, 0]], &[2, 2]);
        let cards = Cards { texts: [(0, "Pen".into()), (2, "\u{1b}[31mPen".into())].into(), pictures: None };
        let html = html("pens", &table, &cards);
        assert!(html.contains("3 items: Pen (0); \\u001b[31mPen (2); 3<"), "{html}");
    }

    #[test]
    fn a_report_of_one_item() {
        let html = html("one", &table(array![[0]], &[2]), &Cards::default());
        assert!(html.contains("1 item with semantic IDs of 1 code, one of 2"), "{html}");
        assert!(html.contains("1 of 2 codes have no item"));
    }

    #[test]
    fn large_catalogs_stay_within_the_size_limit() {
        let n = 120_000;
        let codes = Array2::from_shape_fn((n, 3), |(i, j)| [i / 2_000, i / 40 % 50, i % 40][j] as u16);
        let texts = (0..n).map(|i| format!("item {i} of {} colours and {} sizes", i * 7_919 % 1_009, i * 31 % 97));
        let cards = Cards {
            texts: texts.enumerate().collect(),
            pictures: Some(Pictures {
                tile: 48,
                across: 16,
                sheets: vec![vec![1; 200_000]; 16],
                rows: (0..4_096).collect(),
            }),
        };
        let html = html("large", &table(codes, &[60, 50, 40]), &cards);
        assert!(html.len() < 5_000_000, "{}", html.len());
        assert!(html.contains("one item in 2") && html.contains(".sheet-3{"), "{}", html.len());
    }
}
