"""Overhead of the package over the crate: `encode` compared with the Rust call, one row, importing, threads.

    maturin develop --release --features pyo3/extension-module,benchmarks --manifest-path python/Cargo.toml
    python python/benchmarks/package.py MODEL

The time of the Rust call is measured in the native module, by a function that exists only with the feature
`benchmarks`.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

import catalex
from catalex import _native


def best(call: Callable[[], object], repeats: int) -> float:
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return min(times)


def main(path: Path) -> None:
    model = catalex.Tokenizer.load(path)
    x = np.random.default_rng(0).normal(size=(100_000, model.dim)).astype("f4")
    native = model._native
    time_codes = getattr(_native, "time_codes", None)
    if time_codes is None:
        sys.exit("this catalex was built without the feature `benchmarks`: see the first lines of this file")
    rust = min(time_codes(native, x) for _ in range(7))
    python = best(lambda: model.encode(x), 7)
    print(f"encode 100,000 rows    {python:.3f} s, in Rust {rust:.3f} s: {100 * (python / rust - 1):+.1f} %")
    for name, given in {"Fortran order": np.asfortranarray(x), "float64": x.astype("f8")}.items():
        print(f"  {name:<20} {best(lambda given=given: model.encode(given), 3):.3f} s")  # type: ignore[misc]
    print(f"encode 1 row           {1e6 * best(lambda: model.encode(x[:1]), 2000):.0f} microseconds")
    parts = np.array_split(x, 8)
    for threads in (1, 2, 4):
        with ThreadPoolExecutor(threads) as pool:
            took = best(lambda pool=pool: list(pool.map(model.encode, parts)), 3)  # type: ignore[misc]
        print(f"8 calls, {threads} threads     {took:.3f} s")
    for name, code in {"numpy": "import numpy", "numpy and catalex": "import numpy, catalex"}.items():
        command = [
            sys.executable,
            "-c",
            f"import time; t = time.perf_counter(); {code}; print(time.perf_counter() - t)",
        ]
        took = min(float(subprocess.run(command, capture_output=True, text=True, check=True).stdout) for _ in range(5))
        print(f"import {name:<17} {1e3 * took:.0f} ms")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
