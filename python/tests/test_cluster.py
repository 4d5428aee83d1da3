"""The common stages of Spark and Ray, without either: refused inputs, and no import of cluster packages."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from made import done
from shop import Shop

import catalex
from catalex import cluster


def encoded(shop: Shop, rows: int) -> pa.Table:
    table = pa.table({"item_id": np.arange(rows), "text": list(shop.vectors[:rows])})
    return cluster.Encode(shop.tokenizer, ["text"], "item_id")(table)


@pytest.mark.parametrize("engine", ["spark", "ray"])
def test_a_missing_engine_says_what_to_install(engine: str) -> None:
    package = "pyspark" if engine == "spark" else "ray"
    code = f"""
import sys, catalex
assert not {{"pyspark", "ray", "pyarrow"}} & set(sys.modules)
sys.modules["{package}"] = None
try:
    import catalex.{engine}
except catalex.ResourceError as error:
    print(error)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert f"pip install 'catalex[{engine}]'" in run.stdout, run.stderr


def test_codes_of_a_row_do_not_depend_on_other_rows(shop: Shop) -> None:
    whole = encoded(shop, 700)
    for begin, end in ((0, 1), (1, 3), (3, 520), (520, 700)):
        rows = pa.table({"item_id": np.arange(begin, end), "text": list(shop.vectors[begin:end])})
        part = cluster.Encode(shop.tokenizer, ["text"], "item_id")(rows)
        assert part.equals(whole.slice(begin, end - begin).combine_chunks())


def test_completed_modalities_do_not_depend_on_other_items(shop: Shop, tmp_path: Path) -> None:
    """Two modalities. Rows 0 to 99 have no image, and rows 100 to 199 have no text."""
    text = list(shop.vectors[:600, :16])
    picture = list(shop.vectors[:600, 16:])
    text[100:200] = [None] * 100
    picture[:100] = [None] * 100
    columns = {
        "text": pa.array(text, pa.list_(pa.float32(), 16)),
        "image": pa.array(picture, pa.list_(pa.float32(), 8)),
    }
    items = pa.table({"item_id": np.arange(600), **columns})
    pa.parquet.write_table(items, tmp_path / "features.parquet")
    flags = ["--levels", "3", "--codebook-size", "16", "--epochs", "0"]
    done("train", tmp_path / "features.parquet", *flags, "--out", tmp_path / "model")
    model = catalex.Tokenizer.load(tmp_path / "model")
    encode = cluster.Encode(model, ["text", "image"], "item_id")
    whole = encode(items)
    for begin, end in ((0, 100), (50, 150), (100, 200), (150, 151), (199, 600)):
        part = encode(items.slice(begin, end - begin))
        assert part.equals(whole.slice(begin, end - begin).combine_chunks())
    alone = model.tokenize(items, collisions="keep")
    assert whole["codes"].to_pylist() == alone.codes.tolist()


