//! The data of the report's scripts: columns as JSON, deflate-compressed, in base64.

use std::collections::HashMap;
use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::ZlibEncoder;
use serde::Serialize;

use super::cards::{Cards, Pictures};
use super::map::{EXTENT, Map};
use super::markup::shortened;
use super::rows::step;
use crate::semantic_id::{Lookup, TokenTable};

/// Maximum number of characters of an id; longer ones are shortened.
const LONGEST_ID: usize = 64;
/// Maximum number of characters of a text. The values are tried in this order until the data fit.
const TEXT_LENGTHS: [usize; 11] = [200, 150, 110, 80, 60, 50, 40, 32, 26, 20, 0];

/// The input of the scripts.
#[derive(Serialize)]
struct Data<'a> {
    token_format: String,
    sizes: &'a [usize],
    items: usize,
    /// The page contains every n-th item.
    every: usize,
    /// One column per level.
    codes: Vec<Vec<u16>>,
    ids: Vec<String>,
    texts: Vec<String>,
    /// Items that were moved to make their IDs unique.
    moved: Vec<usize>,
    points: Option<Points>,
}

#[derive(Serialize)]
struct Points {
    /// The item of each point, as the difference to that of the point before.
    steps: Vec<usize>,
    x: Vec<u16>,
    y: Vec<u16>,
    extent: f64,
}

/// The items of the picture tiles.
#[derive(Serialize)]
struct Tiles {
    size: u32,
    across: u32,
    /// The item of each tile, sheet by sheet; none if the page does not have the item.
    items: Vec<Option<usize>>,
}

/// The packed data of a report.
pub(super) struct PackedItems {
    pub(super) base64: String,
    /// The table rows of the items in the page, in the order of their codes.
    pub(super) rows: Vec<usize>,
}

impl PackedItems {
    /// The JSON of the picture tiles.
    pub(super) fn tiles(&self, pictures: &Pictures) -> std::io::Result<String> {
        let places = places(&self.rows);
        let items = pictures.rows.iter().map(|row| places.get(row).copied()).collect();
        Ok(serde_json::to_string(&Tiles { size: pictures.tile, across: pictures.across, items })?)
    }
}

/// Packs items into at most `budget` bytes: as many as possible, then with texts as long as possible.
pub(super) fn pack(
    table: &TokenTable,
    cards: &Cards,
    map: Option<&Map>,
    budget: usize,
) -> std::io::Result<PackedItems> {
    let lookup = Lookup::new(table);
    let sorted = lookup.rows(&[]);
    let mut every = step(sorted.len());
    loop {
        let rows: Vec<usize> = sorted.iter().copied().step_by(every).collect();
        let lengths = if cards.texts.is_empty() { &[0][..] } else { &TEXT_LENGTHS[..] };
        for (at, &longest) in lengths.iter().enumerate() {
            let json = serde_json::to_vec(&data(table, cards, map, &rows, every, longest))?;
            let base64 = STANDARD.encode(deflate(&json)?);
            let nothing_left_to_drop = rows.len() == 1 && at + 1 == lengths.len();
            if base64.len() <= budget || nothing_left_to_drop {
                return Ok(PackedItems { base64, rows });
            }
        }
        every *= 2;
    }
}

fn deflate(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes)?;
    encoder.finish()
}

fn data<'a>(
    table: &'a TokenTable,
    cards: &Cards,
    map: Option<&Map>,
    rows: &[usize],
    every: usize,
    longest: usize,
) -> Data<'a> {
    let text = |row: &usize| cards.texts.get(row).map_or("".into(), |text| shortened(text, longest)).into_owned();
    Data {
        token_format: table.metadata.token_format.to_string(),
        sizes: &table.metadata.codebook_sizes,
        items: table.codes.nrows(),
        every,
        codes: table.codes.columns().into_iter().map(|c| rows.iter().map(|&row| c[row]).collect()).collect(),
        ids: rows.iter().map(|&row| shortened(&table.item_ids.text(row), LONGEST_ID).into_owned()).collect(),
        texts: if longest == 0 { Vec::new() } else { rows.iter().map(text).collect() },
        moved: (0..rows.len()).filter(|&at| table.reassigned[rows[at]]).collect(),
        points: map.map(|map| points(map, rows)),
    }
}

