"""The stages that `catalex.spark` and `catalex.ray` share, as functions of Arrow tables.

Each stage is a pure function of its rows, so a task that runs twice gives the same result twice. No result depends on
the order of rows. Only these modules of the package need `pyarrow`.

1. *tokenize*: `Encode` assigns the quantizer's codes to each item, and keeps its latent for the next stages. A map.
2. *make room*, if prefixes (all codes but the last) have more items than there are last-level codes: `MakeRoom` moves
   the surplus items. It needs the items of such prefixes and the number of items under each prefix. Items stay under
   their first code, so each first code is a group. If a first code has more items than codes, all items are one group.
3. *resolve*: `ResolvePart` assigns the items of each prefix to last-level codes. Prefixes are distributed to buckets,
   so that a call has thousands of items. All items of a prefix are in one bucket.

Codes can already be taken, for example by the items of a previous table. Each taken code goes to the task of its
prefix, and no item gets it.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from . import _native
from ._arrays import refuse
from ._formats import check_version
from .errors import InputError, ResourceError
from .features import Features
from .token_table import TokenTable
from .tokenizer import TOKEN_FORMAT, Tokenizer

try:
    import pyarrow as pa
    import pyarrow.compute as pc
except ImportError as error:
    raise ResourceError("catalex.spark and catalex.ray need pyarrow: pip install 'catalex[arrow]'") from error

ITEM, CODES, SEMANTIC_ID, ERROR, MOVED = "item_id", "codes", "semantic_id", "residual_error", "reassigned"
LATENT = "latent"
"""Bytes of little-endian float32."""
PLACE = "place"
"""Codes after stage 2."""
TAKEN = "catalex_taken"
"""Number of taken codes."""
GROUP = "catalex_group"
"""Key by which items are grouped."""
ITEMS_AT_ONCE = 20_000
"""Approximate number of items per bucket."""

Codes = npt.NDArray[np.uint16]


def model_of(model: Tokenizer | str | os.PathLike[str]) -> Tokenizer:
    """A model, or the model in a folder."""
    if isinstance(model, Tokenizer):
        return model
    if isinstance(model, str | os.PathLike):
        return Tokenizer.load(Path(model))
    raise refuse("model", "a Tokenizer or its folder", type(model).__name__, "load it: catalex.Tokenizer.load(path)")


def columns_of(features: str | Sequence[str], model: Tokenizer) -> list[str]:
    """The feature columns of a call, checked against the model."""
    names = [features] if isinstance(features, str) else list(features)
    wanted = list(model.modalities)
    if len(names) != len(wanted) or (len(wanted) > 1 and sorted(names) != sorted(wanted)):
        help = "name the columns of the vectors that the model was trained on: features=[...]"
        raise refuse("features", f"the model's {len(wanted)}: {', '.join(wanted)}", ", ".join(names) or "none", help)
    return names


def check_columns(there: Sequence[str], wanted: Sequence[str], what: str, help: str) -> None:
    """Checks that all columns exist."""
    for name in wanted:
        if name not in there:
            raise refuse(what, f"a column {name!r}", f"columns {', '.join(there)}", help)


def check_items(there: Sequence[str], what: str, id: str, features: Sequence[str]) -> None:
    """Checks the columns that `tokenize` reads."""
    check_columns(there, [id], what, "name the column of item ids: id=")
    check_columns(there, features, what, "name the columns of the vectors: features=")


def check_buckets(buckets: int | None) -> None:
    """Checks the number of buckets, if it is given."""
    if buckets is not None and buckets < 1:
        raise refuse("buckets", "a number above 0", str(buckets), "omit it for one bucket per 20,000 items")


RESOLVED_HELP = "give the result of tokenize, with all its columns"


def check_tokenized(there: Sequence[str]) -> None:
    """Checks the columns of the result of `tokenize`."""
    check_columns(there, (ITEM, CODES, ERROR, LATENT), "data to resolve", RESOLVED_HELP)


def check_occupied(there: Sequence[str]) -> None:
    """Checks the columns of a table of taken codes."""
    check_columns(there, [CODES], "occupied", "give a token table, or codes of the same model in a column 'codes'")


def check_capacity(items: int, model: Tokenizer, taken: int = 0) -> None:
    """Checks that there are at most as many items as free codes."""
    capacity = math.prod(model.codebook_sizes)
    if taken and items + taken > capacity:
        help = "free the IDs of deleted items, or train a model with more levels or larger codebooks"
        expected = f"at most {capacity - taken} new items: {taken} of {capacity} codes are taken"
        raise refuse("semantic IDs", expected, str(items), help)
    if items > capacity:
        help = "train a model with more levels or larger codebooks"
        raise refuse("semantic IDs", f"at most {capacity} items, the number of codes of this model", str(items), help)


def duplicate_error(item: Any, times: int) -> InputError:
    """The error of an item id that occurs several times."""
    return refuse(f"item {item}", "one row per item id", f"{times} rows", "remove or rename all but one")


def buckets_for(items: int, least: int) -> int:
    """Number of buckets: at least `least`, and more if buckets would be large."""
    return max(least, math.ceil(items / ITEMS_AT_ONCE), 1)


def prefix_keys(codes: Codes) -> npt.NDArray[np.uint64]:
    """A hash per prefix: FNV-1a over the codes, with a final mixing step."""
    keys = np.full(len(codes), 0xCBF29CE484222325, np.uint64)
    for level in range(codes.shape[1] - 1):
        keys = (keys ^ codes[:, level]) * np.uint64(0x100000001B3)
    keys ^= keys >> np.uint64(33)
    keys *= np.uint64(0xFF51AFD7ED558CCD)
    return keys ^ (keys >> np.uint64(33))


def quiet_threads() -> None:
    """One thread per task, unless it is set otherwise: engines run as many tasks as there are cores."""
    os.environ.setdefault("RAYON_NUM_THREADS", "1")


def prefix_bytes(codes: Codes) -> pa.Array:
    """Prefixes as bytes, by which tables can be grouped and joined."""
    prefixes = np.ascontiguousarray(codes[:, :-1], "<u2")
    n, width = len(prefixes), 2 * prefixes.shape[1]
    offsets = np.arange(n + 1, dtype=np.int32) * np.int32(width)
    return pa.Array.from_buffers(pa.binary(), n, [None, pa.py_buffer(offsets), pa.py_buffer(prefixes)])


def count_prefixes(rows: pa.Table, levels: int) -> pa.Table:
    """Number of items under each prefix: columns `prefix`, as bytes, and `items`."""
    prefixes = prefix_bytes(as_matrix(rows[CODES], levels))
    return merge_counts(pa.table({"prefix": prefixes, "items": pa.array(np.ones(rows.num_rows, np.int64))}))


def merge_counts(counts: pa.Table) -> pa.Table:
    """Adds up the counts of each prefix; sorted by prefix."""
    sums = counts.group_by("prefix").aggregate([("items", "sum")])
    return pa.table({"prefix": sums["prefix"], "items": sums["items_sum"]}).sort_by("prefix")


def prefixes_of(column: pa.ChunkedArray, levels: int) -> Codes:
    """The codes of prefixes that `prefix_bytes` made."""
    joined = b"".join(column.to_pylist())
    return np.frombuffer(joined, "<u2").reshape(len(column), levels - 1).astype(np.uint16)


class Encode:
    """Stage 1: from rows with ids and vectors to `item_id`, `codes`, `residual_error` and `latent`."""

    def __init__(self, model: Tokenizer, features: Sequence[str], id: str) -> None:
        self.model, self.features, self.id = model, list(features), id

    def __call__(self, batch: pa.RecordBatch | pa.Table) -> pa.Table:
        rows = as_table(batch)
        if rows.num_rows == 0:
            return tokenized_schema(rows.schema.field(self.id).type).empty_table()
        rows = rows.select([self.id, *self.features])
        ids = _item_ids(rows[self.id], self.id)
        for name in self.features:
            _check_vectors(rows[name], name)
        if any(rows[name].null_count == rows.num_rows for name in self.features):
            source = self._with_gaps(rows, ids)
        else:
            source = Features(rows.set_column(0, self.id, ids), id=self.id)
        codes, latents, errors = _native.quantize(self.model._native, source._native)
        columns = [ids, lists_of(codes), pa.array(errors), _binary(latents)]
        return pa.Table.from_arrays(columns, schema=tokenized_schema(ids.type))

    def _with_gaps(self, rows: pa.Table, ids: pa.Array) -> Features:
        """A batch in which all items lack a modality: only the model knows its dimension."""
        dims = self.model.modalities
        matrices, present = {}, []
        for name in self.features:
            column = rows[name].combine_chunks()
            there = column.is_valid().to_numpy(zero_copy_only=False)
            dim = dims[name] if name in dims else next(iter(dims.values()))
            vectors = np.zeros((len(column), dim), np.float32)
            found = column.drop_null()
            lengths = pc.unique(pc.list_value_length(found)).to_pylist()
            if any(length != dim for length in lengths):
                raise refuse(
                    f"column {name!r}",
                    f"vectors of {dim} numbers",
                    f"of {lengths}",
                    "embed all items with the same encoder",
                )
            vectors[there] = found.flatten().to_numpy(zero_copy_only=False).reshape(-1, dim)
            matrices[name] = vectors
            present.append(there)
        return Features(matrices, item_ids=ids, present=np.stack(present, axis=1))


class MakeRoom:
    """Stage 2: from a group's items under overfull prefixes, and its prefix counts, to items with a `place`."""

    def __init__(self, model: Tokenizer) -> None:
        self.model = model

    def __call__(self, items: pa.Table, counts: pa.Table, taken: Codes | None = None) -> pa.Table:
        """`counts` has columns `prefix`, lists of codes, and `items`. The result is sorted by item id.

        `taken (t, levels)` are the taken codes under the first codes of the group.
        """
        levels = self.model.levels
        items = _in_order(as_table(items))
        if items.num_rows == 0:
            places = np.empty((0, levels), np.uint16)
        else:
            prefixes = as_matrix(counts["prefix"], levels - 1)
            numbers = np.ascontiguousarray(counts["items"].to_numpy(), np.int64)
            given = as_matrix(items[CODES], levels)
            latents = _latents(items[LATENT], self.model.latent_dim)
            places = _native.make_room(
                self.model._native, (latents, given, _ids(items[ITEM])), prefixes, numbers, taken
            )
        columns = {**{name: items[name] for name in (ITEM, CODES, ERROR, LATENT)}, PLACE: lists_of(places)}
        return pa.table(columns)


