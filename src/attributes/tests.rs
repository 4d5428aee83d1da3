//! Rules against an evaluator that goes row by row, error messages, nulls, and updates.

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
        ("null", &[]),
        ("1 < 2 and 'a' = 'a'", &[0, 1]),
        ("market = 'de'", &[]),
        ("market ilike 'd_'", &[0]),
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

#[test]
fn errors_name_the_place_and_the_attributes() {
    let schema = attributes(&[Item::default()]).schema();
    for (rule, expected) in [
        ("stokc > 0", "rule, line 1, column 1: expected one of the attributes stock (integer), price (float)"),
        ("stokc > 0", "did you mean stock?"),
        ("stock > 0\n  and colour = 'red'", "rule, line 2, column 7"),
        ("stock > '0'", "column 9: expected a number, got the string \"0\""),
        ("market = 5", "column 10: expected a string, got an integer"),
        ("market = \"DE\"", "expected one of the attributes"),
        ("tags = 'x'", "use `has`"),
        ("stock has 'x'", "column 1: expected a list attribute before has, got stock, of type integer"),
        ("stock under 'x'", "expected an attribute with category paths"),
        ("stock", "expected a condition, got stock, of type integer"),
        ("stock = null", "is not null"),
        ("now() > 3", "expected a rule without functions, got now()"),
        ("lower(market) = 'de'", "without functions"),
        ("stock + 1 > 2", "expected comparisons"),
        ("stock >", "column 8: expected an expression, got the end of the rule"),
        ("", "expected an expression, got the end of the rule"),
        ("stock > 0 stock < 5", "column 11: expected an operator or the end of the rule, got stock"),
        ("stock > 0; drop table items", "expected an operator or the end of the rule, got ;"),
        ("market = 'DE", "column 10: expected a rule, got Unterminated string literal"),
        ("stock in (select 1)", "expected comparisons"),
        ("case when sold then true end", "expected"),
        ("items.stock > 0", "expected an attribute or a parameter user.NAME, got items.stock"),
        ("user > 3", "write user.NAME"),
        ("price in ('a')", "column 11: expected a number"),
        ("market like 5", "column 13: expected a string, got an integer"),
        ("market ~ 'x'", "expected"),
        ("stock > 0 xor sold", "expected"),
    ] {
        let error = Rule::compile(rule, &schema).expect_err(rule).to_string();
        assert!(error.contains(expected), "{rule}: {error}");
    }
    let deep = format!("{}stock > 0{}", "(".repeat(100), ")".repeat(100));
    assert!(Rule::compile(&deep, &schema).unwrap_err().to_string().contains("nesting of at most"));
    let long = vec!["stock > 0"; 100_000].join(" or ");
    assert!(Rule::compile(&long, &schema).unwrap_err().to_string().contains("at most 1000 words"));
    let list = vec!["'x'"; 50_000].join(", ");
    assert!(Rule::compile(&format!("market in ({list})"), &schema).is_ok());
}

#[test]
fn words_of_sql_can_be_attributes() {
    let words = ["order", "date", "position", "interval", "user", "under", "größe", "case"];
    let columns = words.map(|word| (word.to_owned(), AttributeKind::Integer)).into();
    let schema = AttributeSchema { columns };
    for word in ["order", "date", "position", "interval", "größe", "case", "\"under\""] {
        Rule::compile(&format!("{word} > 1 and not {word} in (2, 3)"), &schema).unwrap();
    }
}

#[test]
fn parameters_are_checked_when_they_get_values() {
    let item = |stock: i64, market: &str| Item { stock: Some(stock), market: Some(market.into()), ..Item::default() };
    let attributes = attributes(&[item(1, "DE"), item(5, "AT")]);
    let text = |text: &str| AttributeValue::Text(text.into());
    let markets = AttributeValue::Values(vec![text("AT"), AttributeValue::Null]);
    let user = [("most", AttributeValue::Float(4.5)), ("markets", markets), ("all", AttributeValue::Bool(true))];
    for (rule, expected) in [
        ("stock <= user.most", &[0][..]),
        ("user.most >= stock and market not in ('AT')", &[0]),
        ("market in user.markets", &[1]),
        ("not market in user.markets", &[]),
        ("market in ('DE', user.markets)", &[0, 1]),
        ("user.all or stock > 100", &[0, 1]),
        ("user.most > 4", &[0, 1]),
    ] {
        assert_eq!(matching(&attributes, rule, &user), expected, "{rule}");
    }
    let rule =
        Rule::compile("stock > 0 and\n stock < user.most and market = user.market", &attributes.schema()).unwrap();
    assert_eq!(rule.parameters(), ["market", "most"]);
    let bind = |value: AttributeValue| {
        rule.bind(&[("most".to_owned(), value), ("market".to_owned(), text("DE"))].into()).map(drop)
    };
    assert!(bind(AttributeValue::Integer(3)).is_ok() && bind(AttributeValue::Null).is_ok());
    for (value, got) in [
        (text("3"), "line 2, column 10: expected a number as user.most, got a string"),
        (AttributeValue::Float(f64::NAN), "got a float"),
        (AttributeValue::Values(vec![]), "got a list"),
    ] {
        let error = bind(value).unwrap_err().to_string();
        assert!(error.contains(got), "{error}");
    }
    let error = rule.bind(&HashMap::new()).unwrap_err().to_string();
    assert!(error.contains("expected a value for user.most, got none; pass values for market, most"), "{error}");
}

#[test]
fn an_update_is_whole_or_refused() {
    let mut attributes = attributes(&vec![Item { stock: Some(1), ..Item::default() }; 10]);
    let change = |name: &str, values| vec![(name.to_owned(), values)];
    let same = |value| NewValues::Same(value);
    let rule = "stock = 7 or market = 'XX' or tags has 'new'";
    attributes.update(&[3, 4], &change("stock", NewValues::Integers(vec![7, 8]))).unwrap();
    attributes.update(&[5], &change("market", same(AttributeValue::Text("XX".into())))).unwrap();
    attributes.update(&[6], &change("tags", same(AttributeValue::List(vec!["new".into()])))).unwrap();
    attributes.update(&[3], &change("price", same(AttributeValue::Integer(2)))).unwrap();
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
