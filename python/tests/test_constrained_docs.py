"""Runs the marked code of docs/constrained-decoding.md unchanged."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT
from made import done, random_codes, write_table, write_tokenizer

BLOCK = re.compile(r"^<!-- tested .*-->\n```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SIZES = [8, 16, 16, 32]


def test_answers_are_items_in_stock(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    write_table(tmp_path / "tokens.parquet", random_codes(500, SIZES), SIZES, [f"item-{row}" for row in range(500)])
    write_tokenizer(tmp_path / "tokenizer")
    done("vocab", tmp_path / "tokens.parquet", "--tokenizer", tmp_path / "tokenizer", "--out", tmp_path / "vocabulary")
    torch.manual_seed(0)
    config = transformers.GPT2Config(vocab_size=300, n_positions=64, n_embd=16, n_layer=1, n_head=2)
    transformers.GPT2LMHeadModel(config).save_pretrained(tmp_path / "llm")
    (code,) = BLOCK.findall((ROOT / "docs" / "constrained-decoding.md").read_text(encoding="utf-8"))
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300
    )
    assert run.returncode == 0, run.stderr
    said = run.stdout.split()
    assert len(said) == 4
    assert len(set(said)) == 4
    assert set(said) <= {"item-1", "item-2", "item-3", "item-5", "item-8"}
