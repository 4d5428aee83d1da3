"""An index, read by other programs without catalex: pyarrow, transformers, hashlib and json."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import ROOT
from transformers import AutoTokenizer

LEVELS = 4
CODES = 256
# Number of ids of the text encoder's tokenizer.
BEFORE = 30_522
SENTENCES = [
    "The user has bought the following items; what comes next?",
    "Ünïcode, 中文, <tags>, a_12 and <a_ 12> are words as before.",
    "",
]


@pytest.fixture(scope="session")
def table(index: Path) -> pa.Table:
    return pq.read_table(index / "tokens.parquet")


@pytest.fixture(scope="session")
def tokenizer(index: Path) -> Any:
    return AutoTokenizer.from_pretrained(index / "vocabulary" / "tokenizer")


@pytest.fixture(scope="session")
def new_tokens(index: Path) -> list[str]:
    tokens: list[str] = json.loads((index / "vocabulary" / "new_tokens.json").read_text())
    return tokens


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def file_metadata(path: Path) -> dict[str, str]:
    pairs = pq.read_metadata(path).metadata
    return {key.decode(): value.decode() for key, value in pairs.items() if key != b"ARROW:schema"}


def test_token_table_has_its_types_and_metadata(index: Path, table: pa.Table) -> None:
    codes = pa.list_(pa.field("item", pa.uint16(), nullable=False), LEVELS)
    expected = {
        "item_id": pa.string(),
        "codes": codes,
        "semantic_id": pa.string(),
        "residual_error": pa.float32(),
        "reassigned": pa.bool_(),
    }
    assert {field.name: field.type for field in table.schema} == expected
    assert not any(field.nullable for field in table.schema)
    metadata = file_metadata(index / "tokens.parquet")
    collisions = json.loads(metadata.pop("catalex.collisions"))
    assert metadata.pop("catalex.sha256").startswith("catalex-sha256:")
    assert metadata == {
        "catalex.format_version": "1",
        "catalex.model_hash": sha256(index / "model" / "model.safetensors"),
        "catalex.levels": str(LEVELS),
        "catalex.codebook_sizes": json.dumps([CODES] * LEVELS, separators=(",", ":")),
        "catalex.token_format": "<{level}_{code}>",
        "catalex.collision_policy": "resolve",
    }
    assert collisions["items"] == len(table)
    assert collisions["moved"] == sum(table["reassigned"].to_pylist())


def test_every_emoji_has_a_unique_id(table: pa.Table) -> None:
    catalog = pq.read_table(ROOT / "fixtures" / "emoji" / "catalog.parquet")
    assert table["item_id"].to_pylist() == catalog["id"].to_pylist()
    rows = table["codes"].to_pylist()
    assert len({tuple(row) for row in rows}) == len(rows) == 1852
    assert all(code < CODES for row in rows for code in row)
    written = ["".join(f"<{level}_{code}>" for level, code in zip("abcd", row, strict=True)) for row in rows]
    assert table["semantic_id"].to_pylist() == written


def test_features_have_one_vector_column_per_modality(index: Path) -> None:
    features = pq.read_table(index / "features.parquet")

    def vectors(dim: int) -> pa.DataType:
        return pa.list_(pa.field("item", pa.float32(), nullable=False), dim)

    types = {field.name: field.type for field in features.schema}
    assert types == {"item_id": pa.string(), "text": vectors(384), "image": vectors(1280)}
    metadata = file_metadata(index / "features.parquet")
    assert metadata.pop("catalex.sha256").startswith("catalex-sha256:")
    assert metadata == {"catalex.format_version": "1"}
    assert (len(features), features["text"].null_count, features["image"].null_count) == (1852, 0, 0)


def test_new_tokens_are_level_major(index: Path, new_tokens: list[str]) -> None:
    assert new_tokens == [f"<{level}_{code}>" for level in "abcd" for code in range(CODES)]
    assert (index / "vocabulary" / "new_tokens.txt").read_text().splitlines() == new_tokens
    description = json.loads((index / "vocabulary" / "vocabulary.json").read_text())
    assert description["offsets"] == [0, 256, 512, 768]
    ids = description["tokenizer"]
    assert (ids["first_id"], ids["last_id"], ids["vocabulary_size"]) == (BEFORE, BEFORE + 1023, BEFORE + 1024)
    assert ids["token_ids"] == dict(zip(new_tokens, range(BEFORE, BEFORE + 1024), strict=True))


def test_index_json_is_in_lc_recs_form(index: Path, table: pa.Table) -> None:
    lc_rec = json.loads((index / "vocabulary" / "index.json").read_text())
    assert list(lc_rec) == table["item_id"].to_pylist()
    assert {len(tokens) for tokens in lc_rec.values()} == {LEVELS}
    assert ["".join(tokens) for tokens in lc_rec.values()] == table["semantic_id"].to_pylist()


def test_semantic_ids_round_trip_as_four_token_ids(tokenizer: Any, table: pa.Table, new_tokens: list[str]) -> None:
    place = {token: BEFORE + at for at, token in enumerate(new_tokens)}
    for semantic_id, codes in zip(table["semantic_id"].to_pylist(), table["codes"].to_pylist(), strict=True):
        ids = tokenizer.encode(semantic_id, add_special_tokens=False)
        assert ids == [place[f"<{level}_{code}>"] for level, code in zip("abcd", codes, strict=True)]
        # This tokenizer's decoder puts spaces between words.
        assert tokenizer.decode(ids).replace(" ", "") == semantic_id
    assert len(tokenizer) == BEFORE + len(new_tokens)


def test_ordinary_text_keeps_its_token_ids(tokenizer: Any, table: pa.Table) -> None:
    original = AutoTokenizer.from_pretrained(Path(os.environ["CATALEX_MODELS"]) / "minilm")
    assert len(original) == BEFORE
    labels = pq.read_table(ROOT / "fixtures" / "emoji" / "catalog.parquet")["label"].to_pylist()
    for text in [*SENTENCES, *labels]:
        assert tokenizer.encode(text) == original.encode(text), text
    semantic_id = table["semantic_id"][0].as_py()
    inside = tokenizer.encode(f"Buy {semantic_id}, please", add_special_tokens=False)
    around = original.encode("Buy", add_special_tokens=False), original.encode(", please", add_special_tokens=False)
    assert inside == [*around[0], *tokenizer.encode(semantic_id, add_special_tokens=False), *around[1]]


def test_manifest_names_every_file_with_its_hash(index: Path) -> None:
    manifest = json.loads((index / "manifest.json").read_text())
    there = {str(path.relative_to(index)) for path in index.rglob("*") if path.is_file()}
    assert set(manifest["files"]) == there - {"manifest.json"}
    assert manifest["files"] == {name: sha256(index / name) for name in manifest["files"]}
    assert (manifest["format_version"], manifest["items"]) == (3, 1852)
    assert manifest["model_hash"] == manifest["files"]["model/model.safetensors"]
    assert manifest["settings"]["version"] == 2 and manifest["settings"]["encode"]["text"] == ["label", "tags"]
    # The model contains the values of the settings that were not given.
    assert json.loads((index / "model/config.json").read_text())["training"]["config"]["seed"] == 42
