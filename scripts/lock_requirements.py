#!/usr/bin/env python3
"""Write the lock files of the test environment and of the benchmarks. A lock file has every package, with the hashes of
its files.

Run it after a change of python/requirements-test.txt or python/benchmarks/requirements.txt, with uv on the PATH (pip
install uv). Set-up installs a lock file with `pip install --require-hashes --no-deps`. The lock file of the tests omits
the CUDA packages, because set-up on Linux installs PyTorch without them. Packages in an existing lock file keep their
versions; `--upgrade` selects the newest versions.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

PYTHON = Path(__file__).resolve().parent.parent / "python"
CUDA = re.compile(r"(cuda-|nvidia-|triton\b)")
LOCKS = [
    ("requirements-test.txt", "3.10", CUDA),
    ("benchmarks/requirements.txt", "3.11", None),
]
"""Requirements file, oldest supported Python version, and pattern of the packages that the lock file omits."""


def lock(requirements: str, python: str, left_out: re.Pattern[str] | None) -> int:
    path = PYTHON / requirements
    locked = path.with_suffix(".lock")
    command = ["uv", "pip", "compile", "--universal", "--python-version", python, "--generate-hashes", "--quiet"]
    command += ["--no-annotate", "--no-header", *sys.argv[1:], path.name, "--output-file", locked.name]
    done = subprocess.run(command, cwd=path.parent, check=False)
    if done.returncode != 0:
        return done.returncode
    # A package is a line that starts with its name, and indented lines with its hashes.
    packages = re.split(r"(?m)^(?=[a-z])", locked.read_text(encoding="utf-8"))
    kept = [package for package in packages if package.strip() and not (left_out and left_out.match(package))]
    head = f"# Written by scripts/lock_requirements.py: change {path.name}, and run the script again.\n"
    locked.write_text(head + "".join(kept), encoding="utf-8")
    return 0


def main() -> int:
    return max(lock(*of) for of in LOCKS)


if __name__ == "__main__":
    sys.exit(main())
