#!/usr/bin/env python3
"""Install the dependencies of catalex that are not crates: libtorch, ONNX Runtime, the text encoder; for tests, a
Python environment and tokenizers.

Everything goes into one cache folder outside the checkout, ${CATALEX_CACHE:-${XDG_CACHE_HOME:-~/.cache}/catalex}.
A LIBTORCH or ORT_DYLIB_PATH that you have set is used instead of fetching that part. Running again is quick, and
resumes what was interrupted. Standard library only; Python 3.10 or later with pip.

    python3 scripts/setup.py              everything
    python3 scripts/setup.py --no-tests   what building and the demo need
    python3 scripts/setup.py --wheel      what `make wheel` needs
    eval "$(python3 scripts/setup.py --print-env)"   the environment for cargo and the binary
"""

from __future__ import annotations

import sys

if sys.version_info < (3, 10):
    sys.exit("set-up: this is Python " + sys.version.split()[0] + ", 3.10 or later is needed: name one with PYTHON=...")

import argparse
import contextlib
import fcntl
import os
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

# Set-up shares modules with the Python package, which is not installed yet.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "python" / "python"))

from setup_fetch import SetupError, disk_error, require_pip, say
from setup_parts import (
    LIBTORCH,
    ORT,
    Libtorch,
    MiniLm,
    OnnxRuntime,
    Part,
    SmolLm2,
    TestVenv,
    benchmark_venv,
    wheel_venv,
)
from setup_tokenizers import TestTokenizers

# cargo's own output of a first build, with tests.
TARGET_BYTES = 2_500_000_000


def cache_folder() -> Path:
    if chosen := os.environ.get("CATALEX_CACHE"):
        return Path(chosen).expanduser().absolute()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path("~/.cache").expanduser()).absolute() / "catalex"


def environment(cache: Path) -> dict[str, str]:
    """The environment variables for cargo, the tests and the binary. The user's own settings take precedence."""
    libtorch = os.environ.get("LIBTORCH") or str(cache / LIBTORCH)
    libraries = [str(Path(libtorch) / "lib")]
    libraries += [item for item in os.environ.get("LD_LIBRARY_PATH", "").split(":") if item and item not in libraries]
    return {
        "LIBTORCH": libtorch,
        "LD_LIBRARY_PATH": ":".join(libraries),
        "ORT_DYLIB_PATH": os.environ.get("ORT_DYLIB_PATH") or str(cache / ORT / "libonnxruntime.so"),
        "CARGO_TARGET_DIR": os.environ.get("CARGO_TARGET_DIR") or str(cache / "target"),
        "CATALEX_MODELS": str(cache / "models"),
        "CATALEX_VENV": str(cache / "venv"),
        # libtorch's threads then sleep while they wait. Busy-waiting takes many times as long next to other work.
        "OMP_WAIT_POLICY": os.environ.get("OMP_WAIT_POLICY") or "passive",
    }


def check_libtorch() -> list[Part]:
    """The part libtorch, unless the user has set LIBTORCH. That folder must exist."""
    parts: list[Part] = []
    libtorch = os.environ.get("LIBTORCH")
    if not libtorch:
        parts.append(Libtorch())
    elif not (Path(libtorch) / "lib").is_dir():
        raise SetupError(
            f"LIBTORCH is set to {libtorch}, which has no folder lib: correct it, or unset it to let set-up fetch one"
        )
    else:
        say(f"using your LIBTORCH, {libtorch}")
    return parts


def check_onnx_runtime() -> list[Part]:
    """The part ONNX Runtime, unless the user has set ORT_DYLIB_PATH. That file must exist."""
    parts: list[Part] = []
    library = os.environ.get("ORT_DYLIB_PATH")
    if not library:
        parts.append(OnnxRuntime())
    elif not Path(library).is_file():
        raise SetupError(
            f"ORT_DYLIB_PATH is set to {library}, which is not a file: correct it, or unset it to let set-up fetch one"
        )
    else:
        say(f"using your ORT_DYLIB_PATH, {library}")
    return parts


