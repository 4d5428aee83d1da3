"""`append`, `delete` and `retrain` write the next generation of an index; `drift` compares new items with those of
training. Each runs the `catalex` program as a separate process, because it can encode items."""

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
    """Adds the new items of a catalog to an index, and updates changed items, as `catalex append` does.

    Writes the next generation of the index to the folder `out`, or to a `store` whose current generation is `index`.

    Existing items keep their IDs, unless `changed="reassign"` is given. Only new and changed items are encoded.
    `catalog` is a path, or a table of any library that supports Arrow: the whole new catalog, or only its new and
    changed items. Options are `changed` ("keep" or "reassign"), `missing` ("keep" or "delete"), `quarantine`, `reason`,
    `overflow` ("error" or "suffix"), `constraint_form=["trie", "regex"]`, `text_encoder`, `image_encoder`,
    `embedding={"llama": "new.parquet"}`, `on_bad_image`, `on_bad_item` and `max_far`.

    `manifest["generation"]` of the result has the numbers of changes, and its `delta.parquet` lists them item by item.
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
    """Deletes items of an index, as `catalex delete` does. `items` are item ids, or a file with one id per line.

    Writes the next generation of the index to the folder `out`, or to a `store` whose current generation is `index`.

    The ID of a deleted item is never given to another item, or with `quarantine` not for this number of generations.
    `lookup` still finds the deleted item, with `deleted_in`. Options are `quarantine` and `reason`.
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

    Writes the next generation of the index to the folder `out`, or to a `store` whose current generation is `index`.

    `keep` is how strongly items keep their codes, from 0 (old codes have no influence) to 1 (no ID changes). Other
    options are `interactions`, `tokenizer`, and the options of `append` for the catalog.
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
    """Compares new items with the items that the model of an index was trained on. Returns the output of
    `catalex drift --json`.

    `items` is a path to a catalog, to features of new items or to an index that was made from this one, or a table of
    any library that supports Arrow. Options are those of `append`.
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
