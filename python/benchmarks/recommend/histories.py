"""Histories of users, their split into training, validation and test events, and the file that holds them.

Only numpy is needed here, so that runs need neither catalex nor the packages that read catalogs.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.int64]
"""Row numbers of items, positions of events, or codes."""

TRAIN, VALID, TEST = 0, 1, 2


@dataclass(frozen=True)
class Histories:
    """All events in one array, user by user, oldest first. The events of user `u` are at `offsets[u]:offsets[u + 1]`.
    Within a user, training events come first, then validation events, then test events."""

    n_items: int
    items: Rows
    offsets: Rows
    parts: Rows
    """`TRAIN`, `VALID` or `TEST` of each event."""

    def starts(self) -> Rows:
        """For each event, the position of the first event of its user."""
        return np.repeat(self.offsets[:-1], np.diff(self.offsets))

    def training(self, last: int = TRAIN) -> tuple[Rows, Rows]:
        """Start and end of the training events of each user who has any, and of those up to the part `last`."""
        counts = np.zeros(len(self.offsets) - 1, np.int64)
        users = np.repeat(np.arange(len(counts)), np.diff(self.offsets))
        np.add.at(counts, users[self.parts <= last], 1)
        kept = counts > 0
        return self.offsets[:-1][kept], (self.offsets[:-1] + counts)[kept]

    def events(self, part: int, most: int) -> Rows:
        """Positions of the events of a part that have an earlier event of their user: all of them, or `most` at equal
        distances."""
        found = np.flatnonzero((self.parts == part) & (np.arange(len(self.items)) > self.starts()))
        if len(found) > most:
            found = found[np.linspace(0, len(found) - 1, most).round().astype(np.int64)]
        return found

    def popularity(self) -> Rows:
        """Number of training events per item."""
        return np.bincount(self.items[self.parts == TRAIN], minlength=self.n_items)

    def windows(self, starts: Rows, ends: Rows, length: int) -> Rows:
        """The last `length` items of each range of events, `(ranges, length)`: left-aligned, then -1."""
        lengths = np.minimum(ends - starts, length)
        at = np.arange(length)
        found = self.items[np.minimum((ends - lengths)[:, None] + at, len(self.items) - 1)]
        return np.where(at < lengths[:, None], found, -1)


def of_users(n_items: int, users: list[Rows], parts: list[Rows] | None = None) -> Histories:
    """Histories of lists of items; with a leave-one-out split if `parts` is absent."""
    offsets = np.concatenate([[0], np.cumsum([len(items) for items in users])]).astype(np.int64)
    items = np.concatenate(users).astype(np.int64)
    if len(items) == 0 or items.min() < 0 or items.max() >= n_items:
        raise ValueError(f"expected histories of row numbers below {n_items}, got {items.min()} to {items.max()}")
    flat = leave_one_out(offsets) if parts is None else np.concatenate(parts).astype(np.int64)
    return Histories(n_items, items, offsets, flat)


def leave_one_out(offsets: Rows) -> Rows:
    """The last event of each user tests, the one before validates. Users with fewer than three events only train."""
    parts = np.full(offsets[-1], TRAIN)
    ends = offsets[1:][np.diff(offsets) >= 3]
    parts[ends - 1], parts[ends - 2] = TEST, VALID
    return parts


def by_time(times: list[npt.NDArray[np.float64]], share: float = 0.1) -> list[Rows]:
    """The latest tenth of all events tests, the tenth before validates. Events of equal time are in the same part."""
    ordered = np.sort(np.concatenate(times))
    each = max(1, round(share * len(ordered)))
    valid, test = ordered[len(ordered) - 2 * each], ordered[len(ordered) - each]
    return [np.where(of >= test, TEST, np.where(of >= valid, VALID, TRAIN)) for of in times]


@dataclass(frozen=True)
class Blocks:
    """What a recommender of a growing catalog was trained on first: `cuts` is the number of events of the old block of
    each user, `new` whether an item came later, and `old` the codes of the other items, as in `Data`."""

    cuts: Rows
    new: npt.NDArray[np.bool_]
    old: Rows

    def histories(self, histories: Histories) -> Histories:
        """The histories with the events of the old block as their training events."""
        after = np.arange(len(histories.items)) - histories.starts() >= np.repeat(self.cuts, np.diff(histories.offsets))
        return replace(histories, parts=np.where(after, np.maximum(histories.parts, VALID), TRAIN))


@dataclass(frozen=True)
class Data:
    """What a run reads: histories, and ID sets by name. The codes of a set are `(items, levels)`, or
    `(seeds, items, levels)` if each seed has its own."""

    name: str
    split: str
    histories: Histories
    sets: dict[str, npt.NDArray[np.int64]] = field(default_factory=dict)
    blocks: Blocks | None = None

    def codes(self, name: str, seed: int) -> Rows:
        return of_seed(self.sets[name], seed)


def of_seed(codes: Rows, seed: int) -> Rows:
    return codes if codes.ndim == 2 else codes[seed % len(codes)]


def save(data: Data, path: Path) -> None:
    arrays = {
        "name": np.array(data.name),
        "split": np.array(data.split),
        "n_items": np.array(data.histories.n_items),
        "seq_items": data.histories.items.astype(np.int32),
        "seq_offsets": data.histories.offsets,
        "seq_parts": data.histories.parts.astype(np.uint8),
        **{f"codes_{name}": codes.astype(np.uint16) for name, codes in data.sets.items()},
    }
    if data.blocks is not None:
        arrays |= {f"blocks_{name}": getattr(data.blocks, name) for name in ("cuts", "new", "old")}
    beside = path.with_suffix(".part.npz")
    np.savez_compressed(beside, **arrays)  # type: ignore[arg-type]  # the stub takes keywords for its own options
    beside.replace(path)


def load(path: Path) -> Data:
    """Reads `seq_items`, `seq_offsets` and `codes_NAME`; the other arrays of `save` are optional."""
    with np.load(path) as file:
        arrays = {key: file[key] for key in file.files}
    for key in ("seq_items", "seq_offsets"):
        if key not in arrays:
            raise ValueError(f"{path}: expected an array {key}, got {', '.join(arrays)}: `python -m recommend.make`")
    sets = {key.removeprefix("codes_"): codes.astype(np.int64) for key, codes in arrays.items() if key[:6] == "codes_"}
    items, offsets = arrays["seq_items"].astype(np.int64), arrays["seq_offsets"].astype(np.int64)
    rows = {name: codes.shape[-2] for name, codes in sets.items()}
    n_items = int(arrays["n_items"]) if "n_items" in arrays else max([int(items.max()) + 1, *rows.values()])
    for name, found in rows.items():
        if found != n_items:
            raise ValueError(f"{path}: expected codes of {n_items} items, got {found} in codes_{name}")
    parts = arrays["seq_parts"].astype(np.int64) if "seq_parts" in arrays else leave_one_out(offsets)
    name = str(arrays["name"]) if "name" in arrays else path.stem
    split = str(arrays["split"]) if "split" in arrays else "leave-one-out"
    blocks = Blocks(*(arrays[f"blocks_{part}"] for part in ("cuts", "new", "old"))) if "blocks_new" in arrays else None
    return Data(name, split, Histories(n_items, items, offsets, parts), sets, blocks)


def training_lines(histories: Histories, last: int = TRAIN) -> str:
    """The events up to the part `last` as lines `user item item ...` of row numbers."""
    starts, ends = histories.training(last)
    rows = [histories.items[start:end].tolist() for start, end in zip(starts, ends, strict=True)]
    return "".join(" ".join(map(str, [user, *items])) + "\n" for user, items in enumerate(rows))


def content_hash(*arrays: npt.NDArray[np.int64]) -> str:
    """Sixteen digits that name the content of arrays."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(str(array.shape).encode())
        digest.update(np.ascontiguousarray(array, np.int64).tobytes())
    return digest.hexdigest()[:16]
