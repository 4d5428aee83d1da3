//! The FM-index compared with that of TransRec, on identifiers in TransRec's format.

use std::fs;

use catalex::constraint::{Document, FmIndex};
use catalex::vocabulary::{FacetTokenizer, trans_rec};
use serde::Deserialize;

use super::support::root;

/// See the README next to the file.
#[derive(Deserialize)]
struct Golden {
    items: Vec<Item>,
    texts: Vec<String>,
    documents: Vec<Vec<u32>>,
    answers: Vec<Answer>,
}

#[derive(Deserialize)]
struct Item {
    id: String,
    attributes: Vec<String>,
    title: String,
}

#[derive(Deserialize)]
struct Answer {
    pattern: Vec<u32>,
    count: usize,
    continuations: Vec<(u32, u32)>,
    documents: Vec<usize>,
}

fn golden() -> Golden {
    let path = root().join("tests/golden/fm_index/answers.json");
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// The items' facets by the tokenizer, the last of them ended.
fn documents(golden: &Golden) -> Vec<Document> {
    let tokenizer = FacetTokenizer::load(&root().join("tests/golden/fm_index")).unwrap();
    let end = tokenizer.token_id("</s>").unwrap();
    let document = |item: &Item| {
        let attributes: Vec<&str> = item.attributes.iter().map(String::as_str).collect();
        let mut facets = tokenizer.tokenize(&trans_rec(&item.id, &attributes, &item.title)).unwrap();
        facets.last_mut().unwrap().push(end);
        Document { facets }
    };
    golden.items.iter().map(document).collect()
}

#[test]
fn identifiers_are_those_of_trans_rec() {
    let golden = golden();
    let documents = documents(&golden);
    assert_eq!(documents.len(), golden.documents.len());
    for (((item, text), document), expected) in
        golden.items.iter().zip(&golden.texts).zip(&documents).zip(&golden.documents)
    {
        let attributes: Vec<&str> = item.attributes.iter().map(String::as_str).collect();
        assert_eq!(trans_rec(&item.id, &attributes, &item.title).concat(), format!(" {text}"));
        assert_eq!(document.facets.concat(), *expected, "{text}");
    }
}

#[test]
fn answers_equal_those_of_trans_rec() {
    let golden = golden();
    let index = FmIndex::new(documents(&golden)).unwrap();
    let mut found_any = 0;
    for answer in &golden.answers {
        let found = index.range(&answer.pattern);
        assert_eq!(found.count(), answer.count, "{:?}", answer.pattern);
        let next = index.continuations(found);
        let next: Vec<(u32, u32)> = next.tokens.into_iter().zip(next.counts).collect();
        assert_eq!(next, answer.continuations, "{:?}", answer.pattern);
        assert_eq!(index.items(found), answer.documents, "{:?}", answer.pattern);
        found_any += usize::from(answer.count > 0);
    }
    assert!(found_any > 250 && found_any < golden.answers.len());
}

#[test]
fn a_facet_is_generated_between_its_marks() {
    let golden = golden();
    let index = FmIndex::new(documents(&golden)).unwrap();
    let tokenizer = FacetTokenizer::load(&root().join("tests/golden/fm_index")).unwrap();
    let mark = |text: &str| tokenizer.tokenize(&[text]).unwrap().concat();
    let ([begin], [end]) = (&mark(" ||")[..], &mark(" ##")[..]) else { panic!("marks are one token each") };
    // All paths from the begin mark of the ids to their end mark are ids, and each belongs to one item.
    let mut open = vec![(index.range(&[*begin]), vec![*begin])];
    let mut items = Vec::new();
    while let Some((said, tokens)) = open.pop() {
        for token in index.continuations(said).tokens {
            let next = index.extend(said, token);
            if token == *end {
                let [place] = index.locate(next).collect::<Vec<_>>()[..] else {
                    panic!("{tokens:?} is no item's alone")
                };
                assert_eq!((place.facet, place.offset), (0, 0));
                items.push(place.item);
            } else {
                open.push((next, [&tokens[..], &[token]].concat()));
            }
        }
    }
    items.sort_unstable();
    assert_eq!(items, (0..golden.items.len()).collect::<Vec<_>>());
}
