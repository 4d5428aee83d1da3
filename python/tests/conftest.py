"""The README's quick start, run once per process. It writes the index of all emoji that the tests use."""

import atexit
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest
from shop import Shop
from shop import make as make_shop

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
BLOCK = re.compile(r"^<!-- tested -->\n```(sh|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NEXT = "=== next block ==="
BUILD_FOLDER = "CATALEX_BUILD_FOLDER"
"""Names cargo's build folder. During the tests, CARGO_TARGET_DIR names a folder with a copy of the program."""


def copy_program() -> None:
    """Lets all tests use a copy of the built program, because the test of the wheel replaces the built one.

    Test files run in several processes. They inherit the variables of the first one.
    """
    target = os.environ.get("CARGO_TARGET_DIR", "")
    program = Path(target) / "release" / "catalex"
    if BUILD_FOLDER in os.environ or not target or not program.is_file():
        return
    folder = Path(tempfile.mkdtemp(prefix="catalex-program-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    (folder / "release").mkdir()
    shutil.copy2(program, folder / "release")
    os.environ |= {BUILD_FOLDER: target, "CARGO_TARGET_DIR": str(folder)}


copy_program()


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
