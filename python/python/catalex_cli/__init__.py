"""The command `catalex` of the Python package. It finds the program and its libraries, and becomes the program.

Starting it imports neither NumPy nor the package `catalex`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from importlib.machinery import PathFinder

NAME = "catalex"


def main() -> None:
    """Replaces this process by the program, with the same arguments."""
    program = find_program()
    if program is None:
        sys.exit(f"error: {no_program()}")
    try:
        os.execve(program, [NAME, *sys.argv[1:]], environment(os.environ))
    except OSError as error:
        sys.exit(f"error: cannot run {program}: {error.strerror}; install catalex again, for this kind of machine")


def find_program() -> str | None:
    """The program: in the package's folder `bin`, otherwise on the PATH."""
    places = [os.path.join(package_folder(), "bin")]
    places += os.environ.get("PATH", os.defpath).split(os.pathsep)
    paths = (os.path.join(place, NAME) for place in places if place)
    return next(
        (path for path in paths if os.access(path, os.X_OK) and os.path.isfile(path) and not is_own(path)), None
    )


def package_folder() -> str:
    """The folder of the package `catalex`, which lies next to this one."""
    return os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), NAME)


def is_own(path: str) -> bool:
    """Whether a file is the script that calls `main`."""
    try:
        with open(path, "rb") as file:
            start = file.read(1000)
    except OSError:
        return False
    return start.startswith(b"#!") and __name__.encode() in start


def no_program() -> str:
    """Why there is no program, and what to do."""
    return (
        f"the catalex program is not available: it is not in {os.path.join(package_folder(), 'bin')} and not on the "
        "PATH; install a wheel of catalex, which contains it, or build it with `make build` in a checkout and put its "
        "folder on the PATH"
    )


def environment(variables: Mapping[str, str]) -> dict[str, str]:
    """The environment for the program: `variables`, and where the installed packages `torch` and `onnxruntime` have
    their libraries. Variables that are set are not changed. The packages are located, not imported."""
    made = dict(variables)
    torch = installed("torch")
    libraries = [
        made.get("LD_LIBRARY_PATH"),
        os.path.join(made["LIBTORCH"], "lib") if made.get("LIBTORCH") else None,
        os.path.join(torch, "lib") if torch else None,
    ]
    if any(libraries):
        made["LD_LIBRARY_PATH"] = os.pathsep.join(filter(None, libraries))
    runtime = None if made.get("ORT_DYLIB_PATH") else onnx_runtime()
    if runtime is not None:
        made["ORT_DYLIB_PATH"] = runtime
    # `catalex models fetch` runs a module of this package.
    made["CATALEX_PYTHON"] = sys.executable
    # Keeps idle threads of libtorch from using a core.
    made.setdefault("OMP_WAIT_POLICY", "passive")
    return made


def onnx_runtime() -> str | None:
    """The library of the package `onnxruntime` or `onnxruntime-gpu`."""
    package = installed("onnxruntime")
    folder = os.path.join(package, "capi") if package else ""
    names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    for name in names:
        if name.startswith("libonnxruntime.") and (".so" in name or name.endswith(".dylib")):
            return os.path.join(folder, name)
    return None


def installed(name: str) -> str | None:
    """The folder of an installed package."""
    spec = PathFinder.find_spec(name)
    return os.path.dirname(spec.origin) if spec is not None and spec.origin else None
