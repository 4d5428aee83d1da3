"""`append`, `delete` and `retrain`: the next generation of an index; `drift`: whether it fits its new items. They may
encode items, and run in a process of their own."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from typing import Any

from . import _settings
from ._arrays import refuse
from ._files import Files
from .config import flags
from .index import Index
from .run import Progress, run
from .store import Store

_Path = str | os.PathLike[str]

APPEND = _settings.names("append", "far")
"""Options of `append`."""
DELETE = _settings.names("delete")
"""Options of `delete`."""
RETRAIN = _settings.names("retrain", "append")
"""Options of `retrain`."""
DRIFT = _settings.names("append")
"""Options of `drift`."""


def append(
    index: Index | Store | _Path,
    catalog: Any,
    out: _Path | None = None,
    *,
    store: Store | _Path | None = None,
    force: bool = False,
    resume: bool = False,
    threads: int | None = None,
    progress: Progress = "auto",
    binary: _Path | None = None,
    **options: Any,
) -> Index:
    """Adds the new items of a catalog to an index, and updates those that changed, as `catalex append` does. The result
    is the next generation of the index: in the folder `out`, or in a `store` of which `index` is the current one.

    The IDs of items that stay do not change. Only new and changed items are encoded. `catalog` is a path, or a table of
    any library that speaks Arrow: the whole new catalog, or only its new and changed items. Options are `changed`
    ("keep" or "reassign"), `missing` ("keep" or "delete"), `quarantine`, `reason`, `text_encoder`, `image_encoder`,
    `embedding={"llama": "new.parquet"}`, `on_bad_image`, `on_bad_item` and `max_far`. What changed is in
    `manifest["generation"]` of the result, and item by item in its `delta.parquet`.
    """
    _settings.check_names(options, APPEND)
    target = _target(out, store)
    others = flags({**options, "force": force, "resume": resume, "threads": threads})
    with Files() as files:
        given = files.table(catalog, "catalog")
        return _next(["append", _index(index), given, target, *others], progress, binary)


def delete(
    index: Index | Store | _Path,
    items: _Path | Iterable[int] | Iterable[str],
    out: _Path | None = None,
    *,
    store: Store | _Path | None = None,
    force: bool = False,
    progress: Progress = "auto",
    binary: _Path | None = None,
    **options: Any,
) -> Index:
    """Deletes items of an index, as `catalex delete` does: their ids, or a file with one id per line. The result is the
    next generation of the index: in the folder `out`, or in a `store` of which `index` is the current one.

    The ID of a deleted item is not given to another one: never, or for `quarantine` generations. `lookup` still finds
    it, with `deleted_in`. Options are `quarantine` and `reason`.
    """
    _settings.check_names(options, DELETE)
    target = _target(out, store)
    others = flags({**options, "force": force})
    with Files() as files:
        given = files.ids(items, "items")
        return _next(["delete", _index(index), f"--items={given}", target, *others], progress, binary)


def retrain(
    index: Index | Store | _Path,
    catalog: Any = None,
    out: _Path | None = None,
    *,
    store: Store | _Path | None = None,
    force: bool = False,
    threads: int | None = None,
    progress: Progress = "auto",
    binary: _Path | None = None,
    **options: Any,
) -> Index:
    """Trains new codebooks for an index, and for the items of a catalog if one is given, as `catalex retrain` does.

    The result is the next generation of the index: in the folder `out`, or in a `store` of which `index` is the
    current one.

    `keep` is how strongly items keep their codes, from 0 (as if they had none) to 1 (no ID moves). Other options are
    `interactions`, `tokenizer`, and those of `append` for the catalog.
    """
    _settings.check_names(options, RETRAIN)
    target = _target(out, store)
    others = flags({**options, "force": force, "threads": threads})
    with Files() as files:
        given = [] if catalog is None else [files.table(catalog, "catalog")]
        return _next(["retrain", _index(index), *given, target, *others], progress, binary)


def drift(
    index: Index | Store | _Path,
    items: Any,
    *,
    threads: int | None = None,
    progress: Progress = "auto",
    binary: _Path | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Compares new items with those that the model of an index was trained on: what `catalex drift --json` prints.

    `items` is a path to a catalog, to features of new items or to an index that was made of this one, or a table of any
    library that speaks Arrow. Options are those of `append`.
    """
    _settings.check_names(options, DRIFT)
    others = flags({**options, "threads": threads})
    with Files() as files:
        given = _index(items) if isinstance(items, Index) else files.table(items, "items")
        found: dict[str, Any] = json.loads(
            run(["drift", _index(index), given, *others, "--json"], binary=binary, progress=progress)
        )
        return found


def _target(out: _Path | None, store: Store | _Path | None) -> str:
    if out is not None and store is None:
        return f"--out={os.fsdecode(out)}"
    if store is not None and out is None:
        return f"--store={os.fsdecode(store.path if isinstance(store, Store) else store)}"
    got = "neither" if out is None else "both"
    raise refuse("out", "either a folder to write, or store=", got, "give one of them")


def _next(command: list[str], progress: Progress, binary: _Path | None) -> Index:
    summary = json.loads(run([*command, "--json"], binary=binary, progress=progress))
    return Index(summary["index"])


def _index(index: Index | Store | _Path) -> str:
    return os.fsdecode(index.path if isinstance(index, Index | Store) else index)
