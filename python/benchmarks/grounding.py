#!/usr/bin/env python3
"""Compares `catalex ground` with a script of torch.cdist and sort, as in BIGRec's evaluation: same generated vectors,
two threads each, one after the other.

    python python/benchmarks/grounding.py CATALEX [ANSWERS [ITEMS [DIM]]]     defaults: 10000 100000 768

Both read .npy files and write the 20 nearest items of each answer. The script sorts in batches to limit its memory.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

TOP = 20
SCRIPT = """
import sys, json
import numpy as np, torch
torch.set_num_threads(2)
answers, items = (torch.from_numpy(np.load(path)) for path in sys.argv[1:3])
with open(sys.argv[3], "w") as out:
    for batch in answers.split(256):
        nearest = torch.cdist(batch, items).argsort(dim=1)[:, :20]
        for row in nearest.tolist():
            out.write(json.dumps(row) + "\\n")
"""


def made(folder: Path, answers: int, items: int, dim: int) -> tuple[Path, Path]:
    """Items with a decaying spectrum, like that of embeddings, and answers near some of them."""
    rng = np.random.default_rng(0)
    spectrum = (1 + np.arange(dim)) ** -0.5
    of_items = (rng.standard_normal((items, dim)) * spectrum).astype(np.float32)
    noise = (0.3 * rng.standard_normal((answers, dim)) * spectrum).astype(np.float32)
    of_answers = of_items[rng.integers(items, size=answers)] + noise
    np.save(folder / "items.npy", of_items)
    np.save(folder / "answers.npy", of_answers)
    return folder / "answers.npy", folder / "items.npy"


def main() -> None:
    catalex = sys.argv[1]
    answers, items, dim = [int(n) for n in sys.argv[2:]] + [10_000, 100_000, 768][len(sys.argv) - 2 :]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        of_answers, of_items = made(folder, answers, items, dim)
        ours, theirs = folder / "ours.jsonl", folder / "theirs.jsonl"
        command = [
            catalex,
            "ground",
            of_answers,
            "--items",
            of_items,
            "--top",
            str(TOP),
            "--threads",
            "2",
            "--out",
            ours,
        ]
        began = time.perf_counter()
        subprocess.run([str(word) for word in command], check=True)
        catalex_seconds = time.perf_counter() - began
        environment = {**os.environ, "OMP_NUM_THREADS": "2"}
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", SCRIPT, of_answers, of_items, theirs], check=True, env=environment)
        torch_seconds = time.perf_counter() - began
        lists = [[int(item) for item in json.loads(line)["items"]] for line in ours.read_text().splitlines()]
        sorted_lists = [json.loads(line) for line in theirs.read_text().splitlines()]
        same = np.mean([a == b for a, b in zip(lists, sorted_lists, strict=True)])
    print(
        f"{answers:,} answers, {items:,} items x {dim}: catalex {catalex_seconds:.1f} s, torch {torch_seconds:.1f} s,",
        end=" ",
    )
    print(f"{torch_seconds / catalex_seconds:.1f} times as fast; {same:.1%} of the lists are the same in every place")


if __name__ == "__main__":
    main()
