"""Shared parts of the vocabulary tests: a token table, tokenizers of all families, and real sentences."""

import json
import os
import random
import shutil
import subprocess
import unicodedata
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sentencepiece
from conftest import ROOT
from transformers import T5Tokenizer, XLMRobertaTokenizer

LEVELS = 4
CODES = 256
ITEMS = 1500
SENTENCES = 10_000
MODELS = Path(os.environ["CATALEX_MODELS"]) if "CATALEX_MODELS" in os.environ else None
# Tokenizers of the set-up, and tokenizers made from them or from the sentences.
FAMILIES = ["gpt2", "llama3", "qwen3", "gemma3", "mistral", "mistral-model", "minilm", "t5", "xlm-r"]
MODEL_NAMES = ["tokenizer.model", "spiece.model", "sentencepiece.bpe.model"]


def catalex(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    binary = Path(os.environ.get("CARGO_TARGET_DIR", "")) / "release" / "catalex"
    if not binary.is_file():
        pytest.fail("there is no built catalex in $CARGO_TARGET_DIR/release: run `make test-python`")
    return subprocess.run([binary, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)


def write_table(path: Path, model_hash: str = "0" * 64) -> None:
    """Writes a token table of generated items, as specified in docs/formats.md."""
    chosen = random.Random(3)
    rows = list({tuple(chosen.randrange(CODES) for _ in range(LEVELS)) for _ in range(ITEMS)})
    flat = pa.array([code for row in rows for code in row], pa.uint16())
    codes = pa.FixedSizeListArray.from_arrays(
        flat, type=pa.list_(pa.field("item", pa.uint16(), nullable=False), LEVELS)
    )
    ids = ["".join(f"<{level}_{code}>" for level, code in zip("abcd", row, strict=True)) for row in rows]
    columns = {
        "item_id": pa.array(range(len(rows)), pa.int64()),
        "codes": codes,
        "semantic_id": pa.array(ids),
        "residual_error": pa.array([0.0] * len(rows), pa.float32()),
        "reassigned": pa.array([False] * len(rows)),
    }
    schema = pa.schema([pa.field(name, column.type, nullable=False) for name, column in columns.items()])
    metadata = {
        "catalex.format_version": "1",
        "catalex.model_hash": model_hash,
        "catalex.levels": str(LEVELS),
        "catalex.codebook_sizes": json.dumps([CODES] * LEVELS),
        "catalex.token_format": "<{level}_{code}>",
        "catalex.collision_policy": "resolve",
    }
    with pq.ParquetWriter(path, schema) as writer:
        writer.write_table(pa.table(list(columns.values()), schema=schema))
        writer.add_key_value_metadata(metadata)


def scripts(text: str) -> set[str]:
    return {unicodedata.name(c, "?").split()[0].split("-")[0] for c in text if c.isalpha()}


def sentences() -> list[str]:
    """10,000 of Django's translations. Those in non-Latin scripts come first."""
    assert MODELS is not None
    lines = (MODELS / "tokenizers" / "sentences.txt").read_text(encoding="utf-8").splitlines()
    lines.sort(key=lambda line: scripts(line) <= {"LATIN"})  # keeps the order otherwise
    return lines[:SENTENCES]


def source(family: str, folder: Path) -> Path:
    """The folder of a family's tokenizer before it is extended."""
    assert MODELS is not None
    if family == "minilm":
        return MODELS / "minilm"
    tokenizers = MODELS / "tokenizers"
    if family == "t5":
        # A hundred tokens after the model's pieces.
        train(folder, "unigram", pad_id=0, eos_id=1, unk_id=2, bos_id=-1)
        T5Tokenizer.from_pretrained(folder).save_pretrained(folder)
        return folder
    if family == "xlm-r":
        # Ids that differ from the positions of the model's pieces.
        train(folder, "unigram").rename(folder / "sentencepiece.bpe.model")
        XLMRobertaTokenizer.from_pretrained(folder).save_pretrained(folder)
        return folder
    name = family.removesuffix("-model")
    if not (tokenizers / name / "tokenizer_config.json").is_file():
        pytest.skip(f"set-up found no npm, so it brought no tokenizer of {name}")
    if name == family:
        return tokenizers / name
    # Only the SentencePiece model.
    for file in ("tokenizer.model", "tokenizer_config.json"):
        shutil.copy(tokenizers / name / file, folder / file)
    return folder


def train(folder: Path, kind: str, **settings: Any) -> Path:
    """A small SentencePiece model learned from some of the sentences."""
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(sentences()[::3]),
        model_prefix=str(folder / "spiece"),
        model_type=kind,
        vocab_size=4000,
        character_coverage=0.99,
        minloglevel=2,
        num_threads=1,
        **settings,
    )
    (folder / "spiece.vocab").unlink()
    return folder / "spiece.model"
