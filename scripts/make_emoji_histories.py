"""Makes fixtures/emoji/histories.csv: interactions of simulated users with the emoji, for tests of exports.

Each user has a few favourite subgroups, with high ratings inside and low ratings outside of them. Some events of a user
have the same time, some histories are too short, and two events are of items that the catalog does not have. Every run
writes the same bytes.
"""

from __future__ import annotations

import csv
import random
from pathlib import Path

import pyarrow.parquet as pq

FOLDER = Path(__file__).resolve().parents[1] / "fixtures" / "emoji"
USERS = 160
SHORT = 4


def main() -> None:
    catalog = pq.read_table(FOLDER / "catalog.parquet", columns=["id", "subgroup"]).to_pylist()
    by_subgroup: dict[str, list[str]] = {}
    for row in catalog:
        by_subgroup.setdefault(row["subgroup"], []).append(row["id"])
    large = [name for name, items in by_subgroup.items() if len(items) >= 8]
    items = [row["id"] for row in catalog]
    rng = random.Random(20231115)
    events: list[tuple[str, str, int, int]] = []
    for user in range(USERS):
        favourites = rng.sample(large, 3)
        time = 1_700_000_000 + rng.randrange(60) * 86_400
        length = rng.randrange(2, 4) if user < SHORT else rng.randrange(6, 24)
        had: set[str] = set()
        for _ in range(length):
            liked = rng.random() < 0.75
            pool = by_subgroup[rng.choice(favourites)] if liked else items
            item = rng.choice(pool)
            if item in had:
                continue
            had.add(item)
            # Half of the neighbouring events have one time.
            time += rng.choice([0, 0, 3_600, 86_400])
            rating = rng.choice([4, 5, 5] if liked else [1, 2, 3])
            events.append((f"u{user:03}", item, time, rating))
    for name in ("u010", "u020"):
        last = max(time for other, _, time, _ in events if other == name)
        events.append((name, "no-such-emoji", last, 5))
    # Users come in turns, as in a log; a user's own events keep their order.
    events.sort(key=lambda event: event[2])
    with (FOLDER / "histories.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["user_id", "item_id", "timestamp", "rating"])
        writer.writerows(events)


if __name__ == "__main__":
    main()
