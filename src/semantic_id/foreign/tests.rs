//! Small files in the formats of other systems.

use std::fs;
use std::path::Path;

use arrow::array::{ArrayRef, Int64Array, ListArray, RecordBatch, StringArray};
use arrow::datatypes::Int64Type;
use ndarray::{Array2, array};

use super::*;
use crate::item_ids::ItemIds;
use crate::semantic_id::Collisions;
use crate::table::samples;

const INDEX: &str =
    r#"{"0": ["<a_2>", "<b_0>"], "2": ["<a_0>", "<b_3>"], "1": ["<a_2>", "<b_0>"], "4": ["<a_1>", "<b_1>"]}"#;

fn read(name: &str, text: &str, source: IdSource, how: &ForeignIds) -> Result<(TokenTable, ImportReport)> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, text).unwrap();
    how.read(&path, source)
}

fn index(text: &str, how: &ForeignIds) -> Result<(TokenTable, ImportReport)> {
    read("x.index.json", text, IdSource::IndexJson, how)
}

fn codes(rows: [[u16; 2]; 4]) -> Array2<u16> {
    Array2::from(rows.to_vec())
}

#[test]
fn an_index_keeps_every_id_and_problems_are_reported() {
    let (table, report) = index(INDEX, &ForeignIds::default()).unwrap();
    assert_eq!(table.item_ids, ItemIds::Integers(vec![0, 2, 1, 4]));
    assert_eq!(table.codes, codes([[2, 0], [0, 3], [2, 0], [1, 1]]));
    assert_eq!((table.semantic_id(1), table.metadata.policy), ("<a_0><b_3>".into(), Collisions::Keep));
    assert_eq!((report.items, report.distinct_ids, report.colliding_items), (4, 3, 2));
    let shared = SharedId { semantic_id: "<a_2><b_0>".into(), items: 2, examples: vec!["0".into(), "1".into()] };
    assert_eq!(report.shared_ids, [shared]);
    // Code 2 of the second level is unused, and item 3 is missing.
    assert_eq!((report.codebook_sizes, report.unused_codes, report.missing_numbers), (vec![3, 4], vec![0, 1], 1));
    // The table can be written and read again.
    let bytes = table.to_bytes().unwrap();
    assert_eq!(TokenTable::of_bytes(bytes).unwrap().codes, table.codes);
}

#[test]
fn every_format_gives_the_same_table() {
    let expected = index(INDEX, &ForeignIds::default()).unwrap().0;
    let info = "<a_2><b_0>\tInk\tred\t0\n<a_0><b_3>\tPen\t2\n<a_2><b_0>\t\t1\n<a_1><b_1>\tBox\t4\n";
    let csv = "item_id,codebook,index\n0,\"2,0\",1\n2,\"0,3\",1\n1,\"2,0\",2\n4,\"1,1\",1\n";
    let lines = "{\"id\": 0, \"sid\": [2, 0]}\n{\"id\": 2, \"sid\": [0, 3]}\n{\"id\": 1, \"sid\": [2, 0]}\n{\"id\": 4, \"sid\": [1, 1]}\n";
    let numbers = r#"{"0": [2, 0], "2": [0, 3], "1": [2, 0], "4": [1, 1]}"#;
    for (name, text, source) in [
        ("x.index.json", INDEX, IdSource::MiniOneRec),
        ("x.txt", info, IdSource::MiniOneRec),
        ("x.index.json", numbers, IdSource::IndexJson),
        ("part-0.csv", csv, IdSource::TorchEasyRec),
        ("x.csv", csv, IdSource::Codes),
        ("x.jsonl", lines, IdSource::Codes),
    ] {
        let (table, _) = read(name, text, source, &ForeignIds::default()).unwrap();
        assert_eq!((&table.item_ids, &table.codes), (&expected.item_ids, &expected.codes), "{name}");
    }
    let columns = ForeignIds { codes: Some(vec!["x".into(), "y".into()]), ..ForeignIds::default() };
    let (table, _) = read("x.csv", "id,x,y\n0,2,0\n2,0,3\n1,2,0\n4,1,1\n", IdSource::Codes, &columns).unwrap();
    assert_eq!(table.codes, expected.codes);
}

#[test]
fn torch_easy_rec_codebook_sizes_come_from_the_manifest() {
    let folder = tempfile::tempdir().unwrap();
    let tables = folder.path().join("v1/item_to_sid");
    fs::create_dir_all(&tables).unwrap();
    let list = |rows: [[i64; 2]; 2]| {
        let rows = rows.map(|row| Some(row.map(Some).to_vec()));
        std::sync::Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(rows)) as ArrayRef
    };
    for (part, ids, codes) in [(0, ["a", "b"], [[2, 0], [0, 3]]), (1, ["c", "d"], [[2, 0], [1, 1]])] {
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("item_id", std::sync::Arc::new(StringArray::from(ids.to_vec()))),
            ("origin_codebook", list([[7, 7], [7, 7]])),
            ("codebook", list(codes)),
            ("index", std::sync::Arc::new(Int64Array::from(vec![1, 1]))),
        ];
        samples::parquet(&tables.join(format!("part-{part}.parquet")), &[RecordBatch::try_from_iter(columns).unwrap()]);
    }
    fs::write(folder.path().join("v1/manifest.json"), r#"{"bundle_uuid": "x", "codebook": [8, 16], "capacity": 5}"#)
        .unwrap();
    for path in [folder.path().join("v1"), tables] {
        let (table, report) = ForeignIds::default().read(&path, IdSource::TorchEasyRec).unwrap();
        assert_eq!(table.codes, codes([[2, 0], [0, 3], [2, 0], [1, 1]]));
        assert_eq!((table.metadata.codebook_sizes, report.unused_codes), (vec![8, 16], vec![5, 13]));
    }
}

