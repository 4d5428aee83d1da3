"""IDs of other systems, and two token tables: `import_ids`, `adopt`, `diff` and `compare`."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from . import _native
from ._files import AnyPath, Files, Tokens
from ._settings import values
from .errors import ConfigError
from .index import Index
from .jobs import Columns, _object, _reading, _run
from .run import Progress


def diff(
    before: Tokens,
    after: Tokens,
    *,
    examples: int | None = None,
    catalog: Any = None,
    id: str | None = None,
    text: Columns = None,
    raw_text: bool | None = None,
    parse_lists: bool | None = None,
    csv_quote: str | None = None,
    csv_escape: str | None = None,
    progress: Progress = "auto",
) -> dict[str, Any]:
    """Compares two token tables or indexes. Returns the output of `catalex diff --json`.

    `examples` is the maximum number of items and renamed codes that are listed per kind of change. Items are listed
    with titles if a catalog is known: the catalog of the index `after`, or `catalog` with the columns `text`.
    """
    with Files() as files:
        titles = {
            "catalog": None if catalog is None else files.table(catalog, "catalog"),
            "id": id,
            "text": text,
            **_reading(raw_text, parse_lists, csv_quote, csv_escape),
        }
        spec = {
            "before": files.token_table(before),
            "after": files.token_table(after),
            "diff": values("diff", {"examples": examples}),
            "titles": values("lookup", titles),
        }
        return _object(_run(_native.diff, spec, progress))


def compare(
    a: Tokens,
    b: Tokens,
    *,
    interactions: Any,
    interactions_user: str | None = None,
    interactions_item: str | None = None,
    interactions_time: str | None = None,
    max_unknown_events: float | None = None,
    min_interactions: int | None = None,
    resamples: int | None = None,
    seed: int | None = None,
    csv_quote: str | None = None,
    csv_escape: str | None = None,
    progress: Progress = "auto",
) -> dict[str, Any]:
    """Compares how well two sets of IDs predict the last event of each user. Returns the output of
    `catalex compare --json`.

    `interactions` is a path, or a table that supports Arrow's PyCapsule protocol. Only the items of both tables are
    compared. `result` is the answer in a sentence, and `better` is `a`, `b` or `neither`.
    """
    with Files() as files:
        histories = {
            "interactions": files.table(interactions, "interactions"),
            "interactions_user": interactions_user,
            "interactions_item": interactions_item,
            "interactions_time": interactions_time,
            "max_unknown_events": max_unknown_events,
            "min_interactions": min_interactions,
        }
        bootstrap = {"resamples": resamples, "seed": seed, "csv_quote": csv_quote, "csv_escape": csv_escape}
        spec = {
            "a": files.token_table(a),
            "b": files.token_table(b),
            "histories": values("histories", histories),
            "compare": values("compare", bootstrap),
        }
        return _object(_run(_native.compare, spec, progress))


def import_ids(
    file: AnyPath,
    out: AnyPath,
    *,
    source: Literal["lc-rec", "minionerec", "letter", "torcheasyrec", "codes"],
    token_format: str | None = None,
    id: str | None = None,
    codes: Columns = None,
    codebook_size: int | Sequence[int] | None = None,
    ragged: Literal["error", "drop", "pad"] | None = None,
    unknown: Literal["error", "drop"] | None = None,
    force: bool = False,
    progress: Progress = "auto",
) -> dict[str, Any]:
    """Writes the IDs of another system as a token table, as `catalex import` does. Every item keeps its ID.

    `source` is the system that wrote the file, as in `--from`. Returns a summary: collisions, unused codes, gaps
    between item ids, IDs of other lengths, and tokens that are not codes.
    """
    settings = {
        "from": source,
        "token_format": token_format,
        "id": id,
        "codes": codes,
        "codebook_size": codebook_size,
        "ragged": ragged,
        "unknown": unknown,
    }
    output = {"out": os.fsdecode(out), "force": force}
    spec = {"file": os.fsdecode(file), "import": values("import", settings), "output": output}
    return _object(_run(_native.import_ids, spec, progress))


def adopt(
    tokens: Tokens,
    features: Any,
    out: AnyPath,
    *,
    latent_dim: int | None = None,
    catalog: AnyPath | None = None,
    reason: str | None = None,
    encode: Mapping[str, Any] | None = None,
    vocabulary: Mapping[str, Any] | None = None,
    threads: int | None = None,
    force: bool = False,
    progress: Progress = "auto",
) -> tuple[Index, dict[str, Any]]:
    """Fits a model to the codes of a token table and the features of its items, and writes an index with both, as
    `catalex adopt` does. No ID changes. Returns the index, and a summary of how well the model reproduces the codes.

    `encode` has the options of `build` for the encoders that made the features, such as `{"text": ["title"]}`, and
    `catalog` is the encoded catalog. A later `append` needs both; `adopt` encodes nothing. `vocabulary` has options of
    `vocab`.
    """
    with Files() as files:
        settings = {"latent_dim": latent_dim, "catalog": catalog, "reason": reason}
        spec = {
            "tokens": files.token_table(tokens),
            "features": files.features(features),
            "adopt": values("adopt", settings),
            "encode": values("encode", dict(encode or {})),
            "vocabulary": values("vocabulary", dict(vocabulary or {})),
            "threads": threads,
            "output": {"out": os.fsdecode(out), "force": force},
        }
        now = _now()
        summary = _object(_run(lambda text, listener: _native.adopt(text, now, listener), spec, progress))
    return Index(Path(out)), summary


def _now() -> int:
    """Seconds since 1970: SOURCE_DATE_EPOCH, or the clock."""
    given = os.environ.get("SOURCE_DATE_EPOCH")
    if not given:
        return int(time.time())
    if not given.isdecimal():
        help = "unset it, or set it to a whole number"
        raise ConfigError(f"SOURCE_DATE_EPOCH: expected seconds since 1970, got {json.dumps(given)}; {help}")
    return int(given)
