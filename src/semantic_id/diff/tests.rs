//! Small tables whose differences are known.

use super::*;
use crate::item_ids::ItemIds;
use crate::progress::Silent;
use crate::semantic_id::{Collisions, TableMetadata, TokenFormat, TokenTable};
use ndarray::Array2;

fn table(ids: &[&str], codes: &[&[u16]]) -> CompactTable {
    let levels = codes[0].len();
    let item_ids = match ids.iter().map(|id| id.parse()).collect() {
        Ok(numbers) => ItemIds::Integers(numbers),
        Err(_) => ItemIds::Strings(ids.iter().map(|&id| id.to_owned()).collect()),
    };
    CompactTable::of_table(&TokenTable {
        members: None,
        item_ids,
        codes: Array2::from_shape_vec((ids.len(), levels), codes.concat()).unwrap(),
        residual_error: vec![0.0; ids.len()],
        reassigned: vec![false; ids.len()],
        metadata: TableMetadata {
            model_hash: String::new(),
            codebook_sizes: vec![4; levels],
            token_format: TokenFormat::default(),
            policy: Collisions::Keep,
            collisions: None,
        },
    })
}

fn diff(before: &CompactTable, after: &CompactTable) -> TableDiff {
    TableDiff::of(before, after, 3, &Silent).unwrap()
}

#[test]
fn item_ids_that_need_too_much_memory_are_refused() {
    let long = "x".repeat(70 << 20);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.parquet");
    let table = TokenTable {
        members: None,
        item_ids: ItemIds::Strings(vec![long]),
        codes: Array2::zeros((1, 2)),
        residual_error: vec![0.0],
        reassigned: vec![false],
        metadata: table(&["a"], &[&[0, 0]]).metadata,
    };
    table.write(&path, crate::artifact::Overwrite::Refuse).unwrap();
    let error = CompactTable::read(&path).unwrap_err().to_string();
    assert!(error.contains("a page that decompresses to at most"), "{error}");
}

#[test]
fn added_removed_and_moved_items_and_reused_ids() {
    let before = table(&["a", "b", "c", "d"], &[&[0, 0], &[0, 1], &[1, 0], &[2, 2]]);
    // Rows in another order; a's ID was reused for e, b moved within its prefix, and d was removed.
    let after = table(&["c", "e", "a", "b"], &[&[1, 0], &[0, 0], &[3, 3], &[0, 2]]);
    let diff = diff(&before, &after);
    assert_eq!([diff.added, diff.removed, diff.common, diff.same, diff.moved, diff.reused_ids], [1, 1, 3, 1, 2, 1]);
    let shown = |item: &DiffItem| (item.item_id.clone(), item.before.clone(), item.after.clone());
    let id = |text: &str| Some(text.to_owned());
    assert_eq!(shown(&diff.examples.reused[0]), ("e".into(), None, id("<a_0><b_0>")));
    assert_eq!(shown(&diff.examples.removed[0]), ("d".into(), id("<a_2><b_2>"), None));
    assert_eq!(diff.examples.added, diff.examples.reused);
    assert_eq!(diff.levels[0].same, 2.0 / 3.0);
    let depths: Vec<f64> = diff.prefixes.iter().map(|prefix| prefix.same).collect();
    assert_eq!(depths, [2.0 / 3.0, 1.0 / 3.0]);
    // a and b shared their first code and no longer do.
    assert_eq!(diff.prefixes[0].neighbours_kept, Some(0.0));
    assert_eq!((diff.prefixes[0].prefixes_before, diff.prefixes[1].prefixes_after), (2, 3));
}

#[test]
fn renaming_all_codes_explains_all_moves() {
    let codes: Vec<[u16; 2]> = (0..16).map(|i| [i / 4, i % 4]).collect();
    let other: Vec<[u16; 2]> = codes.iter().map(|c| [(c[0] + 1) % 4, (c[1] + 3) % 4]).collect();
    let ids: Vec<String> = (0..16).map(|i| i.to_string()).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let lists = |codes: &[[u16; 2]]| table(&ids, &codes.iter().map(|c| &c[..]).collect::<Vec<_>>());
    let mut diff = diff(&lists(&codes), &lists(&other));
    assert_eq!((diff.same, diff.moved, diff.renamed, diff.reused_ids), (0, 16, 16, 16));
    let first = diff.levels.remove(0);
    assert_eq!((first.same, first.same_after_renaming, first.moves_explained), (0.0, 1.0, Some(1.0)));
    assert_eq!((first.renamed_codes, first.renamings.len(), first.codes_left), (4, 3, 0));
    let renaming = &first.renamings[0];
    assert_eq!((&*renaming.before, &*renaming.after, renaming.items), ("<a_0>", "<a_1>", 4));
    assert_eq!((diff.prefixes[0].neighbours_kept, diff.prefixes[1].same_after_renaming), (Some(1.0), 1.0));
    assert!(diff.examples.moved.is_empty() && diff.examples.renamed.len() == 3);
}

#[test]
fn integer_and_text_ids_match_and_a_suffix_changes_the_semantic_id() {
    let before = table(&["7", "8"], &[&[0, 0], &[1, 1]]);
    let after = table(&["8", "x", "7"], &[&[1, 1, 0], &[2, 2, 0], &[0, 0, 0]]);
    let diff = diff(&before, &after);
    assert_eq!((diff.common, diff.added, diff.same, diff.moved, diff.renamed), (2, 1, 0, 2, 0));
    assert_eq!((diff.levels.len(), diff.prefixes[1].same), (2, 1.0));
}

#[test]
fn disjoint_tables_are_compared_and_duplicate_ids_are_refused() {
    let nothing = diff(&table(&["a"], &[&[0]]), &table(&["b"], &[&[0]]));
    assert_eq!((nothing.common, nothing.levels[0].moves_explained, nothing.reused_ids), (0, None, 1));
    let twice = TableDiff::of(&table(&["a", "a"], &[&[0], &[1]]), &table(&["b"], &[&[0]]), 1, &Silent);
    assert!(twice.unwrap_err().to_string().contains("a in rows 1 and 2"));
}

#[test]
fn a_table_read_from_a_file_equals_the_table_in_memory() {
    let folder = tempfile::tempdir().unwrap();
    for ids in [&["a", "bb", ""][..2], &["7", "-9"]] {
        let table = table(ids, &[&[0, 3], &[1, 2]]);
        let path = folder.path().join("t.parquet");
        let item_ids = match ids[0] {
            "a" => ItemIds::Strings(ids.iter().map(|&id| id.to_owned()).collect()),
            _ => ItemIds::Integers(vec![7, -9]),
        };
        let whole = TokenTable {
            members: None,
            item_ids,
            codes: ndarray::array![[0, 3], [1, 2]],
            residual_error: vec![0.0; 2],
            reassigned: vec![false; 2],
            metadata: table.metadata.clone(),
        };
        whole.write(&path, crate::artifact::Overwrite::Replace).unwrap();
        let read = CompactTable::read(&path).unwrap();
        assert_eq!((read.id(1), read.codes(1), read.len()), (ids[1].to_owned(), table.codes(1), 2));
        assert_eq!(diff(&read, &table).same, 2);
        let mut bytes = std::fs::read(&path).unwrap();
        let middle = bytes.len() / 3;
        bytes[middle] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        assert!(CompactTable::read(&path).is_err());
    }
}
