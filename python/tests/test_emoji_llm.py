"""The example of docs/vocabulary.md in its short form."""

import json
import os
import subprocess
import sys
from pathlib import Path

from conftest import ROOT, QuickStart


def test_a_real_language_model_learns_and_answers(quick_start: QuickStart, tmp_path: Path) -> None:
    program = Path(os.environ["CARGO_TARGET_DIR"]) / "release" / "catalex"
    command = [sys.executable, ROOT / "python" / "examples" / "emoji_llm.py", "--catalex", program, "--short"]
    command += ["--index", quick_start.folder / "target" / "emoji", "--out", tmp_path, "--methods", "structured"]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "results.json").read_text())["structured"]
    # It has learned from its training data, and generates only real items if it is constrained.
    assert result["curve"]["held_out"][-1] < result["curve"]["held_out"][0]
    assert result["valid_with"] == 1.0
