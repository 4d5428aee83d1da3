"""The vocabulary of semantic IDs: all new tokens of a language model."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from . import _native, jobs
from ._html import table as html_table
from .token_table import TokenTable

_Path = str | os.PathLike[str]


class Vocabulary:
    """All tokens of a token table's codebooks, level by level, whether or not an item uses them."""

    def __init__(self, table: TokenTable | _Path) -> None:
        self.table = table if isinstance(table, TokenTable) else TokenTable.read(table)
        self.tokens: list[str] = _native.vocabulary_tokens(self.table.codebook_sizes, self.table.token_format)

    @property
    def offsets(self) -> list[int]:
        """Position of each level's first token."""
        sizes = self.table.codebook_sizes
        return [sum(sizes[:level]) for level in range(len(sizes))]

    def index(self, level: int, code: int) -> int:
        """Position of a code's token; `IndexError` if there is no such code."""
        sizes = self.table.codebook_sizes
        if not (0 <= level < len(sizes) and 0 <= code < sizes[level]):
            raise IndexError(f"there is no code {code} at level {level}")
        return self.offsets[level] + code

    def write(self, out: _Path, **options: Any) -> dict[str, Any]:
        """Writes the vocabulary folder and returns its `vocabulary.json`. Options are those of `catalex.vocab`."""
        return jobs.vocab(self.table, out, **options)

    def __len__(self) -> int:
        return len(self.tokens)

    def __iter__(self) -> Iterator[str]:
        return iter(self.tokens)

    def __getitem__(self, position: int) -> str:
        return self.tokens[position]

    def __repr__(self) -> str:
        return f"Vocabulary({len(self)} tokens, {self.tokens[0]} to {self.tokens[-1]})"

    def _repr_html_(self) -> str:
        sizes, starts = self.table.codebook_sizes, self.offsets
        ends = [start + size - 1 for start, size in zip(starts, sizes, strict=True)]
        pairs = zip(starts, ends, strict=True)
        rows = {f"level {level}": f"{self[first]} to {self[last]}" for level, (first, last) in enumerate(pairs)}
        return html_table(f"Vocabulary: {len(self)} tokens", rows)
