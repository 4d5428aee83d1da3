//! Findings of a catalog check.

use std::fmt;

use serde::Serialize;

use crate::printable::printable;

/// Maximum number of examples per finding.
pub(super) const EXAMPLES: usize = 3;
/// Maximum length of a text in an example, in characters.
const EXCERPT: usize = 60;

/// The kind of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FindingKind {
    /// A column without any value.
    EmptyColumn,
    /// A column with the same value in every row.
    ConstantColumn,
    /// Cells that are lists in the notation of Python or JSON.
    ListsInText,
    /// Cells with a word for a missing value, such as `nan`.
    MissingWords,
    /// Cells that have tags or entities after cleaning.
    Markup,
    /// Items with the same title as another item.
    RepeatedTitles,
    /// Items with the same texts and images as others.
    Duplicates,
    /// Texts that are longer than an encoder can read.
    LongTexts,
    /// Items without any text or image.
    NoContent,
}

/// Some items of a finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FindingExample {
    /// Ids of one item, or of several equal items.
    pub items: Vec<String>,
    /// The beginning of the text.
    pub text: String,
}

/// A likely mistake in a catalog.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The kind of mistake.
    pub kind: FindingKind,
    /// The column, if the finding is about one column.
    pub column: Option<String>,
    /// Number of cells or items.
    pub count: u64,
    /// Number of items of the catalog.
    pub items: u64,
    /// For texts that are too long, the maximum number of tokens of the encoder.
    pub max_tokens: Option<usize>,
    /// Whether the count is estimated from words and characters.
    pub is_estimate: bool,
    /// The first cases, or the most frequent ones.
    pub examples: Vec<FindingExample>,
}

/// The beginning of a text.
pub(super) fn excerpt(text: &str) -> String {
    let mut chars = text.chars();
    let start: String = chars.by_ref().take(EXCERPT).collect();
    if chars.next().is_some() { start + "…" } else { start }
}

/// One line with the mistake, its count, its location and advice.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (count, items) = (self.count, self.items);
        if let Some(column) = &self.column {
            write!(f, "column {}: ", printable(column))?;
        }
        let help = match self.kind {
            FindingKind::EmptyColumn => {
                write!(f, "empty in all {items} items")?;
                ""
            }
            FindingKind::ConstantColumn => {
                write!(f, "the same value in all {items} items")?;
                ""
            }
            FindingKind::ListsInText => {
                write!(f, "{count} cells are lists in the notation of Python or JSON")?;
                "; --parse-lists reads them as lists"
            }
            FindingKind::MissingWords => {
                write!(f, "{count} cells contain a word for a missing value")?;
                "; write them as empty cells"
            }
            FindingKind::Markup => {
                write!(f, "{count} cells seem to contain markup after cleaning")?;
                ""
            }
            FindingKind::RepeatedTitles => {
                write!(f, "{count} of {items} items have the same title as another item")?;
                ""
            }
            FindingKind::Duplicates => {
                write!(f, "{count} of {items} items have the same content as another item")?;
                ""
            }
            FindingKind::LongTexts => {
                let tokens = self.max_tokens.unwrap_or_default();
                let estimated = if self.is_estimate { "an estimated " } else { "" };
                write!(f, "{estimated}{count} texts have more than {tokens} tokens and will be truncated")?;
                ""
            }
            FindingKind::NoContent => {
                write!(f, "{count} of {items} items have no text and no image")?;
                ""
            }
        };
        for (at, example) in self.examples.iter().enumerate() {
            f.write_str(if at == 0 { ", such as " } else { "; " })?;
            let ids: Vec<_> = example.items.iter().map(|id| printable(id)).collect();
            f.write_str(&ids.join(" = "))?;
            if !example.text.is_empty() {
                write!(f, " \"{}\"", printable(&example.text))?;
            }
        }
        f.write_str(help)
    }
}
