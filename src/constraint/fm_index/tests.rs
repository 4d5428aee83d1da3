//! The index against a linear search through the documents.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::artifact::Overwrite;
use crate::error::Error;

fn documents() -> impl Strategy<Value = Vec<Document>> {
    (1usize..4, 1usize..4).prop_flat_map(|(facets, letters)| {
        let tokens = [7, 0, u32::MAX, 128_256];
        let token = prop::sample::select(tokens[..=letters].to_vec());
        let facet = prop::collection::vec(token, 0..if letters == 1 { 40 } else { 12 });
        let document = prop::collection::vec(facet, facets).prop_filter("a token", |d| d.iter().any(|f| !f.is_empty()));
        prop::collection::vec(document.prop_map(|facets| Document { facets }), 1..12)
    })
}

/// Every position of a pattern, by linear search.
fn positions(documents: &[Document], pattern: &[u32]) -> Vec<FmPosition> {
    let mut found = Vec::new();
    for (item, document) in documents.iter().enumerate() {
        let joined = document.facets.concat();
        for at in 0..=joined.len() {
            if joined[at..].starts_with(pattern) {
                let mut begins = vec![0];
                document.facets.iter().for_each(|facet| begins.push(begins.last().unwrap() + facet.len()));
                let facet = begins[..document.facets.len()].iter().rposition(|&begin| begin <= at).unwrap();
                found.push(FmPosition { item, facet, offset: at - begins[facet] });
            }
        }
    }
    found
}

/// The continuations of a pattern, by linear search.
fn next(documents: &[Document], pattern: &[u32]) -> FragmentContinuations {
    let (mut counts, mut ends) = (BTreeMap::new(), 0);
    for document in documents {
        let joined = document.facets.concat();
        for at in (0..=joined.len()).filter(|&at| joined[at..].starts_with(pattern)) {
            match joined.get(at + pattern.len()) {
                Some(&token) => *counts.entry(token).or_insert(0) += 1,
                None => ends += 1,
            }
        }
    }
    FragmentContinuations { tokens: counts.keys().copied().collect(), counts: counts.into_values().collect(), ends }
}

fn check(index: &FmIndex, documents: &[Document], pattern: &[u32], found: Occurrences) {
    assert_eq!(found, index.range(pattern));
    let expected = positions(documents, pattern);
    assert_eq!(index.count(pattern), expected.len(), "{pattern:?}");
    assert_eq!((found.count(), found.length()), (expected.len(), pattern.len()), "{pattern:?}");
    let mut located: Vec<FmPosition> = index.locate(found).collect();
    located.sort_unstable();
    assert_eq!(located, expected, "{pattern:?}");
    let items: BTreeSet<usize> = expected.iter().map(|position| position.item).collect();
    assert_eq!(index.items(found), items.into_iter().collect::<Vec<_>>());
    assert_eq!(index.continuations(found), next(documents, pattern), "{pattern:?}");
}

proptest! {
    #[test]
    fn the_index_agrees_with_a_linear_search(documents in documents(), strange in prop::collection::vec(0u32..9, 1..4)) {
        let index = FmIndex::new(documents.clone()).unwrap();
        prop_assert_eq!((index.len(), index.facets()), (documents.len(), documents[0].facets.len()));
        check(&index, &documents, &[], index.anywhere());
        check(&index, &documents, &strange, index.range(&strange));
        for (item, document) in documents.iter().enumerate() {
            prop_assert_eq!(index.document(item), Some(document.clone()));
            // All fragments from one position, extended token by token, and extensions by another token.
            let joined = document.facets.concat();
            let from = item * 3 % joined.len();
            let mut found = index.anywhere();
            for to in from..joined.len() {
                found = index.extend(found, joined[to]);
                check(&index, &documents, &joined[from..=to], found);
                check(&index, &documents, &[&joined[from..=to], &[7]].concat(), index.extend(found, 7));
            }
        }
        prop_assert_eq!(index.document(documents.len()), None);
    }

    #[test]
    fn from_the_start_of_items_the_index_is_a_trie(documents in documents()) {
        let index = FmIndex::new(documents.clone()).unwrap();
        let all: Vec<Vec<u32>> = documents.iter().map(|document| document.facets.concat()).collect();
        prop_assert_eq!(index.items(index.beginnings()), (0..all.len()).collect::<Vec<_>>());
        for identifier in &all {
            let mut found = index.beginnings();
            for to in 0..=identifier.len() {
                let same = all.iter().filter(|other| other.starts_with(&identifier[..to]));
                let expected: BTreeSet<u32> = same.clone().filter_map(|other| other.get(to).copied()).collect();
                prop_assert_eq!(found.count(), same.count());
                prop_assert_eq!(index.continuations(found).tokens, expected.into_iter().collect::<Vec<_>>());
                prop_assert!(index.locate(found).all(|position| position.offset == 0));
                if let Some(&token) = identifier.get(to) {
                    found = index.extend(found, token);
                }
            }
        }
    }
}

