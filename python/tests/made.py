"""Small generated inputs: token tables as other programs write them, a byte-level tokenizer, random IDs."""

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

Codes = npt.NDArray[np.uint16]


def catalex(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Runs the built binary."""
    binary = Path(os.environ.get("CARGO_TARGET_DIR", "")) / "release" / "catalex"
    if not binary.is_file():
        pytest.fail("there is no built catalex in $CARGO_TARGET_DIR/release: run `make test-python`")
    return subprocess.run([binary, *map(str, arguments)], capture_output=True, text=True, check=False)


def done(*arguments: str | Path) -> str:
    """The output of the binary, which must succeed."""
    run = catalex(*arguments)
    assert run.returncode == 0, run.stderr
    return run.stdout


def random_codes(items: int, sizes: Sequence[int], seed: int = 0) -> Codes:
    """Distinct IDs in random order. Low codes are frequent, so that prefixes are shared."""
    rng = np.random.default_rng(seed)
    drawn = [(rng.random(20 * items) ** 2 * size).astype(np.uint16) for size in sizes]
    codes = np.unique(np.stack(drawn, 1), axis=0)
    assert len(codes) >= items
    rng.shuffle(codes)
    return codes[:items]


def write_table(
    path: Path, codes: Codes, sizes: Sequence[int], ids: Sequence[int] | Sequence[str] | None = None
) -> None:
    """Writes a token table according to its specification."""
    n, levels = codes.shape
    written = ["".join(f"<{level}_{code}>" for level, code in zip("abcdefgh", row, strict=False)) for row in codes]
    lists = pa.FixedSizeListArray.from_arrays(
        pa.array(codes.ravel(), pa.uint16()), type=pa.list_(pa.field("item", pa.uint16(), nullable=False), levels)
    )
    columns = {
        "item_id": pa.array(range(n) if ids is None else ids),
        "codes": lists,
        "semantic_id": pa.array(written),
        "residual_error": pa.array(np.zeros(n, np.float32)),
        "reassigned": pa.array(np.zeros(n, bool)),
    }
    metadata = {
        "catalex.format_version": "1",
        "catalex.model_hash": "0" * 64,
        "catalex.levels": str(levels),
        "catalex.codebook_sizes": json.dumps(list(sizes)),
        "catalex.token_format": "<{level}_{code}>",
        "catalex.collision_policy": "resolve",
    }
    table = pa.table(columns)
    fields = [pa.field(name, column.type, nullable=False) for name, column in columns.items()]
    table = pa.Table.from_arrays(list(columns.values()), schema=pa.schema(fields))
    with pq.ParquetWriter(path, table.schema) as writer:
        writer.write_table(table)
        writer.add_key_value_metadata(metadata)


def write_tokenizer(folder: Path) -> None:
    """Writes a byte-level BPE tokenizer with a few hundred words as a Hugging Face folder."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=["<|end|>"], initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    tokenizer.train_from_iterator(["the user has bought a pen, a lamp and a chair; what comes next?"] * 5, trainer)
    folder.mkdir()
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|end|>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))


def strangers(codes: Codes, sizes: Sequence[int], n: int, seed: int = 1) -> Codes:
    """IDs that no item has. Half of them differ from the ID of an item only in the last code."""
    rng = np.random.default_rng(seed)
    known = {tuple(row) for row in codes.tolist()}
    found: list[tuple[int, ...]] = []
    while len(found) < n:
        row = [int(rng.integers(size)) for size in sizes]
        if len(found) % 2:
            row[:-1] = codes[rng.integers(len(codes)), :-1].tolist()
        if tuple(row) not in known:
            found.append(tuple(row))
    return np.array(found, np.uint16)
