"""The README's quick start, run once. It writes the index of all emoji that the tests use."""

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from shop import Shop
from shop import make as make_shop

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
BLOCK = re.compile(r"^<!-- tested -->\n```(sh|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NEXT = "=== next block ==="


@dataclass(frozen=True)
class QuickStart:
    """A working copy after the README's commands."""

    folder: Path
    blocks: list[str]
    """The marked blocks' code, in order."""
    outputs: list[str]
    """The output of each block."""

    def output_of(self, command: str) -> str:
        """The output of the only block that contains this command."""
        (at,) = (at for at, code in enumerate(self.blocks) if command in code)
        return self.outputs[at]


def script(readme: str) -> tuple[list[str], str]:
    """The marked blocks, and a shell script of all of them, so that later blocks see the variables of earlier ones."""
    found = BLOCK.findall(readme)
    lines = ["set -euo pipefail"]
    for language, code in found:
        lines += [code if language == "sh" else f"python - <<'END_OF_BLOCK'\n{code}END_OF_BLOCK", f"echo '{NEXT}'"]
    return [code for _, code in found], "\n".join(lines)


@pytest.fixture(scope="session")
def quick_start(tmp_path_factory: pytest.TempPathFactory) -> QuickStart:
    target = os.environ.get("CARGO_TARGET_DIR", "")
    release = Path(target) / "release"
    if not target or not (release / "catalex").is_file():
        pytest.fail("there is no built catalex in $CARGO_TARGET_DIR/release: run `make test-python`")
    # A working copy: the checkout without the outputs of builds and demos.
    folder = tmp_path_factory.mktemp("checkout")
    for entry in ROOT.iterdir():
        if entry.name != "target" and not entry.name.startswith("."):
            (folder / entry.name).symlink_to(entry)
    # `python` is the interpreter of these tests. Network access is not allowed.
    path = os.pathsep.join([str(release), str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "HF_HUB_OFFLINE": "1"}
    blocks, commands = script(README.read_text(encoding="utf-8"))
    done = subprocess.run(
        ["bash", "-c", commands], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    outputs = done.stdout.split(f"{NEXT}\n")
    if done.returncode != 0:
        failed = blocks[len(outputs) - 1]
        pytest.fail(f"README.md, exit code {done.returncode} of:\n{failed}\n{done.stderr}")
    return QuickStart(folder, blocks, outputs)


@pytest.fixture(scope="session")
def index(quick_start: QuickStart) -> Path:
    """The index of all 1,852 emoji by text and image, with the extended tokenizer."""
    return quick_start.folder / "target" / "emoji"


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    return make_shop(tmp_path_factory.mktemp("shop"))
