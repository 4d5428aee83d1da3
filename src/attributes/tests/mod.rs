//! Rules against an evaluator that goes row by row, and nulls.

mod collecting;
mod messages;
mod updates;

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;
use crate::artifact::Overwrite;
use crate::item_ids::ItemIds;

/// An item of the tests.
#[derive(Debug, Clone, Default)]
struct Item {
    stock: Option<i64>,
    price: Option<f64>,
    market: Option<String>,
    sold: Option<bool>,
    tags: Option<Vec<String>>,
}

fn attributes(items: &[Item]) -> Attributes {
    let mut columns = [
        ("stock", AttributeKind::Integer),
        ("price", AttributeKind::Float),
        ("market", AttributeKind::Text),
        ("sold", AttributeKind::Bool),
        ("tags", AttributeKind::List),
    ]
    .map(|(name, kind)| AttributeColumn::new(name, kind));
    for item in items {
        let item = item.clone();
        columns[0].push(item.stock.map_or(AttributeValue::Null, AttributeValue::Integer));
        columns[1].push(item.price.map_or(AttributeValue::Null, AttributeValue::Float));
        columns[2].push(item.market.map_or(AttributeValue::Null, AttributeValue::Text));
        columns[3].push(item.sold.map_or(AttributeValue::Null, AttributeValue::Bool));
        columns[4].push(item.tags.map_or(AttributeValue::Null, AttributeValue::List));
    }
    Attributes { item_ids: ItemIds::row_numbers(items.len()), columns: columns.into(), ..Attributes::default() }
}

fn matching(attributes: &Attributes, rule: &str, user: &[(&str, AttributeValue)]) -> Vec<usize> {
    let user: HashMap<String, AttributeValue> = user.iter().map(|(name, v)| ((*name).to_owned(), v.clone())).collect();
    let bound = Rule::compile(rule, &attributes.schema()).unwrap().bind(&user).unwrap();
    let rows = bound.matching(attributes).unwrap();
    let found: Vec<usize> = (0..attributes.len()).filter(|&row| rows.contains(row)).collect();
    assert_eq!(rows.len(), found.len());
    for row in 0..attributes.len() {
        assert_eq!(bound.matches(attributes, row), rows.contains(row), "{rule}, row {row}");
    }
    found
}

