"""Runs the marked commands of docs/serving.md on a token table, and the code of a server of one's own."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT
from made import done
from serving_made import shelf

PAGE = (ROOT / "docs" / "serving.md").read_text(encoding="utf-8")


def test_the_commands_and_the_code_of_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    monkeypatch.chdir(tmp_path)
    made = shelf(tmp_path / "shelf")
    (tmp_path / "index").symlink_to(made.table)
    marked = re.search(r"<!-- tested by .*-->\n```sh\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert marked is not None
    for line in marked[1].splitlines():
        program, *arguments = shlex.split(line)
        assert program == "catalex"
        done(*arguments, "--vocabulary", made.vocabulary)
    for form in ("vllm", "sglang", "nvidia"):
        folder = tmp_path / f"for-{form}"
        assert done("verify", folder, "--tokens", made.table)
        assert len((folder / f"README-{form}.md").read_text(encoding="utf-8").splitlines()) <= 10
    # The code of a server: two requests, one of them with a named subset.
    (tmp_path / "subsets").mkdir()
    items = (tmp_path / "for-nvidia" / "nvidia.jsonl").read_text(encoding="utf-8").splitlines()
    first = re.search(r'"item_id":"([^"]+)"', items[0])
    assert first is not None
    (tmp_path / "subsets" / "in-stock.txt").write_text(first[1] + "\n", encoding="utf-8")
    (tmp_path / "store").symlink_to(tmp_path / "for-vllm")
    code = re.search(r"^```python\n(from catalex.serving.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert code is not None
    logits = np.zeros((2, 200_000), np.float32)
    names = {"requests": [([1], []), ([1, 2], [])], "logits": logits}
    exec(code[1], names)
    names["live"].close()  # type: ignore[attr-defined]
    assert (np.isfinite(logits).sum(1) == 1).all(), "one item is in stock"
