"""The package raises its own exceptions, and refuses damaged files and unknown versions with them."""

import ast
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from conftest import ROOT

import catalex
from catalex import cluster, errors
from catalex._formats import check_version, read_json

PACKAGE = ROOT / "python" / "python" / "catalex"
OLD_INDEX = ROOT / "tests" / "golden" / "index-0.1"

PROTOCOL = {
    ("vocabulary.py", "IndexError"): "an index out of range, as in any sequence",
    ("estimator.py", "ValueError"): "scikit-learn expects it of set_params",
    ("estimator.py", "NotFittedError"): "scikit-learn's error of the same bases",
    ("_settings.py", "TypeError"): "inside a converter; `_value` turns it into ConfigError",
}
"""Exceptions of the package that do not derive from CatalexError, with the reasons."""


def makers(trees: dict[str, ast.Module]) -> set[str]:
    """Names of the exceptions of catalex, and of functions that return one."""
    names = set(errors.__all__)
    for tree in trees.values():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef) and node.returns is not None:
                returned = ast.unparse(node.returns).split(".")[-1]
                if returned in errors.__all__:
                    names.add(node.name)
    return names


def test_every_raised_error_is_a_catalex_error() -> None:
    trees = {path.name: ast.parse(path.read_text(encoding="utf-8")) for path in PACKAGE.glob("*.py")}
    known = makers(trees)
    assert {"InputError", "refuse", "duplicate_error"} <= known
    # `run._error` selects the class from a table, whose entries all derive from CatalexError.
    found = set()
    for name, tree in trees.items():
        for node in ast.walk(tree):
            if not isinstance(node, ast.Raise) or node.exc is None:
                continue
            callee = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
            raised = ast.unparse(callee).split(".")[-1]
            if raised not in known:
                assert (name, raised) in PROTOCOL, f"{name}:{node.lineno} raises {raised}"
                found.add((name, raised))
    assert found == PROTOCOL.keys(), "an entry of the list is out of date"


def test_an_index_of_an_older_release_opens() -> None:
    index = catalex.Index(OLD_INDEX)
    assert len(index) == len(index.table) == len(index.features) == 48
    assert index.table == index.tokenizer.tokenize(index.features)
    assert index.manifest["format_version"] == 1


@pytest.mark.parametrize(
    ("manifest", "says"),
    [
        (
            '{"format_version": 99, "items": 3, "model_hash": ""}',
            r"expected format version 1.*, got 99; install a newer",
        ),
        ('{"items": 3, "model_hash": ""}', "expected format version 1.*, got none; name a file that catalex wrote"),
        ('{"format_version": "1", "items": 3}', "expected format version 1"),
        ('{"format_version": 1, "model_hash": ""}', "with the key 'items', got none"),
        ('{"format_version": 1, "ite', "expected the manifest of an index, got damaged JSON"),
        ("\udcff", "expected the manifest of an index, got damaged JSON"),
        ("[1]", "expected the manifest of an index, got list"),
    ],
)
def test_a_damaged_or_newer_manifest_is_refused(manifest: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_bytes(manifest.encode(errors="surrogateescape"))
    with pytest.raises(catalex.ArtifactError, match=says):
        catalex.Index(tmp_path)


def test_a_path_that_is_not_an_index_is_an_input_error(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nowhere", Path(__file__)):
        with pytest.raises(catalex.InputError, match="expected an index"):
            catalex.Index(path)
    (tmp_path / "manifest.json").mkdir()
    with pytest.raises(catalex.ResourceError, match="cannot read"):
        catalex.Index(tmp_path)


def test_versions_are_integers_from_one() -> None:
    check_version(1, "f", 2)
    check_version(2, "f", 2)
    for wrong in (None, 0, -1, 3, True, "1", 1.0):
        with pytest.raises(catalex.ArtifactError, match="f: expected format version 1 to 2"):
            check_version(wrong, "f", 2)


def newer(path: Path) -> None:
    """Raises the format version of a JSON file."""
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "format_version": 99}))


