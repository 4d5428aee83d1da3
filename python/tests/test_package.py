"""The whole package: every native export is wrapped, stubbed and documented, and the stubs match the module."""

import ast
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

import catalex
from catalex import _native

PACKAGE = ROOT / "python" / "python" / "catalex"
STUBS = ast.parse((PACKAGE / "_native.pyi").read_text(encoding="utf-8"))
PAGES = "".join(
    (ROOT / "docs" / f"{page}.md").read_text("utf-8") for page in ("python", "constrained-decoding", "fm-index")
)


def exported() -> dict[str, object]:
    return {name: value for name, value in vars(_native).items() if not name.startswith("_")}


def test_the_version_equals_that_of_the_crate() -> None:
    assert catalex.__version__.count(".") == 2
    version = re.search(r'^version = "(.+)"', (ROOT / "Cargo.toml").read_text(), re.MULTILINE)
    assert version is not None and catalex.__version__ == version[1]


def test_every_native_export_is_stubbed() -> None:
    stubbed = {node.name: node for node in STUBS.body if isinstance(node, ast.ClassDef | ast.FunctionDef)}
    assert stubbed.keys() == exported().keys()
    for name, value in exported().items():
        node = stubbed[name]
        assert ast.get_docstring(node), name
        assert getattr(value, "__doc__", None), name
        if isinstance(node, ast.ClassDef):
            members = {m.name for m in node.body if isinstance(m, ast.FunctionDef)}
            there = {m for m in vars(value) if not m.startswith("_")}
            assert there == {m for m in members if not m.startswith("_")}, name
            for member in node.body:
                if isinstance(member, ast.FunctionDef) and not member.name.startswith("__"):
                    assert ast.get_docstring(member), f"{name}.{member.name}"


def test_every_native_export_is_wrapped() -> None:
    """Every native name is a name of the package, or is used by a module of the package."""
    files = [*PACKAGE.glob("*.py"), ROOT / "python" / "benchmarks" / "package.py"]
    sources = "".join(path.read_text(encoding="utf-8") for path in files)
    for name in exported():
        used = re.search(rf"\b_native\.{name}\b|from \._native import .*\b{name}\b", sources)
        assert name in catalex.__all__ or used, name


@pytest.mark.parametrize("name", sorted(set(catalex.__all__) - {"__version__"}))
def test_every_name_is_documented(name: str) -> None:
    value = getattr(catalex, name)
    assert inspect.getdoc(value), name
    assert re.search(rf"\b{name}\b", PAGES), f"{name} is on no page of docs/"
    if inspect.isclass(value) and value.__module__ != "builtins":
        for member, inner in vars(value).items():
            if not member.startswith("_") and (callable(inner) or isinstance(inner, property | staticmethod)):
                assert inspect.getdoc(getattr(value, member)), f"{name}.{member}"


def test_stubs_match_the_module() -> None:
    """mypy's stubtest compares the stubs with the module."""
    command = [sys.executable, "-m", "mypy.stubtest", "catalex._native", "--ignore-missing-stub", "--concise"]
    run = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(sys.prefix))
    assert run.returncode == 0, run.stdout + run.stderr


def test_the_package_is_typed() -> None:
    assert (Path(catalex.__file__).parent / "py.typed").is_file()


@pytest.mark.parametrize("lock", ["requirements-test.lock", "benchmarks/requirements.lock"])
def test_every_requirement_is_locked_with_hashes(lock: str) -> None:
    python = Path(__file__).parent.parent
    packages = re.split(r"(?m)^(?=[a-z])", (python / lock).read_text(encoding="utf-8"))[1:]
    locked = {package.split(" ", 1)[0].split("==")[0]: package for package in packages}
    assert all("==" in package and "--hash=sha256:" in package for package in packages)
    lines = (python / lock).with_suffix(".txt").read_text(encoding="utf-8").splitlines()
    wanted = [re.split(r"[=<>;\[ ]", line)[0].lower() for line in lines if line and not line.startswith("#")]
    assert wanted and not set(wanted) - set(locked)


def test_the_version_of_libtorch_is_the_same_everywhere() -> None:
    found = {
        path: re.findall(pattern, (ROOT / path).read_text(encoding="utf-8"))
        for path, pattern in [
            ("scripts/setup_parts.py", r'"torch",\n    "([\d.]+)"'),
            ("src/cli/training_program.rs", r'VERSION: &str = "([\d.]+)"'),
            ("src/cli/training_program.rs", r"torch==([\d.]+)"),
            ("src/rqvae/device.rs", r"torch==([\d.]+)"),
            ("python/pyproject.toml", r'"torch==([\d.]+)"'),
            ("python/python/catalex/run.py", r"torch==([\d.]+)"),
            ("README.md", r"torch==([\d.]+)"),
            (".github/workflows/release.yml", r"torch==([\d.]+)"),
        ]
    }
    assert all(found.values()), found
    assert len({version for versions in found.values() for version in versions}) == 1, found
