"""`make demo`'s script: it runs to its end, and emoji that share a code are shown together."""

import os
import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_demo_shows_each_emoji_with_similar_ones(tmp_path: Path) -> None:
    binary = Path(os.environ["CARGO_TARGET_DIR"]) / "release" / "catalex"
    out = tmp_path / "demo-index"
    environment = {**os.environ, "DEMO_OUT": str(out)}
    done = subprocess.run(
        [str(ROOT / "scripts" / "demo.sh"), str(binary)], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    shown = re.findall(r"^(\S+) (?:<[a-d]_\d+>){4}  <a_\d+>: (.*)$", done.stdout, re.MULTILINE)
    assert len(shown) == 6
    assert all(emoji in members.split() for emoji, members in shown)
    assert sum(len(members.split()) > 1 for _, members in shown) >= 5
    assert f"index:  {out}" in done.stdout
    assert (out / "report.html").is_file()
