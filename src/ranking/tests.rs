use std::collections::{HashMap, HashSet};

use arrow::array::{Array, AsArray};
use arrow::datatypes::{Int32Type, Int64Type};
use ndarray::Array2;
use proptest::prelude::*;

use super::prefix_ids::prefix_hash;
use super::*;
use crate::artifact::Overwrite;
use crate::error::Error;
use crate::item_ids::ItemIds;
use crate::progress::Silent;
use crate::semantic_id::{Collisions, TableMetadata, TokenFormat, TokenTable};

const SIZES: [usize; 4] = [4, 5, 3, 6];

fn table_of(codes: Array2<u16>, sizes: &[usize], policy: Collisions) -> TokenTable {
    let rows = codes.nrows();
    TokenTable {
        members: None,
        item_ids: ItemIds::row_numbers(rows),
        codes,
        residual_error: vec![0.0; rows],
        reassigned: vec![false; rows],
        metadata: TableMetadata {
            model_hash: "m".into(),
            codebook_sizes: sizes.to_vec(),
            token_format: TokenFormat::default(),
            policy,
            collisions: None,
        },
    }
}

fn codes_of(rows: &[Vec<u16>]) -> Array2<u16> {
    Array2::from_shape_fn((rows.len(), SIZES.len()), |(row, level)| rows[row][level])
}

fn any_codes() -> impl Strategy<Value = Vec<u16>> {
    (0u16..4, 0u16..5, 0u16..3, 0u16..6).prop_map(|(a, b, c, d)| vec![a, b, c, d])
}

fn ids(codes: &[u16], table_size: Option<u64>) -> Vec<i64> {
    PrefixIds::new(&SIZES, table_size).unwrap().ids(codes).collect()
}

fn trained(rows: &[Vec<u16>], weights: &[u64], pieces: usize) -> SubwordVocabulary {
    train_subwords(codes_of(rows).view(), weights, &SIZES, "m", pieces, &Silent).unwrap()
}

fn pieces_of(vocabulary: &SubwordVocabulary, codes: &[u16]) -> Vec<i32> {
    let mut pieces = Vec::new();
    vocabulary.segment(codes, &mut pieces);
    pieces
}

/// The numbers were computed by a Python program that follows docs/formats.md.
#[test]
fn hashes_are_those_of_the_specification() {
    let cases: [(&[u16], u64, i64); 5] = [
        (&[0], 6_791_897_765_849_424_158, 253_507),
        (&[1], 16_860_738_450_190_168_606, 564_228),
        (&[0, 0], 1_825_907_084_063_272_085, 453_011),
        (&[12, 203, 7, 91], 8_856_671_218_843_541_116, 594_389),
        (&[65_535; 8], 9_816_038_909_623_412_483, 27_698),
    ];
    for (codes, hash, id) in cases {
        assert_eq!(prefix_hash(codes), hash, "{codes:?}");
        let ids = PrefixIds::new(&[1 << 24; 8][..codes.len()], Some(1_000_003)).unwrap();
        assert_eq!(ids.ids(codes).last(), Some(id), "{codes:?}");
    }
}

#[test]
fn exact_ids_are_mixed_radix_and_need_a_table_size_above_63_bits() {
    assert_eq!(ids(&[1, 2, 1, 5], None), [1, 7, 22, 137]);
    assert_eq!(PrefixIds::new(&SIZES, None).unwrap().cardinality(4), 360);
    // Depths with at most as many prefixes as the table has ids stay exact.
    let mixed = PrefixIds::new(&SIZES, Some(60)).unwrap();
    assert_eq!(
        [1, 2, 3, 4].map(|depth| (mixed.cardinality(depth), mixed.hashed(depth))),
        [(4, false), (20, false), (60, false), (60, true)]
    );
    let largest = PrefixIds::new(&[256; 7], None).unwrap();
    assert_eq!(largest.ids(&[255; 7]).last(), Some((1 << 56) - 1));
    let refused = PrefixIds::new(&[256; 8], None).unwrap_err().to_string();
    assert!(refused.contains("table-size") && refused.contains("8 codes"), "{refused}");
    for size in [0, 1, 1 << 63, u64::MAX] {
        let refused = PrefixIds::new(&[65_536; 8], Some(size)).unwrap_err().to_string();
        assert!(refused.contains("expected from 2 to 9223372036854775807"), "{refused}");
    }
    assert!(PrefixIds::new(&[8, 0], None).is_err());
    let largest = PrefixIds::new(&[65_536; 8], Some(i64::MAX as u64)).unwrap();
    assert_eq!(
        [3, 4].map(|depth| (largest.cardinality(depth), largest.hashed(depth))),
        [(1 << 48, false), (i64::MAX as u64, true)]
    );
    assert!(largest.ids(&[65_535; 8]).all(|id| id >= 0));
    assert!(PrefixIds::new(&[65_536; 8], Some(100)).unwrap().ids(&[9; 8]).all(|id| (0..65_536).contains(&id)));
}

