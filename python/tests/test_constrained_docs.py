"""Runs the marked code of docs/constrained-decoding.md unchanged."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT
from made import done, random_codes, write_table, write_tokenizer

import catalex

BLOCK = re.compile(r"^<!-- tested [^\n]*-->\n```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SIZES = [8, 16, 16, 32]


def blocks() -> list[str]:
    return BLOCK.findall((ROOT / "docs" / "constrained-decoding.md").read_text(encoding="utf-8"))


def output(code: str, folder: Path) -> str:
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False, timeout=300
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


def test_answers_are_items_in_stock(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    write_table(tmp_path / "tokens.parquet", random_codes(500, SIZES), SIZES, [f"item-{row}" for row in range(500)])
    write_tokenizer(tmp_path / "tokenizer")
    done("vocab", tmp_path / "tokens.parquet", "--tokenizer", tmp_path / "tokenizer", "--out", tmp_path / "vocabulary")
    torch.manual_seed(0)
    config = transformers.GPT2Config(vocab_size=300, n_positions=64, n_embd=16, n_layer=1, n_head=2)
    transformers.GPT2LMHeadModel(config).save_pretrained(tmp_path / "llm")
    code, _ = blocks()
    said = output(code, tmp_path).split()
    assert len(said) == 4
    assert len(set(said)) == 4
    assert set(said) <= {"item-1", "item-2", "item-3", "item-5", "item-8"}


def test_rules_select_items_of_a_built_index(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    items = 300
    np.save(tmp_path / "x.npy", rng.normal(size=(items, 8)).astype(np.float32))
    age = [0 if row % 2 else 18 for row in range(items)]
    category = ["Food > Tea", "Alcohol > Beer", "Food > Bread"]
    lines = [f"item-{row},{row % 5},{'DE' if row % 4 else 'CH'},{age[row]},{category[row % 3]}" for row in range(items)]
    (tmp_path / "catalog.csv").write_text("\n".join(["item_id,stock,market,age_rating,category", *lines]) + "\n")
    write_tokenizer(tmp_path / "tokenizer")
    training = ["--epochs", "1", "--levels", "3", "--codebook-size", "16"]
    build: list[str | Path] = [
        "build",
        tmp_path / "catalog.csv",
        "--embedding",
        f"text={tmp_path / 'x.npy'}",
        *training,
    ]
    tokenizer: list[str | Path] = ["--tokenizer", tmp_path / "tokenizer"]
    done(*build, *tokenizer, "--attributes", "stock,market,age_rating,category", "--out", tmp_path / "index")
    done(*build, *tokenizer, "--out", tmp_path / "plain")
    _, code = blocks()
    gone = {7, 8}
    fits = [row for row in range(items) if row % 5 and row % 4 and row % 3 != 1 and row not in gone]
    assert output(code, tmp_path) == f"{[sum(age[row] <= 17 for row in fits), len(fits)]}\n"
    # Without the setting, the index is the same and has no attributes.
    index, plain = (catalex.Index(tmp_path / name) for name in ("index", "plain"))
    assert index.manifest["files"].keys() - plain.manifest["files"].keys() == {"attributes.parquet"}
    assert "attributes" not in plain.manifest["settings"]
    assert index.attributes.schema["age_rating"] == "integer"
    with pytest.raises(catalex.InputError, match="build it with --attributes"):
        plain.attributes  # noqa: B018
    # The command line and Python export the same items.
    rule = "-- for minors\nstock > 0 and age_rating <= user.age and market in user.markets\n"
    (tmp_path / "rule.sql").write_text(rule)
    user = {"age": 17, "markets": ["DE", "AT"]}
    catalex.constrain(index, tmp_path / "a", form="trie", rules=tmp_path / "rule.sql", user=user)
    flags: list[str | Path] = [
        "--user",
        "age=17",
        "--user",
        'markets=["DE", "AT"]',
        "--form",
        "trie",
        "--out",
        tmp_path / "b",
    ]
    done("constrain", tmp_path / "index", "--rules", tmp_path / "rule.sql", *flags)
    assert (tmp_path / "a" / "ids.trie").read_bytes() == (tmp_path / "b" / "ids.trie").read_bytes()
    expected = [f"item-{row}" for row in range(items) if row % 5 and row % 4 and age[row] <= 17]
    assert (tmp_path / "b" / "only.txt").read_text().split() == expected
    # Excluded items are never allowed.
    trie = catalex.Trie.from_table(tmp_path / "index", tmp_path / "index" / "vocabulary")
    assert trie.item_ids is not None
    assert trie.tokens is not None
    processor = catalex.LogitsProcessor(trie, eos_token_id=1, exclude=[list(trie.item_ids)[1:], None])
    masked = processor(np.full((2, 2), 3), np.zeros((2, 512), np.float32))
    assert np.isfinite(masked).sum(1).tolist() == [1, len(trie.allowed([]))]
    with pytest.raises(catalex.InputError, match="exclude: expected 3 collections"):
        catalex.LogitsProcessor(trie, eos_token_id=1, subsets=[None] * 3, exclude=[["item-1"], None])