/// The index of each row in `rows`.
fn places(rows: &[usize]) -> HashMap<usize, usize> {
    rows.iter().enumerate().map(|(at, &row)| (row, at)).collect()
}

fn points(map: &Map, rows: &[usize]) -> Points {
    let places = places(rows);
    let mut out = Points { steps: Vec::new(), x: Vec::new(), y: Vec::new(), extent: EXTENT };
    let mut last = 0;
    for ((&row, &x), &y) in map.rows.iter().zip(&map.x).zip(&map.y) {
        // Both the map's rows and the items are in the order of the codes.
        if let Some(&at) = places.get(&row) {
            out.steps.push(at - last);
            out.x.push(x);
            out.y.push(y);
            last = at;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quality::tests::table;
    use flate2::read::ZlibDecoder;
    use ndarray::{Array2, array};
    use serde_json::{Value, json};
    use std::collections::BTreeMap;

    fn texts<T: Into<String>>(texts: impl IntoIterator<Item = T>) -> BTreeMap<usize, String> {
        texts.into_iter().map(Into::into).enumerate().collect()
    }

    fn unpack(packed: &PackedItems) -> Value {
        serde_json::from_reader(ZlibDecoder::new(&STANDARD.decode(&packed.base64).unwrap()[..])).unwrap()
    }

    #[test]
    fn columns_are_in_the_order_of_the_codes() {
        let mut table = table(array![[1, 0], [0, 2], [0, 1]], &[2, 3]);
        table.reassigned[0] = true;
        let cards = Cards { texts: texts(["</script>", "naïve \"fox\" 🦊"]), pictures: None };
        let map = Map { rows: vec![2, 1, 0], x: vec![5, 6, 7], y: vec![1, 2, 3], shown: 1.0 };
        let pictures = Pictures { tile: 48, across: 16, sheets: vec![], rows: vec![0, 2] };
        let packed = pack(&table, &cards, Some(&map), 10_000).unwrap();
        let data = unpack(&packed);
        assert_eq!(data["codes"], json!([[0, 0, 1], [1, 2, 0]]));
        assert_eq!(data["ids"], json!(["2", "1", "0"]));
        assert_eq!(data["texts"], json!(["", "naïve \"fox\" 🦊", "</script>"]));
        assert_eq!(data["moved"], json!([2]));
        assert_eq!(data["points"]["steps"], json!([0, 1, 1]));
        assert_eq!(packed.tiles(&pictures).unwrap(), r#"{"size":48,"across":16,"items":[2,0]}"#);
    }

    #[test]
    fn texts_and_items_are_reduced_to_the_budget() {
        let codes = Array2::from_shape_fn((400, 2), |(i, j)| if j == 0 { i as u16 / 20 } else { i as u16 % 20 });
        let table = table(codes, &[20, 20]);
        // Random texts, which hardly compress.
        let mut state = 7u32;
        let mut letter = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            char::from(b'a' + (state >> 24) as u8 % 26)
        };
        let texts = texts((0..400).map(|_| (0..200).map(|_| letter()).collect::<String>()));
        let cards = Cards { texts, pictures: None };
        let sizes = |budget| {
            let packed = pack(&table, &cards, None, budget).unwrap();
            assert!(packed.base64.len() <= budget);
            (packed.rows.len(), unpack(&packed)["texts"].as_array().unwrap().first().map(|t| t.as_str().unwrap().len()))
        };
        assert_eq!(sizes(1_000_000), (400, Some(200)));
        let (items, length) = sizes(30_000);
        assert!(items == 400 && (20..110).contains(&length.unwrap()), "{length:?}");
        let (items, length) = sizes(1_000);
        assert!((25..400).contains(&items) && length.is_none_or(|l| l <= 200), "{items} {length:?}");
    }
}
