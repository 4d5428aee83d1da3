//! Queries on an index: items by id or semantic ID, similar items, nearest items, and the items under a prefix.

use std::collections::HashMap;

use super::results::{FoundItem, PrefixContents, SearchHit};
use crate::error::{Error, Result};
use crate::features::{Features, Modality};
use crate::semantic_id::{Lookup, TokenTable};
use ndarray::{ArrayView1, Axis};
use rayon::prelude::*;

/// Maximum number of items per result.
pub const MAX_RESULTS: usize = 50;
/// Maximum length of an item's text in characters.
const MAX_TEXT: usize = 300;
/// Maximum number of listed child prefixes.
const MAX_CHILDREN: usize = 256;

/// A token table, with the texts and vectors of its items.
#[derive(Debug)]
pub struct Explorer {
    lookup: Lookup<TokenTable>,
    rows: HashMap<String, usize>,
    texts: Vec<String>,
    features: Option<Features>,
}

impl Explorer {
    /// An explorer of a table, its texts by row (empty without a catalog) and its features.
    ///
    /// # Errors
    /// [`Error::Mismatch`] if the features and the table have different items.
    pub fn new(table: TokenTable, texts: Vec<String>, features: Option<Features>) -> Result<Self> {
        if let Some(features) = &features
            && *features.item_ids() != table.item_ids
        {
            let help = "pass the features of this table";
            let got = format!("{} other items", features.len());
            return Err(Error::mismatch("features", "the items of the token table, in the same order", got, help));
        }
        let rows = table.item_ids.rows_by_text();
        Ok(Explorer { lookup: Lookup::new(table), rows, texts, features })
    }

    /// Number of items.
    pub fn len(&self) -> usize {
        self.lookup.table().codes.nrows()
    }

    /// Always `false`.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The item with a catalog id.
    ///
    /// # Errors
    /// [`Error::Item`] if there is none.
    pub fn item(&self, id: &str) -> Result<FoundItem> {
        Ok(self.found(self.row(id)?))
    }

    /// The items with a semantic ID. There is more than one only if collisions were kept.
    ///
    /// # Errors
    /// [`Error::Data`] if the text is not a semantic ID, is only a prefix, or is an ID that no item has.
    pub fn by_semantic_id(&self, text: &str) -> Result<Vec<FoundItem>> {
        let metadata = &self.lookup.table().metadata;
        let codes = metadata.token_format.parse(text, &metadata.codebook_sizes)?;
        let levels = metadata.codebook_sizes.len();
        if codes.len() < levels {
            let got = format!("{} of {text}", codes.len());
            let help = "expand the prefix to list the items under it";
            return Err(Error::data("semantic ID", format!("all {levels} tokens"), got, help));
        }
        let rows = self.lookup.rows(&codes);
        if rows.is_empty() {
            let help = "expand a shorter prefix to list existing IDs";
            return Err(Error::data("semantic ID", "the ID of an item", text, help));
        }
        Ok(rows.iter().take(MAX_RESULTS).map(|&row| self.found(row)).collect())
    }

    /// The items whose IDs start with a prefix; the empty prefix covers all items.
    ///
    /// # Errors
    /// [`Error::Data`] if the text is not a prefix of an ID.
    pub fn expand(&self, prefix: &str, limit: usize) -> Result<PrefixContents> {
        let table = self.lookup.table();
        let metadata = &table.metadata;
        let codes = metadata.token_format.parse(prefix, &metadata.codebook_sizes)?;
        let rows = self.lookup.rows(&codes);
        let mut branches = Vec::new();
        if codes.len() < metadata.codebook_sizes.len() {
            let next = |row: usize| table.codes[(row, codes.len())];
            for group in rows.chunk_by(|&a, &b| next(a) == next(b)) {
                let longer: Vec<u16> = codes.iter().copied().chain([next(group[0])]).collect();
                branches.push((metadata.token_format.semantic_id(&longer), group.len()));
            }
        }
        branches.sort_by_key(|&(_, items)| std::cmp::Reverse(items));
        branches.truncate(MAX_CHILDREN);
        let examples = rows.iter().take(limit.min(MAX_RESULTS)).map(|&row| self.found(row)).collect();
        Ok(PrefixContents { items: rows.len(), branches, examples })
    }

