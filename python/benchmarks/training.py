"""Compares the training times of `catalex train` and of FAISS' residual quantizer with refined codebooks.

Both train 4 levels of 256 codes on the same vectors with the same number of threads, in alternation. The time of
`catalex train` is that of the whole process; that of FAISS is the training alone.

    python python/benchmarks/training.py target/release/catalex vectors.npy
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

LEVELS, BITS = 4, 8


def catalex_seconds(binary: Path, vectors: Path, threads: int) -> float:
    with tempfile.TemporaryDirectory() as folder:
        command: list[str | Path] = [binary, "train", vectors, "--out", Path(folder) / "model", "--progress", "none"]
        started = time.perf_counter()
        subprocess.run([*command, "--threads", str(threads)], check=True, stdout=subprocess.DEVNULL)
        return time.perf_counter() - started


def faiss_seconds(vectors: Path, threads: int) -> float:
    import faiss  # noqa: PLC0415  not in the test environment
    import numpy as np  # noqa: PLC0415

    faiss.omp_set_num_threads(threads)
    x = np.load(vectors)
    quantizer = faiss.ResidualQuantizer(x.shape[1], LEVELS, BITS)
    quantizer.train_type |= faiss.ResidualQuantizer.Train_refine_codebook
    started = time.perf_counter()
    quantizer.train(x)
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary", type=Path)
    parser.add_argument("vectors", type=Path, help="float32 array (items, dimension), .npy")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    ratios = []
    for _ in range(options.rounds):
        ours = catalex_seconds(options.binary, options.vectors, options.threads)
        theirs = faiss_seconds(options.vectors, options.threads)
        ratios.append(theirs / ours)
        print(f"catalex {ours:.1f} s, FAISS refined {theirs:.1f} s", flush=True)
    print(f"catalex trains {statistics.median(ratios):.1f} times as fast ({min(ratios):.1f} to {max(ratios):.1f})")


if __name__ == "__main__":
    main()
