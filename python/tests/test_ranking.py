"""Ranking features: the file, its specification, and the same numbers in Python."""

import json
import os
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from conftest import ROOT
from made import done, random_codes, write_table

import catalex
from ranking_data import GROUPS, Ratings, split

BLOCK = re.compile(r"^<!-- tested [^\n]*-->\n```(sh|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SIZES = [8, 16, 16, 32]
TABLE = 1000
MASK = 2**64 - 1


def splitmix64(state: int) -> int:
    z = (state + 0x9E3779B97F4A7C15) & MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


def prefix_id(codes: list[int]) -> int:
    """As docs/formats.md specifies it."""
    ids = hash = 0
    for code, size in zip(codes, SIZES, strict=False):
        ids = ids * size + code
    if np.prod(SIZES[: len(codes)]) <= TABLE:
        return ids
    hash = splitmix64(len(codes))
    for code in codes:
        hash = splitmix64(hash ^ code)
    return hash % TABLE


def segmented(codes: list[int], merges: list[list[int]]) -> list[int]:
    """As docs/formats.md specifies it."""
    pieces = [sum(SIZES[:level]) + code for level, code in enumerate(codes)]
    while True:
        found = [(merges.index(pair), at) for at in range(len(pieces) - 1) if (pair := pieces[at : at + 2]) in merges]
        if not found:
            return pieces
        merge, at = min(found)
        pieces[at : at + 2] = [sum(SIZES) + merge]


def test_a_file_follows_its_specification_and_python_gives_the_same_numbers(tmp_path: Path) -> None:
    codes = random_codes(300, SIZES)
    write_table(tmp_path / "tokens.parquet", codes, SIZES, [f"item-{row}" for row in range(300)])
    out, words = tmp_path / "features.parquet", tmp_path / "subwords.json"
    forms = "levels,prefix-ngrams,subwords"
    flags: list[str | Path] = [
        "--form",
        forms,
        "--table-size",
        str(TABLE),
        "--subword-vocabulary",
        words,
        "--subwords",
        "150",
    ]
    printed = json.loads(done("features", tmp_path / "tokens.parquet", *flags, "--out", out, "--json"))

    table = pq.read_table(out)
    pairs = {key.decode(): value.decode() for key, value in pq.read_metadata(out).metadata.items()}
    assert table.column_names == ["item_id", *(column["name"] for column in printed["columns"])]
    assert json.loads(pairs["catalex.columns"]) == printed["columns"]
    assert (pairs["catalex.kind"], pairs["catalex.format_version"]) == ("ranking-features", "1")
    assert json.loads(pairs["catalex.codebook_sizes"]) == SIZES
    for column in printed["columns"]:
        field = table.schema.field(column["name"])
        assert field.metadata[b"catalex.cardinality"] == str(column["cardinality"]).encode()
        assert str(field.type).startswith(column["type"].removesuffix(">").removesuffix("int32") or "int32")
        assert not field.nullable
    assert table["item_id"].to_pylist() == [f"item-{row}" for row in range(300)]

    rows = codes.tolist()
    for level in range(4):
        assert table[f"level_{level}"].to_pylist() == codes[:, level].tolist()
        assert table[f"prefix_{level + 1}"].to_pylist() == [prefix_id(row[: level + 1]) for row in rows]
    merges = json.loads(words.read_text(encoding="utf-8"))["merges"]
    expected = [segmented(row, merges) for row in rows]
    assert table["subwords"].to_pylist() == expected
    assert sum(map(len, expected)) < 4 * 300

    ids = catalex.prefix_ids(codes, SIZES, table_size=TABLE)
    assert ids.dtype == np.int64
    assert (ids == np.stack([table[f"prefix_{depth}"] for depth in (1, 2, 3, 4)], 1)).all()
    vocabulary = catalex.SubwordVocabulary.read(words)
    assert (len(vocabulary), vocabulary.codebook_sizes, vocabulary.model_hash) == (72 + len(merges), SIZES, "0" * 64)
    pieces, offsets = vocabulary.segment(codes)
    assert [pieces[a:b].tolist() for a, b in pairwise(offsets.tolist())] == expected
    assert repr(vocabulary) == f"SubwordVocabulary({len(vocabulary)} pieces of [8, 16, 16, 32] codes)"

    # The function writes the same file.
    again = catalex.ranking_features(
        catalex.TokenTable.read(tmp_path / "tokens.parquet"),
        tmp_path / "again.parquet",
        form=["levels", "prefix-ngrams", "subwords"],
        table_size=TABLE,
        subword_vocabulary=words,
    )
    assert (tmp_path / "again.parquet").read_bytes() == out.read_bytes()
    assert again["columns"] == printed["columns"] and again["subword_vocabulary"]["trained"] is False


def test_wrong_codes_and_vocabularies_are_refused(tmp_path: Path) -> None:
    with pytest.raises(catalex.InputError, match=r"codes\[1, 0\]: expected a code below 8, got 8"):
        catalex.prefix_ids([[0, 0], [8, 0]], [8, 8])
    with pytest.raises(catalex.InputError, match="levels of the codes: expected 3, got 2"):
        catalex.prefix_ids([[0, 0]], [8, 8, 8])
    with pytest.raises(catalex.ConfigError, match="table-size"):
        catalex.prefix_ids([[0] * 8], [256] * 8)
    write_table(tmp_path / "a.parquet", random_codes(50, SIZES), SIZES)
    write_table(tmp_path / "b.parquet", random_codes(50, [8, 16, 16]), [8, 16, 16])
    words, out = tmp_path / "subwords.json", tmp_path / "features.parquet"
    catalex.ranking_features(tmp_path / "a.parquet", out, form="subwords", subword_vocabulary=words, subwords=80)
    with pytest.raises(catalex.InputError, match="codebook sizes of the subword vocabulary"):
        catalex.ranking_features(tmp_path / "b.parquet", out, form="subwords", subword_vocabulary=words, force=True)
    changed = words.read_text(encoding="utf-8").replace('"pieces": 8', '"pieces": 9', 1)
    words.write_text(changed, encoding="utf-8")
    with pytest.raises(catalex.ArtifactError):
        catalex.SubwordVocabulary.read(words)


def test_the_page_runs(tmp_path: Path) -> None:
    """Runs the marked blocks of docs/ranking.md unchanged, one after another."""
    blocks = BLOCK.findall((ROOT / "docs" / "ranking.md").read_text(encoding="utf-8"))
    assert [language for language, _ in blocks] == ["sh", "python", "python"]
    write_table(tmp_path / "tokens.parquet", random_codes(500, [64, 64, 64]), [64, 64, 64])
    events = "".join(f"{event % 7},{event * event % 500}\n" for event in range(2000))
    (tmp_path / "train.csv").write_text("user_id,item_id\n" + events, encoding="utf-8")
    release = Path(os.environ["CARGO_TARGET_DIR"]) / "release"
    environment = {**os.environ, "PATH": f"{release}{os.pathsep}{os.environ['PATH']}"}
    outputs = []
    for language, code in blocks:
        command = ["bash", "-ec", code] if language == "sh" else [sys.executable, "-c", code]
        run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert run.returncode == 0, run.stderr
        outputs.append(run.stdout)
    assert "prefix_3     int64                100000  hashed" in outputs[0]
    assert outputs[1:] == ["(3, 16) (500, 16)\n", "(5, 3) 6\n"]


def test_the_benchmark_trains_on_the_past_and_withholds_films() -> None:
    rng = np.random.default_rng(0)
    films, events = 40, 4000
    items = (rng.random(events) ** 3 * films).astype(np.int64)
    ratings = Ratings(rng.integers(0, 30, events), items, rng.integers(0, 2, events).astype(np.float32))
    of = split(ratings, films, 0)
    assert (of.test.items == items[3600:]).all() and (of.tuning.items == items[3200:3600]).all()
    new = of.groups == GROUPS.index("new")
    assert (
        new.sum() >= 4 and not new[of.train.items].any() and not new[of.valid.items].any() and new[of.test.items].any()
    )
    assert (of.item_ids[new] == 0).all() and len(set(of.item_ids[~new].tolist())) == (~new).sum()
    counts = np.bincount(of.train.items, minlength=films)
    assert counts[of.groups == 0].min() >= counts[of.groups == 1].max() >= counts[of.groups == 2].max()
    assert 0.5 <= counts[of.groups == 0].sum() / len(of.train) < 0.7
    other = split(ratings, films, 1)
    assert (other.groups != of.groups).any()
