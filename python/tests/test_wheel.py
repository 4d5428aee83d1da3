"""The wheel and the source archive, installed into clean environments with only numpy."""

import os
import re
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest
from conftest import ROOT
from shop import Shop

SMOKE = """
import importlib.metadata, pickle, sys
import numpy as np
import catalex
from catalex import Tokenizer, TokenTable

installed = {d.metadata["Name"].lower() for d in importlib.metadata.distributions()} - {"pip", "setuptools"}
assert installed == {"catalex", "numpy"}, installed
assert catalex.__file__.startswith(sys.prefix)
x = np.load(sys.argv[2])
model = Tokenizer.load(sys.argv[1])
table = model.tokenize(x)
assert table == TokenTable.read(sys.argv[3])
assert pickle.loads(pickle.dumps(model)) == model
assert table.items(table.lookup(7)) == [7]
assert catalex.Trie.from_codes(table.codes).find(table.codes[7].tolist()) == 7
assert catalex.evaluate(table)["items"] == len(table)
assert catalex.tokenize(x, sys.argv[1], progress="none") == table
assert not hasattr(catalex._native, "time_codes")
try:
    table.to_arrow()
except ImportError:
    print("works")
"""


def maturin() -> str:
    found = shutil.which("maturin", path=str(Path(sys.executable).parent))
    if found is None:
        pytest.fail("there is no maturin beside this Python: run `make setup`")
    return found


def built(folder: Path, *arguments: str) -> Path:
    environment = {name: value for name, value in os.environ.items() if name != "LIBTORCH"}
    command = [str(ROOT / "scripts" / "wheel.sh"), maturin(), str(folder), *arguments]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    *_, last = run.stdout.splitlines()
    return Path(last)


def works(folder: Path, package: Path, shop: Shop, *flags: str, **environment: str) -> None:
    """In a clean environment, the package gives the same results as the command line."""
    venv.create(folder / "venv", with_pip=True)
    python = folder / "venv" / "bin" / "python"
    # numpy comes from this environment, so nothing is downloaded.
    site = next((folder / "venv" / "lib").glob("python*/site-packages"))
    here = Path(next(p for p in map(Path, sys.path) if (p / "numpy" / "__init__.py").is_file()))
    for found in (*here.glob("numpy"), *here.glob("numpy.libs"), *here.glob("numpy-*.dist-info")):
        shutil.copytree(found, site / found.name)
    clean = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "LIBTORCH")}
    command = [str(python), "-m", "pip", "install", "--quiet", "--no-index", *flags, str(package)]
    run = subprocess.run(command, env={**clean, **environment}, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    given = [shop.folder / "model", shop.folder / "x.npy", shop.folder / "tokens.parquet"]
    command = [str(python), "-I", "-c", SMOKE, *map(str, given)]
    run = subprocess.run(command, env=clean, cwd=folder, capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout.strip()) == (0, "works"), run.stderr


def test_the_wheel_works_with_numpy_alone(tmp_path: Path, shop: Shop) -> None:
    wheel = built(tmp_path / "wheels")
    assert re.fullmatch(r"catalex-[\d.]+-cp310-abi3-\w+\.whl", wheel.name)
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        metadata = archive.read(next(name for name in names if name.endswith("/METADATA"))).decode()
    assert {"catalex/py.typed", "catalex/_native.pyi", "catalex/_native.abi3.so"} <= set(names)
    assert re.search(r"^Requires-Dist: numpy>=1\.26$", metadata, re.MULTILINE)
    assert not [name for name in names if "bench" in name]
    assert wheel.stat().st_size < 30_000_000
    works(tmp_path, wheel, shop)


def test_the_source_archive_builds_and_works(tmp_path: Path, shop: Shop) -> None:
    archive = built(tmp_path / "sdist", "--sdist")
    assert archive.name.endswith(".tar.gz") and archive.stat().st_size < 10_000_000
    with tarfile.open(archive) as files:
        folders = {part for name in files.getnames() for part in Path(name).parts[:-1]}
    # Cargo.toml names the Rust benchmarks, so it cannot be read without them.
    assert {"src", "benches", "catalex"} <= folders and "benchmarks" not in folders
    # maturin and the compiled crates come from this environment.
    here = str(Path(maturin()).parent)
    python_path = next(p for p in sys.path if (Path(p) / "maturin" / "__init__.py").is_file())
    path = os.pathsep.join([here, os.environ["PATH"]])
    works(tmp_path, archive, shop, "--no-build-isolation", PATH=path, PYTHONPATH=python_path)
