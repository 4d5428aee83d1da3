"""Feature vectors of items, from files, matrices or tables."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from . import _native
from ._arrays import flags, item_ids, modalities, refuse
from ._html import table
from .errors import InputError


class Features:
    """The feature vectors of a set of items: one vector per item and modality, with the items' ids.

    `data` is one of

    * a path to a Parquet, Arrow or `.npy` file, or to an index: it is read block by block when it is used, and may be
      larger than memory,
    * a matrix `(n, dim)` of numpy (float16, float32, float64; any layout, read-only or memory-mapped) or torch: float32
      is not copied as a whole,
    * a mapping from modality names to such matrices,
    * any object that supports Arrow's PyCapsule protocol, such as a table of pyarrow, a data frame of polars or pandas,
      or a relation of DuckDB: every column of float lists is a modality, with null for items that lack it.

    `item_ids` are the ids of a matrix's rows, by default `0..n`; `id` is a table's column of ids, by default `item_id`
    or `id`. `present (n, modalities)` is false where an item lacks a modality.
    """

    __slots__ = ("_native",)

    def __init__(
        self,
        data: Any,
        *,
        item_ids: Any = None,
        id: str | None = None,
        present: Any = None,
        _shapes: Sequence[tuple[str, int]] | None = None,
    ) -> None:
        self._native = _features(data, item_ids, id, present, _shapes)

    @classmethod
    def _whole(cls, path: Path) -> Features:
        """The features of a temporary file, read into memory."""
        features = cls.__new__(cls)
        features._native = _native.Features.of_file(path).whole()
        return features

    @property
    def modalities(self) -> dict[str, int]:
        """Dimension of each modality."""
        return dict(self._native.shapes)

    @property
    def item_ids(self) -> list[int] | list[str]:
        """The item ids, in row order."""
        return self._native.item_ids()

    def vectors(self, modality: str | None = None) -> npt.NDArray[np.float32]:
        """A copy of the vectors `(n, dim)` of one modality, or of all side by side; NaN where an item lacks one."""
        if modality is not None:
            return self._native.vectors(modality)
        return np.concatenate([self._native.vectors(name) for name in self.modalities], axis=1)

    def write(self, path: str | os.PathLike[str], *, force: bool = False) -> None:
        """Writes a Parquet file, which `catalex train` and the other jobs read."""
        self._native.write(path, force=force)

    def __len__(self) -> int:
        return len(self._native)

    def __repr__(self) -> str:
        shapes = ", ".join(f"{name} {dim}" for name, dim in self._native.shapes)
        return f"Features({len(self)} items; {shapes})"

    def _repr_html_(self) -> str:
        return table(f"Features: {len(self)} items", {name: f"{dim} numbers" for name, dim in self._native.shapes})


def of(data: Any, shapes: Sequence[tuple[str, int]] | None = None, **names: Any) -> Features:
    """Converts `data` to features. `shapes` defines how a matrix is split into modalities."""
    if isinstance(data, Features):
        if any(given is not None for given in names.values()):
            raise refuse("features", "data without ids", "Features, which have ids", "give the ids to Features(...)")
        return data
    return Features(data, _shapes=shapes, **names)


def _features(
    data: Any, ids: Any, id: str | None, present: Any, shapes: Sequence[tuple[str, int]] | None
) -> _native.Features:
    if isinstance(data, str | os.PathLike):
        _unused("a file", item_ids=ids, id=id, present=present)
        return _native.Features.of_file(Path(data))
    is_arrow = hasattr(data, "__arrow_c_stream__") or hasattr(data, "__arrow_c_array__")
    if is_arrow and not isinstance(data, Mapping):
        _unused("a table", item_ids=ids, present=present)
        try:
            return _native.Features.of_arrow(data, id)
        except ImportError as error:
            help = "install pyarrow, or give the vectors as one matrix: numpy.stack(column)"
            raise refuse("features", "a table that can be read as Arrow", str(error), help) from error
        except InputError as error:
            numbers = _columns_of_numbers(data)
            if numbers < 2:
                raise
            got = f"a table of {numbers} columns of single numbers"
            help = "give the numbers as a matrix: Features(df[columns].to_numpy(), item_ids=df[id].to_list())"
            raise refuse("features", "a column of float lists per modality", got, help) from error
    _unused("matrices", id=id)
    names, matrices = modalities(data, shapes)
    rows = len(matrices[0])
    there = None if present is None else flags(present, "present", (rows, len(names)))
    return _native.Features.of_matrices(names, matrices, None if ids is None else item_ids(ids), there)


def _columns_of_numbers(table: Any) -> int:
    """The number of data frame columns with float values."""
    types: Any = getattr(table, "dtypes", None)
    if types is None:
        types = getattr(getattr(table, "schema", None), "types", ())
    return sum(str(type).lower().startswith(("float", "double", "half")) for type in types)


def _unused(kind: str, **given: Any) -> None:
    for name, value in given.items():
        if value is not None:
            raise refuse(name, f"none with {kind}", type(value).__name__, "omit it")
