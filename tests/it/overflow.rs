//! `append --overflow suffix`: the disambiguating level gets more codes if no number is free.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use catalex::artifact::Overwrite;
use catalex::features::{FeatureFile, Features};
use catalex::index::{Generation, Index, IndexWriter, VOCABULARY};
use catalex::item_ids::ItemIds;
use catalex::pipeline::{
    AppendSettings, AppendSpec, AppendSummary, BuildSpec, DeleteSettings, DeleteSpec, Output, VerifySpec,
    VocabularySettings, append, delete, spec, verify,
};
use catalex::progress::Silent;
use catalex::semantic_id::{Collisions, TokenTable};
use catalex::vocabulary::TokenIds;
use proptest::prelude::*;

use super::append::{Items, check, ids, index, index_with, keep, write_catalog};
use super::support::{language_model, succeeds};

fn appended(
    folder: &Path,
    from: &Path,
    out: &str,
    items: &Items,
    settings: AppendSettings,
) -> catalex::Result<AppendSummary> {
    let (catalog, embedding) = write_catalog(folder, out, items);
    let settings = AppendSettings { embedding: Some(spec::Embeddings(vec![embedding])), ..settings };
    let output = Output::new(folder.join(out));
    append(&AppendSpec { index: from.into(), catalog, settings, output, ..AppendSpec::default() }, &Silent)
}

fn suffix() -> AppendSettings {
    AppendSettings { overflow: Some("suffix".into()), ..keep() }
}

fn deleted(folder: &Path, from: &Path, out: &str, items: &[usize], quarantine: Option<u64>) -> PathBuf {
    let list = folder.join("list.txt");
    fs::write(&list, items.iter().map(|item| format!("i{item}\n")).collect::<String>()).unwrap();
    let settings = DeleteSettings { quarantine, reason: None };
    let output = Output::new(folder.join(out));
    let spec = DeleteSpec { index: from.into(), items: list, settings, output, ..DeleteSpec::default() };
    delete(&spec, &Silent).unwrap().index
}

/// The tokens of an index in the order of their ids, and the id of the first one.
fn tokens(index: &Path) -> (Vec<String>, u32) {
    let folder = index.join(VOCABULARY);
    let tokens = serde_json::from_slice(&fs::read(folder.join("new_tokens.json")).unwrap()).unwrap();
    (tokens, TokenIds::read(&folder).unwrap().first_id)
}

fn is_whole(index: &Path) -> bool {
    verify(&VerifySpec { path: index.into(), tokens: None }, &Silent).unwrap().whole
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6))]

    /// For any sequence of appends and deletions, IDs and token ids do not change, IDs are unique, and the ID of a
    /// deleted item is not given to another item.
    #[test]
    fn ids_and_tokens_never_change(
        steps in prop::collection::vec((0usize..14, prop::collection::vec(0usize..100, 0..4)), 1..5),
    ) {
        let home = tempfile::tempdir().unwrap();
        let llm = home.path().join("llm");
        language_model(&llm, 12, 4, &["embed.weight"], safetensors::Dtype::F32);
        let mut items: Items = (0..12).map(|item| (item, 0)).collect();
        let mut current = index_with(home.path(), &items, &[2, 2], Collisions::Suffix, Some(llm));
        let (mut named, mut next_item) = (BTreeMap::new(), 12);
        for (at, (new, gone)) in steps.into_iter().enumerate() {
            let (before, vocabulary) = (ids(&current), tokens(&current));
            named.extend(before.iter().map(|(item, id)| (id.clone(), item.clone())));
            let more: Items = (next_item..next_item + new.max(1)).map(|item| (item, 0)).collect();
            next_item += new.max(1);
            let forms = AppendSettings { constraint_form: Some(vec!["trie".into(), "static".into()]), ..suffix() };
            let settings = if at == 0 { forms } else { suffix() };
            let summary = appended(home.path(), &current, &format!("a{at}"), &more, settings).unwrap();
            items.extend(more);
            current = summary.index.clone();
            check(&current, &items);
            prop_assert!(is_whole(&current));
            let (after, grown) = (ids(&current), tokens(&current));
            for (item, id) in &after {
                prop_assert!(before.get(item).is_none_or(|old| old == id), "{item} moved");
                prop_assert!(named.get(id).is_none_or(|named| named == item), "{id} names another item");
            }
            prop_assert_eq!(after.values().collect::<BTreeSet<_>>().len(), after.len());
            prop_assert!(grown.0.starts_with(&vocabulary.0) && grown.1 == vocabulary.1);
            prop_assert_eq!((grown.0.len() - vocabulary.0.len()) as u64, summary.new_tokens);
            let gone: BTreeSet<usize> = gone.into_iter().filter(|item| items.contains_key(item)).collect();
            if !gone.is_empty() && gone.len() < items.len() {
                current = deleted(home.path(), &current, &format!("d{at}"), &gone.iter().copied().collect::<Vec<_>>(), None);
                items.retain(|item, _| !gone.contains(item));
                check(&current, &items);
                prop_assert!(is_whole(&current));
            }
        }
    }
}

