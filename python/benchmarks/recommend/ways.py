"""The IDs that a grown catalog gets in different ways, all from one index of its old items."""

from __future__ import annotations

import json
import shlex
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .growth import Growth
from .histories import Blocks, Rows, training_lines
from .idsets import read_token_table
from .vectors import Encoder

OLD, EVENTS = "old", "EVENTS"
KNOWN = {
    "frozen": ("append",),
    "retrain": ("retrain", "--interactions", EVENTS),
    "retrain, old behaviour": ("retrain",),
    "from scratch, renamed": ("retrain", "--keep", "0", "--interactions", EVENTS),
    "from scratch": ("build",),
}
"""`catalex append`, `retrain` and `build` with flags. `EVENTS` stands for the file of all training events."""


def parse_way(text: str) -> tuple[str, tuple[str, ...]]:
    """`NAME=VERB FLAGS`."""
    name, sign, rest = text.partition("=")
    words = tuple(shlex.split(rest))
    if not name or not sign or not words or words[0] not in ("append", "retrain", "build"):
        raise ValueError(f"expected --way NAME=VERB FLAGS with append, retrain or build, got {text!r}")
    return name, words


@dataclass(frozen=True)
class Ways:
    """Makes IDs in a folder. With `behaviour`, the index of the old items has behaviour from the old block, and those
    ways that read events have it from the old and the next block."""

    encoder: Encoder
    growth: Growth
    behaviour: bool
    folder: Path
    build: tuple[str, ...] = ()
    """Flags of each build."""

    def make(self, ways: dict[str, tuple[str, ...]], seeds: int) -> tuple[Blocks, dict[str, Rows]]:
        """The codes of the old items, and of all items in each way, `(seeds, items, levels)`."""
        items = len(self.growth.new)
        made = [{way: codes_of(index, items) for way, index in self.indexes(ways, seed, np.arange(items))}
                for seed in range(seeds)]  # fmt: skip
        sets = {way: np.stack([codes[way] for codes in made]) for way in made[0]}
        return Blocks(self.growth.cuts, self.growth.new, sets.pop(OLD)), sets

    def indexes(self, ways: dict[str, tuple[str, ...]], seed: int, rows: Rows) -> Iterator[tuple[str, Path]]:
        """The index of the old items (`OLD`), then the index of the items `rows` in each way. The next index replaces
        the last one of a way."""
        with tempfile.TemporaryDirectory(dir=self.folder) as name:
            place = Path(name)
            old, every = place / "old.jsonl", place / "all.jsonl"
            write_lines(old, np.flatnonzero(~self.growth.new))
            write_lines(every, rows)
            before, after = place / "old.txt", place / "all.txt"
            histories = self.growth.histories
            blocks = Blocks(self.growth.cuts, self.growth.new, np.zeros((len(self.growth.new), 1), np.int64))
            before.write_text(training_lines(blocks.histories(histories)), encoding="utf-8")
            after.write_text(training_lines(histories), encoding="utf-8")
            index, out = place / "index", place / "next"
            self._run("build", [old, *self._made(before), "--seed", str(seed), "--out", index])
            yield OLD, index
            for way, (verb, *flags) in ways.items():
                given = [str(after) if flag == EVENTS else flag for flag in flags]
                if verb == "build":
                    made: list[str | Path] = [every, *self._made(after), "--seed", str(seed), *given]
                else:
                    made = [index, every, "--embedding", f"text={self.encoder.text()}", *given]
                self._run(verb, [*made, "--out", out, "--force"])
                yield way, out

    def _made(self, events: Path) -> list[str]:
        made = ["--id", "id", "--embedding", f"text={self.encoder.text()}"]
        return [*made, *(["--interactions", str(events)] if self.behaviour else []), *self.build]

    def _run(self, verb: str, arguments: Sequence[str | Path]) -> None:
        subprocess.run([self.encoder.catalex, verb, *arguments, "--progress", "none"], check=True,
                       stdout=subprocess.DEVNULL)  # fmt: skip


def write_lines(path: Path, rows: Rows) -> None:
    path.write_text("".join(json.dumps({"id": row}) + "\n" for row in rows.tolist()), encoding="utf-8")


def codes_of(index: Path, items: int) -> Rows:
    """The codes of an index by row number, 0 for items that it does not have."""
    table = read_token_table(index / "tokens.parquet")
    levels = len(next(iter(table.values())))
    codes = np.zeros((items, levels), np.int64)
    codes[np.array([int(item) for item in table])] = np.array(list(table.values()))
    return codes