def test_every_reader_refuses_a_newer_version(tmp_path: Path) -> None:
    index = shutil.copytree(OLD_INDEX, tmp_path / "index")
    newer(index / "model" / "config.json")
    with pytest.raises(catalex.ModelError, match="99"):
        catalex.Tokenizer.load(index / "model")
    newer(index / "vocabulary" / "vocabulary.json")
    with pytest.raises(catalex.ArtifactError, match="99"):
        catalex.TokenIds.read(index / "vocabulary")
    newer(index / "manifest.json")
    for reads in (catalex.Index, catalex.Tokenizer.load, catalex.TokenTable.read, catalex.Features, catalex.inspect):
        with pytest.raises(catalex.ArtifactError, match="99"):
            reads(index)
    table = catalex.TokenTable.read(OLD_INDEX).to_arrow()
    metadata = {**table.schema.metadata, b"catalex.format_version": b"99"}
    with pytest.raises(catalex.ArtifactError, match="99"):
        catalex.TokenTable.from_arrow(table.replace_schema_metadata(metadata))
    with pytest.raises(catalex.ArtifactError, match="99"):
        cluster.token_table(table.replace_schema_metadata(metadata), OLD_INDEX)
    trie = tmp_path / "ids.trie"
    catalex.Trie.from_codes(np.array([[0, 1]], np.uint16)).save(trie)
    content = bytearray(trie.read_bytes())
    content[8] = 99
    trie.write_bytes(content)
    with pytest.raises(catalex.ArtifactError):
        catalex.Trie.load(trie)


def write_rows(path: Path, metadata: dict[str, str] | None) -> None:
    from safetensors.numpy import save_file  # noqa: PLC0415

    save_file({"input_embeddings": np.zeros((2, 4), np.float32)}, path, metadata)


@pytest.mark.parametrize(
    ("description", "says"),
    [
        (None, "a file without start values"),
        ("{", "got damaged JSON"),
        ({"format_version": 2, "first_id": 3, "tokens": 2}, "expected format version 1, got 2; install a newer"),
        ({"first_id": 3, "tokens": 2}, "expected format version 1, got none"),
        ({"format_version": 1, "tokens": 2}, "with the key 'first_id'"),
        ({"format_version": 1, "first_id": 3, "tokens": 5}, "expected 2 tokens, got 5"),
    ],
)
def test_start_values_are_checked(description: Any, says: str, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    text = description if isinstance(description, str) else json.dumps(description)
    write_rows(tmp_path / "rows.safetensors", None if description is None else {"catalex": text})
    with pytest.raises(catalex.ArtifactError, match=says):
        catalex.apply_start_values(None, tmp_path / "rows.safetensors")


def test_damaged_start_values_are_an_artifact_error(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    (tmp_path / "rows.safetensors").write_bytes(b"no safetensors")
    with pytest.raises(catalex.ArtifactError, match="got a damaged file"):
        catalex.apply_start_values(None, tmp_path / "rows.safetensors")
    with pytest.raises(catalex.InputError, match="got no file"):
        catalex.apply_start_values(None, tmp_path)


def test_a_wide_data_frame_is_refused_with_the_call_that_takes_it() -> None:
    numbers = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    frames = [pd.DataFrame(numbers, columns=list("xyz")), pa.table({name: numbers[:, 0] for name in "xyz"})]
    frames.append(frames[0].assign(id=range(5)))
    for frame in frames:
        with pytest.raises(catalex.InputError, match=r"3 columns of single numbers.*to_numpy\(\)"):
            catalex.Features(frame)
    given = catalex.Features(frames[2][list("xyz")].to_numpy(), item_ids=frames[2]["id"].to_list())
    assert given.modalities == {"features": 3}


def test_missing_json_raises_file_not_found(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_json(tmp_path / "nowhere.json", "anything", 1)


def test_data_of_a_cluster_without_metadata_is_of_this_version() -> None:
    table = catalex.TokenTable.read(OLD_INDEX)
    plain = pa.table(table).replace_schema_metadata(None)
    assert cluster.token_table(plain, OLD_INDEX).semantic_ids == table.semantic_ids
