"""Semantic IDs on Ray Data: `tokenize`, then `resolve`. The result is the same as on one machine.

Workers need this package and pyarrow.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from . import cluster
from ._arrays import refuse
from .cluster import CODES, GROUP, ITEM, PLACE, TAKEN, Codes, token_table
from .errors import ResourceError
from .tokenizer import TOKEN_FORMAT, Tokenizer

try:
    import pyarrow as pa
    import pyarrow.compute as pc
    import ray
    from ray.data import ActorPoolStrategy, Dataset
except ImportError as error:
    raise ResourceError(f"catalex.ray needs Ray Data ({error}): pip install 'catalex[ray]'") from error

__all__ = ["resolve", "token_table", "tokenize"]

ROWS_AT_ONCE = 10_000
LEAST_BUCKETS = 16
FULL = "catalex_full"
"""Whether a prefix has more new items than free last-level codes."""


def tokenize(
    ds: Dataset,
    model: Tokenizer | str | os.PathLike[str],
    features: str | Sequence[str] = "text",
    id: str = "item_id",
    *,
    concurrency: int | tuple[int, int] | None = None,
) -> Dataset:
    """Assigns the quantizer's codes to each item. Items can get identical codes; `resolve` makes them unique.

    Input and output columns are those of `catalex.spark.tokenize`. Actors hold the model. `concurrency` is their
    number, or the minimum and the maximum; by default 1 to the number of the cluster's processors.
    """
    ds, model = _dataset(ds), cluster.model_of(model)
    names = cluster.columns_of(features, model)
    there = _columns(ds)
    if there:
        cluster.check_items(there, "ds", id, names)
    least, most = concurrency if isinstance(concurrency, tuple) else (concurrency or 1, concurrency)
    pool = ActorPoolStrategy(min_size=least, max_size=most or max(1, int(ray.cluster_resources().get("CPU", 1)) - 1))
    return ds.map_batches(
        _Encode,
        batch_size=ROWS_AT_ONCE,
        batch_format="pyarrow",
        compute=pool,
        fn_constructor_args=(ray.put(model), names, id),
    )


def resolve(
    ds: Dataset,
    model: Tokenizer | str | os.PathLike[str],
    *,
    occupied: Dataset | None = None,
    token_format: str = TOKEN_FORMAT,
    buckets: int | None = None,
    check_ids: bool = True,
) -> Dataset:
    """Unique semantic IDs from the result of `tokenize`: item by item the IDs that `catalex tokenize` gives.

    See `catalex.spark.resolve`, also for `occupied`. `ds` is read three times: write it to files or `materialize()` it
    first. The counts of all prefixes and the taken codes are collected in this process.
    """
    ds, model = _dataset(ds), cluster.model_of(model)
    there = _columns(ds)
    if there:
        cluster.check_tokenized(there)
    cluster.check_buckets(buckets)
    counts = _counts(ds, model.levels)
    total = int(np.sum(counts["items"].to_numpy()))
    taken = None if occupied is None else _taken(occupied, model.levels)
    counts = _beside(counts, taken, model.levels)
    cluster.check_capacity(total, model, int(np.sum(counts[TAKEN].to_numpy())))
    if check_ids:
        _check_ids(ds)
    shared = ray.put(model)
    full = pc.greater(pc.add(counts["items"], counts[TAKEN]), model.codebook_sizes[-1])
    full = pc.and_(full, pc.greater(counts["items"], 0))
    if pc.any(full).as_py():
        placed = _with_room(ds, counts.append_column(FULL, full), taken, shared, model)
    else:
        placed = ds.map_batches(_in_place, batch_format="pyarrow", fn_args=(None,))
    number = cluster.buckets_for(total, LEAST_BUCKETS) if buckets is None else buckets
    keyed = placed.map_batches(_bucket, batch_format="pyarrow", fn_args=(model.levels, number))
    beside = None if taken is None else _by_group(taken, _buckets(taken, number), number)
    arguments = (shared, token_format, beside)
    return keyed.groupby(GROUP).map_groups(_resolve_part, batch_format="pyarrow", fn_args=arguments)


def _with_room(ds: Dataset, counts: pa.Table, taken: Codes | None, shared: Any, model: Tokenizer) -> Dataset:
    """Stage 2: the items with their places, after the surplus of overfull prefixes has moved."""
    prefixes = cluster.prefixes_of(counts["prefix"], model.levels)
    numbers = np.ascontiguousarray(counts["items"].to_numpy(), np.int64)
    first = prefixes[:, 0].astype(np.int64)
    # If items have to leave their first code, all items are one group.
    held = np.bincount(first, numbers + counts[TAKEN].to_numpy()).max()
    alone = model.levels >= 3 and held <= math.prod(model.codebook_sizes[1:])
    groups = first if alone else np.zeros_like(first)
    beside = None
    if taken is not None:
        firsts = taken[:, 0].astype(np.int64)
        beside = _by_group(taken, firsts if alone else np.zeros_like(firsts), model.codebook_sizes[0])
    near = pa.table({"prefix": cluster.lists_of(prefixes), "items": pa.array(numbers), GROUP: pa.array(groups)})
    near = near.filter(pc.greater(near["items"], 0))
    overfull = counts.filter(counts[FULL])
    crowded_prefixes, near = ray.put(overfull["prefix"].combine_chunks()), ray.put(near)
    crowded = ds.map_batches(_crowded, batch_format="pyarrow", fn_args=(crowded_prefixes, model.levels, alone))
    made = crowded.groupby(GROUP).map_groups(_make_room, batch_format="pyarrow", fn_args=(shared, near, beside))
    others = ds.map_batches(_in_place, batch_format="pyarrow", fn_args=(crowded_prefixes,))
    return others.union(made)


class _Encode:
    """Stage 1, in an actor."""

    def __init__(self, shared: Any, features: list[str], id: str) -> None:
        self.encode = cluster.Encode(_model(shared), features, id)

    def __call__(self, batch: pa.Table) -> pa.Table:
        return self.encode(batch)


def _make_room(items: pa.Table, shared: Any, near: Any, beside: Any) -> pa.Table:
    near = _of(near)
    counts = near.filter(pc.equal(near[GROUP], items[GROUP][0]))
    return cluster.MakeRoom(_model(shared))(items, counts, _of_group(beside, items))


def _resolve_part(part: pa.Table, shared: Any, token_format: str, beside: Any) -> pa.Table:
    return cluster.ResolvePart(_model(shared), token_format)(part, _of_group(beside, part))


def _taken(occupied: Dataset, levels: int) -> Codes:
    """The distinct taken codes."""
    there = _columns(_dataset(occupied, "occupied"))
    if there:
        cluster.check_occupied(there)
    batches = occupied.select_columns([CODES]).iter_batches(batch_size=None, batch_format="pyarrow")
    parts = [cluster.as_matrix(part[CODES], levels) for part in batches if part.num_rows]
    return np.unique(np.concatenate(parts), axis=0) if parts else np.empty((0, levels), np.uint16)


def _beside(counts: pa.Table, taken: Codes | None, levels: int) -> pa.Table:
    """Adds the number of taken codes under each prefix to the counts. A prefix with only taken codes has no items."""
    if taken is None or not len(taken):
        return counts.append_column(TAKEN, pa.array(np.zeros(counts.num_rows, np.int64)))
    held = cluster.count_prefixes(pa.table({CODES: cluster.lists_of(taken)}), levels)
    joined = counts.join(held.rename_columns(["prefix", TAKEN]), "prefix", join_type="full outer")
    columns = {name: pc.fill_null(joined[name], 0) for name in ("items", TAKEN)}
    return pa.table({"prefix": joined["prefix"], **columns}).sort_by("prefix")


def _by_group(taken: Codes, groups: npt.NDArray[np.int64], number: int) -> Any:
    """Taken codes in the order of their groups, and the start of each group. Shared by all tasks."""
    order = np.argsort(groups, kind="stable")
    begins = np.searchsorted(groups[order], np.arange(number + 1))
    return ray.put((np.ascontiguousarray(taken[order]), begins))


def _of_group(beside: Any, rows: pa.Table) -> Codes | None:
    """The taken codes of the group to which rows belong."""
    if beside is None or not rows.num_rows:
        return None
    taken, begins = _of(beside)
    group = rows[GROUP][0].as_py()
    found: Codes = np.array(taken[begins[group] : begins[group + 1]])
    return found


def _buckets(codes: Codes, buckets: int) -> npt.NDArray[np.int64]:
    return (cluster.prefix_keys(codes) % np.uint64(buckets)).astype(np.int64)


def _in_place(batch: pa.Table, overfull: Any) -> pa.Table:
    """Items of prefixes that are not overfull: they keep their codes."""
    rows = batch.select([ITEM, CODES, cluster.ERROR, cluster.LATENT])
    if overfull is not None and rows.num_rows:
        rows = rows.filter(pc.invert(_is_in(rows, _of(overfull))))
    return rows.append_column(PLACE, rows[CODES])


def _crowded(batch: pa.Table, overfull: Any, levels: int, alone: bool) -> pa.Table:
    """Items of overfull prefixes, with the key of their group."""
    rows = batch.select([ITEM, CODES, cluster.ERROR, cluster.LATENT])
    if rows.num_rows:
        rows = rows.filter(_is_in(rows, _of(overfull)))
    codes = cluster.as_matrix(rows[CODES], levels)
    groups = codes[:, 0].astype(np.int64) if alone else np.zeros(len(codes), np.int64)
    return rows.append_column(GROUP, pa.array(groups))


def _is_in(rows: pa.Table, overfull: pa.Array) -> pa.Array:
    width = len(rows[CODES][0])
    return pc.is_in(cluster.prefix_bytes(cluster.as_matrix(rows[CODES], width)), value_set=overfull)


def _bucket(batch: pa.Table, levels: int, buckets: int) -> pa.Table:
    return batch.append_column(GROUP, pa.array(_buckets(cluster.as_matrix(batch[PLACE], levels), buckets)))


def _counts(ds: Dataset, levels: int) -> pa.Table:
    """Number of items under each prefix: counted block by block, and added up here."""
    counted = ds.map_batches(cluster.count_prefixes, batch_size=None, batch_format="pyarrow", fn_args=(levels,))
    parts = [part for part in counted.iter_batches(batch_size=None, batch_format="pyarrow") if part.num_rows]
    if not parts:
        return pa.table({"prefix": pa.array([], pa.binary()), "items": pa.array([], pa.int64())})
    return cluster.merge_counts(pa.concat_tables(parts))


def _check_ids(ds: Dataset) -> None:
    ids = ds.select_columns([ITEM]).groupby(ITEM).count()
    twice = ids.map_batches(lambda rows: rows.filter(pc.greater(rows["count()"], 1)), batch_format="pyarrow").take(1)
    if twice:
        raise cluster.duplicate_error(twice[0][ITEM], twice[0]["count()"])


def _of(shared: Any) -> Any:
    return ray.get(shared) if isinstance(shared, ray.ObjectRef) else shared


def _model(shared: Any) -> Tokenizer:
    cluster.quiet_threads()
    model: Tokenizer = _of(shared)
    return model


def _dataset(ds: Any, name: str = "ds") -> Dataset:
    if not isinstance(ds, Dataset):
        raise refuse(name, "a Ray Dataset", type(ds).__name__, "make one: ray.data.read_parquet(...)")
    return ds


def _columns(ds: Dataset) -> list[str] | None:
    """Names of the columns, if they are known."""
    schema = ds.schema()
    return None if schema is None else list(schema.names)
