"""Semantic IDs on Spark: `tokenize`, then `resolve`. The result is the same as on one machine.

Executors need this package and pyarrow; the driver needs PySpark 4.0 or later.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from . import cluster
from ._arrays import refuse
from .cluster import CODES, ERROR, GROUP, ITEM, LATENT, MOVED, PLACE, SEMANTIC_ID, TAKEN, token_table
from .errors import ResourceError
from .tokenizer import TOKEN_FORMAT, Tokenizer

try:
    import pyarrow as pa
    import pyarrow.compute as pc
    from pyspark.sql import DataFrame
    from pyspark.sql import functions as F
    from pyspark.sql import types as T
except ImportError as error:
    raise ResourceError(f"catalex.spark needs PySpark 4.0 or later ({error}): pip install 'catalex[spark]'") from error

__all__ = ["resolve", "token_table", "tokenize"]

PREFIX, COUNT = "catalex_prefix", "catalex_count"
LEAST_BUCKETS = 64


def tokenize(
    df: DataFrame,
    model: Tokenizer | str | os.PathLike[str],
    features: str | Sequence[str] = "text",
    id: str = "item_id",
) -> DataFrame:
    """Assigns the quantizer's codes to each item. Items can get identical codes; `resolve` makes them unique.

    `features` names the column of the vectors, arrays of floats with the model's dimension. For a model with several
    modalities it names one column per modality, with the modality's name, null where an item lacks it. `id` names the
    column of item ids, integers or strings.

    The result has columns `item_id`, `codes`, `residual_error` and `latent`, bytes that `resolve` needs. It is a
    lazy map that keeps partitions.
    """
    df, model = _frame(df), cluster.model_of(model)
    names = cluster.columns_of(features, model)
    cluster.check_items(df.columns, "df", id, names)
    for name in names:
        kind = df.schema[name].dataType
        if not isinstance(kind, T.ArrayType) or not isinstance(kind.elementType, T.FloatType | T.DoubleType):
            help = "name the column of the vectors, or cast it to array<float>"
            raise refuse(f"column {name!r}", "array<float> or array<double>", kind.simpleString(), help)
    rows = df.select(F.col(f"`{id}`"), *(F.col(f"`{name}`") for name in names))
    return rows.mapInArrow(_encoding(_Shared.of(df, model), names, id), _tokenized(_id_type(df, id)))


def resolve(
    df: DataFrame,
    model: Tokenizer | str | os.PathLike[str],
    *,
    occupied: DataFrame | None = None,
    token_format: str = TOKEN_FORMAT,
    buckets: int | None = None,
    check_ids: bool = True,
) -> DataFrame:
    """Unique semantic IDs from the result of `tokenize`: item by item the IDs that `catalex tokenize` gives.

    The result has the columns of a token table, with `codes` as `array<int>`, in no particular order. A group-by on
    buckets of prefixes brings all items of a prefix to one task. If a prefix has more items than there are last-level
    codes, an earlier pass moves the surplus, with one group per first code.

    `occupied` has codes of the same model in its column `codes`, such as a token table. No item of `df` gets one of
    them. The result has only the items of `df`, with the IDs that `catalex tokenize --previous` gives them.

    `df` is read three times: write it to files or cache it first. `buckets` is the number of groups, by default one per
    20,000 items. `check_ids` looks for duplicate item ids, which costs a shuffle of the ids.
    """
    df, model = _frame(df), cluster.model_of(model)
    cluster.check_tokenized(df.columns)
    cluster.check_buckets(buckets)
    sizes, levels, id_type = model.codebook_sizes, model.levels, _id_type(df, ITEM)
    items = df.select(ITEM, CODES, ERROR, LATENT)
    counts = items.groupBy(_prefix(CODES, levels).alias(PREFIX)).agg(F.count("*").alias(COUNT))
    taken = None if occupied is None else _taken(occupied, levels)
    if taken is not None:
        under = taken.groupBy(_prefix(CODES, levels).alias(PREFIX)).agg(F.count("*").alias(TAKEN))
        counts = counts.join(under, PREFIX, "full_outer").fillna(0, [COUNT, TAKEN])
    else:
        counts = counts.withColumn(TAKEN, F.lit(0).cast("long"))
    # A prefix with only taken codes is not overfull.
    largest = F.max(F.when(F.col(COUNT) > 0, F.col(COUNT) + F.col(TAKEN)))
    total, given, largest = counts.agg(F.sum(COUNT), F.sum(TAKEN), largest).first() or (0, 0, 0)
    cluster.check_capacity(total or 0, model, given or 0)
    if check_ids:
        twice = items.groupBy(ITEM).agg(F.count("*").alias(COUNT)).where(F.col(COUNT) > 1).first()
        if twice is not None:
            raise cluster.duplicate_error(twice[0], twice[1])
    shared = _Shared.of(df, model)
    placed = items.withColumn(PLACE, F.col(CODES))
    if (largest or 0) > sizes[-1]:
        placed = _with_room(items, counts, taken, shared, model)
    number = cluster.buckets_for(total or 0, LEAST_BUCKETS) if buckets is None else buckets
    keyed = placed.withColumn(GROUP, _bucket(PLACE, levels, number))
    if taken is None:
        return keyed.groupBy(GROUP).applyInArrow(_resolving(shared, token_format), _resolved(id_type))
    beside = taken.withColumn(GROUP, _bucket(CODES, levels, number)).groupBy(GROUP)
    resolving = _resolving_beside(shared, token_format)
    return keyed.groupBy(GROUP).cogroup(beside).applyInArrow(resolving, _resolved(id_type))


def _taken(occupied: DataFrame, levels: int) -> DataFrame:
    """The distinct taken codes."""
    frame = _frame(occupied, "occupied")
    cluster.check_occupied(frame.columns)
    kind = frame.schema[CODES].dataType
    if not isinstance(kind, T.ArrayType):
        raise refuse("column 'codes' of occupied", "array<int>", kind.simpleString(), "give a token table")
    return frame.select(F.col(CODES).cast("array<int>").alias(CODES)).distinct()


def _bucket(column: str, levels: int, buckets: int) -> Any:
    return F.pmod(F.xxhash64(_prefix(column, levels)), F.lit(buckets))


def _with_room(
    items: DataFrame, counts: DataFrame, taken: DataFrame | None, shared: _Shared, model: Tokenizer
) -> DataFrame:
    """Stage 2: the items with their places, after the surplus of overfull prefixes has moved."""
    sizes, levels = model.codebook_sizes, model.levels
    first = F.col(PREFIX).getItem(0)
    both = F.col(COUNT) + F.col(TAKEN)
    most = counts.groupBy(first.alias(GROUP)).agg(F.sum(both).alias(COUNT)).agg(F.max(COUNT)).first()
    if most is None or most[0] > math.prod(sizes[1:]) or levels < 3:
        first = F.lit(0)  # items have to leave their first code: all are one group
    keyed = items.withColumn(PREFIX, _prefix(CODES, levels))
    overfull = counts.where((F.col(COUNT) > 0) & (both > sizes[-1])).select(PREFIX)
    crowded = keyed.join(overfull, PREFIX, "left_semi").withColumn(GROUP, first)
    others = keyed.join(overfull, PREFIX, "left_anti").drop(PREFIX).withColumn(PLACE, F.col(CODES))
    # Taken codes are rows of the counts: lists of codes of all levels, with a count of zero.
    near = counts.where(F.col(COUNT) > 0).select(PREFIX, COUNT)
    if taken is not None:
        near = near.unionByName(taken.select(F.col(CODES).alias(PREFIX), F.lit(0).cast("long").alias(COUNT)))
    groups = crowded.groupBy(GROUP).cogroup(near.withColumn(GROUP, first).groupBy(GROUP))
    schema = T.StructType(
        [*_tokenized(_id_type(items, ITEM)).fields, T.StructField(PLACE, T.ArrayType(T.IntegerType()))]
    )
    made = groups.applyInArrow(_making_room(shared), schema)
    return others.unionByName(made)


class _Shared:
    """The model for the executors: broadcast if the session supports it, else sent with the function."""

    def __init__(self, broadcast: Any, model: Tokenizer | None) -> None:
        self.broadcast, self.model = broadcast, model

    @staticmethod
    def of(df: DataFrame, model: Tokenizer) -> _Shared:
        try:
            return _Shared(df.sparkSession.sparkContext.broadcast(model), None)
        except Exception:  # Spark Connect has no broadcasts; the exception differs between versions
            return _Shared(None, model)

    def get(self) -> Tokenizer:
        cluster.quiet_threads()
        model: Tokenizer = self.broadcast.value if self.model is None else self.model
        return model


# Spark inspects the parameters of these, so they are plain functions.
def _encoding(
    shared: _Shared, features: list[str], id: str
) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    def encode(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        stage = cluster.Encode(shared.get(), features, id)
        for batch in batches:
            yield from stage(batch).to_batches()

    return encode


def _making_room(shared: _Shared) -> Callable[[pa.Table, pa.Table], pa.Table]:
    def make_room(items: pa.Table, counts: pa.Table) -> pa.Table:
        model = shared.get()
        held = counts.filter(pc.greater(counts[COUNT], 0))
        renamed = pa.table({"prefix": held[PREFIX], "items": held[COUNT]})
        taken = cluster.as_matrix(counts.filter(pc.equal(counts[COUNT], 0))[PREFIX], model.levels)
        return cluster.MakeRoom(model)(items, renamed, taken)

    return make_room


def _resolving(shared: _Shared, token_format: str) -> Callable[[pa.Table], pa.Table]:
    def resolve_part(part: pa.Table) -> pa.Table:
        return cluster.ResolvePart(shared.get(), token_format)(part)

    return resolve_part


def _resolving_beside(shared: _Shared, token_format: str) -> Callable[[pa.Table, pa.Table], pa.Table]:
    def resolve_part(part: pa.Table, taken: pa.Table) -> pa.Table:
        model = shared.get()
        return cluster.ResolvePart(model, token_format)(part, cluster.as_matrix(taken[CODES], model.levels))

    return resolve_part


def _prefix(column: str, levels: int) -> Any:
    return F.slice(F.col(column), 1, levels - 1)


def _frame(df: Any, name: str = "df") -> DataFrame:
    # The data frames of Spark Connect are another class with the same methods.
    if not hasattr(df, "mapInArrow"):
        raise refuse(name, "a Spark DataFrame", type(df).__name__, "make one: spark.createDataFrame(...)")
    frame: DataFrame = df
    return frame


def _id_type(df: DataFrame, id: str) -> T.DataType:
    kind = df.schema[id].dataType
    if isinstance(kind, T.StringType):
        return T.StringType()
    if isinstance(kind, T.ByteType | T.ShortType | T.IntegerType | T.LongType):
        return T.LongType()
    help = "name the column of item ids: id="
    raise refuse(f"column {id!r}", "item ids: integers or strings", kind.simpleString(), help)


def _tokenized(id_type: T.DataType) -> T.StructType:
    columns: list[tuple[str, T.DataType]] = [(ITEM, id_type), (CODES, T.ArrayType(T.IntegerType()))]
    columns += [(ERROR, T.FloatType()), (LATENT, T.BinaryType())]
    return T.StructType([T.StructField(name, kind) for name, kind in columns])


def _resolved(id_type: T.DataType) -> T.StructType:
    columns: list[tuple[str, T.DataType]] = [(ITEM, id_type), (CODES, T.ArrayType(T.IntegerType()))]
    columns += [(SEMANTIC_ID, T.StringType()), (ERROR, T.FloatType()), (MOVED, T.BooleanType())]
    return T.StructType([T.StructField(name, kind) for name, kind in columns])
