#!/usr/bin/env python3
"""Run the notebooks in docs/notebooks from top to bottom, and store their outputs.

    python scripts/run_notebooks.py [NOTEBOOK ...]

They run in a copy of the checkout's layout: nothing but the notebooks themselves is written here. `catalex` must be on
the PATH, and CATALEX_MODELS set: `make notebooks` does both.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = ROOT / "docs" / "notebooks"
LONGEST = 600
"""Seconds for a cell on a busy machine."""


def run(notebook: Path, folder: Path) -> nbformat.NotebookNode:
    """Runs a notebook in a working copy in `folder`, and returns it with its outputs."""
    at = folder / NOTEBOOKS.relative_to(ROOT)
    at.mkdir(parents=True, exist_ok=True)
    if not (folder / "fixtures").exists():
        (folder / "fixtures").symlink_to(ROOT / "fixtures")
    # The kernel does not use the user's configuration or the network.
    os.environ.update(IPYTHONDIR=str(folder / "ipython"), HF_HUB_OFFLINE="1")
    node = nbformat.read(notebook, as_version=4)
    resources = {"metadata": {"path": str(at)}}
    # Times and the Python's version would be other ones each time.
    client = NotebookClient(node, timeout=LONGEST, kernel_name="python3", resources=resources, record_timing=False)
    client.execute()
    node.metadata.language_info = nbformat.from_dict({"name": "python"})
    return node


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("notebooks", nargs="*", type=Path, default=sorted(NOTEBOOKS.glob("*.ipynb")))
    for notebook in parser.parse_args().notebooks:
        print(f"running {notebook.name}", file=sys.stderr)
        with tempfile.TemporaryDirectory() as folder:
            node = run(notebook, Path(folder))
        nbformat.validate(node)
        nbformat.write(node, notebook)


if __name__ == "__main__":
    main()
