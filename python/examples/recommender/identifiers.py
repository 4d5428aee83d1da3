"""Kinds of IDs for the same items, from the same vectors: what is compared."""

from __future__ import annotations

import csv
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from .histories import Histories, Rows

LEVELS, CODES = 4, 256


def features(catalex: Path, models: Path, data: Histories, folder: Path) -> Path:
    """Titles and genres through the text encoder."""
    catalog, out = folder / "movies.csv", folder / "movies.parquet"
    with catalog.open("w", encoding="utf-8", newline="") as stream:
        table = csv.writer(stream)
        table.writerow(["id", "title", "genres"])
        table.writerows(zip(range(data.n_items), data.titles, data.genres, strict=True))
    if not out.is_file():
        encoder: list[str | Path] = ["--text", "title,genres", "--text-encoder", models / "minilm"]
        subprocess.run([catalex, "embed", catalog, "--id", "id", *encoder, "--out", out], check=True)
    return out


def of_catalex(catalex: Path, vectors: Path, folder: Path, flags: list[str], seed: int) -> Rows:
    """Codes `(items, levels)` of `catalex train` with these flags and `catalex tokenize`."""
    model, tokens = folder / "model", folder / "tokens.parquet"
    subprocess.run([catalex, "train", vectors, "--out", model, "--seed", str(seed), "--force", *flags], check=True)
    subprocess.run([catalex, "tokenize", vectors, "--model", model, "--out", tokens, "--force"], check=True)
    return np.array(pq.read_table(tokens)["codes"].to_pylist(), np.int64)


def of_faiss(vectors: Path, seed: int) -> Rows:
    """Codes of FAISS' residual quantizer as it trains by default; items may share them."""
    import faiss  # noqa: PLC0415  only this kind needs it

    x = np.array(pq.read_table(vectors)["text"].to_pylist(), np.float32)
    x -= x.mean(axis=0)
    quantizer = faiss.ResidualQuantizer(x.shape[1], LEVELS, CODES.bit_length() - 1)
    quantizer.cp.seed = seed
    quantizer.train(x)
    return np.array(quantizer.compute_codes(x), np.int64)


def random_unique(n_items: int, seed: int) -> Rows:
    """Codes that say nothing; no two items share them."""
    drawn = np.random.default_rng(seed).choice(CODES**LEVELS, n_items, replace=False)
    return np.stack([drawn // CODES**level % CODES for level in range(LEVELS)], axis=1)


def kinds(
    catalex: Path, vectors: Path, folder: Path, n_items: int, lc_rec_epochs: int
) -> dict[str, Callable[[int], Rows]]:
    """Each kind's name, and how its codes come from a seed."""

    def by_catalex(*flags: str) -> Callable[[int], Rows]:
        return lambda seed: of_catalex(catalex, vectors, folder, list(flags), seed)

    return {
        "catalex": by_catalex(),
        "RQ-KMeans": by_catalex("--recipe", "rq-kmeans"),
        "LC-Rec's recipe": by_catalex("--recipe", "lc-rec", "--epochs", str(lc_rec_epochs)),
        "FAISS": lambda seed: of_faiss(vectors, seed),
        "random": lambda seed: random_unique(n_items, seed),
    }