    /// The items most similar to a given item, which is excluded. They are ordered by the length of the common ID
    /// prefix, then by the similarity of the vectors.
    ///
    /// # Errors
    /// As [`Explorer::item`].
    pub fn similar(&self, id: &str, limit: usize) -> Result<Vec<SearchHit>> {
        let wanted = self.row(id)?;
        let codes = &self.lookup.table().codes;
        // The longest common prefix with enough items; all other items share less.
        let mut rows = self.lookup.rows(&[]);
        for depth in (0..=codes.ncols()).rev() {
            rows = self.lookup.rows(&codes.row(wanted).to_vec()[..depth]);
            if rows.len() > limit {
                break;
            }
        }
        let shared = |row: usize| codes.row(row).iter().zip(codes.row(wanted)).take_while(|(a, b)| a == b).count();
        let mut hits: Vec<(usize, Option<f32>, usize)> = rows
            .par_iter()
            .filter(|&&row| row != wanted)
            .map(|&row| (shared(row), self.cosine(row, wanted), row))
            .collect();
        hits.sort_by(|a, b| b.0.cmp(&a.0).then(nearer(a.1, b.1)).then(a.2.cmp(&b.2)));
        hits.truncate(limit.min(MAX_RESULTS));
        let hit = |(shared, cosine, row)| SearchHit { item: self.found(row), shared_tokens: Some(shared), cosine };
        Ok(hits.into_iter().map(hit).collect())
    }

    /// The items whose vectors of a modality are nearest to a vector, by cosine.
    ///
    /// # Errors
    /// [`Error::Mismatch`] without features, without that modality, or for a vector of another length.
    pub fn nearest(&self, modality: &str, vector: ArrayView1<f32>, limit: usize) -> Result<Vec<SearchHit>> {
        let known = self.features.as_ref().and_then(|f| f.modalities().iter().find(|m| m.name == modality));
        let Some(known) = known.filter(|known| known.dim() == vector.len()) else {
            let got = known.map_or("no such vectors".into(), |known| format!("vectors of length {}", known.dim()));
            let help = "search an index of the same encoder";
            return Err(Error::mismatch(modality, format!("vectors of length {}", vector.len()), got, help));
        };
        let mut hits: Vec<(Option<f32>, usize)> = (0..self.len())
            .into_par_iter()
            .filter(|&row| known.present[row])
            .map(|row| (cosine(known.vectors.index_axis(Axis(0), row), vector), row))
            .collect();
        hits.sort_by(|a, b| nearer(a.0, b.0).then(a.1.cmp(&b.1)));
        hits.truncate(limit.min(MAX_RESULTS));
        Ok(hits
            .into_iter()
            .map(|(cosine, row)| SearchHit { item: self.found(row), shared_tokens: None, cosine })
            .collect())
    }

    fn row(&self, id: &str) -> Result<usize> {
        self.rows.get(id).copied().ok_or_else(|| Error::Item {
            item: id.to_owned(),
            expected: "an item of the index".into(),
            got: format!("an id that is not among its {} ids", self.len()),
            help: "use catalog ids, as other tools return them".into(),
        })
    }

    fn found(&self, row: usize) -> FoundItem {
        let table = self.lookup.table();
        let text = self.texts.get(row).filter(|text| !text.is_empty());
        FoundItem {
            item_id: table.item_ids.text(row),
            semantic_id: table.semantic_id(row),
            text: text.map(|text| cut(text)),
        }
    }

    /// The mean cosine over the modalities that both items have.
    fn cosine(&self, a: usize, b: usize) -> Option<f32> {
        let both = |m: &&Modality| m.present[a] && m.present[b];
        let cosines: Vec<f32> = self
            .features
            .iter()
            .flat_map(|features| features.modalities())
            .filter(both)
            .filter_map(|m| cosine(m.vectors.row(a), m.vectors.row(b)))
            .collect();
        (!cosines.is_empty()).then(|| cosines.iter().sum::<f32>() / cosines.len() as f32)
    }
}

/// Orders larger cosines first, `None` last.
fn nearer(a: Option<f32>, b: Option<f32>) -> std::cmp::Ordering {
    let of = |cosine: Option<f32>| cosine.unwrap_or(f32::NEG_INFINITY);
    of(b).total_cmp(&of(a))
}

