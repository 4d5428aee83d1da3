"""The compared kinds of IDs, for the same items and from the same vectors."""

from __future__ import annotations

import csv
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from .histories import Histories, Rows

LEVELS, CODES = 4, 256
WEIGHTS = {"text": 1.0, "behaviour": 3.0}
"""Relative lengths of the modalities' vectors, as by default in catalex. FAISS gets the same lengths."""


def features(catalex: Path, models: Path, data: Histories, folder: Path, *, behaviour: bool) -> Path:
    """Text vectors of titles and genres, and with `behaviour` also vectors of co-watched items.

    Behaviour vectors are computed from the histories without the two held-out items of each user.
    """
    catalog, out = folder / "movies.csv", folder / ("with_behaviour.parquet" if behaviour else "text.parquet")
    with catalog.open("w", encoding="utf-8", newline="") as stream:
        table = csv.writer(stream)
        table.writerow(["id", "title", "genres"])
        table.writerows(zip(range(data.n_items), data.titles, data.genres, strict=True))
    flags: list[str | Path] = ["--text", "title,genres", "--text-encoder", models / "minilm"]
    if behaviour:
        histories = folder / "histories.txt"
        lines = [" ".join(map(str, [user, *items])) for user, items in enumerate(data.training())]
        histories.write_text("\n".join(lines) + "\n", encoding="utf-8")
        flags += ["--interactions", histories]
    if not out.is_file():
        subprocess.run([catalex, "embed", catalog, "--id", "id", *flags, "--out", out], check=True)
    return out


def of_catalex(catalex: Path, vectors: Path, folder: Path, flags: list[str], seed: int) -> Rows:
    """Codes `(items, levels)` of `catalex train` with these flags and `catalex tokenize`."""
    model, tokens = folder / "model", folder / "tokens.parquet"
    subprocess.run([catalex, "train", vectors, "--out", model, "--seed", str(seed), "--force", *flags], check=True)
    subprocess.run([catalex, "tokenize", vectors, "--model", model, "--out", tokens, "--force"], check=True)
    return np.array(pq.read_table(tokens)["codes"].to_pylist(), np.int64)


def of_faiss(vectors: Path, seed: int) -> Rows:
    """Codes of FAISS's residual quantizer with its default training. Its input is the concatenation of the modalities,
    each centred, scaled to unit variance and weighted as in catalex. Items can share codes."""
    import faiss  # noqa: PLC0415  only this kind needs it

    table, parts = pq.read_table(vectors), []
    for name, weight in WEIGHTS.items():
        if name in table.column_names:
            rows = table[name].to_pylist()
            dim = next(len(row) for row in rows if row is not None)
            part = np.array([np.full(dim, np.nan) if row is None else row for row in rows])
            part -= np.nanmean(part, axis=0)
            parts.append(weight * np.nan_to_num(part / np.sqrt(np.nanmean((part**2).sum(axis=1)))))
    x = np.ascontiguousarray(np.concatenate(parts, axis=1), np.float32)
    quantizer = faiss.ResidualQuantizer(x.shape[1], LEVELS, CODES.bit_length() - 1)
    quantizer.cp.seed = seed
    quantizer.train(x)
    return np.array(quantizer.compute_codes(x), np.int64)


def random_unique(n_items: int, seed: int) -> Rows:
    """Random codes without information about the items. All are distinct."""
    drawn = np.random.default_rng(seed).choice(CODES**LEVELS, n_items, replace=False)
    return np.stack([drawn // CODES**level % CODES for level in range(LEVELS)], axis=1)


def kinds(
    catalex: Path, models: Path, data: Histories, folder: Path, lc_rec_epochs: int
) -> dict[str, Callable[[int], Rows]]:
    """The kinds by name, each with a function from a seed to codes. LC-Rec's recipe uses only text, as published."""

    def vectors(behaviour: bool) -> Path:
        return features(catalex, models, data, folder, behaviour=behaviour)

    def by_catalex(*flags: str, behaviour: bool = False) -> Callable[[int], Rows]:
        return lambda seed: of_catalex(catalex, vectors(behaviour), folder, list(flags), seed)

    return {
        "random": lambda seed: random_unique(data.n_items, seed),
        "FAISS": lambda seed: of_faiss(vectors(False), seed),
        "LC-Rec's recipe": by_catalex("--recipe", "lc-rec", "--epochs", str(lc_rec_epochs)),
        "RQ-KMeans": by_catalex("--recipe", "rq-kmeans"),
        "catalex": by_catalex(),
        "FAISS, with behaviour": lambda seed: of_faiss(vectors(True), seed),
        "catalex, with behaviour": by_catalex(behaviour=True),
    }
