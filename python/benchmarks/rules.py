"""Rules in the decoder: time of compiling and updating, compliance, and recall against filtering after generation.

    PYTHONPATH=python/benchmarks python python/benchmarks/rules.py [--shared FOLDER]

FOLDER has `office_products.items.jsonl`, `.sequences.txt` and `.published_ids.json`; without it, recall is left out.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

import catalex

RULE = "stock > 0 and market in ('DE', 'AT') and age_rating <= user.age and not category under 'Alcohol'"
SIZES = [256, 256, 256, 256]
FIRST, EOS = 10, 1
CATEGORIES = ["Food > Tea", "Food > Bread", "Alcohol > Beer", "Toys > Cars", "Books > Novels"]

Rows = npt.NDArray[np.int64]


def made(items: int) -> tuple[catalex.Trie, catalex.Attributes, pl.DataFrame]:
    """Random IDs with 4 levels of 256 codes, and random attributes."""
    rng = np.random.default_rng(0)
    numbers = np.unique(rng.integers(0, 1 << 32, int(items * 1.01), dtype=np.uint64))
    numbers = rng.permutation(numbers)[:items]
    codes = np.stack([(numbers >> shift & 255).astype(np.uint16) for shift in (24, 16, 8, 0)], axis=1)
    frame = pl.DataFrame(
        {
            "stock": rng.integers(0, 5, items),
            "market": pl.Series(rng.integers(0, 4, items)).replace_strict({0: "DE", 1: "AT", 2: "CH", 3: None}),
            "age_rating": rng.choice([0, 12, 16, 18], items),
            "category": pl.Series(rng.integers(0, 5, items)).replace_strict(dict(enumerate(CATEGORIES))),
        }
    )
    trie = catalex.Trie.from_codes(np.ascontiguousarray(codes), catalex.TokenIds(FIRST, SIZES))
    return trie, catalex.Attributes.from_table(frame), frame


def timed(work: Any, rounds: int) -> list[float]:
    """Milliseconds of each round."""
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        times.append((time.perf_counter() - start) * 1000)
    return times


def told(times: list[float]) -> str:
    return f"median {np.median(times):.1f} ms, {min(times):.1f} to {max(times):.1f} ms in {len(times)} rounds"


def compiling(items: int) -> None:
    trie, attributes, _ = made(items)
    times = timed(lambda: catalex.Subset.from_rules(trie, RULE, user={"age": 12}, attributes=attributes), 15)
    print(f"compile and evaluate the rule, {items:,} items: {told(times)}")


def updating(items: int, share: float) -> None:
    trie, attributes, _ = made(items)
    subset = catalex.Subset.from_rules(trie, RULE, user={"age": 12}, attributes=attributes)
    rng = np.random.default_rng(1)
    changes = int(items * share)
    rows = [rng.permutation(items)[:changes] for _ in range(9)]
    stock = [rng.integers(0, 2, changes) for _ in rows]
    rounds = iter(zip(rows, stock, strict=True))
    whole: list[float] = []
    processor: list[float] = []
    for rows_now, stock_now in rounds:
        start, used = time.perf_counter(), time.process_time()
        attributes.update({"stock": stock_now}, rows=rows_now)
        assert subset.refresh() == changes
        whole.append((time.perf_counter() - start) * 1000)
        processor.append((time.process_time() - used) * 1000)
    # The first round also finds the leaf of each row.
    print(f"update {changes:,} of {items:,} items: first {whole[0]:.1f} ms, then {told(whole[1:])}")
    print(f"    processor time of both threads: {told(processor[1:])}")
    again = catalex.Subset.from_rules(trie, RULE, user={"age": 12}, attributes=attributes)
    assert len(again) == len(subset) == len(again & subset)


def compliance(items: int, answers: int) -> None:
    """Samples IDs with random scores, each row with its own user, and checks the attributes of every item."""
    trie, attributes, frame = made(items)
    ages = [0, 12, 16, 18]
    subsets = [catalex.Subset.from_rules(trie, RULE, user={"age": age}, attributes=attributes) for age in ages]
    processor = catalex.LogitsProcessor(trie, eos_token_id=EOS, subsets=subsets)
    rng = np.random.default_rng(2)
    rows, found = 1_000, []
    for _ in range(answers // rows):
        tokens = np.full((rows, 1), 2)
        for _ in SIZES:
            scores = rng.standard_normal((rows, FIRST + sum(SIZES)), dtype=np.float32)
            tokens = np.concatenate([tokens, processor(tokens, scores).argmax(1)[:, None]], axis=1)
        codes = tokens[:, 1:] - FIRST - np.cumsum([0, *SIZES[:-1]])
        found.append([trie.find(list(map(int, code))) for code in codes])
    result = np.array(found, dtype=float).reshape(-1, len(ages), rows // len(ages))
    allowed = np.zeros(result.shape, bool)
    for at, age in enumerate(ages):
        fits = (
            (pl.col("stock") > 0)
            & pl.col("market").is_in(["DE", "AT"])
            & (pl.col("age_rating") <= age)
            & ~pl.col("category").str.starts_with("Alcohol")
        )
        mask = frame.select(fits.fill_null(value=False)).to_series().to_numpy()
        here = result[:, at]
        allowed[:, at] = ~np.isnan(here) & mask[np.nan_to_num(here).astype(int)]
    print(f"compliance: {allowed.sum():,} of {allowed.size:,} generated IDs fit the rule, {items:,} items")


def recall(folder: Path) -> None:
    """Recall@10 of the next item, constrained and filtered after generation, with the same beam.

    The recommender is exact: the probability of an item after the last one is its smoothed transition count, and that
    of a prefix is the sum of its items. Only events whose item fits the rule count.
    """
    ids: dict[str, list[str]] = json.loads((folder / "office_products.published_ids.json").read_text())
    lines = (folder / "office_products.sequences.txt").read_text().splitlines()
    users = [[int(item) for item in line.split()[1:]] for line in lines]
    codes = np.array([[int(token.strip("<>").split("_")[1]) for token in ids[str(i)]] for i in range(len(ids))])
    _, kept = np.unique(codes, axis=0, return_index=True)
    kept = np.sort(kept)
    row_of = {int(item): row for row, item in enumerate(kept)}
    users = [[row_of[item] for item in user if item in row_of] for user in users]
    users = [user for user in users if len(user) > 2]
    trie = catalex.Trie.from_codes(codes[kept].astype(np.uint16))
    items, levels = len(kept), codes.shape[1]
    counts = np.zeros((items, items), np.float32)
    popular = np.ones(items, np.float32)
    for user in users:
        np.add.at(counts, (user[:-2], user[1:-1]), 1)
        np.add.at(popular, user[:-1], 1)
    popular /= popular.sum()
    prefixes = [np.unique(codes[kept, : depth + 1], axis=0, return_inverse=True)[1].ravel() for depth in range(levels)]
    for share in (0.5, 0.2, 0.05):
        found: dict[int, list[npt.NDArray[np.float64]]] = {10: [], 50: []}
        for draw in range(5):
            stock = (np.random.default_rng(draw).random(items) < share).astype(int)
            attributes = catalex.Attributes.from_table(pl.DataFrame({"stock": stock}))
            subset = catalex.Subset.from_rules(trie, "stock > 0", attributes=attributes)
            fits = stock > 0
            allowed = [np.unique(number[fits]) for number in prefixes]
            assert len(allowed[0]) == len(trie.allowed([], subset))
            events = [(user[-2], user[-1]) for user in users if fits[user[-1]]]
            for beam, ways in found.items():
                hits = np.zeros(2)
                for last, target in events:
                    for way, valid in enumerate((allowed, None)):
                        answers = search(prefixes, counts[last] + 5 * popular, valid, beam)
                        hits[way] += target in answers[fits[answers]][:10]
                ways.append(hits / len(events))
        for beam, ways in found.items():
            (by_rule, after), (by_rule_sd, after_sd) = np.mean(ways, axis=0), np.std(ways, axis=0, ddof=1)
            print(
                f"recall@10, beam {beam}, {share:.0%} of {items:,} items in stock, 5 draws: constrained "
                f"{by_rule:.3f} (sd {by_rule_sd:.3f}), filtered after generation {after:.3f} (sd {after_sd:.3f})"
            )


def search(prefixes: list[Rows], scores: npt.NDArray[np.float32], allowed: list[Rows] | None, beam: int) -> Rows:
    """The items that beam search finds, best first. The score of a prefix is the sum of those of its items."""
    alive: Rows = np.zeros(0, int)
    for depth, number in enumerate(prefixes):
        mass = np.bincount(number, scores)
        usable = np.zeros(len(mass), bool)
        usable[slice(None) if allowed is None else allowed[depth]] = True
        if depth > 0:
            continues = np.zeros(len(mass), bool)
            continues[number[np.isin(prefixes[depth - 1], alive)]] = True
            usable &= continues
        alive = np.argsort(-np.where(usable, mass, -1), kind="stable")[: min(beam, usable.sum())]
    return np.argsort(prefixes[-1])[alive]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, help="folder with the office products")
    parser.add_argument("--items", type=int, default=10_000_000, help="items of the update")
    arguments = parser.parse_args()
    compiling(1_000_000)
    compliance(1_000_000, 100_000)
    if arguments.shared and (arguments.shared / "office_products.items.jsonl").exists():
        recall(arguments.shared)
    updating(arguments.items, 0.01)


if __name__ == "__main__":
    main()