class ResolvePart:
    """Stage 3: from all items of some prefixes to rows of a token table, sorted by item id."""

    def __init__(self, model: Tokenizer, token_format: str = TOKEN_FORMAT) -> None:
        self.model, self.token_format = model, token_format

    def __call__(self, part: pa.Table, taken: Codes | None = None) -> pa.Table:
        """`taken (t, levels)` are the taken codes under the prefixes of the places."""
        items = _in_order(as_table(part))
        if items.num_rows == 0:
            return resolved_schema(items.schema.field(ITEM).type).empty_table()
        levels = self.model.levels
        codes, places = as_matrix(items[CODES], levels), as_matrix(items[PLACE], levels)
        errors = np.ascontiguousarray(items[ERROR].to_numpy(), np.float32)
        latents = _latents(items[LATENT], self.model.latent_dim)
        found, errors, moved = _native.resolve_part(
            self.model._native, (latents, codes, _ids(items[ITEM])), places, errors, taken
        )
        texts = _native.semantic_ids(found, self.token_format)
        columns = [items[ITEM], lists_of(found), pa.array(texts), pa.array(errors), pa.array(moved)]
        return pa.Table.from_arrays(columns, schema=resolved_schema(items.schema.field(ITEM).type))


def tokenized_schema(id_type: pa.DataType) -> pa.Schema:
    """Schema of the result of `tokenize`."""
    return pa.schema([(ITEM, id_type), (CODES, pa.list_(pa.int32())), (ERROR, pa.float32()), (LATENT, pa.binary())])