@contextlib.contextmanager
def locked(cache: Path) -> Iterator[None]:
    """One set-up at a time; the lock goes with the process, however that ends."""
    try:
        cache.mkdir(parents=True, exist_ok=True)
        lock = (cache / ".lock").open("w")
    except OSError as error:
        disk_error(error, cache)
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another set-up is at work in this cache folder; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def check_space(cache: Path, parts: list[Part]) -> None:
    target = Path(environment(cache)["CARGO_TARGET_DIR"])
    build = 0 if (target / "release").exists() else TARGET_BYTES
    needed = sum(part.bytes_needed(cache) for part in parts) + build
    free = shutil.disk_usage(cache).free
    if free < needed:
        raise SetupError(
            f"{cache} has {free / 1e9:.1f} GB free and set-up with a first build needs {needed / 1e9:.1f} GB: free "
            "some space or set CATALEX_CACHE to a folder on a larger disk, then run again"
        )


def remove_leftovers(cache: Path) -> None:
    """Removes incomplete files of a killed run. The lock shows that no other run uses them."""
    for folder in [*cache.glob("*.partial-*"), *cache.glob("models/*.partial-*")]:
        shutil.rmtree(folder, ignore_errors=True)


def claim_build_folder(target: Path) -> None:
    """Removes cargo's outputs for another checkout. Cargo identifies a workspace's own crates neither by path nor by
    content, but compares only ages. So it would use the outputs of the other checkout."""
    stamp = target / "catalex-checkout"
    checkout = str(Path(__file__).resolve().parent.parent)
    if not (target / "release").is_dir():
        target.mkdir(parents=True, exist_ok=True)
    elif not stamp.is_file() or stamp.read_text(encoding="utf-8") != checkout:
        for fingerprint in (target / "release" / ".fingerprint").glob("catalex-*"):
            shutil.rmtree(fingerprint, ignore_errors=True)
    stamp.write_text(checkout, encoding="utf-8")


def set_up(*, tests: bool, benchmarks: bool, wheel: bool) -> None:
    cache = cache_folder()
    parts: list[Part] = check_libtorch()
    parts += [wheel_venv()] if wheel else [*check_onnx_runtime(), MiniLm()]
    parts += [TestVenv(), TestTokenizers(), SmolLm2()] if tests else []
    parts += [benchmark_venv()] if benchmarks else []
    with locked(cache):
        remove_leftovers(cache)
        target = Path(environment(cache)["CARGO_TARGET_DIR"])
        try:
            claim_build_folder(target)
        except OSError as error:
            disk_error(error, target)
        missing = [part for part in parts if part.missing(cache)]
        if not missing:
            say(f"all is there, in {cache}")
            return
        say(f"bringing in {', '.join(part.name for part in missing)} under {cache}")
        require_pip()
        check_space(cache, missing)
        for part in missing:
            part.make(cache)
        say("done")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--no-tests", action="store_true", help="leave out the Python test environment")
    parser.add_argument("--benchmarks", action="store_true", help="add the environment of `make benchmark`")
    parser.add_argument("--wheel", action="store_true", help="only what `make wheel` needs: libtorch and maturin")
    parser.add_argument("--print-env", action="store_true", help="print shell exports and do nothing else")
    parser.add_argument("--print-cache", action="store_true", help="print the cache folder and do nothing else")
    arguments = parser.parse_args()
    if arguments.print_cache:
        print(cache_folder())
        return
    if arguments.print_env:
        for name, value in environment(cache_folder()).items():
            print(f"export {name}={shlex.quote(value)}")
        return
    try:
        tests = not (arguments.no_tests or arguments.wheel)
        set_up(tests=tests, benchmarks=arguments.benchmarks, wheel=arguments.wheel)
    except SetupError as error:
        sys.exit(f"set-up: {error}")
    except KeyboardInterrupt:
        say("interrupted; run again to go on where it stopped")
        sys.exit(130)


if __name__ == "__main__":
    main()
