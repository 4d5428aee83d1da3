"""Memory of `catalex embed` for a catalog of a million short texts, with a model of a few kilobytes.

PYTHONPATH=python/tests python python/benchmarks/embedding_memory.py target/release/catalex [--items 1000000]
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from encoders_made import TEXTS, write_lookup

WORDS = sorted({word.strip(",.;").lower() for text in TEXTS for word in text.split()})


def catalog(path: Path, items: int) -> None:
    """Texts of eight words each, written one row group at a time."""
    rng = np.random.default_rng(0)
    schema = pa.schema([("id", pa.int64()), ("title", pa.string())])
    with pq.ParquetWriter(path, schema) as writer:
        for start in range(0, items, 100_000):
            n = min(100_000, items - start)
            titles = [" ".join(row) for row in np.array(WORDS)[rng.integers(len(WORDS), size=(n, 8))]]
            writer.write_table(pa.table({"id": range(start, start + n), "title": titles}, schema=schema))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary", type=Path)
    parser.add_argument("--items", type=int, default=1_000_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        dim = write_lookup(folder / "tiny").shape[1]
        catalog(folder / "catalog.parquet", options.items)
        command = [options.binary, "embed", folder / "catalog.parquet", "--id", "id", "--text", "title"]
        command += ["--text-encoder", folder / "tiny", "--out", folder / "features.parquet"]
        child = os.posix_spawn(options.binary, command, os.environ)
        _, status, usage = os.wait4(child, 0)
        if status:
            raise SystemExit(f"embed failed with {status}")
        peak, seconds = usage.ru_maxrss / 1024, usage.ru_utime + usage.ru_stime
        print(f"{options.items} texts, {dim} numbers each: at most {peak:.0f} MiB, {seconds:.0f} s of processor time")


if __name__ == "__main__":
    main()
