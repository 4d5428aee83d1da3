//! What the report shows of each item, read from the catalog: its text and a small picture.

use std::collections::HashMap;
use std::path::Path;

use anyhow::Result;
use catalex::catalog::{CatalogReader, CatalogSpec, TextSpec};
use catalex::error::Error;
use catalex::item_ids::ItemIds;
use catalex::progress::Progress;
use catalex::quality::{Cards, report_rows};
use catalex::semantic_id::TokenTable;

/// What a report calls a catalog: the file's name, or where that says nothing, its folder's.
pub(super) fn title(path: &Path) -> String {
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    let folder = path.parent().and_then(Path::file_name).map(|folder| folder.to_string_lossy());
    match folder {
        Some(folder) if ["catalog", "items", "products", "data", "tokens"].contains(&&*name) => folder.into_owned(),
        _ => name.into_owned(),
    }
}

/// Texts and pictures of a table's items, found in the catalog by their ids.
pub(super) fn read(table: &TokenTable, spec: &CatalogSpec, progress: &dyn Progress) -> Result<Cards> {
    let rows = Rows::of(&table.item_ids);
    // A folder of pictures has no columns to name.
    let with_pictures = !spec.images.is_empty() || spec.path.is_dir();
    let mut texts = texts(&rows, spec)?;
    let shown = report_rows(table).into_iter().map(|row| (row, std::mem::take(&mut texts[row])));
    let mut cards = Cards { texts: shown.collect(), pictures: None };
    if with_pictures {
        cards.pictures = pictures(table, &rows, spec, progress)?;
    }
    if spec.text.is_empty() {
        cards.texts.clear();
    }
    Ok(cards)
}

/// Texts by row of the table; empty where an item has none.
#[cfg(all(feature = "serve", feature = "encoders"))]
pub(super) fn texts_of(table: &TokenTable, spec: &CatalogSpec) -> Result<Vec<String>> {
    texts(&Rows::of(&table.item_ids), spec)
}

/// One column's values, by row of the table; empty where an item has none.
pub(super) fn labels(table: &TokenTable, spec: &CatalogSpec, column: &str) -> Result<Vec<String>> {
    let spec = CatalogSpec { text: TextSpec::Joined(vec![column.to_owned()]), ..spec.clone() };
    texts(&Rows::of(&table.item_ids), &spec)
}

fn texts(rows: &Rows, spec: &CatalogSpec) -> Result<Vec<String>> {
    let spec = CatalogSpec { images: Vec::new(), ..spec.clone() };
    let mut texts = vec![String::new(); rows.count];
    let mut found = 0;
    for batch in CatalogReader::open(&spec)? {
        let batch = batch?;
        for (at, passages) in batch.texts.iter().enumerate() {
            if let Some(row) = rows.find(&batch.item_ids, at) {
                texts[row] = passages.join(". ");
                found += 1;
            }
        }
    }
    if found == 0 {
        let help = "name the catalog that the table was made from, and its id column with --id";
        return Err(Error::mismatch("items of the catalog", "some of the token table's", "none of them", help).into());
    }
    Ok(texts)
}

/// The table's rows by item id.
struct Rows {
    by_id: HashMap<String, usize>,
    count: usize,
}

impl Rows {
    fn of(ids: &ItemIds) -> Self {
        Rows { by_id: ids.rows_by_text(), count: ids.len() }
    }

    fn find(&self, ids: &ItemIds, at: usize) -> Option<usize> {
        self.by_id.get(&ids.text(at)).copied()
    }
}

/// Sheets of small pictures. What cannot be read has none; how many these are is said.
#[cfg(feature = "encoders")]
fn pictures(
    table: &TokenTable,
    rows: &Rows,
    spec: &CatalogSpec,
    progress: &dyn Progress,
) -> Result<Option<catalex::quality::Pictures>> {
    use catalex::encoder::{ACROSS, TILE, Thumbnail};
    use rayon::prelude::*;

    let wanted = catalex::quality::picture_order(table);
    let mut place = vec![None; rows.count];
    wanted.iter().enumerate().for_each(|(at, &row)| place[row] = Some(at));
    let mut tiles: Vec<Option<Thumbnail>> = vec![None; wanted.len()];
    let mut unreadable = 0;
    progress.begin("small pictures", Some(wanted.len() as u64), "pictures");
    for batch in CatalogReader::open(&CatalogSpec { text: TextSpec::default(), ..spec.clone() })? {
        let batch = batch?;
        let there: Vec<_> = (0..batch.images.len())
            .filter_map(|at| Some((place[rows.find(&batch.item_ids, at)?]?, batch.images[at].first()?)))
            .collect();
        let made: Vec<_> = there.par_iter().map(|&(at, source)| (at, Thumbnail::of(source))).collect();
        unreadable += made.iter().filter(|(_, tile)| tile.is_none()).count();
        progress.advance(made.len() as u64);
        made.into_iter().for_each(|(at, tile)| tiles[at] = tile);
    }
    progress.end();
    if unreadable > 0 {
        progress.warn(&format!("{unreadable} pictures could not be read; the report shows their items without"));
    }
    let (rows, tiles): (Vec<usize>, Vec<Thumbnail>) =
        wanted.into_iter().zip(tiles).filter_map(|(row, tile)| Some((row, tile?))).unzip();
    let sheets: Vec<Vec<u8>> =
        tiles.par_chunks((ACROSS * ACROSS) as usize).map(Thumbnail::sheet).collect::<catalex::Result<_>>()?;
    Ok((!sheets.is_empty()).then_some(catalex::quality::Pictures { tile: TILE, across: ACROSS, sheets, rows }))
}

#[cfg(not(feature = "encoders"))]
fn pictures(
    _table: &TokenTable,
    _rows: &Rows,
    _spec: &CatalogSpec,
    _progress: &dyn Progress,
) -> Result<Option<catalex::quality::Pictures>> {
    Err(super::not_built("reading pictures", "encoders"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_say_something() {
        assert_eq!(title(Path::new("fixtures/emoji/catalog.parquet")), "emoji");
        assert_eq!(title(Path::new("shop/shoes.csv")), "shoes");
        assert_eq!(title(Path::new("catalog.csv")), "catalog");
    }
}
