#!/usr/bin/env python3
"""Compares catalex's policies for ID collisions with published methods. Prints Markdown.

    make benchmark-collisions                      the emoji, and WordNet's nouns where Debian's wordnet-base is
    make benchmark-collisions PRODUCTS=FILE.jsonl  a catalog of products as well

One model is trained on all items of a data set, without separation (`--separation 0`; with the default, hardly any
collisions would remain). Each policy starts from its codes. Other flags are passed to `catalex train`.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow.parquet as pq

from data import WORDNET, Data, emoji, products, wordnet
from frozen import FrozenModel
from measures import Codes, Matrix, Neighbours, neighbours, prefix_recall

QUERIES = 1500


def errors(model: FrozenModel, latents: Matrix, codes: Codes) -> Matrix:
    """Squared distance of each latent from the sum of its codewords."""
    sums = sum(model.tensors[f"codebooks.{level}"][codes[:, level]] for level in range(model.levels))
    return np.asarray(((latents - sums) ** 2).sum(axis=1), np.float32)


def greedy(model: FrozenModel, latents: Matrix, codes: Codes) -> Codes:
    """The first item of a code keeps it. Each other item gets the cheapest free code of its prefix."""
    taken = {tuple(code) for code in codes.tolist()}
    seen: set[tuple[int, ...]] = set()
    given = codes.copy()
    last = model.levels - 1
    book = model.tensors[f"codebooks.{last}"]
    for row, code in enumerate(map(tuple, codes.tolist())):
        if code not in seen:
            seen.add(code)
            continue
        rest = latents[row] - sum(model.tensors[f"codebooks.{level}"][code[level]] for level in range(last))
        costs = ((book - rest) ** 2).sum(axis=1) + model.tensors[f"offsets.{last}"]
        free = next(c for c in np.argsort(costs, kind="stable").tolist() if (*code[:last], c) not in taken)
        taken.add((*code[:last], free))
        given[row, last] = free
    return given


class Outcome(NamedTuple):
    codes: Codes
    added: float
    """Relative increase of the distortion."""
    seconds: float


def row(name: str, outcome: Outcome, before: Codes, truth: Neighbours) -> str:
    codes, added, seconds = outcome
    left = len(codes) - len(np.unique(codes, axis=0))
    moved = int((codes[:, : before.shape[1]] != before).any(axis=1).sum())
    recall = np.mean([prefix_recall(codes, truth, seed) for seed in range(3)])
    cells = [name, f"{left}", f"{moved}", f"{100 * added:.2f} %", f"{recall:.4f}", f"{codes.shape[1]}"]
    return "| " + " | ".join([*cells, f"{seconds:.1f} s"]) + " |"


def table(catalex: Path, data: Data, flags: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        features = data.features(np.arange(len(data.vectors)), Path(folder) / "x.parquet")
        model_folder = Path(folder) / "model"
        subprocess.run([catalex, "train", features, "--out", model_folder, *data.weighed(), *flags], check=True)
        model = FrozenModel(model_folder)
        raw = np.concatenate(
            [np.array(data.raw[name].to_pylist(), np.float32) for name in data.raw.column_names if name != "item_id"], 1
        )
        latents = model.latents(raw)
        rng = np.random.default_rng(1)
        truth = neighbours(data.vectors, np.sort(rng.choice(len(raw), min(QUERIES, len(raw)), False)))
        tables: dict[str, tuple[Codes, float]] = {}
        for policy in ("keep", "resolve", "lc-rec", "suffix"):
            out = Path(folder) / f"{policy}.parquet"
            began = time.perf_counter()
            arguments = ["--model", str(model_folder), "--collisions", policy, "--out", str(out)]
            subprocess.run([catalex, "tokenize", features, *arguments], check=True)
            codes = np.array(pq.read_table(out, columns=["codes"])["codes"].to_pylist(), np.int64)
            tables[policy] = (codes, time.perf_counter() - began)
        before = tables["keep"][0]
        began = time.perf_counter()
        tables["greedy"] = (greedy(model, latents, before), time.perf_counter() - began)
        error = errors(model, latents, before).sum()
        print(f"\n### {data.name}: {len(raw):,} items\n")
        head = "method", "duplicates", "items moved", "added distortion", "recall by prefix"
        print("| " + " | ".join([*head, "levels", "time"]) + " |")
        print("|---|---|---|---|---|---|---|")
        names = {
            "keep": "none: the quantizer's codes (`--collisions keep`)",
            "resolve": "**matching within prefixes (`--collisions resolve`)**",
            "greedy": "nearest free code, item by item",
            "lc-rec": "LC-Rec's 20 rounds of Sinkhorn (`--collisions lc-rec`)",
            "suffix": "TIGER's suffix (`--collisions suffix`)",
        }
        for policy, name in names.items():
            codes, seconds = tables[policy]
            added = float(errors(model, latents, codes).sum() / error) - 1
            print(row(name, Outcome(codes, added, seconds), before, truth), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("catalex", type=Path, help="the built binary")
    parser.add_argument("--cache", type=Path, required=True, help="folder of encoded vectors")
    parser.add_argument("--products", type=Path, help="a JSON Lines catalog of products")
    options, given = parser.parse_known_args()
    flags = ["--separation", "0", *given]
    models = Path(os.environ["CATALEX_MODELS"])
    options.cache.mkdir(parents=True, exist_ok=True)
    table(options.catalex, emoji(options.catalex, models, options.cache), flags)
    if options.products:
        table(options.catalex, products(options.catalex, models, options.cache, options.products), flags)
    if WORDNET.is_file():
        table(options.catalex, wordnet(options.catalex, models, options.cache), flags)
    else:
        print("benchmark: SKIPPED wordnet: its data is not here", file=sys.stderr)


if __name__ == "__main__":
    main()
