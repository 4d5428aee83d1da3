//! Mutations of JSON that give valid JSON.

use serde_json::{Value, json};

use crate::random::Random;

/// Changes one to three positions.
pub(crate) fn mutate(root: &mut Value, random: &mut Random) {
    for _ in 0..=random.below(3) {
        let donor = pick(root, random).clone();
        let place = pick(root, random);
        // JSON in a string, as in the metadata of safetensors.
        if let Value::String(text) = place
            && !random.once_in(4)
            && let Ok(mut inner @ (Value::Object(_) | Value::Array(_))) = serde_json::from_str::<Value>(text)
        {
            mutate(&mut inner, random);
            *text = inner.to_string();
            continue;
        }
        change(place, donor, random);
    }
}

/// A random position in the tree. Deeper positions are more likely.
fn pick<'a>(value: &'a mut Value, random: &mut Random) -> &'a mut Value {
    let children = match &*value {
        Value::Array(values) => values.len(),
        Value::Object(map) => map.len(),
        _ => 0,
    };
    if children == 0 || random.once_in(6) {
        return value;
    }
    let at = random.below(children);
    match value {
        Value::Array(values) => pick(&mut values[at], random),
        Value::Object(map) => match map.values_mut().nth(at) {
            Some(child) => pick(child, random),
            None => unreachable!("counted above"),
        },
        other => other,
    }
}

/// Maximum number of values that one mutation adds. Without this limit, repeated mutations could exhaust the memory.
const MOST_VALUES: usize = 20_000;

/// Number of values in a JSON value, including itself. Long strings count as several values.
fn size(value: &Value) -> usize {
    1 + match value {
        Value::Array(values) => values.iter().map(size).sum(),
        Value::Object(map) => map.values().map(size).sum(),
        Value::String(text) => text.len() / 32,
        _ => 0,
    }
}

fn change(place: &mut Value, donor: Value, random: &mut Random) {
    let size = size(&donor);
    let donor = if size > MOST_VALUES { Value::Null } else { donor };
    match (random.below(7), &mut *place) {
        (0, Value::Array(values)) if !values.is_empty() => drop(values.remove(random.below(values.len()))),
        (1 | 2, Value::Array(values)) => values.insert(random.below(values.len() + 1), donor),
        (0 | 1, Value::Object(map)) if !map.is_empty() => {
            let key = map.keys().nth(random.below(map.len())).cloned().unwrap_or_default();
            map.shift_remove(&key);
        }
        (2, Value::Object(map)) if !map.is_empty() => {
            let key = map.keys().nth(random.below(map.len())).cloned().unwrap_or_default();
            if let Some(child) = map.get_mut(&key) {
                *child = donor;
            }
        }
        (0..=3, Value::String(text)) => {
            let words = ["", "<", "{}", "\u{0}", "\u{FEFF}", "(?:a*)*b", "é", "\u{1F600}", " ", "\n", "../..", "Regex"];
            let word = *random.choose(&words);
            match random.below(3) {
                0 => *text = word.repeat(1 + random.up_to_power(10)),
                1 => *text += word,
                _ => {
                    let keep = random.below(text.chars().count() + 1);
                    *text = text.chars().take(keep).collect();
                }
            }
        }
        (0..=3, Value::Number(old)) => {
            let near = old.as_i64().map(|n| json!(n.wrapping_add(random.below(5) as i64 - 2)));
            *place = match (random.below(3), near) {
                (0, Some(near)) => near,
                _ => number(random),
            };
        }
        _ => {
            *place = match random.below(11) {
                0 => Value::Null,
                1 => json!(true),
                2 => json!([]),
                3 => json!({}),
                4 => json!(""),
                5 => nested(random),
                6 => donor,
                7 => Value::Array(vec![donor; random.below(200).min(MOST_VALUES / size)]),
                _ => number(random),
            }
        }
    }
}

fn number(random: &mut Random) -> Value {
    let whole = [0, 1, -1, 2, 3, 255, 256, 65_535, 65_536, 1 << 31, u32::MAX as i64, 1 << 32, i64::MAX, i64::MIN];
    match random.below(4) {
        0 => json!(u64::MAX),
        1 => json!(*random.choose(&[0.5, 1e300, -0.0, 1e-300, 3.4e38, f64::MAX])),
        _ => json!(random.choose(&whole)),
    }
}

fn nested(random: &mut Random) -> Value {
    let mut value = json!(1);
    for _ in 0..random.below(100) {
        value = if random.once_in(2) { json!([value]) } else { json!({ "a": value }) };
    }
    value
}

/// The value as text, sometimes with content that [`Value`] cannot represent.
pub(crate) fn text(value: &Value, random: &mut Random) -> String {
    let text = value.to_string();
    if !random.once_in(10) {
        return text;
    }
    let deep = "[".repeat(random.below(20_000));
    let (from, to): (&str, &str) = *random.choose(&[
        ("\":", "\":NaN,\"x\":"),
        ("\":", "\":1e999,\"x\":"),
        ("\":", "\":123456789012345678901234567890,\"x\":"),
        ("\":\"", "\":\"\\ud800"),
        ("{", "{\"item_id\":1,"),
        ("{", "{\"item_id\":1,\"item_id\":2,"),
        ("\":", deep.as_str()),
    ]);
    text.replacen(from, to, 1 + random.below(3))
}
