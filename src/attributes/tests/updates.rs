//! Changes of attributes.

use super::*;

#[test]
fn an_update_is_whole_or_refused() {
    let mut attributes = attributes(&vec![Item { stock: Some(1), ..Item::default() }; 10]);
    let change = |name: &str, values| vec![(name.to_owned(), values)];
    let same = |value| NewValues::Same(value);
    let rule = "stock = 7 or market = 'XX' or tags has 'new'";
    attributes.update(&[3, 4], &change("stock", NewValues::Integers(vec![7, 8]))).unwrap();
    attributes.update(&[5], &change("market", same(AttributeValue::Text("XX".into())))).unwrap();
    attributes.update(&[6], &change("tags", same(AttributeValue::List(vec!["new".into()])))).unwrap();
    attributes.update(&[3, 3], &change("price", NewValues::Floats(vec![1.0, 2.0]))).unwrap();
    assert_eq!(matching(&attributes, rule, &[]), [3, 5, 6]);
    assert_eq!(matching(&attributes, "price = 2", &[]), [3]);
    let changed: Vec<u32> = attributes.changed_since(1).unwrap().flatten().copied().collect();
    assert_eq!(changed, [5, 6, 3]);
    attributes.update(&[0, 1, 2], &change("stock", same(AttributeValue::Null))).unwrap();
    assert!(attributes.changed_since(1).is_none() && attributes.changed_since(4).is_some());
    for (rows, name, values, expected) in [
        (vec![10], "stock", same(AttributeValue::Null), "rows below 10, got 10"),
        (vec![1], "stokc", same(AttributeValue::Null), "did you mean stock?"),
        (vec![1, 2], "stock", NewValues::Integers(vec![1]), "expected 2 or a single value, got 1"),
        (vec![1, 2], "stock", NewValues::Floats(vec![1.0, 2.0]), "item 1: expected integer, got a float"),
        (
            vec![1, 2],
            "market",
            NewValues::Each(vec![AttributeValue::Null, AttributeValue::Bool(true)]),
            "item 2: expected string, got a bool",
        ),
    ] {
        let before = attributes.clone();
        let error = attributes.update(&rows, &change(name, values)).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        assert!(attributes.same_values(&before) && attributes.version() == before.version());
    }
}

#[test]
fn newer_attributes_replace_older_ones() {
    let item = |stock: i64| Item { stock: Some(stock), ..Item::default() };
    let (old, mut new) = (attributes(&[item(1), item(2), item(3)]), attributes(&[item(20), item(40)]));
    new.item_ids = ItemIds::Integers(vec![1, 7]);
    let merged = old.combined(&new, &ItemIds::Integers(vec![7, 0, 1])).unwrap();
    let stock: Vec<_> = (0..3).map(|row| merged.columns()[0].value(row)).collect();
    assert_eq!(stock, [40, 1, 20].map(AttributeValue::Integer));
    assert!(old.combined(&new, &ItemIds::Integers(vec![9])).unwrap_err().to_string().contains("item 9"));
    // An integer attribute becomes a float, and one without values takes the type of the other.
    let swap = |attributes: &Attributes, with: AttributeColumn| {
        let mut columns = attributes.columns.clone();
        columns[0] = with;
        Attributes { columns, ..attributes.clone() }
    };
    let column = |kind, values: Vec<AttributeValue>| {
        let mut column = AttributeColumn::new("stock", kind);
        values.into_iter().for_each(|value| column.push(value));
        column
    };
    let half = column(AttributeKind::Float, vec![AttributeValue::Float(0.5), AttributeValue::Null]);
    let merged = old.combined(&swap(&new, half), old.item_ids()).unwrap();
    assert_eq!(merged.columns()[0].value(2), AttributeValue::Float(3.0));
    let none = column(AttributeKind::Text, vec![AttributeValue::Null; 2]);
    let merged = old.combined(&swap(&new, none), old.item_ids()).unwrap();
    assert_eq!(
        (merged.columns()[0].kind(), merged.columns()[0].value(1)),
        (AttributeKind::Integer, AttributeValue::Null)
    );
    let text = column(AttributeKind::Text, vec![AttributeValue::Text("x".into()); 2]);
    let error = old.combined(&swap(&new, text), old.item_ids()).unwrap_err().to_string();
    assert!(error.contains("expected integer, as in the index, got string"), "{error}");
}