#[test]
fn heaviest_pairs_are_merged_first_and_ties_go_to_lower_ids() {
    let rows = [vec![0, 0, 0, 0], vec![0, 0, 1, 1], vec![1, 1, 2, 2], vec![1, 1, 2, 3]];
    // Codes of the levels start at 0, 4, 9 and 12.
    let vocabulary = trained(&rows, &[1; 4], 21);
    assert_eq!(vocabulary.merges, [[0, 4], [1, 5], [19, 11]], "the pairs (1, 5), (5, 11) and (0, 4) have weight 2");
    let heavy = trained(&rows, &[1, 1, 1, 5], 19);
    assert_eq!(heavy.merges, [[1, 5]]);
    let whole = trained(&rows, &[1, 1, 1, 5], 100);
    assert!(whole.pieces() < 100 && whole.requested() == 100, "pairs of one item with weight 1 are not merged");
    assert_eq!(pieces_of(&whole, &rows[3]).len(), 1, "a popular item becomes one piece");
    assert_eq!(pieces_of(&whole, &[3, 4, 0, 5]), [3, 8, 9, 17], "an unknown ID becomes single codes");
    let few = train_subwords(codes_of(&rows).view(), &[1; 4], &SIZES, "m", 18, &Silent).unwrap_err();
    assert!(few.to_string().contains("more than 18"), "{few}");
}

#[test]
fn vocabularies_round_trip_and_changed_or_foreign_files_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("subwords.json");
    let rows = [vec![0, 0, 0, 0], vec![0, 0, 0, 1]];
    let vocabulary = trained(&rows, &[3, 1], 30);
    let hash = vocabulary.write(&path, Overwrite::Refuse).unwrap();
    assert_eq!(SubwordVocabulary::read(&path).unwrap(), (vocabulary.clone(), hash));
    assert!(matches!(vocabulary.write(&path, Overwrite::Refuse), Err(Error::OutputExists { .. })));
    let refused = vocabulary.check_sizes(&[4, 5, 3, 7]).unwrap_err().to_string();
    assert!(refused.contains("[4, 5, 3, 7]") && refused.contains("[4, 5, 3, 6]"), "{refused}");
    let whole = std::fs::read(&path).unwrap();
    for at in 0..whole.len() {
        let mut changed = whole.clone();
        changed[at] ^= 1;
        std::fs::write(&path, changed).unwrap();
        assert!(SubwordVocabulary::read(&path).is_err(), "byte {at}");
    }
    let reseal = |key: &str, value: serde_json::Value| {
        let mut content: serde_json::Value = serde_json::from_slice(&whole).unwrap();
        content[key] = value;
        std::fs::write(&path, crate::artifact::seal::to_json(&content).unwrap()).unwrap();
        SubwordVocabulary::read(&path).unwrap_err().to_string()
    };
    let cases = [
        ("format_version", serde_json::json!(2), "format version 1"),
        ("kind", serde_json::json!("other"), "kind subword-vocabulary"),
        ("codebook_sizes", serde_json::json!([]), "codebooks"),
        ("pieces", serde_json::json!(3), "pieces"),
        ("merges", serde_json::json!([[0, 4], [18, 9], [19, 99]]), "two pieces below 20 of adjacent levels"),
        ("merges", serde_json::json!([[0, 4], [0, 9], [19, 12]]), "adjacent levels as merge 1"),
        ("merges", serde_json::json!([[0, 4], [0, 4], [19, 12]]), "not merged before as merge 1"),
    ];
    for (key, value, expected) in cases {
        let refused = reseal(key, value);
        assert!(refused.contains(expected), "{key}: {refused}");
    }
}

#[test]
fn a_suffix_level_is_left_out() {
    let codes = codes_of(&[vec![1, 2, 1, 0], vec![1, 2, 1, 1]]);
    let table = table_of(codes, &[4, 5, 3, 2], Collisions::Suffix);
    let prefixes = PrefixIds::new(&[4, 5, 3], None).unwrap();
    let forms = [RankingForm::Levels, RankingForm::PrefixNgrams];
    let features = RankingFeatures { table: &table, forms: &forms, prefixes: &prefixes, subwords: None };
    let names: Vec<String> = features.columns().into_iter().map(|column| column.name).collect();
    assert_eq!(names, ["level_0", "level_1", "level_2", "prefix_1", "prefix_2", "prefix_3"]);
    let batch = features.batch(0..2).unwrap();
    assert_eq!(batch.column(6).as_primitive::<Int64Type>().values(), &[22, 22]);
}