def resolved_schema(id_type: pa.DataType) -> pa.Schema:
    """Schema of the result of `resolve`."""
    codes = (CODES, pa.list_(pa.int32()))
    return pa.schema([(ITEM, id_type), codes, (SEMANTIC_ID, pa.string()), (ERROR, pa.float32()), (MOVED, pa.bool_())])


def token_table(
    data: Any, model: Tokenizer | str | os.PathLike[str], *, token_format: str = TOKEN_FORMAT
) -> TokenTable:
    """The token table of the result of `resolve`, given as Arrow data: a data set of Parquet files, for example.

    Rows keep their order.
    """
    model = model_of(model)
    sizes = model.codebook_sizes
    like = TokenTable.from_codes(
        np.zeros((1, len(sizes)), np.uint16), sizes, model_hash=model.hash, token_format=token_format
    )
    table = as_table(data) if isinstance(data, pa.RecordBatch) else pa.table(data)
    version = (table.schema.metadata or {}).get(b"catalex.format_version", b"1")
    check_version(int(version) if version.isdigit() else version.decode(errors="replace"), "data", 1)
    check_columns(table.column_names, (ITEM, CODES, SEMANTIC_ID, ERROR, MOVED), "data", "give the result of resolve")
    codes = lists_of(as_matrix(table[CODES], len(sizes))).cast(pa.list_(pa.uint16(), len(sizes)))
    table = table.select([ITEM, CODES, SEMANTIC_ID, ERROR, MOVED]).set_column(1, CODES, codes)
    return TokenTable.from_arrow(table.replace_schema_metadata(None), like=like)