fn titles() -> Vec<Document> {
    (0..400u32)
        .map(|item| Document {
            facets: vec![vec![item], (0..70).map(|at| 1_000 + (item * at) % 97).collect(), vec![9]],
        })
        .collect()
}

#[test]
fn a_mapped_index_equals_the_saved_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("items.fm");
    let index = FmIndex::new(titles()).unwrap();
    index.save(&path, Overwrite::Refuse).unwrap();
    assert!(matches!(index.save(&path, Overwrite::Refuse), Err(Error::OutputExists { .. })));
    let mapped = FmIndex::load(&path).unwrap();
    assert_eq!(mapped.buffer.bytes()[..mapped.layout.end], *index.buffer.bytes());
    check(&mapped, &titles(), &[1_002, 1_004], mapped.range(&[1_002, 1_004]));
    assert_eq!(mapped.document(399), titles().pop());
    assert_eq!(mapped.tokens(), index.tokens());
}

#[test]
fn every_modified_byte_and_every_truncation_is_detected() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("items.fm");
    let items = [[vec![1], vec![5, 6]], [vec![2], vec![6, 6, 8]]].map(|facets| Document { facets: facets.into() });
    FmIndex::new(items).unwrap().save(&path, Overwrite::Refuse).unwrap();
    let whole = std::fs::read(&path).unwrap();
    let load = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        FmIndex::load(&path).map(|_| ())
    };
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 4;
        assert!(matches!(load(&bytes), Err(Error::Artifact { .. })), "byte {at}");
        assert!(load(&whole[..at]).is_err(), "cut at {at}");
    }
    load(&whole).unwrap();
    let trie = crate::constraint::Trie::new(ndarray::array![[1u16, 2]].view()).unwrap();
    trie.save(&path, Overwrite::Replace).unwrap();
    let error = FmIndex::load(&path).unwrap_err().to_string();
    assert!(error.contains("expected an FM-index of identifiers"), "{error}");
}

#[test]
fn invalid_documents_are_refused_with_their_number() {
    let index = |facets: Vec<Vec<Vec<u32>>>| {
        FmIndex::new(facets.into_iter().map(|facets| Document { facets })).unwrap_err().to_string()
    };
    assert!(index(vec![]).contains("expected at least one item"));
    assert!(
        index(vec![vec![vec![1], vec![]], vec![vec![1]]])
            .contains("expected 2 facets per item, as in the first, got 1 at item 2")
    );
    assert!(index(vec![vec![vec![1]], vec![vec![]]]).contains("none at item 2"));
    assert!(index(vec![vec![]]).contains("none at item 1"));
}

#[test]
fn occurrences_of_another_index_do_not_panic() {
    let small = FmIndex::new([Document { facets: vec![vec![1_001]] }]).unwrap();
    let large = FmIndex::new(titles()).unwrap();
    for found in [large.anywhere(), large.range(&[1_000]), large.range(&[1_000; 40])] {
        assert!(small.locate(found).len() <= 2);
        small.locate(found).for_each(drop);
        small.continuations(found);
        small.extend(found, 1_001);
    }
}

