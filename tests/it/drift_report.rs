//! The report section on the drift of items that were added after training.

use std::fs;
use std::path::Path;

use catalex::index::{PublishOptions, Store};
use catalex::pipeline::{
    AppendSettings, AppendSpec, DeleteSpec, InspectSpec, Output, append, delete, drift, inspect, spec,
};
use catalex::progress::Silent;
use catalex::semantic_id::Collisions;

use super::append::{Items, appended, index, keep, write_catalog};

/// The drift section in the report of an index; empty if the report has none.
fn section(folder: &Path, index: &Path, model: Option<&Path>) -> String {
    let path = folder.join("report.html");
    let spec = InspectSpec {
        path: index.into(),
        model: model.map(Into::into),
        report: Some(path.clone()),
        force: true,
        ..InspectSpec::default()
    };
    inspect(&spec, &Silent).unwrap();
    let html = fs::read_to_string(path).unwrap();
    let section = html.split_once("<section id=\"drift\"").map(|(_, rest)| rest.split("</section>").next());
    section.flatten().unwrap_or_default().to_owned()
}

#[test]
fn report_has_a_drift_section_for_items_added_after_training() {
    let home = tempfile::tempdir().unwrap();
    let mut items: Items = (0..40).map(|item| (item, 0)).collect();
    let base = index(home.path(), &items, &[4, 4, 8], Collisions::Resolve);
    assert_eq!(section(home.path(), &base, None), "");

    // Outside a store, the items of the last append are compared with the others.
    items.extend([(40, 0), (41, 0)]);
    let next = appended(home.path(), &base, "next", &items, keep()).index;
    let html = section(home.path(), &next, None);
    assert!(html.contains("2 items were added to the previous generation"), "{html}");
    let drift_of = |older: &Path, newer: &Path| {
        let spec = spec::DriftSpec { index: older.into(), items: newer.into(), ..spec::DriftSpec::default() };
        drift(&spec, &Silent).unwrap()
    };
    let expected = drift_of(&base, &next);
    let usage = &expected.usage[0];
    assert!(html.contains(&format!("before and now</th><td>{}, {}<", usage.used, usage.used_now)), "{html}");
    assert!(html.contains(&format!("<td>{}\u{a0}({})<", expected.crowded[0].items, expected.crowded[0].capacity)));
    // Another model was not trained on the items of this index.
    assert_eq!(section(home.path(), &next, Some(&base)), "");

    // In a store, all items since the training are compared.
    let shop = home.path().join("shop");
    let store = Store::create(&shop).unwrap();
    store.publish(&base, &PublishOptions::default()).unwrap();
    store.publish(&next, &PublishOptions::default()).unwrap();
    let night = |items: &Items| {
        let (catalog, embedding) = write_catalog(home.path(), "night", items);
        let settings = AppendSettings { embedding: Some(spec::Embeddings(vec![embedding])), ..keep() };
        let spec =
            AppendSpec { index: shop.clone(), catalog, settings, store: Some(shop.clone()), ..AppendSpec::default() };
        append(&spec, &Silent).unwrap()
    };
    items.extend([(42, 0), (43, 0), (44, 0)]);
    night(&items);
    let list = home.path().join("list.txt");
    fs::write(&list, "i0\ni44\n").unwrap();
    let spec = DeleteSpec { index: shop.clone(), items: list, store: Some(shop.clone()), ..DeleteSpec::default() };
    delete(&DeleteSpec { output: Output::new(""), ..spec }, &Silent).unwrap();
    let html = section(home.path(), &shop, None);
    assert!(html.contains("4 items were added since generation 0, which the model was trained on"), "{html}");
    assert!(html.contains("Earlier items</th><td>40<"), "{html}");
    let expected = drift_of(&base, &shop);
    assert_eq!((expected.new, expected.items), (4, 40));
    // If the generation that the model was trained on was removed, the oldest remaining generation is used.
    assert_eq!(store.begin().unwrap().prune(2).unwrap(), [0, 1]);
    // Generation 3 only deletes items.
    assert_eq!(section(home.path(), &shop, None), "");
    items.insert(45, 0);
    items.remove(&0);
    items.remove(&44);
    *items.get_mut(&3).unwrap() += 1;
    night(&items);
    let html = section(home.path(), &shop, None);
    assert!(html.contains("1 item was added since generation 2, the oldest in the store"), "{html}");
    assert!(html.contains("Changed items</th><td>1<"), "{html}");
}
