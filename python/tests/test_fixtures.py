"""The files from set-up and from the repository's scripts have the documented content."""

import os
import struct
from pathlib import Path

import onnx
import pyarrow.parquet as pq
import pytest

ROOT = Path(__file__).resolve().parents[2]
EMOJI = ROOT / "fixtures" / "emoji"
MODELS = Path(os.environ["CATALEX_MODELS"]) if "CATALEX_MODELS" in os.environ else None


def test_every_emoji_has_text_and_picture() -> None:
    rows = pq.read_table(EMOJI / "catalog.parquet").to_pylist()
    assert len({row["id"] for row in rows}) == len({row["label"] for row in rows}) == len(rows) == 1852
    assert (len({row["group"] for row in rows}), len({row["subgroup"] for row in rows})) == (9, 97)
    assert all(row["tags"] for row in rows)
    pictures = {f"images/{path.name}" for path in (EMOJI / "images").iterdir()}
    assert {row["image"] for row in rows} == pictures
    for picture in pictures:
        head = (EMOJI / picture).read_bytes()[:24]
        assert head.startswith(b"\x89PNG\r\n\x1a\n")
        assert struct.unpack(">II", head[16:]) == (48, 48)


def shapes(values: object) -> dict[str, list[int | str]]:
    return {
        value.name: [size.dim_param or size.dim_value for size in value.type.tensor_type.shape.dim]
        for value in values  # type: ignore[attr-defined]
    }


def test_image_encoder_is_valid_onnx() -> None:
    path = ROOT / "fixtures" / "mobilenet_v2" / "model.onnx"
    onnx.checker.check_model(path, full_check=True)
    graph = onnx.load(path).graph
    assert shapes(graph.input) == {"pixel_values": ["batch", 3, 224, 224]}
    assert shapes(graph.output) == {"pooler_output": ["batch", 1280]}


@pytest.mark.skipif(MODELS is None, reason="CATALEX_MODELS is not set: run through make")
def test_text_encoder_is_valid_onnx() -> None:
    assert MODELS is not None
    path = MODELS / "minilm" / "model.onnx"
    onnx.checker.check_model(path, full_check=True)
    graph = onnx.load(path).graph
    names = ["input_ids", "attention_mask", "token_type_ids"]
    assert shapes(graph.input) == {name: ["batch", "length"] for name in names}
    assert shapes(graph.output) == {"last_hidden_state": ["batch", "length", 384]}
