"""Runs the `catalex` program in a child process. A crash there does not end this process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import catalex_cli

from . import errors
from .progress import Listener, listener

Progress = Literal["auto", "bar", "none"] | Callable[[dict[str, Any]], None] | None

KINDS = {
    "input": errors.InputError,
    "config": errors.ConfigError,
    "artifact": errors.ArtifactError,
    "environment": errors.ResourceError,
}
GRACE = 5
"""Seconds that the program has to end after an interrupt before it is killed."""
KEPT = 20
"""Number of lines of its standard error that an error message shows."""


def find_binary(binary: str | os.PathLike[str] | None = None) -> Path:
    """Finds the `catalex` program: at `binary`, in the package's folder `bin`, or on the PATH."""
    if binary is not None:
        path = Path(binary)
        if not path.is_file():
            raise errors.ResourceError(
                f"binary: expected the catalex program, got {path}, which is no file; check the path"
            )
        return path
    found = catalex_cli.find_program()
    if found is None:
        raise errors.ResourceError(f"{catalex_cli.no_program()}, or name it with `binary=`")
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
                env=catalex_cli.environment(os.environ),
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