#[test]
fn disambiguating_level_grows_only_if_no_number_is_free() {
    let home = tempfile::tempdir().unwrap();
    let items: Items = (0..12).map(|item| (item, 0)).collect();
    let base = index(home.path(), &items, &[2, 2], Collisions::Suffix);
    let size = |index: &Path| TokenTable::read(&index.join("tokens.parquet")).unwrap().metadata.codebook_sizes[2];
    let before = size(&base);
    let more: Items = (12..60).map(|item| (item, 0)).collect();
    let error = appended(home.path(), &base, "error", &more, keep()).unwrap_err().to_string();
    assert!(error.contains("--overflow suffix") && !home.path().join("error").exists(), "{error}");
    let grown = appended(home.path(), &base, "grown", &more, suffix()).unwrap();
    assert!(grown.new_tokens > 0 && size(&grown.index) == before + grown.new_tokens as usize);
    // A second append of the same catalog adds nothing.
    let same = appended(home.path(), &grown.index, "same", &more, suffix()).unwrap();
    assert_eq!((same.new_tokens, same.encoded, ids(&same.index)), (0, 0, ids(&grown.index)));
    // Before the level grows, numbers whose quarantine has ended are reused, and no others.
    let largest = |index: &Path| -> usize {
        let table = TokenTable::read(&index.join("tokens.parquet")).unwrap();
        let fullest = |row: &usize| usize::from(table.codes[[*row, 2]]) + 1 == size(index);
        let row = (0..table.item_ids.len()).find(fullest).unwrap();
        let peer = |other: &usize| table.codes.row(*other).iter().take(2).eq(table.codes.row(row).iter().take(2));
        let lowest = (0..table.item_ids.len()).filter(peer).min_by_key(|&other| table.codes[[other, 2]]).unwrap();
        table.item_ids.text(lowest)[1..].parse().unwrap()
    };
    let gone = largest(&grown.index);
    let old = ids(&grown.index)[&format!("i{gone}")].clone();
    // Appends a new item with the same vector, and therefore the same codes.
    let twin = |folder: &Path, out: &str, from: &Path, settings: AppendSettings| {
        let (catalog, embedding) = write_catalog(folder, "twin", &[(gone, 0)].into());
        let features = folder.join("twin.parquet");
        let vectors = FeatureFile::open(&features).unwrap().read().unwrap().modalities().to_vec();
        let renamed = Features::new(ItemIds::Strings(vec!["i900".into()]), vectors).unwrap();
        renamed.write(&features, Overwrite::Replace).unwrap();
        fs::write(&catalog, "item_id,title\ni900,Twin\n").unwrap();
        let settings = AppendSettings { embedding: Some(spec::Embeddings(vec![embedding])), ..settings };
        let output = Output::new(folder.join(out));
        append(&AppendSpec { index: from.into(), catalog, settings, output, ..AppendSpec::default() }, &Silent)
    };
    let held = deleted(home.path(), &grown.index, "held", &[gone], None);
    let added = twin(home.path(), "twin-held", &held, suffix()).unwrap();
    assert_eq!(added.new_tokens, 1);
    let free = deleted(home.path(), &grown.index, "free", &[gone], Some(1));
    let added = twin(home.path(), "twin-free", &free, keep()).unwrap();
    assert_eq!((added.new_tokens, &ids(&added.index)["i900"]), (0, &old));
    assert!(is_whole(&added.index));
    // Other commands read both generations and compare them.
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let out = succeeds(&["diff", &text(&base), &text(&grown.index), "--json"]);
    assert!(out.contains("\"added\": 48"), "{out}");
    succeeds(&["drift", &text(&base), &text(&grown.index)]);
    succeeds(&["inspect", &text(&grown.index)]);
    // `drift` appends the catalog to a temporary index, whose disambiguating level can grow.
    let (catalog, embedding) = write_catalog(home.path(), "drift", &more);
    succeeds(&["drift", &text(&base), &text(&catalog), "--embedding", &embedding]);
}

#[test]
fn growth_is_refused_if_existing_tokens_would_change() {
    let home = tempfile::tempdir().unwrap();
    let items: Items = (0..12).map(|item| (item, 0)).collect();
    let new: Items = [(12, 0)].into();
    for policy in [Collisions::Resolve, Collisions::Keep] {
        let folder = home.path().join(policy.to_string());
        fs::create_dir(&folder).unwrap();
        let base = index(&folder, &items, &[4, 4], policy);
        let error = appended(&folder, &base, "next", &new, suffix()).unwrap_err().to_string();
        assert!(
            error.contains("change the tokens of every existing ID") && error.contains("--codebook-size"),
            "{error}"
        );
    }
    // The ids of markers follow those of the codes.
    let base = index(home.path(), &items, &[2, 2], Collisions::Suffix);
    let marked = home.path().join("marked");
    let read = Index::open(&base).unwrap();
    let built: BuildSpec = serde_json::from_value(read.manifest().settings.clone()).unwrap();
    let vocabulary = VocabularySettings { begin_token: Some("<|begin|>".into()), ..VocabularySettings::default() };
    let settings = serde_json::to_value(BuildSpec { vocabulary, ..built }).unwrap();
    let mut writer = IndexWriter::create(&marked, Overwrite::Refuse).unwrap();
    for name in read.manifest().files.keys() {
        writer.share(&read, name).unwrap();
    }
    let (items, hash) = (read.manifest().items, read.manifest().model_hash.clone());
    writer.commit(items, &hash, settings, Generation::default()).unwrap();
    let error = appended(home.path(), &marked, "next", &new, suffix()).unwrap_err().to_string();
    assert!(error.contains("<|begin|>") && !home.path().join("next").exists(), "{error}");
    let error = appended(home.path(), &base, "next", &new, AppendSettings { overflow: Some("more".into()), ..keep() });
    assert!(error.unwrap_err().to_string().contains("error or suffix"));
}
