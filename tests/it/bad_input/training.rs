//! Bad vectors and settings of training.

use super::Case;

pub(super) const CASES: &[Case] = &[
    Case("one item", "train @one.npy --out @o", 1, &["at least 2 items", "1"]),
    Case("equal items", "train @equal.npy --out @o --codebook-size 4", 1, &["40 equal vectors"]),
    Case("more codes than items", "train @x.npy --out @o", 2, &["at most 40", "256", "fewer codes"]),
    Case("more items than IDs", "train @x.npy --out @o --levels 2 --codebook-size 4", 2, &["room for 40 items", "16"]),
    Case("zero levels", "train @x.npy --out @o --levels 0", 2, &["levels"]),
    Case("nine levels", "train @x.npy --out @o --levels 9 --codebook-size 4", 2, &["levels"]),
    Case("codebook of 1", "train @x.npy --out @o --codebook-size 1", 2, &["codebook-size"]),
    Case("codebook of 70,000", "train @x.npy --out @o --codebook-size 70000", 2, &["codebook-size", "65536"]),
    Case(
        "sizes and levels",
        "train @x.npy --out @o --codebook-size 4,4 --levels 3",
        2,
        &["codebook-size", "2 numbers"],
    ),
    Case(
        "a setting without use",
        "train @x.npy --out @o --recipe lc-rec --ridge 3",
        2,
        &["setting ridge", "recipe lc-rec", "default or rq-kmeans"],
    ),
    Case("sinkhorn without lc-rec", "train @x.npy --out @o --sinkhorn 0.1", 2, &["sinkhorn", "recipe lc-rec"]),
    Case("an unknown recipe", "train @x.npy --out @o --recipe lc-rex", 2, &["recipe", "default, rq-kmeans, lc-rec"]),
    Case("a setting out of range", "train @x.npy --out @o --holdout 0.9", 2, &["holdout", "0 to 0.5", "0.9"]),
    Case("not a number", "train @x.npy --out @o --epochs many", 2, &["--epochs"]),
    Case(
        "unknown key",
        "train @x.npy --out @o --config @unknown.toml",
        2,
        &["levles", "unknown.toml", "codebook-size"],
    ),
    Case("bad TOML", "train @x.npy --out @o --config @syntax.toml", 1, &["syntax.toml"]),
    Case("wrong type in TOML", "train @x.npy --out @o --config @type.toml", 2, &["type.toml", "three"]),
    Case("no TOML", "train @x.npy --out @o --config @no.toml", 1, &["no.toml"]),
    Case("unknown device", "train @x.npy --out @o --codebook-size 4 --device tpu", 2, &["cuda:N"]),
    Case("other modality", "train @x.npy --out @o --codebook-size 4 --weight text=1", 2, &["setting weight", "text"]),
    Case("NaN in training", "train @nan.npy --out @o --codebook-size 2", 1, &["row 2"]),
];