def test_a_part_is_a_function_of_its_items(shop: Shop) -> None:
    """The result does not depend on the order of rows and chunks, or on a repeated task."""
    items = encoded(shop, 700)
    counts = cluster.count_prefixes(items, 3)
    prefixes = cluster.prefixes_of(counts["prefix"], 3)
    near = pa.table({"prefix": cluster.lists_of(prefixes), "items": counts["items"]})
    crowded = counts.filter(pa.compute.greater(counts["items"], 16))["prefix"].to_pylist()
    keys = cluster.prefix_bytes(cluster.as_matrix(items["codes"], 3)).to_pylist()
    full = items.filter(pa.array([key in crowded for key in keys]))
    assert full.num_rows > 0
    make_room = cluster.MakeRoom(shop.tokenizer)
    made = make_room(full, near)
    turned = pa.concat_tables([full.slice(full.num_rows // 2), full.slice(0, full.num_rows // 2)])
    assert make_room(turned, near.take(np.arange(near.num_rows)[::-1])).equals(made)
    others = items.filter(pa.array([key not in crowded for key in keys]))
    placed = pa.concat_tables([others.append_column("place", others["codes"]), made])
    found = cluster.ResolvePart(shop.tokenizer)(placed)
    assert cluster.ResolvePart(shop.tokenizer)(placed.take(np.random.default_rng(0).permutation(700))).equals(found)
    alone = shop.tokenizer.tokenize(shop.vectors[:700])
    assert cluster.token_table(found, shop.tokenizer).semantic_ids == alone.semantic_ids
    np.testing.assert_array_equal(found["residual_error"].to_numpy(), alone.residual_error)


def test_new_items_do_not_get_taken_codes(shop: Shop) -> None:
    """Runs the stages without an engine, with all items in one part."""
    old = shop.tokenizer.tokenize(shop.vectors[:900])
    new = shop.tokenizer.tokenize(shop.vectors[:1_500], previous=old)
    items = encoded(shop, 1_500).slice(900)
    taken = np.ascontiguousarray(old.codes, np.uint16)
    counts = cluster.count_prefixes(items, 3)
    prefixes = cluster.prefixes_of(counts["prefix"], 3)
    held = {tuple(prefix): 0 for prefix in prefixes.tolist()}
    for prefix in taken[:, :-1].tolist():
        held[tuple(prefix)] = held.get(tuple(prefix), 0) + 1
    of_items = dict(zip(map(tuple, prefixes.tolist()), counts["items"].to_pylist(), strict=True))
    crowded = [
        tuple(c[:-1]) in of_items and of_items[tuple(c[:-1])] + held[tuple(c[:-1])] > 16
        for c in items["codes"].to_pylist()
    ]
    assert any(crowded)
    near = pa.table({"prefix": cluster.lists_of(prefixes), "items": counts["items"]})
    made = cluster.MakeRoom(shop.tokenizer)(items.filter(pa.array(crowded)), near, taken)
    others = items.filter(pa.array([not full for full in crowded]))
    placed = pa.concat_tables([others.append_column("place", others["codes"]), made])
    found = cluster.ResolvePart(shop.tokenizer)(placed, taken)
    assert found["codes"].to_pylist() == new.codes[900:].tolist()
    np.testing.assert_array_equal(found["residual_error"].to_numpy(), new.residual_error[900:])
    with pytest.raises(catalex.InputError, match="at most 3 new items: 4093 of 4096 codes are taken"):
        cluster.check_capacity(4, shop.tokenizer, 4_093)


def test_damaged_rows_are_refused(shop: Shop) -> None:
    items = encoded(shop, 3)
    resolve = cluster.ResolvePart(shop.tokenizer)
    place = ("place", items["codes"])

    def refused(table: pa.Table, expected: str) -> None:
        with pytest.raises(catalex.InputError) as caught:
            resolve(table)
        assert expected in str(caught.value)

    short = items.set_column(3, "latent", pa.array([b"1234"] * 3))
    refused(short.append_column(*place), "latents: expected")
    ragged = items.append_column("place", pa.array([[1, 2, 3], [1, 2], [1, 2, 3]]))
    refused(ragged, "codes: expected lists of 3")
    refused(items.append_column("place", pa.array([[1, 2, 70_000]] * 3)), "from 0 to 65535, got 70000")
    refused(items.append_column("place", pa.array([[1, 2, 99]] * 3)), "codes of level 2: expected below 16, got 99")
    with pytest.raises(catalex.InputError, match="at most 4096 items"):
        cluster.check_capacity(5_000, shop.tokenizer)


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (pa.array(["a"]), "column 'text': expected lists of float32 or float64, got string"),
        (pa.array([[1]]), "expected lists of float32 or float64, got list<item: int64>"),
        (pa.array([[0.5] * 23]), "23"),
    ],
)
def test_vectors_of_another_kind_are_refused(shop: Shop, column: pa.Array, expected: str) -> None:
    with pytest.raises(catalex.InputError) as caught:
        cluster.Encode(shop.tokenizer, ["text"], "item_id")(pa.table({"item_id": [1], "text": column}))
    assert expected in str(caught.value)
