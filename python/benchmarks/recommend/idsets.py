"""ID sets from files: arrays, token tables, indexes, and the index of LC-Rec's format."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np

from .histories import Rows


def read_sets(name: str, path: Path, ids: list[str], users: list[Rows] | None = None) -> dict[str, Rows]:
    """The ID sets of a file, by name.

    - `.npz`: each array of whole numbers; `codes_A` has the name `NAME A`, and an array alone in its file has `NAME`.
    - `.npy`: `(items, levels)`, or `(seeds, items, levels)`. Rows of arrays are those of the catalog.
    - Parquet: a token table, with `item_id` and `codes`. An index folder: its token table.
    - `.json`: an object from item id to a list of tokens such as `<a_17>`, as in LC-Rec.
    - `IDS.json+HISTORIES.json`: the same, if the file's items have other numbers. The histories (user to list of items)
      are those of the catalog's users in the same order, which tells the numbers.
    """
    if path.suffix == ".npz":
        with np.load(path) as file:
            arrays = {key: file[key] for key in file.files if file[key].dtype.kind in "iu" and file[key].ndim in (2, 3)}
        if not arrays:
            raise ValueError(f"{path}: expected an array of whole numbers (items, levels), got none")
        named = {f"{name} {key.removeprefix('codes_')}": codes for key, codes in arrays.items()}
        sets = {name: next(iter(arrays.values()))} if len(arrays) == 1 else named
    elif path.suffix == ".npy":
        sets = {name: np.load(path)}
    elif path.suffix == ".json" and "+" in str(path) and users is not None:
        of_ids, of_histories = map(Path, str(path).split("+", 1))
        numbers = _numbers(of_histories, users, len(ids))
        sets = {name: _by_id(of_ids, _tokens(of_ids), numbers)}
    elif path.suffix == ".json":
        sets = {name: _by_id(path, _tokens(path), ids)}
    else:
        table = path / "tokens.parquet" if path.is_dir() else path
        sets = {name: _by_id(table, read_token_table(table), ids)}
    return {key: checked(f"{path}, {key}", codes, len(ids)) for key, codes in sets.items()}


def checked(name: str, codes: Rows, items: int) -> Rows:
    if codes.ndim not in (2, 3) or codes.dtype.kind not in "iu":
        raise ValueError(f"{name}: expected whole numbers (items, levels), got {codes.dtype} {codes.shape}")
    if codes.shape[-2] != items:
        raise ValueError(f"{name}: expected codes of {items} items, got {codes.shape[-2]}")
    if codes.min() < 0 or codes.max() > 65_535:
        raise ValueError(f"{name}: expected codes from 0 to 65,535, got {codes.min()} to {codes.max()}")
    return codes.astype(np.int64)


def read_token_table(path: Path) -> dict[str, list[int]]:
    """Codes by item id."""
    import pyarrow.parquet as pq  # noqa: PLC0415  only this needs it

    table = pq.read_table(path, columns=["item_id", "codes"])
    return dict(zip(map(str, table["item_id"].to_pylist()), table["codes"].to_pylist(), strict=True))


def _tokens(path: Path) -> dict[str, list[int]]:
    content = json.loads(path.read_text(encoding="utf-8"))
    codes: dict[str, list[int]] = {}
    for item, tokens in content.items():
        found = [re.search(r"(\d+)\D*$", token) for token in tokens]
        if any(match is None for match in found):
            raise ValueError(f"{path}: expected tokens that end in a number for item {item}, got {tokens}")
        codes[item] = [int(match.group(1)) for match in found if match]
    return codes


def _numbers(path: Path, users: list[Rows], items: int) -> list[str]:
    """The number of each item in the histories of a file, whose users are those of the catalog."""
    histories = list(json.loads(path.read_text(encoding="utf-8")).values())
    if [len(history) for history in histories] != [len(history) for history in users]:
        raise ValueError(f"{path}: expected the histories of the {len(users)} users of the catalog, got others")
    numbers = [""] * items
    for ours, theirs in zip(users, histories, strict=True):
        for item, number in zip(ours, theirs, strict=True):
            if numbers[item] not in ("", str(number)):
                raise ValueError(
                    f"{path}: expected one number per item, got {numbers[item]} and {number} for row {item}"
                )
            numbers[item] = str(number)
    return numbers


def _by_id(path: Path, codes: dict[str, list[int]], ids: list[str]) -> Rows:
    missing = [item for item in ids if item not in codes]
    if missing:
        raise ValueError(
            f"{path}: expected IDs of all {len(ids)} items, got none for {len(missing)}, such as {missing[0]}"
        )
    lengths = {len(codes[item]) for item in ids}
    if len(lengths) > 1:
        raise ValueError(f"{path}: expected IDs of one length, got lengths {sorted(lengths)}")
    return np.array([codes[item] for item in ids], np.int64)
