"""The next generations of an index: append and delete."""

from __future__ import annotations

import os
from pathlib import Path

import polars as pl
import pytest

import catalex


@pytest.fixture(autouse=True)
def on_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    release = Path(os.environ["CARGO_TARGET_DIR"]) / "release"
    monkeypatch.setenv("PATH", f"{release}{os.pathsep}{os.environ['PATH']}")


def test_items_are_appended_and_deleted(tmp_path: Path) -> None:
    minilm = Path(os.environ["CATALEX_MODELS"]) / "minilm"
    names = ["red pen", "blue pen", "desk lamp", "floor lamp", "chair", "armchair", "stool", "sofa"]
    titles = [f"{name} {kind}" for name in names for kind in "abc"]
    catalog = pl.DataFrame({"sku": [f"s{row}" for row in range(24)], "title": titles})
    catalog.write_parquet(tmp_path / "c.parquet")
    index = catalex.build(
        tmp_path / "c.parquet",
        tmp_path / "index",
        id="sku",
        text=["title"],
        text_encoder=minilm,
        levels=2,
        codebook_size=8,
        progress="none",
    )
    grown = pl.DataFrame({"sku": ["s1", "s3", "new"], "title": [titles[1], "a wooden spoon", "green pen a"]})
    after = index.append(grown, tmp_path / "next", reason="new pens", progress="none")
    assert len(after) == 25 and after.path == tmp_path / "next"
    generation = after.generation
    assert (generation["number"], generation["change"], generation["reason"]) == (1, "append", "new pens")
    assert generation["counts"] == {"unchanged": 23, "added": 1, "updated": 1, "reassigned": 0, "deleted": 0}
    ids = dict(zip(index.table.item_ids, index.table.semantic_ids, strict=True))
    now = dict(zip(after.table.item_ids, after.table.semantic_ids, strict=True))
    assert all(now[item] == semantic_id for item, semantic_id in ids.items())
    # The features have the items of the table, in the same order.
    assert after.tokenizer.tokenize(after.features, collisions="keep").item_ids == after.table.item_ids
    less = catalex.delete(after, ["s3", "new"], tmp_path / "less", progress="none")
    assert len(less) == 23
    [gone] = catalex.lookup(less, item="new")
    assert gone["deleted_in"] == 2 and gone["semantic_id"] == now["new"]
    store = tmp_path / "shop"
    catalex.publish(less, store)
    published = catalex.append(store, catalog, store=store, missing="delete", progress="none")
    # A deleted item that returns gets its old ID.
    assert published.table.lookup("s3") == now["s3"] and "new" not in published.table
    assert len(catalex.Index(store)) == 24
    with pytest.raises(catalex.InputError, match="either a folder to write, or store="):
        catalex.append(index, catalog)
    with pytest.raises(catalex.ConfigError, match="setting chnged: expected one of"):
        index.append(catalog, tmp_path / "x", chnged="keep")
