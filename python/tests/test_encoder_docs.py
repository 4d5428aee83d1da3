"""Runs the marked commands of docs/encoders.md unchanged, with small models of the same kinds."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from conftest import BLOCK, ROOT
from encoders_made import TEXTS, export, minilm, pictures, tokens, vectors, write_modules, write_tokenizer
from transformers import (
    BitImageProcessorPil,
    CLIPImageProcessorPil,
    Dinov2Config,
    Dinov2Model,
    Qwen2Config,
    Qwen2Model,
    SiglipConfig,
    SiglipImageProcessorPil,
    SiglipModel,
)

DOCS = ROOT / "docs" / "encoders.md"
VIT = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 4, "image_size": 224, "patch_size": 56}


def write_qwen(folder: Path) -> None:
    words = write_tokenizer(folder, end="[SEP]", model_max_length=64, padding_side="left")
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 4, "intermediate_size": 48}
    model = Qwen2Model(Qwen2Config(vocab_size=words, num_key_value_heads=2, **sizes))
    model.config.use_cache = False
    export(model, tokens(input_ids=5, attention_mask=1), ["last_hidden_state"], folder / "onnx" / "model_fp16.onnx")
    write_modules(folder, {"embedding_dimension": 32, "pooling_mode": "lasttoken"}, normalize=True)


def write_towers(folder: Path, suffix: str) -> None:
    """Both towers of a small SigLIP. CLIP has the same layout."""
    text = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 4, "intermediate_size": 48}
    words = write_tokenizer(folder, model_max_length=64)
    text |= {"vocab_size": words, "max_position_embeddings": 64}
    config = SiglipConfig(text_config=text, vision_config={**VIT, "intermediate_size": 48})
    model = SiglipModel(config)
    outputs = ["last_hidden_state", "pooler_output"]
    ids = {"input_ids": torch.full((2, 64), 5)}
    export(model.text_model, ids, outputs, folder / "onnx" / f"text_model{suffix}.onnx")
    export(model.vision_model, pictures(224), outputs, folder / "onnx" / f"vision_model{suffix}.onnx")
    config.save_pretrained(folder)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small catalog, and the encoder folders next to it."""
    folder = tmp_path_factory.mktemp("shop")
    images = sorted((ROOT / "fixtures" / "emoji" / "images").glob("1F43*.png"))
    rows = [f'"{text}",me,{image}' for text, image in zip(TEXTS, images, strict=False)]
    lines = [f"{at},{row}" for at, row in enumerate(rows)]
    (folder / "products.csv").write_text("\n".join(["id,title,brand,photo", *lines]) + "\n")
    torch.manual_seed(6)
    (folder / "minilm").symlink_to(minilm())
    write_qwen(folder / "qwen3-embedding")
    write_towers(folder / "clip", "")
    CLIPImageProcessorPil().save_pretrained(folder / "clip")
    write_towers(folder / "siglip", "_int8")
    SiglipImageProcessorPil().save_pretrained(folder / "siglip")
    export(Dinov2Model(Dinov2Config(**VIT)), pictures(224), ["pooler_output"], folder / "dinov2" / "model.onnx")
    BitImageProcessorPil().save_pretrained(folder / "dinov2")
    return folder


def test_the_commands_run(shop: Path) -> None:
    blocks = [code for language, code in BLOCK.findall(DOCS.read_text(encoding="utf-8")) if language == "sh"]
    assert DOCS.read_text(encoding="utf-8").count("<!-- tested -->") == len(blocks) >= 4
    binary = shutil.which("catalex", path=str(Path(os.environ.get("CARGO_TARGET_DIR", "")) / "release"))
    if not binary:
        pytest.fail("there is no built catalex in $CARGO_TARGET_DIR/release: run `make test-python`")
    environment = {
        **os.environ,
        "PATH": f"{Path(binary).parent}{os.pathsep}{os.environ['PATH']}",
        "HF_HUB_OFFLINE": "1",
    }
    for code in blocks:
        run = subprocess.run(
            ["bash", "-euc", code], cwd=shop, env=environment, capture_output=True, text=True, check=False
        )
        assert run.returncode == 0, f"{code}\n{run.stderr}"
    dims = {"features": {"text": 384}, "qwen": {"text": 32}, "images": {"image": 32}}
    for name in ("clip", "siglip"):
        dims[name] = {"text": 32, "image": 32}
    for name, modalities in dims.items():
        path = shop / f"{name}.parquet"
        assert set(pq.read_schema(path).names) == {"item_id", *modalities}
        for modality, dim in modalities.items():
            made = vectors(path, modality)
            assert made.shape == (len(TEXTS), dim)
            assert np.isfinite(made).all()
            assert made.std(0).max() > 0, "items differ"
    written = json.loads((shop / "siglip" / "config.json").read_text())
    assert written["model_type"] == "siglip"
