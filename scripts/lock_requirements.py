#!/usr/bin/env python3
"""Write python/requirements-test.lock: every package that the test environment gets, with the hashes of its files.

Run it after a change of python/requirements-test.txt, with uv on the PATH (pip install uv). Set-up installs the lock
with `pip install --require-hashes --no-deps`. CUDA's packages are omitted: on Linux, set-up installs PyTorch without
them. Packages in the existing lock keep their versions; `--upgrade` selects the newest ones.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

PYTHON = Path(__file__).resolve().parent.parent / "python"
LOCK = PYTHON / "requirements-test.lock"
HEAD = "# Written by scripts/lock_requirements.py: change requirements-test.txt, and run the script again.\n"
NOT_LAID_IN = re.compile(r"(cuda-|nvidia-|triton\b)")


def main() -> int:
    command = ["uv", "pip", "compile", "--universal", "--python-version", "3.10", "--generate-hashes", "--quiet"]
    command += ["--no-annotate", "--no-header", *sys.argv[1:], "requirements-test.txt", "--output-file", LOCK.name]
    done = subprocess.run(command, cwd=PYTHON, check=False)
    if done.returncode != 0:
        return done.returncode
    # A package has a line that starts with its name, and indented lines with its hashes.
    packages = re.split(r"(?m)^(?=[a-z])", LOCK.read_text(encoding="utf-8"))
    kept = [package for package in packages if package.strip() and not NOT_LAID_IN.match(package)]
    LOCK.write_text(HEAD + "".join(kept), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
