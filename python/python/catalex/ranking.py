"""Semantic IDs as features of ranking models: `ranking_features`, `prefix_ids` and `SubwordVocabulary`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from . import _native
from ._arrays import codes as as_codes
from ._files import AnyPath, Files, Tokens
from ._settings import values
from .jobs import _object, _output, _run
from .run import Progress


def ranking_features(
    tokens: Tokens,
    out: AnyPath,
    *,
    form: str | Sequence[str],
    table_size: int | None = None,
    subword_vocabulary: AnyPath | None = None,
    subwords: int | None = None,
    interactions: Any = None,
    interactions_user: str | None = None,
    interactions_item: str | None = None,
    interactions_time: str | None = None,
    max_unknown_events: float | None = None,
    csv_quote: str | None = None,
    csv_escape: str | None = None,
    force: bool = False,
    progress: Progress = "auto",
) -> dict[str, Any]:
    """Writes the semantic IDs of a token table as integer columns in Parquet, as `catalex features` does.

    `form` names one or several of levels, prefix-ngrams and subwords. `interactions`, a path or a table that supports
    Arrow's PyCapsule protocol, should end where the training period of the ranking model ends. Returns the output of
    `catalex features --json`: `items`, `columns` with their cardinalities, and the `subword_vocabulary`.
    """
    with Files() as files:
        given = {
            "form": form,
            "table_size": table_size,
            "subword_vocabulary": subword_vocabulary,
            "subwords": subwords,
            "interactions": None if interactions is None else files.table(interactions, "interactions"),
            "interactions_user": interactions_user,
            "interactions_item": interactions_item,
            "interactions_time": interactions_time,
            "max_unknown_events": max_unknown_events,
            "csv_quote": csv_quote,
            "csv_escape": csv_escape,
        }
        spec = {
            "tokens": files.token_table(tokens),
            "ranking": values("ranking", given),
            "output": _output(out, force),
        }
        return _object(_run(_native.ranking_features, spec, progress))


def prefix_ids(codes: Any, codebook_sizes: Sequence[int], *, table_size: int | None = None) -> npt.NDArray[np.int64]:
    """The ids `(n, levels)` of all prefixes of codes `(n, levels)`, the shortest first.

    These are the columns `prefix_1`, `prefix_2`, ... of `ranking_features`, for items that are not in a token table.
    """
    return _native.prefix_ids(as_codes(codes, "codes"), [int(size) for size in codebook_sizes], table_size)


class SubwordVocabulary:
    """A subword vocabulary that `ranking_features` wrote. It gives the column `subwords` of any codes."""

    def __init__(self, native: _native.SubwordVocabulary) -> None:
        self._native = native

    @staticmethod
    def read(path: str | os.PathLike[str]) -> SubwordVocabulary:
        """Reads and checks a vocabulary."""
        return SubwordVocabulary(_native.SubwordVocabulary.read(path))

    @property
    def codebook_sizes(self) -> list[int]:
        """Codes per level of the IDs that it segments."""
        return self._native.codebook_sizes

    @property
    def model_hash(self) -> str:
        """Hash of the model whose IDs it was trained on."""
        return self._native.model_hash

    def segment(self, codes: Any) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
        """The pieces of codes `(n, levels)`, and their offsets `(n + 1,)`: row `i` has the pieces
        `pieces[offsets[i]:offsets[i + 1]]`. `torch.nn.EmbeddingBag` takes both with `include_last_offset=True`."""
        return self._native.segment(as_codes(codes, "codes", len(self.codebook_sizes)))

    def __len__(self) -> int:
        """Number of pieces. Their ids are `0..len(self)`."""
        return len(self._native)

    def __repr__(self) -> str:
        return f"SubwordVocabulary({len(self)} pieces of {self.codebook_sizes} codes)"
