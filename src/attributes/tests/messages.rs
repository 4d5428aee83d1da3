//! Error messages, names and parameters.

use std::collections::HashMap;

use super::*;

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

proptest! {
    #[test]
    fn no_text_panics(words in prop::collection::vec(prop_oneof![
        Just("stock"), Just("market"), Just("user."), Just("x"), Just("'DE'"), Just("5"), Just("-"), Just("("), Just(")"),
        Just("in"), Just("not"), Just("under"), Just("has"), Just("separator"), Just("like"), Just("between"), Just("and"),
        Just("is"), Just("null"), Just("case"), Just("cast"), Just("["), Just("::"), Just(","), Just("interval"),
        Just("exists"), Just("select"), Just("@"), Just("{"), Just("$1"), Just("?"), Just("é"), Just("\""), Just("/*"),
    ], 0..12)) {
        let schema = attributes(&[Item::default()]).schema();
        if let Ok(rule) = Rule::compile(&words.join(" "), &schema) {
            let _ = rule.bind(&HashMap::new());
        }
    }
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