proptest! {
    #[test]
    fn ids_depend_on_codes_only_and_collide_only_when_hashed(
        rows in prop::collection::vec(any_codes(), 1..60), table_size in prop::option::of(2u64..400),
    ) {
        let prefixes = PrefixIds::new(&SIZES, table_size).unwrap();
        let mut prefix_of: HashMap<(usize, i64), HashSet<Vec<u16>>> = HashMap::new();
        for codes in &rows {
            let found: Vec<i64> = prefixes.ids(codes).collect();
            for (at, &id) in found.iter().enumerate() {
                prop_assert!((0..prefixes.cardinality(at + 1) as i64).contains(&id));
                // The id of a prefix does not depend on the codes after it.
                prop_assert_eq!(prefixes.ids(&codes[..=at]).last(), Some(id));
                prefix_of.entry((at + 1, id)).or_default().insert(codes[..=at].to_vec());
            }
        }
        for ((depth, _), found) in prefix_of {
            prop_assert!(found.len() == 1 || prefixes.hashed(depth), "{:?}", found);
        }
    }

    #[test]
    fn pieces_join_to_the_codes_and_stay_when_items_are_added(
        rows in prop::collection::vec(any_codes(), 1..60), weights in prop::collection::vec(1u64..20, 60),
        pieces in 19usize..60, new in prop::collection::vec(any_codes(), 1..20),
    ) {
        let vocabulary = trained(&rows, &weights, pieces);
        prop_assert!(vocabulary.pieces() <= pieces);
        for codes in rows.iter().chain(&new) {
            let mut joined = Vec::new();
            for piece in pieces_of(&vocabulary, codes) {
                prop_assert!((0..vocabulary.pieces() as i32).contains(&piece));
                let (level, of_piece) = vocabulary.codes(piece as u32);
                prop_assert_eq!(level, joined.len());
                joined.extend(of_piece);
            }
            prop_assert_eq!(&joined, codes);
        }
        // The features of the first items are the same in a table with more items.
        let prefixes = PrefixIds::new(&SIZES, Some(50)).unwrap();
        let forms = [RankingForm::Levels, RankingForm::PrefixNgrams, RankingForm::Subwords];
        let batch = |rows: &[Vec<u16>], n| {
            let table = table_of(codes_of(rows), &SIZES, Collisions::Keep);
            RankingFeatures { table: &table, forms: &forms, prefixes: &prefixes, subwords: Some((&vocabulary, "h")) }
                .batch(0..n).unwrap()
        };
        let (before, after) = (batch(&rows, rows.len()), batch(&[&rows[..], &new[..]].concat(), rows.len()));
        prop_assert_eq!(&before, &after);
        let (levels, lists) = (before.column(1).as_primitive::<Int32Type>(), before.column(9).as_list::<i32>());
        for (row, codes) in rows.iter().enumerate() {
            prop_assert_eq!(levels.value(row), i32::from(codes[0]));
            let pieces = lists.value(row);
            prop_assert_eq!(pieces.as_primitive::<Int32Type>().values(), &pieces_of(&vocabulary, codes)[..]);
            prop_assert_eq!(pieces.null_count(), 0);
        }
    }

    /// Training and segmentation agree: the merged pieces of the training items are those of `segment`.
    #[test]
    fn weights_of_pairs_are_those_of_the_segmented_items(
        rows in prop::collection::vec(any_codes(), 1..40), weights in prop::collection::vec(1u64..20, 40),
    ) {
        let whole = trained(&rows, &weights, 60);
        for number in 0..whole.merges.len() {
            // Before a merge, its pair has the largest weight among the pairs of the segmented items.
            let before = SubwordVocabulary::new("m".into(), SIZES.to_vec(), 60, whole.merges[..number].to_vec()).unwrap();
            let mut weight_of: HashMap<[u32; 2], u64> = HashMap::new();
            for (codes, weight) in rows.iter().zip(&weights) {
                for pair in pieces_of(&before, codes).windows(2) {
                    *weight_of.entry([pair[0] as u32, pair[1] as u32]).or_default() += weight;
                }
            }
            let best = weight_of.iter().max_by_key(|&(pair, weight)| (*weight, std::cmp::Reverse(*pair)));
            prop_assert_eq!(best.map(|(pair, _)| *pair), Some(whole.merges[number]));
        }
    }
}
