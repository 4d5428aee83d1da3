#!/usr/bin/env python3
"""How a model's quality depends on how many items it is trained on. Prints Markdown.

    python/benchmarks/sampling.py CATALEX --cache DIR                        WordNet's nouns (Debian's wordnet-base)
    python/benchmarks/sampling.py CATALEX --cache DIR --products FILE.jsonl  a catalog of products as well

One of ten items is kept from every training, and the samples are drawn from the others, the smaller from the larger.
Error and recall are those of the items kept; use of codes and duplicates those of all.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

import catalex
from data import WORDNET, Data, products, wordnet
from measures import Neighbours, duplicates, neighbours, perplexity, prefix_recall, relative_error

SAMPLES = 1_000, 3_000, 10_000
QUERIES = 1_000


def row(binary: Path, data: Data, items: int, order: np.ndarray, truth: Neighbours) -> str:
    """Trains on the first `items` of an order, and measures."""
    with tempfile.TemporaryDirectory() as folder:
        sample = data.features(np.sort(order[:items]), Path(folder) / "sample.parquet")
        subprocess.run([binary, "train", sample, "--out", Path(folder) / "model"], check=True)
        model = catalex.Tokenizer.load(Path(folder) / "model")
    vectors = np.array(data.raw["text"].to_pylist(), np.float32)
    codes = model.encode(vectors).astype(np.int64)
    error = relative_error(vectors[data.held_out], model.decode(codes[data.held_out]))
    recall = float(np.mean([prefix_recall(codes, truth, seed) for seed in range(3)]))
    uses = [f"{perplexity(codes[:, level]):.0f}" for level in (0, codes.shape[1] - 1)]
    cells = [f"{items:,}", f"{error:.4f}", f"{100 * duplicates(codes):.2f} %", f"{recall:.4f}", *uses]
    return "| " + " | ".join(cells) + " |"


def table(binary: Path, data: Data) -> None:
    rng = np.random.default_rng(2)
    order = rng.permutation(data.training)
    queries = np.sort(rng.choice(data.held_out, min(QUERIES, len(data.held_out)), False))
    truth = neighbours(data.vectors, queries)
    print(f"\n### {data.name}: {len(data.vectors):,} items, {len(data.held_out):,} of them never trained on\n")
    head = "training items", "relative error", "duplicates", "recall by prefix"
    print("| " + " | ".join([*head, "perplexity of first codes", "perplexity of last codes"]) + " |")
    print("|---|---|---|---|---|---|")
    for items in [*(n for n in SAMPLES if n < len(order)), len(order)]:
        print(row(binary, data, items, order, truth), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("catalex", type=Path, help="the built binary")
    parser.add_argument("--cache", type=Path, required=True, help="where encoded vectors are kept")
    parser.add_argument("--products", type=Path, help="a JSON Lines catalog of products")
    options = parser.parse_args()
    models = Path(os.environ["CATALEX_MODELS"])
    options.cache.mkdir(parents=True, exist_ok=True)
    if options.products:
        table(options.catalex, products(options.catalex, models, options.cache, options.products))
    if WORDNET.is_file():
        table(options.catalex, wordnet(options.catalex, models, options.cache))
    else:
        print("benchmark: SKIPPED wordnet: its data is not here", file=sys.stderr)


if __name__ == "__main__":
    main()