#[test]
fn a_matrix_may_have_a_row_per_item_or_per_level() {
    let folder = tempfile::tempdir().unwrap();
    let write = |shape: &str, numbers: &[u8]| {
        let path = folder.path().join("codes.npy");
        let header = format!("{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}\n");
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes.extend(numbers);
        fs::write(&path, bytes).unwrap();
        ForeignIds::default().read(&path, IdSource::Codes).unwrap().0
    };
    assert_eq!(write("(3, 2)", &[1, 2, 3, 4, 5, 6]).codes, array![[1, 2], [3, 4], [5, 6]]);
    let by_level: Vec<u8> = (0..20).collect();
    let table = write("(2, 10)", &by_level);
    assert_eq!((table.codes.dim(), table.codes.row(3).to_vec()), ((10, 2), vec![3, 13]));
    assert_eq!(table.item_ids, ItemIds::row_numbers(10));
}

#[test]
fn ragged_ids_are_refused_dropped_or_padded_and_unknown_tokens_refused_or_dropped() {
    let ragged = r#"{"x": ["<a_1>", "<b_1>"], "y": ["<a_1>", "<b_2>", "<c_1>"], "z": ["<a_0>", "<b_0>"]}"#;
    let with = |ragged: OddItems| ForeignIds { ragged, ..ForeignIds::default() };
    let refused = index(ragged, &with(OddItems::Refuse)).unwrap_err().to_string();
    assert!(
        refused.contains("2 levels") && refused.contains("3 of item y") && refused.contains("--ragged"),
        "{refused}"
    );
    let (table, report) = index(ragged, &with(OddItems::Drop)).unwrap();
    assert_eq!((table.codes, &report.ragged[..]), (array![[1, 1], [0, 0]], &["y".to_owned()][..]));
    assert_eq!((report.items_read, report.items, report.items_by_levels), (3, 2, [(2, 2), (3, 1)].into()));
    let (table, report) = index(ragged, &with(OddItems::Pad)).unwrap();
    assert_eq!((table.codes, report.padded), (array![[1, 1, 0], [1, 2, 1], [0, 0, 0]], 2));

    let unknown = r#"{"x": ["<a_1>", "<b_1>"], "y": ["<a_1>", "<pad>"]}"#;
    let refused = index(unknown, &ForeignIds::default()).unwrap_err().to_string();
    assert!(refused.contains("\"<pad>\" at level 1 of item \"y\"") && refused.contains("--unknown drop"), "{refused}");
    let (table, report) = index(unknown, &ForeignIds { drop_unknown: true, ..ForeignIds::default() }).unwrap();
    let token = UnknownToken { item_id: "y".into(), level: 1, token: "<pad>".into() };
    assert_eq!((table.codes.nrows(), report.items_with_unknown_tokens, report.unknown_tokens), (1, 1, vec![token]));
}

#[test]
fn invalid_files_are_refused() {
    let sizes = |sizes: &[usize]| ForeignIds { codebook_sizes: Some(sizes.to_vec()), ..ForeignIds::default() };
    for (text, how, says) in [
        ("[]", ForeignIds::default(), "a JSON object"),
        ("{}", ForeignIds::default(), "at least one item"),
        (r#"{"x": 7}"#, ForeignIds::default(), "instead of a list of tokens"),
        (r#"{"x": []}"#, ForeignIds::default(), "at least one code"),
        (r#"{"": ["<a_1>"]}"#, ForeignIds::default(), "an id for every item"),
        (r#"{"x": ["<a_1>"], "x": ["<a_2>"]}"#, ForeignIds::default(), "\"x\" as items 1 and 2"),
        (r#"{"x": ["<a_1>", "<b_8>"]}"#, sizes(&[8]), "codes below 8 at level 1"),
        (r#"{"x": ["<a_1>"]}"#, sizes(&[8, 8]), "2 sizes for 1 levels"),
        (r#"{"x": ["<a_1>"]"#, ForeignIds::default(), "EOF"),
    ] {
        let refused = index(text, &how).unwrap_err().to_string();
        assert!(refused.contains(says), "{text}: {refused}");
    }
    assert_eq!(index(INDEX, &sizes(&[256])).unwrap().0.metadata.codebook_sizes, [256, 256]);
    let no_tab = read("x.txt", "<a_1><b_2> Pen 7\n", IdSource::MiniOneRec, &ForeignIds::default());
    assert!(no_tab.unwrap_err().to_string().contains("no tab in line 1"));
    assert!("letters".parse::<IdSource>().is_err() && "pads".parse::<OddItems>().is_err());
    assert!(ForeignIds::default().read(Path::new("nothing.json"), IdSource::IndexJson).is_err());
}