/// The cosine of two vectors; `None` if one is zero.
fn cosine(a: ArrayView1<f32>, b: ArrayView1<f32>) -> Option<f32> {
    let lengths = (a.dot(&a) * b.dot(&b)).sqrt();
    (lengths > 0.0).then(|| a.dot(&b) / lengths)
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(MAX_TEXT) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, array};

    use super::*;
    use crate::item_ids::ItemIds;
    use crate::semantic_id::{Collisions, TableMetadata, TokenFormat};

    const ITEMS: usize = 60;

    /// Pseudorandom codes and vectors; every fifth item has no text vector.
    fn explorer() -> Explorer {
        let code = |row: usize, level: usize| ((row * 7 + level * row * row * 3) % 4) as u16;
        let table = TokenTable {
            members: None,
            item_ids: ItemIds::Strings((0..ITEMS).map(|row| format!("item-{row}")).collect()),
            codes: Array2::from_shape_fn((ITEMS, 3), |(row, level)| code(row, level)),
            residual_error: vec![0.0; ITEMS],
            reassigned: vec![false; ITEMS],
            metadata: TableMetadata {
                model_hash: "0".repeat(64),
                codebook_sizes: vec![4; 3],
                token_format: TokenFormat::default(),
                policy: Collisions::Keep,
                collisions: None,
            },
        };
        let vectors = Array2::from_shape_fn((ITEMS, 2), |(row, at)| ((row * (at + 3) * 5) % 11) as f32 - 4.5);
        let present = (0..ITEMS).map(|row| row % 5 != 0).collect();
        let pictures = Array2::from_shape_fn((ITEMS, 3), |(row, at)| ((row * (at + 2) * 7) % 13) as f32 - 5.5);
        let modalities = vec![
            Modality { name: "text".into(), vectors, present },
            Modality { name: "image".into(), vectors: pictures, present: vec![true; ITEMS] },
        ];
        let features = Features::new(table.item_ids.clone(), modalities).unwrap();
        let texts = (0..ITEMS).map(|row| if row == 3 { "é".repeat(400) } else { format!("text of {row}") }).collect();
        Explorer::new(table, texts, Some(features)).unwrap()
    }

    #[test]
    fn similar_items_share_the_longest_prefixes() {
        let explorer = explorer();
        let codes = explorer.lookup.table().codes.clone();
        for wanted in 0..ITEMS {
            let shared = |row: usize| (0..3).take_while(|&level| codes[(row, level)] == codes[(wanted, level)]).count();
            // By brute force.
            let mut all: Vec<usize> = (0..ITEMS).filter(|&row| row != wanted).collect();
            all.sort_by(|&a, &b| {
                let cosines = nearer(explorer.cosine(a, wanted), explorer.cosine(b, wanted));
                shared(b).cmp(&shared(a)).then(cosines).then(a.cmp(&b))
            });
            let hits = explorer.similar(&format!("item-{wanted}"), 7).unwrap();
            let found: Vec<_> = hits.iter().map(|hit| (hit.item.item_id.clone(), hit.shared_tokens)).collect();
            let expected: Vec<_> = all[..7].iter().map(|&row| (format!("item-{row}"), Some(shared(row)))).collect();
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn nearest_items_are_ordered_by_cosine() {
        let explorer = explorer();
        let hits = explorer.nearest("text", array![1.0, 2.0].view(), 100).unwrap();
        assert_eq!(hits.len(), ITEMS - ITEMS / 5);
        assert!(hits.iter().all(|hit| hit.cosine.is_some() && hit.shared_tokens.is_none()));
        assert!(hits.windows(2).all(|pair| pair[0].cosine >= pair[1].cosine));
        let wrong = explorer.nearest("text", array![1.0].view(), 5).unwrap_err().to_string();
        assert!(wrong.contains("length 1") && wrong.contains("length 2"), "{wrong}");
        assert!(explorer.nearest("behaviour", array![1.0].view(), 5).is_err());
    }

    #[test]
    fn child_prefixes_partition_the_items() {
        let explorer = explorer();
        let all = explorer.expand("", 5).unwrap();
        assert_eq!((all.items, all.examples.len()), (ITEMS, 5));
        assert_eq!(all.branches.iter().map(|(_, items)| items).sum::<usize>(), ITEMS);
        for (prefix, items) in all.branches {
            let under = explorer.expand(&prefix, 100).unwrap();
            assert_eq!((under.items, under.examples.len()), (items, items.min(MAX_RESULTS)));
            assert!(under.examples.iter().all(|found| found.semantic_id.starts_with(&prefix)));
        }
        let whole = &explorer.item("item-7").unwrap().semantic_id;
        assert!(explorer.expand(whole, 5).unwrap().branches.is_empty());
        let none: &[(String, usize)] = &[];
        let absent = explorer.expand("<a_3><b_3><c_3>", 5);
        assert!(absent.is_ok_and(|under| under.items < ITEMS && under.branches == none));
    }

    #[test]
    fn items_are_found_by_catalog_id_and_by_semantic_id() {
        let explorer = explorer();
        let found = explorer.item("item-3").unwrap();
        assert_eq!(found.text.as_ref().map(|text| text.chars().count()), Some(MAX_TEXT + 1));
        assert!(explorer.by_semantic_id(&found.semantic_id).unwrap().contains(&found));
        assert!(explorer.item("item-60").unwrap_err().to_string().contains("item-60"));
        assert!(explorer.by_semantic_id("<a_1>").unwrap_err().to_string().contains("all 3 tokens"));
        assert!(explorer.by_semantic_id("<a_9><b_0><c_0>").is_err());
    }

    #[test]
    fn features_of_other_items_are_refused() {
        let Explorer { lookup, features, .. } = explorer();
        let shorter = features.unwrap().take(&[0, 1, 2]).unwrap();
        let table = lookup.table().clone();
        assert!(Explorer::new(table, Vec::new(), Some(shorter)).unwrap_err().to_string().contains("3 other items"));
    }
}
