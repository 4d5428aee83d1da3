"""`import_ids`, `adopt` and `diff` give the same results as the command line."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from made import done
from pyarrow import csv
from shop import ITEMS, Shop

import catalex


def test_compare_and_inspect_measure_ids_against_histories(shop: Shop, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    users, items = np.repeat(np.arange(60), 6), rng.integers(0, ITEMS, 360)
    events = pa.table({"user_id": users, "item_id": np.array(shop.table.item_ids)[items], "timestamp": np.arange(360)})
    csv.write_csv(events, tmp_path / "events.csv")
    a, b = tmp_path / "a.parquet", tmp_path / "b.parquet"
    shop.table.write(a)
    mixed = np.ascontiguousarray(shop.table.codes[::-1])
    catalex.TokenTable.from_codes(mixed, [256] * mixed.shape[1], item_ids=shop.table.item_ids).write(b)
    flags: list[str | Path] = ["--interactions", tmp_path / "events.csv", "--json"]
    found = catalex.compare(a, b, interactions=events, resamples=200, seed=1)
    assert found == json.loads(done("compare", a, b, *flags, "--resamples", "200", "--seed", "1"))
    assert found["common_items"] == ITEMS and found["better"] in {"a", "b", "neither"}
    figures = catalex.inspect(a, interactions=tmp_path / "events.csv")
    assert figures == json.loads(done("inspect", a, *flags))
    assert isinstance(figures, catalex.quality.Figures)
    shown = figures._repr_html_()
    assert "if the IDs are shuffled" in shown and "times as often as by chance" in shown
    shuffled = figures["histories"].pop("shuffled")
    assert figures["histories"] == found["a"]
    assert shuffled["gain"] == pytest.approx(shuffled["nats"] - found["a"]["entropy"]["given_last_item"])
    with pytest.raises(catalex.ConfigError, match="resamples"):
        catalex.compare(a, b, interactions=events, resamples=1)


def test_import_adopt_and_diff(shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    ids = shop.table.item_ids
    index_json = tmp_path / "shop.index.json"
    tokens = {str(item): shop.table.lookup(item).replace("><", "> <").split() for item in ids}
    index_json.write_text(json.dumps(tokens))
    found = catalex.import_ids(index_json, tmp_path / "t.parquet", source="lc-rec", codebook_size=256)
    flags = ["--from", "lc-rec", "--codebook-size", "256", "--json"]
    printed = done("import", index_json, *flags, "--out", tmp_path / "u.parquet")
    assert found == json.loads(printed)
    assert (tmp_path / "t.parquet").read_bytes() == (tmp_path / "u.parquet").read_bytes()
    assert (found["items"], found["colliding_items"], found["unused_codes"][0] > 0) == (ITEMS, 0, True)
    with pytest.raises(catalex.ConfigError, match="setting from"):
        catalex.import_ids(index_json, tmp_path / "v.parquet", source="letters")  # type: ignore[arg-type]

    index, summary = catalex.adopt(tmp_path / "t.parquet", shop.folder / "x.npy", tmp_path / "a", reason="try")
    flags = ["--features", str(shop.folder / "x.npy"), "--reason", "try"]
    done("adopt", tmp_path / "t.parquet", *flags, "--out", tmp_path / "b")
    assert (tmp_path / "a" / "manifest.json").read_bytes() == (tmp_path / "b" / "manifest.json").read_bytes()
    made = json.loads((tmp_path / "a" / "manifest.json").read_text())
    assert summary["items"] == ITEMS and summary["levels"][0]["nearest"] > 0.5
    assert (made["generation"]["change"], made["generation"]["reason"]) == ("adopt", "try")

    changes = catalex.diff(shop.table, index)
    assert (changes["common"], changes["same"], changes["moved"]) == (ITEMS, ITEMS, 0)
    assert catalex.diff(tmp_path / "t.parquet", tmp_path / "a") == json.loads(
        done("diff", tmp_path / "t.parquet", tmp_path / "a", "--json")
    )
    with pytest.raises(catalex.ConfigError, match="examples"):
        catalex.diff(shop.table, index, examples=-1)
