"""Arguments as files: jobs read paths, and callers may give objects, which are written to a temporary folder."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from . import _native
from ._arrays import floats, refuse
from ._arrays import item_ids as as_item_ids
from .features import Features
from .features import of as features_of
from .index import Index
from .token_table import TokenTable
from .tokenizer import Tokenizer

AnyPath = str | os.PathLike[str]
Tokens = TokenTable | Index | AnyPath
"""A token table, or an index that has one."""
Model = Tokenizer | Index | AnyPath
"""A model, or an index that has one."""


class Files(ExitStack):
    """The paths of a job's arguments. Temporary files are removed at the end of the `with` block."""

    def new(self, name: str) -> Path:
        """A path in a new temporary folder."""
        return Path(self.enter_context(tempfile.TemporaryDirectory(prefix="catalex-"))) / name

    def token_table(self, given: Tokens) -> str:
        """A token table, or an index."""
        if isinstance(given, TokenTable):
            path = self.new("tokens.parquet")
            given.write(path)
            return str(path)
        return _path(given, "tokens", "a TokenTable, an Index or a path")

    def model(self, given: Model) -> str:
        """A model's folder, or an index."""
        if isinstance(given, Tokenizer):
            path = self.new("model")
            given.save(path)
            return str(path)
        return _path(given, "model", "a Tokenizer, an Index or a path")

    def features(self, given: Any, model: Tokenizer | None = None, item_ids: Any = None) -> str:
        """Features: a path, an index, or any input of `Features`. `model` defines how a matrix is split into
        modalities, and `item_ids` are the ids of its rows."""
        if isinstance(given, Index | str | os.PathLike):
            return _path(given, "features", "features or a path")
        path = self.new("features.parquet")
        shapes = None if model is None else model._native.modalities
        matrix = not isinstance(given, Features) and not is_table(given)
        features_of(given, shapes, item_ids=item_ids if matrix else None).write(path)
        return str(path)

    def table(self, given: Any, what: str) -> str:
        """A catalog or interactions: a path, or a table of any library that supports Arrow's PyCapsule protocol."""
        if isinstance(given, str | os.PathLike):
            return os.fsdecode(given)
        if not is_table(given):
            got, help = type(given).__name__, "give a data frame, or save it to a file"
            raise refuse(what, "a path, or a table that supports Arrow", got, help)
        path = self.new(f"{what}.arrow")
        _native.write_arrow(given, path)
        return str(path)

    def ids(self, given: AnyPath | Iterable[int] | Iterable[str], what: str) -> str:
        """Item ids: a file with one per line, or the ids themselves."""
        if isinstance(given, str | os.PathLike):
            return os.fsdecode(given)
        ids = as_item_ids(given)
        path = self.new(f"{what}.txt")
        path.write_text("".join(f"{item}\n" for item in ids), encoding="utf-8")
        return str(path)

    def vocabulary(self, given: Index | AnyPath) -> str:
        """A vocabulary folder, or that of an index."""
        if isinstance(given, Index):
            return str(given.vocabulary)
        return _path(given, "vocabulary", "a vocabulary folder or an Index")


def features_file(features: Any, folder: Path) -> Path:
    """Features as a file for training. A matrix is saved unchanged."""
    if isinstance(features, Index):
        return features.path
    if isinstance(features, str | os.PathLike):
        return Path(features)
    if isinstance(features, Features | dict) or is_table(features):
        path = folder / "features.parquet"
        features_of(features).write(path)
        return path
    path = folder / "features.npy"
    # The training reads half floats, too.
    half = isinstance(features, np.ndarray) and features.dtype == np.float16 and features.ndim == 2
    matrix = features if half else floats(features, "features")
    finite = np.isfinite(matrix)
    if not finite.all():
        row, column = np.argwhere(~finite)[0]
        help = "drop the item, or mark the modality as missing: Features(x, present=...)"
        raise refuse(f"features[{row}, {column}]", "finite numbers", str(matrix[row, column]), help)
    np.save(path, matrix)
    return path


def is_table(data: Any) -> bool:
    """Whether an object supports Arrow's PyCapsule protocol."""
    return hasattr(data, "__arrow_c_stream__") or hasattr(data, "__arrow_c_array__")


def _path(given: Any, what: str, expected: str) -> str:
    if isinstance(given, Index):
        return str(given.path)
    if isinstance(given, str | os.PathLike):
        return os.fsdecode(given)
    raise refuse(what, expected, type(given).__name__, "name the file, or give the object")
