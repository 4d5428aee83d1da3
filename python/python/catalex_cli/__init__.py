"""The command `catalex` of the Python package. It locates the program and its libraries, and replaces itself with the
program.

It imports neither NumPy nor the package `catalex`, so it starts quickly.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from importlib.machinery import PathFinder

NAME = "catalex"


def main() -> None:
    """Replaces this process with the program, and passes on the arguments."""
    program = find_program()
    if program is None:
        sys.exit(f"error: {no_program()}")
    try:
        os.execve(program, [NAME, *sys.argv[1:]], environment(os.environ))
    except OSError as error:
        sys.exit(f"error: cannot run {program}: {error.strerror}; install the wheel of catalex for this platform")


def find_program() -> str | None:
    """The path of the program: in the folder `bin` of the package, else on the PATH; `None` if there is none."""
    places = [os.path.join(package_folder(), "bin")]
    places += os.environ.get("PATH", os.defpath).split(os.pathsep)
    paths = (os.path.join(place, NAME) for place in places if place)
    return next(
        (path for path in paths if os.access(path, os.X_OK) and os.path.isfile(path) and not is_own(path)), None
    )


def package_folder() -> str:
    """The folder of the package `catalex`, which is installed next to this one."""
    return os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), NAME)


def is_own(path: str) -> bool:
    """Whether a file is the installed script `catalex`, which calls `main`."""
    try:
        with open(path, "rb") as file:
            start = file.read(1000)
    except OSError:
        return False
    return start.startswith(b"#!") and __name__.encode() in start


def no_program() -> str:
    """The error message for a missing program."""
    return (
        f"the catalex program is not available: it is not in {os.path.join(package_folder(), 'bin')} and not on the "
        "PATH; install a wheel of catalex, which contains it, or build it with `make build` in a checkout and put its "
        "folder on the PATH"
    )


def environment(variables: Mapping[str, str]) -> dict[str, str]:
    """The environment variables for the program: `variables`, and the paths of the libraries of the installed packages
    `torch` and `onnxruntime`.

    The folder of libtorch is appended to `LD_LIBRARY_PATH`. `ORT_DYLIB_PATH` and `OMP_WAIT_POLICY` are kept if they are
    set. The packages are located without importing them."""
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
    # `catalex models fetch` runs a module of this package with this interpreter.
    made["CATALEX_PYTHON"] = sys.executable
    # Prevents idle threads of libtorch from busy-waiting.
    made.setdefault("OMP_WAIT_POLICY", "passive")
    return made


def onnx_runtime() -> str | None:
    """The path of the library in the package `onnxruntime` or `onnxruntime-gpu`; `None` if neither is installed."""
    package = installed("onnxruntime")
    folder = os.path.join(package, "capi") if package else ""
    names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    for name in names:
        if name.startswith("libonnxruntime.") and (".so" in name or name.endswith(".dylib")):
            return os.path.join(folder, name)
    return None


def installed(name: str) -> str | None:
    """The folder of an installed package; `None` if it is not installed."""
    spec = PathFinder.find_spec(name)
    return os.path.dirname(spec.origin) if spec is not None and spec.origin else None
