"""Stores: folders with the generations of an index, one of which is current."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from . import _native
from ._files import AnyPath, Files, Tokens
from ._html import table
from ._settings import values
from .errors import InputError
from .index import Index
from .jobs import _object, _run
from .run import Progress


def publish(
    index: Index | AnyPath,
    store: Store | AnyPath,
    *,
    reason: str | None = None,
    keep: int | None = None,
    rebuild: bool | None = None,
    progress: Progress = "auto",
) -> dict[str, Any]:
    """Makes an index the current generation of a store, as `catalex publish` does.

    Creates the store if it does not exist. The index must have been made from the current generation, such as by
    `append`; with `rebuild`, it can be any index. `keep` is the number of generations that remain. Returns a dictionary
    with `number`, `path`, `previous` and `pruned`.
    """
    settings = values("publish", {"reason": reason, "keep": keep, "rebuild": rebuild})
    spec = {"index": _path(index), "store": _path(store), "settings": settings}
    return _object(_run(_native.publish, spec, progress))


def rollback(store: Store | AnyPath, to: int | None = None) -> dict[str, Any]:
    """Makes another generation of a store current, as `catalex rollback` does: `to`, or the parent of the current
    generation. Returns a dictionary with `from` and `to`.
    """
    return _object(_native.rollback(json.dumps({"store": _path(store), "to": to})))


def history(path: Store | Index | AnyPath) -> list[dict[str, Any]]:
    """The generations of a store from the oldest to the newest, as `catalex history --json` prints them."""
    found: list[dict[str, Any]] = json.loads(_native.history(_path(path)))
    return found


def verify(
    path: Store | Index | AnyPath, tokens: Tokens | None = None, *, progress: Progress = "auto"
) -> dict[str, Any]:
    """Checks an index, a store, or a file or folder that catalex wrote, as `catalex verify --json` does.

    Damage raises no exception. Returns a dictionary with `whole`, `kind` and `checks`; each check has `path`, `check`
    and `problem`. A vocabulary, a trie or a folder of constraint forms is compared with the token table `tokens`, if it
    is given.
    """
    with Files() as files:
        table = None if tokens is None else files.token_table(tokens)
        return _object(_run(_native.verify, {"path": _path(path), "tokens": table}, progress))


class Store:
    """A store: the generations of an index, one of which is current.

    Raises `InputError` if the folder is not a store; `publish` creates one.
    """

    def __init__(self, path: AnyPath) -> None:
        self.path = Path(path)
        if not (self.path / "store.json").is_file():
            raise InputError(f"{path}: expected a store, got none; publish an index to it first")

    @property
    def current(self) -> Index:
        """The current generation. It is not removed as long as the returned object exists."""
        return Index(self.path)

    def generation(self, number: int) -> Index:
        """The generation with a number."""
        return Index(self.path / "generations" / f"{number:06}")

    def history(self) -> list[dict[str, Any]]:
        """As `catalex.history`."""
        return history(self)

    def publish(
        self,
        index: Index | AnyPath,
        *,
        reason: str | None = None,
        keep: int | None = None,
        rebuild: bool | None = None,
        progress: Progress = "auto",
    ) -> dict[str, Any]:
        """As `catalex.publish`."""
        return publish(index, self, reason=reason, keep=keep, rebuild=rebuild, progress=progress)

    def rollback(self, to: int | None = None) -> dict[str, Any]:
        """As `catalex.rollback`."""
        return rollback(self, to)

    def verify(self, *, progress: Progress = "auto") -> dict[str, Any]:
        """As `catalex.verify`."""
        return verify(self, progress=progress)

    def __len__(self) -> int:
        return len(self.history())

    def __repr__(self) -> str:
        return f"Store({str(self.path)!r}, {len(self)} generations)"

    def _repr_html_(self) -> str:
        listed = self.history()
        current = next((one["number"] for one in listed if one["current"]), None)
        return table(f"Store {self.path}", {"generations": len(listed), "current": current})


def _path(given: Store | Index | AnyPath) -> str:
    return os.fsdecode(given.path if isinstance(given, Store | Index) else given)