#[test]
fn a_vocabulary_of_300_000_tokens_is_indexed() {
    let items: Vec<Document> =
        (0..50_000u32).map(|item| Document { facets: vec![(0..6).map(|at| item * 6 + at).collect()] }).collect();
    let index = FmIndex::new(items).unwrap();
    assert_eq!(index.tokens().len(), 300_000);
    let found = index.range(&[299_997, 299_998]);
    assert_eq!(index.locate(found).collect::<Vec<_>>(), [FmPosition { item: 49_999, facet: 0, offset: 3 }]);
    assert_eq!(index.continuations(found), FragmentContinuations { tokens: vec![299_999], counts: vec![1], ends: 0 });
    assert_eq!(index.continuations(index.anywhere()).tokens.len(), 300_000);
    assert_eq!(index.continuations(index.anywhere()).ends, 50_000);
}

/// The documents of a loaded index.
fn documents_of(index: &FmIndex) -> Vec<Document> {
    (0..index.len()).map(|item| index.document(item).unwrap()).collect()
}

#[test]
fn damaged_arrays_with_a_correct_checksum_are_refused_or_form_an_index() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("items.fm");
    let items = || (0..60u32).map(|item| Document { facets: vec![vec![item], vec![1_000 + item % 7; 40], vec![9]] });
    let index = FmIndex::new(items()).unwrap();
    index.save(&path, Overwrite::Refuse).unwrap();
    let whole = std::fs::read(&path).unwrap();
    let body = whole.len() - 64;
    let mut random = 7u64;
    let mut next = move |below: usize| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) as usize % below
    };
    let load = |change: &dyn Fn(&mut [u8])| {
        let mut bytes = whole[..body].to_vec();
        change(&mut bytes);
        bytes.extend(crate::artifact::sha256(&bytes).as_bytes());
        std::fs::write(&path, &bytes).unwrap();
        FmIndex::load(&path)
    };
    // The marks of the samples. Without them, a search would not end.
    let (from, to) = (index.layout.sampled_words.clone(), index.layout.sampled_directory.clone());
    let marks = |bytes: &mut [u8]| bytes[from.bytes().start..to.bytes().end].fill(0);
    assert!(load(&marks).unwrap_err().to_string().contains("marks"));
    let mut accepted = 0;
    for round in 0..1_200 {
        let (at, byte, length) = (next(body - 16), next(256) as u8, 1 + next(4));
        let change = |bytes: &mut [u8]| match round % 3 {
            0 => bytes[at] = byte,
            1 => bytes[at..at + length].fill(byte),
            _ => bytes.swap(at, at + 4 * length - 3),
        };
        let Ok(loaded) = load(&change) else { continue };
        accepted += 1;
        let documents = documents_of(&loaded);
        let again = FmIndex::new(documents.clone()).unwrap();
        for document in documents.iter().step_by(7) {
            let tokens = document.facets.concat();
            for pattern in [&tokens[..1], &tokens[1..4], &tokens[..]] {
                let (one, other) = (loaded.range(pattern), again.range(pattern));
                assert_eq!((one, loaded.continuations(one)), (other, again.continuations(other)));
                assert_eq!(loaded.items(one), again.items(other));
            }
        }
    }
    assert!(accepted < 700, "{accepted}");
}

/// `cargo test --release -- --ignored --nocapture time_of_a_load`
#[test]
#[ignore = "a measurement"]
fn time_of_a_load() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("items.fm");
    let items = (0..200_000u32)
        .map(|item| Document { facets: vec![(0..20).map(|at| item.wrapping_mul(7919 + at) % 50_000).collect()] });
    FmIndex::new(items).unwrap().save(&path, Overwrite::Refuse).unwrap();
    for _ in 0..3 {
        let start = std::time::Instant::now();
        drop(super::layout::FORMAT.map(&path).unwrap());
        let hashed = start.elapsed();
        let start = std::time::Instant::now();
        FmIndex::load(&path).unwrap();
        println!("hash alone {hashed:?}, load {:?}", start.elapsed());
    }
}