/// An expression of the tests.
#[derive(Debug, Clone)]
enum Expression {
    Stock(&'static str, i64),
    Price(&'static str, f64),
    StockBelowPrice,
    Market(Vec<&'static str>, bool),
    MarketLike(&'static str),
    Sold,
    Has(&'static str),
    Under(&'static str),
    IsNull(&'static str),
    Not(Box<Expression>),
    And(Box<Expression>, Box<Expression>),
    Or(Box<Expression>, Box<Expression>),
    IsTrue(Box<Expression>),
}

impl Expression {
    fn text(&self) -> String {
        match self {
            Expression::Stock(op, value) => format!("stock {op} {value}"),
            Expression::Price(op, value) => format!("price {op} {value:?}"),
            Expression::StockBelowPrice => "stock < price".into(),
            Expression::Market(values, negated) => {
                let list = values.iter().map(|value| format!("'{value}'")).collect::<Vec<_>>().join(", ");
                format!("market {}in ({list})", if *negated { "not " } else { "" })
            }
            Expression::MarketLike(pattern) => format!("market like '{pattern}'"),
            Expression::Sold => "sold".into(),
            Expression::Has(tag) => format!("tags has '{tag}'"),
            Expression::Under(path) => format!("tags under '{path}'"),
            Expression::IsNull(column) => format!("{column} is null"),
            Expression::Not(inner) => format!("not ({})", inner.text()),
            Expression::And(a, b) => format!("({} and {})", a.text(), b.text()),
            Expression::Or(a, b) => format!("({} or {})", a.text(), b.text()),
            Expression::IsTrue(inner) => format!("(({}) is true)", inner.text()),
        }
    }

    fn of(&self, item: &Item) -> Option<bool> {
        let compare = |op: &str, a: f64, b: f64| match op {
            "=" => a == b,
            "<>" => a != b,
            "<" => a < b,
            "<=" => a <= b,
            ">" => a > b,
            _ => a >= b,
        };
        match self {
            Expression::Stock(op, value) => item.stock.map(|stock| compare(op, stock as f64, *value as f64)),
            Expression::Price(op, value) => item.price.map(|price| compare(op, price, *value)),
            Expression::StockBelowPrice => Some((item.stock? as f64) < item.price?),
            Expression::Market(values, negated) => {
                if values.is_empty() {
                    return Some(*negated);
                }
                item.market.as_ref().map(|market| values.contains(&market.as_str()) != *negated)
            }
            Expression::MarketLike(pattern) => item.market.as_ref().map(|market| match *pattern {
                "D%" => market.starts_with('D'),
                "_T" => market.chars().count() == 2 && market.ends_with('T'),
                _ => market.contains('E'),
            }),
            Expression::Sold => item.sold,
            Expression::Has(tag) => item.tags.as_ref().map(|tags| tags.iter().any(|other| other == tag)),
            Expression::Under(path) => item.tags.as_ref().map(|tags| {
                let path: Vec<&str> = path.split(" > ").collect();
                tags.iter().map(String::as_str).take(path.len()).collect::<Vec<_>>() == path
            }),
            Expression::IsNull(column) => Some(match *column {
                "stock" => item.stock.is_none(),
                "market" => item.market.is_none(),
                _ => item.tags.is_none(),
            }),
            Expression::Not(inner) => inner.of(item).map(|truth| !truth),
            Expression::And(a, b) => match (a.of(item), b.of(item)) {
                (Some(false), _) | (_, Some(false)) => Some(false),
                (Some(true), Some(true)) => Some(true),
                _ => None,
            },
            Expression::Or(a, b) => match (a.of(item), b.of(item)) {
                (Some(true), _) | (_, Some(true)) => Some(true),
                (Some(false), Some(false)) => Some(false),
                _ => None,
            },
            Expression::IsTrue(inner) => Some(inner.of(item) == Some(true)),
        }
    }
}

fn items() -> impl Strategy<Value = Vec<Item>> {
    let word = prop_oneof![Just("DE"), Just("AT"), Just("")].prop_map(str::to_owned);
    let tag = prop_oneof![Just("Food"), Just("Beer"), Just("Toys")].prop_map(str::to_owned);
    let maybe = proptest::option::weighted::<BoxedStrategy<Vec<String>>>;
    let item = (
        proptest::option::of(-3i64..4),
        proptest::option::of((-6i32..7).prop_map(|half| f64::from(half) / 2.0)),
        proptest::option::of(word),
        proptest::option::of(any::<bool>()),
        maybe(0.8, prop::collection::vec(tag, 0..4).boxed()),
    );
    let item = item.prop_map(|(stock, price, market, sold, tags)| Item { stock, price, market, sold, tags });
    prop::collection::vec(item, 1..150)
}

fn expression() -> impl Strategy<Value = Expression> {
    let op = || prop_oneof![Just("="), Just("<>"), Just("<"), Just("<="), Just(">"), Just(">=")];
    let leaf = prop_oneof![
        (op(), -3i64..4).prop_map(|(op, value)| Expression::Stock(op, value)),
        (op(), -6i32..7).prop_map(|(op, half)| Expression::Price(op, f64::from(half) / 2.0)),
        Just(Expression::StockBelowPrice),
        (prop::sample::subsequence(vec!["DE", "AT", ""], 0..3), any::<bool>())
            .prop_map(|(values, negated)| Expression::Market(values, negated)),
        prop_oneof![Just("D%"), Just("_T"), Just("%E%")].prop_map(Expression::MarketLike),
        Just(Expression::Sold),
        prop_oneof![Just("Food"), Just("Beer")].prop_map(Expression::Has),
        prop_oneof![Just("Food"), Just("Food > Beer"), Just("Toys")].prop_map(Expression::Under),
        prop_oneof![Just("stock"), Just("market"), Just("tags")].prop_map(Expression::IsNull),
    ];
    leaf.prop_recursive(4, 24, 2, |inner| {
        let boxed = || inner.clone().prop_map(Box::new);
        prop_oneof![
            boxed().prop_map(Expression::Not),
            (boxed(), boxed()).prop_map(|(a, b)| Expression::And(a, b)),
            (boxed(), boxed()).prop_map(|(a, b)| Expression::Or(a, b)),
            boxed().prop_map(Expression::IsTrue),
        ]
    })
}

proptest! {
    #[test]
    fn rules_agree_with_a_row_by_row_evaluator(items in items(), expression in expression()) {
        let expected: Vec<usize> =
            (0..items.len()).filter(|&row| expression.of(&items[row]) == Some(true)).collect();
        prop_assert_eq!(matching(&attributes(&items), &expression.text(), &[]), expected);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn attributes_round_trip_through_their_file(items in items()) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(ATTRIBUTES);
        let attributes = attributes(&items);
        attributes.write(&path, Overwrite::Refuse).unwrap();
        let read = Attributes::read(&path).unwrap();
        prop_assert!(read.same_values(&attributes));
        prop_assert_eq!(read.schema(), attributes.schema());
    }
}

#[test]
fn a_rule_is_true_false_or_unknown() {
    let known = Item { stock: Some(3), market: Some("DE".into()), ..Item::default() };
    let attributes = attributes(&[known, Item::default()]);
    for (rule, expected) in [
        ("stock > 0", &[0][..]),
        ("not stock > 0", &[]),
        ("not (stock > 5)", &[0]),
        ("stock > 0 or market is null", &[0, 1]),
        ("(stock > 0) is not true", &[1]),
        ("(stock > 0) is unknown", &[1]),
        ("market in ('AT', null)", &[]),
        ("market not in ('AT', null)", &[]),
        ("market in ('DE', null)", &[0]),
        ("market in ()", &[]),
        ("market not in ()", &[0, 1]),
        ("stock between 1 and 3 and market between 'A' and 'E'", &[0]),
        ("stock not between 4 and 9", &[0]),
        ("not market under 'Food'", &[0]),
        ("market not under 'DE'", &[]),
        ("sold is null and price is null and tags is null", &[0, 1]),
        ("true", &[0, 1]),
        ("true ; -- the end", &[0, 1]),
        ("null", &[]),
        ("1 < 2 and 'a' = 'a'", &[0, 1]),
        ("market = 'de'", &[]),
        ("market ilike 'd_'", &[0]),
        ("'ΟΔΟΣ' ilike 'οδος' and 'İstanbul' ilike '_stanbul'", &[0, 1]),
        ("\"stock\" = 3 -- a comment\n/* and another */ and -2 < stock", &[0]),
    ] {
        assert_eq!(matching(&attributes, rule, &[]), expected, "{rule}");
    }
}

#[test]
fn category_paths_are_compared_level_by_level() {
    let path = |market: &str| Item { market: Some(market.into()), ..Item::default() };
    let tags = |tags: &[&str]| Item { tags: Some(tags.iter().map(|tag| (*tag).into()).collect()), ..Item::default() };
    let attributes = attributes(&[
        path("Food > Alcohol > Beer"),
        path("Food>Alcohols"),
        path("/Food/Alcohol"),
        tags(&["Food", "Alcohol"]),
        tags(&["Gifts", "Food > Alcohol > Wine"]),
        tags(&[]),
    ]);
    for (rule, expected) in [
        ("market under 'Food > Alcohol'", &[0][..]),
        ("market under 'Food'", &[0, 1]),
        ("market under 'Food/Alcohol' separator '/'", &[2]),
        ("tags under 'Food > Alcohol'", &[3, 4]),
        ("tags under 'Alcohol'", &[]),
        ("not tags under 'Food'", &[5]),
        ("tags has ('Alcohol', 'x')", &[3]),
        ("tags not has user.tags", &[3, 4, 5]),
    ] {
        let user = [("tags", AttributeValue::List(vec!["y".into()]))];
        assert_eq!(matching(&attributes, rule, &user), expected, "{rule}");
    }
}

#[test]
fn timestamps_are_compared_with_dates() {
    let mut released = AttributeColumn::new("released", AttributeKind::Timestamp);
    released.push(AttributeValue::Timestamp(0));
    released.push(AttributeValue::Null);
    released.push(AttributeValue::Timestamp(86_400_000_000));
    let attributes = Attributes { item_ids: ItemIds::row_numbers(3), columns: vec![released], ..Attributes::default() };
    for (rule, expected) in [
        ("released >= '1970-01-02'", &[2][..]),
        ("released < '1970-01-01T01:00:00+00:30'", &[0]),
        ("released in ('1970-01-01', '1970-01-03')", &[0]),
        ("released > user.since", &[2]),
    ] {
        let user = [("since", AttributeValue::Text("1970-01-01".into()))];
        assert_eq!(matching(&attributes, rule, &user), expected, "{rule}");
    }
    let error = Rule::compile("released > 'now'", &attributes.schema()).unwrap_err().to_string();
    assert!(error.contains("column 12: expected a date or a timestamp, got \"now\""), "{error}");
}
