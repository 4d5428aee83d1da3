//! Which items the report carries, and the data of its scripts: columns as JSON, deflated, in base64.

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

/// Longest id that is shown whole.
const LONGEST_ID: usize = 64;
/// How long texts may be, from what is pleasant to what is left when space is short.
const TEXT_LENGTHS: [usize; 11] = [200, 150, 110, 80, 60, 50, 40, 32, 26, 20, 0];

/// What the scripts read.
#[derive(Serialize)]
struct Data<'a> {
    token_format: String,
    sizes: &'a [usize],
    items: usize,
    /// Items that each carried one stands for.
    every: usize,
    /// A column a level.
    codes: Vec<Vec<u16>>,
    ids: Vec<String>,
    texts: Vec<String>,
    /// Carried items that were moved to make their IDs unique.
    moved: Vec<usize>,
    points: Option<Points>,
}

#[derive(Serialize)]
struct Points {
    /// Each point's carried item, as the step from the one before.
    steps: Vec<usize>,
    x: Vec<u16>,
    y: Vec<u16>,
    extent: f64,
}

/// Where the scripts find an item's picture.
#[derive(Serialize)]
struct Tiles {
    size: u32,
    across: u32,
    /// The carried item of each tile, sheet by sheet; none where it is not carried.
    items: Vec<Option<usize>>,
}

/// The report's data, and how much of the catalog is in it.
pub(super) struct Carried {
    pub(super) base64: String,
    /// The items that are carried, by row of the table, in the order of their codes.
    pub(super) rows: Vec<usize>,
}

impl Carried {
    /// JSON that tells whose picture each tile is.
    pub(super) fn tiles(&self, pictures: &Pictures) -> std::io::Result<String> {
        let places = places(&self.rows);
        let items = pictures.rows.iter().map(|row| places.get(row).copied()).collect();
        Ok(serde_json::to_string(&Tiles { size: pictures.tile, across: pictures.across, items })?)
    }
}

/// Packs as many items as fit into `budget` bytes, with texts as long as they can be.
pub(super) fn pack(table: &TokenTable, cards: &Cards, map: Option<&Map>, budget: usize) -> std::io::Result<Carried> {
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
                return Ok(Carried { base64, rows });
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

/// The place of each row among these.
fn places(rows: &[usize]) -> HashMap<usize, usize> {
    rows.iter().enumerate().map(|(at, &row)| (row, at)).collect()
}

fn points(map: &Map, rows: &[usize]) -> Points {
    let places = places(rows);
    let mut out = Points { steps: Vec::new(), x: Vec::new(), y: Vec::new(), extent: EXTENT };
    let mut last = 0;
    for ((&row, &x), &y) in map.rows.iter().zip(&map.x).zip(&map.y) {
        // The map's rows follow the order of the codes, as the carried items do.
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

    fn unpack(carried: &Carried) -> Value {
        serde_json::from_reader(ZlibDecoder::new(&STANDARD.decode(&carried.base64).unwrap()[..])).unwrap()
    }

    #[test]
    fn columns_follow_the_order_of_the_codes() {
        let mut table = table(array![[1, 0], [0, 2], [0, 1]], &[2, 3]);
        table.reassigned[0] = true;
        let cards = Cards { texts: texts(["</script>", "naïve \"fox\" 🦊"]), pictures: None };
        let map = Map { rows: vec![2, 1, 0], x: vec![5, 6, 7], y: vec![1, 2, 3], shown: 1.0 };
        let pictures = Pictures { tile: 48, across: 16, sheets: vec![], rows: vec![0, 2] };
        let carried = pack(&table, &cards, Some(&map), 10_000).unwrap();
        let data = unpack(&carried);
        assert_eq!(data["codes"], json!([[0, 0, 1], [1, 2, 0]]));
        assert_eq!(data["ids"], json!(["2", "1", "0"]));
        assert_eq!(data["texts"], json!(["", "naïve \"fox\" 🦊", "</script>"]));
        assert_eq!(data["moved"], json!([2]));
        assert_eq!(data["points"]["steps"], json!([0, 1, 1]));
        assert_eq!(carried.tiles(&pictures).unwrap(), r#"{"size":48,"across":16,"items":[2,0]}"#);
    }

    #[test]
    fn what_does_not_fit_is_cut_short() {
        let codes = Array2::from_shape_fn((400, 2), |(i, j)| if j == 0 { i as u16 / 20 } else { i as u16 % 20 });
        let table = table(codes, &[20, 20]);
        // Texts that deflate cannot shrink much.
        let mut state = 7u32;
        let mut letter = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            char::from(b'a' + (state >> 24) as u8 % 26)
        };
        let texts = texts((0..400).map(|_| (0..200).map(|_| letter()).collect::<String>()));
        let cards = Cards { texts, pictures: None };
        let packed = |budget| {
            let carried = pack(&table, &cards, None, budget).unwrap();
            assert!(carried.base64.len() <= budget);
            (
                carried.rows.len(),
                unpack(&carried)["texts"].as_array().unwrap().first().map(|t| t.as_str().unwrap().len()),
            )
        };
        assert_eq!(packed(1_000_000), (400, Some(200)));
        let (items, length) = packed(30_000);
        assert!(items == 400 && (20..110).contains(&length.unwrap()), "{length:?}");
        let (items, length) = packed(1_000);
        assert!((25..400).contains(&items) && length.is_none_or(|l| l <= 200), "{items} {length:?}");
    }
}
