"""Runs the marked code of docs/python.md unchanged."""

import os
import re
import subprocess
import sys
from pathlib import Path

from conftest import ROOT

BLOCK = re.compile(r"^<!-- tested -->\n```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_the_page_runs(tmp_path: Path) -> None:
    release = Path(os.environ["CARGO_TARGET_DIR"]) / "release"
    environment = {**os.environ, "PATH": f"{release}{os.pathsep}{os.environ['PATH']}"}
    (code,) = BLOCK.findall((ROOT / "docs" / "python.md").read_text(encoding="utf-8"))
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    assert re.match(
        r"Tokenizer\(features 64 -> 64 -> 3 x 32 codes, \w{12}\)\n<a_\d+><b_\d+><c_\d+> \['item-", run.stdout
    )
    assert (tmp_path / "tokens.parquet").is_file()
