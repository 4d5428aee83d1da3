#!/usr/bin/env python3
"""Measure how much the first codes of semantic IDs reveal about an item, on the 97 subgroups of fixtures/emoji.

Builds three indexes with one seed (text and picture, text alone, picture alone) and compares the level-0 codes with
the subgroups, which the encoders never see. The yardstick is plain 256-means on the same fused features. Run by hand
through `make evaluate`; some minutes. Exits with 0 where both claims hold:

    1. the codes' mutual information with the subgroups is at least 0.95 times that of 256-means
    2. text and picture together tell more than text alone, and more than the picture alone
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from clustering import Agreement, Floats, Labels, agreement, k_means

ROOT = Path(__file__).resolve().parents[1]
EMOJI = ROOT / "fixtures" / "emoji" / "catalog.parquet"
CODES = 256
SHARE_OF_K_MEANS = 0.95


def build(catalex: Path, out: Path, seed: int, *, text: bool, image: bool) -> Path:
    encoders = Path(os.environ["CATALEX_MODELS"])
    command: list[str | Path] = [catalex, "build", EMOJI, "--id", "id", "--out", out, "--force", "--seed", str(seed)]
    if text:
        command += ["--text", "label,tags", "--text-encoder", encoders / "minilm"]
    if image:
        command += ["--image", "image", "--image-encoder", ROOT / "fixtures" / "mobilenet_v2"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return out


def subgroups(index: Path) -> Labels:
    """Each item's subgroup, in the order of the index."""
    catalog = pq.read_table(EMOJI, columns=["id", "subgroup"]).to_pydict()
    by_id = dict(zip(catalog["id"], catalog["subgroup"], strict=True))
    items = pq.read_table(index / "tokens.parquet", columns=["item_id"])["item_id"].to_pylist()
    return np.unique([by_id[item] for item in items], return_inverse=True)[1]


def first_codes(index: Path) -> Labels:
    codes = pq.read_table(index / "tokens.parquet", columns=["codes"])["codes"].to_pylist()
    return np.array([row[0] for row in codes], np.int64)


def fused(index: Path) -> Floats:
    """All modalities side by side, each standardised as src/tokenizer/standardization.rs does it: every dimension
    centred, the whole divided by the root of the mean squared length. Every emoji has both modalities."""
    table = pq.read_table(index / "features.parquet").drop_columns(["item_id"])
    parts = []
    for column in table.columns:
        if column.null_count:
            raise SystemExit("evaluate: an emoji lacks a modality, which this script does not provide for")
        vectors = np.array(column.to_pylist(), np.float64)
        vectors -= vectors.mean(axis=0)
        parts.append(vectors / np.sqrt((vectors**2).sum(axis=1).mean()))
    return np.concatenate(parts, axis=1)


def row(name: str, labels: Labels, found: Agreement) -> str:
    used = len(np.unique(labels))
    return f"{name:<26}{used:>6}{found.mutual_information:>10.4f}{found.normalised:>12.4f}{found.adjusted:>10.4f}"


def evaluate(catalex: Path, out: Path, seed: int, restarts: int) -> bool:
    out.mkdir(parents=True, exist_ok=True)
    inputs = {"text and picture": (True, True), "text alone": (True, False), "picture alone": (False, True)}
    labels: dict[str, Labels] = {}
    for name, (text, image) in inputs.items():
        print(f"evaluate: building the index of {name}", file=sys.stderr)
        index = build(catalex, out / name.replace(" ", "-"), seed, text=text, image=image)
        labels[f"catalex, {name}"] = first_codes(index)
    both = out / "text-and-picture"
    print(f"evaluate: {CODES}-means, {restarts} runs", file=sys.stderr)
    labels[f"{CODES}-means"], _ = k_means(fused(both), CODES, restarts=restarts, seed=seed)

    truth = subgroups(both)
    found = {name: agreement(codes, truth) for name, codes in labels.items()}
    print(f"{len(truth)} emoji, {len(np.unique(truth))} subgroups, seed {seed}; mutual information (MI) in nats\n")
    print(f"{'level-0 codes':<26}{'used':>6}{'MI':>10}{'normalised':>12}{'adjusted':>10}")
    for name, codes in labels.items():
        print(row(name, codes, found[name]))
    mutual = {name: value.mutual_information for name, value in found.items()}
    ours, yardstick = mutual["catalex, text and picture"], mutual[f"{CODES}-means"]
    share = ours / yardstick
    text_only, picture_only = mutual["catalex, text alone"], mutual["catalex, picture alone"]
    claims = {
        f"MI is {share:.4f} of {CODES}-means', at least {SHARE_OF_K_MEANS}": share >= SHARE_OF_K_MEANS,
        f"text and picture ({ours:.4f}) beat text alone ({text_only:.4f})": ours > text_only,
        f"text and picture ({ours:.4f}) beat the picture alone ({picture_only:.4f})": ours > picture_only,
    }
    print()
    for claim, holds in claims.items():
        print(f"{'holds' if holds else 'FAILS'}  {claim}")
    return all(claims.values())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("catalex", type=Path, help="the built binary")
    parser.add_argument("--out", type=Path, default=ROOT / "target" / "evaluate", help="where the indexes go")
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--restarts", type=int, default=10, help="runs of k-means, of which the tightest counts")
    arguments = parser.parse_args()
    if "CATALEX_MODELS" not in os.environ:
        sys.exit("evaluate: CATALEX_MODELS is not set: run this through make evaluate")
    holds = evaluate(arguments.catalex, arguments.out, arguments.seed, arguments.restarts)
    sys.exit(0 if holds else 1)


if __name__ == "__main__":
    main()
