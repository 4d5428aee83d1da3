"""Runs the `catalex` program in a child process. A crash there does not end this process."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from . import errors
from .progress import Listener, listener

Progress = Literal["auto", "bar", "none"] | Callable[[dict[str, Any]], None] | None

KINDS = {
    "input": errors.InputError,
    "config": errors.ConfigError,
    "artifact": errors.ArtifactError,
    "environment": errors.ResourceError,
}
NAME = "catalex"
GRACE = 5
"""Seconds that the program has to end after an interrupt before it is killed."""
KEPT = 20
"""Number of lines of its standard error that an error message shows."""


def find_binary(binary: str | os.PathLike[str] | None = None) -> Path:
    """Finds the `catalex` program: at `binary`, next to the package, next to this Python, or on the PATH."""
    if binary is not None:
        path = Path(binary)
        if not path.is_file():
            raise errors.ResourceError(
                f"binary: expected the catalex program, got {path}, which is no file; check the path"
            )
        return path
    places = [Path(__file__).parent / "bin" / NAME, Path(sys.executable).parent / NAME]
    for place in places:
        if place.is_file() and os.access(place, os.X_OK):
            return place
    found = shutil.which(NAME)
    if found is None:
        looked = ", ".join(map(str, places))
        raise errors.ResourceError(
            f"the catalex program is not available: it is not in {looked} and not on the PATH; build it with "
            "`make build` or `cargo install`, and name it with `binary=` or put its folder on the PATH"
        )
    return Path(found)


def run(
    arguments: Sequence[str | os.PathLike[str]],
    *,
    binary: str | os.PathLike[str] | None = None,
    progress: Progress = "auto",
) -> str:
    """Runs the program, shows its progress, and returns its standard output. Its error becomes an exception."""
    program = find_binary(binary)
    command = [os.fspath(program), *[os.fspath(argument) for argument in arguments], "--progress", "json"]
    shown = listener(progress)
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as out:
        try:
            child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.PIPE,
                env=environment(),
                encoding="utf-8",
                errors="replace",
            )
        except OSError as error:
            raise errors.ResourceError(f"cannot run {program}: {error}; check that it is a program") from error
        failure, lines = _listen(child, shown)
        if child.returncode != 0:
            raise _error(str(arguments[0]), child.returncode, failure, lines)
        out.seek(0)
        return out.read()


def environment() -> dict[str, str]:
    """The environment for the program: that of this process, with the libraries of installed packages, which are
    libtorch of `torch` and ONNX Runtime of `onnxruntime`.

    Variables that are set are not changed. The packages are located, not imported.
    """
    variables = dict(os.environ)
    torch = _package("torch")
    libraries = [
        variables.get("LD_LIBRARY_PATH"),
        str(Path(variables["LIBTORCH"]) / "lib") if "LIBTORCH" in variables else None,
    ]
    if torch is not None:
        libraries.append(str(torch / "lib"))
    variables["LD_LIBRARY_PATH"] = os.pathsep.join(filter(None, libraries))
    runtime = _package("onnxruntime")
    if runtime is not None and "ORT_DYLIB_PATH" not in variables:
        found = sorted((runtime / "capi").glob("libonnxruntime.so.*")) or sorted(
            (runtime / "capi").glob("libonnxruntime*.dylib")
        )
        if found:
            variables["ORT_DYLIB_PATH"] = str(found[0])
    # Keeps idle threads of libtorch from using a core.
    variables.setdefault("OMP_WAIT_POLICY", "passive")
    return variables


def _package(name: str) -> Path | None:
    spec = find_spec(name) if name not in sys.modules else getattr(sys.modules[name], "__spec__", None)
    return Path(spec.origin).parent if spec is not None and spec.origin else None


def _listen(child: subprocess.Popen[str], shown: Listener) -> tuple[dict[str, Any] | None, list[str]]:
    """Reads the program's events until it ends. Returns its error event, and the last lines that were not events."""
    failure: dict[str, Any] | None = None
    lines: list[str] = []
    assert child.stderr is not None
    try:
        for line in child.stderr:
            event = _event(line)
            if event is None:
                lines = [*lines, line.rstrip()][-KEPT:]
            elif event["event"] == "error":
                failure = event
            else:
                shown(event)
        child.wait()
    except BaseException:
        _stop(child)
        raise
    finally:
        child.stderr.close()
        shown.close()
    return failure, lines


def _event(line: str) -> dict[str, Any] | None:
    if not line.startswith("{"):
        return None
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) and "event" in event else None


def _stop(child: subprocess.Popen[str]) -> None:
    """Interrupts the program. A terminal has done so already; a notebook has not."""
    if child.poll() is None:
        child.send_signal(signal.SIGINT)
        try:
            child.wait(GRACE)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def _error(verb: str, code: int, failure: dict[str, Any] | None, lines: list[str]) -> errors.CatalexError:
    if failure is not None:
        return KINDS.get(failure["kind"], errors.RunError)(failure["message"])
    output = "\n".join(lines) or "without any message"
    if code < 0:
        name = signal.Signals(-code).name if -code in {s.value for s in signal.Signals} else str(-code)
        why = (
            "; the system does this when memory runs out: process less at once, or use a machine with more memory"
            if name == "SIGKILL"
            else ""
        )
        return errors.RunError(
            f"catalex {verb} was killed by {name}{why}; nothing was written, and `resume=True` continues from the last "
            f"checkpoint if there is one\n{output}"
        )
    if code == 127 or "error while loading shared libraries" in output:
        help = "install torch==2.13.0 (pip install 'catalex[train]'), or set LIBTORCH to a folder of libtorch 2.13"
        return errors.ResourceError(f"catalex {verb} cannot start: {output}; {help}")
    kind = errors.ConfigError if code == 2 else errors.RunError
    return kind(f"catalex {verb} failed with exit code {code}: {output.removeprefix('error: ')}")