def as_matrix(column: pa.ChunkedArray, width: int) -> Codes:
    """Lists of codes as a matrix."""
    joined = column.combine_chunks()
    lengths = pc.unique(pc.list_value_length(joined)).to_pylist()
    if joined.null_count or any(length != width for length in lengths):
        got = "null" if joined.null_count else f"{lengths}"
        raise refuse("codes", f"lists of {width}", got, RESOLVED_HELP)
    flat = joined.flatten()
    if flat.null_count:
        raise refuse("codes", "integers from 0 to 65535", "null", RESOLVED_HELP)
    values: npt.NDArray[Any] = flat.to_numpy()
    if values.dtype != np.uint16 and len(values) and (values.min() < 0 or values.max() > 65535):
        got = str(values.min() if values.min() < 0 else values.max())
        raise refuse("codes", "integers from 0 to 65535", got, RESOLVED_HELP)
    return values.astype(np.uint16).reshape(len(joined), width)


def as_table(rows: Any) -> pa.Table:
    """A batch, or a table, as a table."""
    return pa.Table.from_batches([rows]) if isinstance(rows, pa.RecordBatch) else rows


def _in_order(items: pa.Table) -> pa.Table:
    """Rows sorted by item id, so that the result does not depend on the engine's order."""
    return items.sort_by(ITEM)


def _item_ids(column: pa.ChunkedArray, name: str) -> pa.Array:
    ids = column.combine_chunks()
    kind = ids.type
    if ids.null_count:
        raise refuse(
            f"column {name!r}", "an item id in each row", f"{ids.null_count} null", "drop these rows, or give them ids"
        )
    if pa.types.is_integer(kind):
        return ids.cast(pa.int64())
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return ids.cast(pa.string())
    raise refuse(f"column {name!r}", "item ids: integers or strings", str(kind), "name the column of ids: id=")


def _check_vectors(column: pa.ChunkedArray, name: str) -> None:
    kind = column.type
    lists = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    if not lists or not pa.types.is_floating(kind.value_type):
        help = "name the column of the vectors, or cast it to lists of float32"
        raise refuse(f"column {name!r}", "lists of float32 or float64", str(kind), help)


def _ids(column: pa.ChunkedArray) -> npt.NDArray[np.int64] | list[str]:
    if pa.types.is_integer(column.type):
        return np.ascontiguousarray(column.to_numpy(), np.int64)
    ids: list[str] = column.to_pylist()
    return ids


def lists_of(codes: Codes) -> pa.Array:
    """A matrix of codes as lists of int32, which every engine has."""
    n, width = codes.shape
    offsets = pa.array(np.arange(0, (n + 1) * width, width, dtype=np.int32) if width else np.zeros(n + 1, np.int32))
    return pa.ListArray.from_arrays(offsets, pa.array(codes.astype(np.int32).ravel()))


def _binary(latents: npt.NDArray[np.float32]) -> pa.Array:
    n, dim = latents.shape
    offsets = np.arange(n + 1, dtype=np.int32) * np.int32(4 * dim)
    data = np.ascontiguousarray(latents, "<f4")
    return pa.Array.from_buffers(pa.binary(), n, [None, pa.py_buffer(offsets), pa.py_buffer(data)])


def _latents(column: pa.ChunkedArray, dim: int) -> npt.NDArray[np.float32]:
    """Latents of a binary column as a matrix. A column of more than 2 GB has several chunks."""
    parts = []
    for chunk in column.chunks:
        lengths = pc.unique(pc.binary_length(chunk)).to_pylist()
        if any(length != 4 * dim for length in lengths):
            got = "null" if None in lengths else f"{lengths} bytes"
            raise refuse("latents", f"{4 * dim} bytes, {dim} numbers of the model", got, RESOLVED_HELP)
        width = np.int64 if pa.types.is_large_binary(chunk.type) else np.int32
        _, offsets, data = chunk.buffers()
        first = int(np.frombuffer(offsets, width)[chunk.offset]) if len(chunk) else 0
        numbers = len(chunk) * dim
        parts.append(np.frombuffer(data, "<f4", numbers, first).reshape(len(chunk), dim) if numbers else None)
    there = [part for part in parts if part is not None]
    return np.concatenate(there) if there else np.empty((0, dim), np.float32)
