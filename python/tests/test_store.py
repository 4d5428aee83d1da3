"""Stores: publishing, rolling back, reading the current generation, and finding damage."""

import hashlib
import json
import pickle
import shutil
from pathlib import Path

import pytest
from conftest import ROOT

import catalex

OLD = ROOT / "tests" / "golden" / "index-0.1"


@pytest.fixture
def index(tmp_path: Path) -> Path:
    """An index with another report. It can be edited because a manifest of version 1 has no seal."""
    copy = shutil.copytree(OLD, tmp_path / "other")
    (copy / "report.html").write_text("another report")
    manifest = json.loads((copy / "manifest.json").read_text())
    manifest["files"]["report.html"] = hashlib.sha256(b"another report").hexdigest()
    (copy / "manifest.json").write_text(json.dumps(manifest))
    return copy


def test_generations_are_published_and_rolled_back(tmp_path: Path, index: Path) -> None:
    first = catalex.publish(OLD, tmp_path / "store", reason="the first one")
    assert (first["number"], first["previous"], first["pruned"]) == (0, None, [])
    store = catalex.Store(tmp_path / "store")
    with pytest.raises(catalex.InputError, match="--rebuild"):
        store.publish(index)
    assert store.publish(catalex.Index(index), rebuild=True)["number"] == 1
    assert len(store) == 2 and "2 generations" in repr(store) and "current" in store._repr_html_()
    listed = store.history()
    assert [one["number"] for one in listed if one["current"]] == [1]
    assert (listed[0]["reason"], listed[1]["parent"], listed[1]["items"]) == ("the first one", 0, 48)
    current = store.current
    assert (len(current), current.generation["number"], current.path.name) == (48, 1, "000001")
    assert store.rollback() == {"from": 1, "to": 0}
    # The open index stays readable, and the store has another current generation.
    assert len(store.current.table) == 48 and (current.report).read_text() == "another report"
    assert catalex.rollback(store, to=1) == {"from": 0, "to": 1}
    assert catalex.history(index)[0]["items"] == 48
    assert pickle.loads(pickle.dumps(current)).path == current.path
    assert catalex.Index(OLD).generation["number"] == store.generation(0).generation["number"] == 0


def test_a_store_is_read_as_its_current_generation(tmp_path: Path) -> None:
    store = tmp_path / "store"
    catalex.publish(OLD, store)
    assert catalex.TokenTable.read(store).codes.tolist() == catalex.TokenTable.read(OLD).codes.tolist()
    assert len(catalex.Features(store)) == 48 and catalex.Tokenizer.load(store).hash == catalex.Tokenizer.load(OLD).hash
    assert len(catalex.Trie.from_table(store)) == 48
    assert catalex.inspect(store) == catalex.inspect(OLD)
    assert catalex.lookup(store, item="1F415") == catalex.lookup(OLD, item="1F415")


def test_an_open_generation_is_not_removed(tmp_path: Path, index: Path) -> None:
    store = tmp_path / "store"
    catalex.publish(OLD, store)
    reading = catalex.Store(store).current
    assert catalex.publish(index, store, rebuild=True, keep=1)["pruned"] == []
    assert len(reading.table) == 48
    del reading
    assert catalex.publish(index, store, keep=1)["pruned"] == [0]


def test_damage_is_found(tmp_path: Path) -> None:
    found = catalex.verify(OLD)
    assert found["whole"] and found["kind"] == "index" and all(one["problem"] is None for one in found["checks"])
    copy = shutil.copytree(OLD, tmp_path / "index")
    (copy / "report.html").write_text("x")
    found = catalex.verify(copy)
    (problem,) = (one for one in found["checks"] if one["problem"])
    assert not found["whole"] and problem["check"] == "SHA-256" and problem["path"].endswith("report.html")
    assert catalex.verify(OLD / "vocabulary", catalex.TokenTable.read(OLD))["whole"]
    with pytest.raises(catalex.InputError, match="expected an index"):
        catalex.verify(tmp_path / "nothing")


def test_a_folder_that_is_not_a_store_is_refused(tmp_path: Path) -> None:
    with pytest.raises(catalex.InputError, match="publish an index to it first"):
        catalex.Store(tmp_path)
    with pytest.raises(catalex.InputError, match="store"):
        catalex.rollback(tmp_path)
