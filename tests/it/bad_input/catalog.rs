//! Invalid catalogs, histories and precomputed vectors that can be read without an encoder.

use super::Case;

pub(super) const CASES: &[Case] = &[
    Case(
        "no interactions",
        "embed @c.csv --interactions @nowhere.csv --out @o",
        1,
        &["nowhere.csv", "one line per user"],
    ),
    Case("empty interactions", "embed @c.csv --interactions @empty --out @o", 1, &["empty", "an empty file"]),
    Case("a table without a name", "embed @c.csv --interactions @u.data --out @o", 1, &["u.data", ".txt for lines"]),
    Case("no such users", "embed @c.csv --interactions @c.csv --out @o", 1, &["user_id", "one of: id, t"]),
    Case(
        "no such items",
        "embed @c.csv --interactions @did.csv --interactions-item sku --out @o",
        1,
        &["sku", "one of: user, item, time"],
    ),
    Case("nobody did it", "embed @c.csv --interactions @nobody.csv --out @o", 1, &["row 2", "user", "an id"]),
    Case("no date", "embed @c.csv --interactions @undated.csv --out @o", 1, &["row 2", "time", "soon"]),
    Case("a user alone", "embed @c.csv --interactions @alone.txt --out @o", 1, &["alone.txt", "line 2"]),
    Case("single items", "embed @c.csv --interactions @single.txt --out @o", 1, &["two different items", "3 users"]),
    Case(
        "all held out",
        "embed @c.csv --interactions @did.txt --hold-out-last 1 --out @o",
        1,
        &["hold out fewer events"],
    ),
    Case("items of others", "embed @c.csv --interactions @others.txt --out @o", 1, &["catalog", "\"1\"", "\"x1\""]),
    Case("nobody used it", "embed @three.csv --interactions @did.csv --out @o", 1, &["item 3", "behaviour"]),
    Case("hold out of what", "embed @c.csv --hold-out-last 1 --out @o", 2, &["hold-out-last", "--interactions"]),
    Case(
        "no window",
        "embed @c.csv --interactions @did.csv --behaviour-window 0 --out @o",
        2,
        &["behaviour-window", "1 to 1000"],
    ),
    Case(
        "no damping",
        "embed @c.csv --interactions @did.csv --popularity-damping 2 --out @o",
        2,
        &["popularity-damping", "0 to 1"],
    ),
    Case("embedding without a name", "embed @c.csv --embedding @x.npy --out @o", 2, &["embedding", "NAME=FILE"]),
    Case("no embedding", "embed @c.csv --embedding v=@nope.npy --out @o", 1, &["nope.npy does not exist"]),
    Case(
        "two embeddings of one name",
        "embed @c.csv --embedding v=@x.npy --embedding v=@wide.npy --out @o",
        2,
        &["embedding", "v=", "another name"],
    ),
    Case(
        "embeddings of another catalog",
        "embed @c.csv --embedding v=@x.npy --out @o",
        1,
        &["rows of", "x.npy", "expected 2, one for each item", "got 40", "item ids"],
    ),
    Case("column of a matrix", "embed @c.csv --embedding v=@x.npy:y --out @o", 2, &["column y", "no columns"]),
    Case("NaN in an embedding", "embed @three.csv --embedding v=@nan.npy --out @o", 1, &["nan.npy, row 2", "NaN"]),
    Case(
        "ragged embedding",
        "embed @c.csv --embedding v=@ragged.parquet --out @o",
        1,
        &["row 2", "\"v\"", "2 numbers"],
    ),
    Case("null in an embedding", "embed @c.csv --embedding v=@holes.parquet --out @o", 1, &["row 1", "null"]),
    Case("repeated ids of embeddings", "embed @c.csv --embedding v=@twice.parquet --out @o", 1, &["7, also in row 1"]),
    Case(
        "no such column of embeddings",
        "embed @c.csv --embedding v=@ready.parquet:w --out @o",
        1,
        &["ready.parquet", "\"w\"", "name one of: v"],
    ),
    Case(
        "no embeddings",
        "embed @c.csv --embedding v=@floats.parquet --out @o",
        1,
        &["float lists", "price (Float32)"],
    ),
    Case(
        "embeddings of other items",
        "embed @c.csv --embedding v=@others.parquet --out @o",
        1,
        &["others.parquet", "\"1\"", "\"70\"", "--id"],
    ),
    Case("an item without anything", "embed @three.csv --embedding v=@ready.parquet --out @o", 1, &["item 3", "v"]),
];
