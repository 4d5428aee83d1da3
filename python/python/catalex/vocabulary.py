"""The words that a language model learns: all tokens, and the files by which it takes them in."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from . import _native
from ._html import table as html_table
from .errors import ConfigError
from .token_table import TokenTable
from .tokenizer import Tokenizer

_Path = str | os.PathLike[str]


class Vocabulary:
    """All tokens of a token table's codebooks, level by level, whether or not an item uses them.

    `write` makes what `catalex vocab` makes, under the same names.
    """

    def __init__(self, table: TokenTable | _Path) -> None:
        self.table = table if isinstance(table, TokenTable) else TokenTable.read(table)
        self.tokens: list[str] = _native.vocabulary_tokens(self.table.codebook_sizes, self.table.token_format)

    @property
    def offsets(self) -> list[int]:
        """Place of each level's first token."""
        sizes = self.table.codebook_sizes
        return [sum(sizes[:level]) for level in range(len(sizes))]

    def index(self, level: int, code: int) -> int:
        """Place of a code's token; `IndexError` where there is no such code."""
        sizes = self.table.codebook_sizes
        if not (0 <= level < len(sizes) and 0 <= code < sizes[level]):
            raise IndexError(f"there is no code {code} at level {level}")
        return self.offsets[level] + code

    def write(
        self,
        out: _Path,
        *,
        tokenizer: _Path | None = None,
        begin_token: str | None = None,
        end_token: str | None = None,
        pad_to_multiple_of: int | None = None,
        llm: _Path | None = None,
        start_values: Literal["mean", "grounded", "structured"] = "structured",
        catalog: _Path | None = None,
        id: str | None = None,
        text: str | Sequence[str] = (),
        model: Tokenizer | _Path | None = None,
        seed: int = 42,
        embedding_tensor: str | None = None,
        write_model: bool = False,
        gguf: _Path | None = None,
        force: bool = False,
    ) -> dict[str, Any]:
        """Writes the folder, and returns what its `vocabulary.json` says.

        With `tokenizer`, a Hugging Face folder, also an extended copy of that, checked on every item's ID and on
        ordinary text; with `llm` start values of that model's new rows, see docs/vocabulary.md.
        """
        options = None
        if llm is not None:
            if tokenizer is None:
                raise ConfigError(
                    "setting llm: expected together with tokenizer, got it alone; name the tokenizer's folder"
                )
            options = {
                "llm": llm,
                "start_values": start_values,
                "catalog": catalog,
                "id": id,
                "text": [text] if isinstance(text, str) else list(text),
                "seed": seed,
                "embedding_tensor": embedding_tensor,
                "write_model": write_model,
                "gguf": gguf,
            }
        else:
            alone = {"catalog": catalog, "id": id, "model": model, "embedding_tensor": embedding_tensor, "gguf": gguf}
            for name, value in {**alone, "text": text or None, "write_model": write_model or None}.items():
                if value is not None:
                    help = "name the language model's folder, too"
                    raise ConfigError(f"setting {name}: expected together with llm, got it alone; {help}")
        loaded = model if isinstance(model, Tokenizer) or model is None else Tokenizer.load(model)
        _native.write_vocabulary(
            self.table._native,
            out,
            {
                "tokenizer": tokenizer,
                "begin_token": begin_token,
                "end_token": end_token,
                "pad_to_multiple_of": pad_to_multiple_of,
                "llm": options,
            },
            None if loaded is None else loaded._native,
            force,
        )
        written: dict[str, Any] = json.loads((Path(out) / "vocabulary.json").read_text(encoding="utf-8"))
        return written

    def __len__(self) -> int:
        return len(self.tokens)

    def __iter__(self) -> Iterator[str]:
        return iter(self.tokens)

    def __getitem__(self, place: int) -> str:
        return self.tokens[place]

    def __repr__(self) -> str:
        return f"Vocabulary({len(self)} tokens, {self.tokens[0]} to {self.tokens[-1]})"

    def _repr_html_(self) -> str:
        sizes, starts = self.table.codebook_sizes, self.offsets
        ends = [start + size - 1 for start, size in zip(starts, sizes, strict=True)]
        pairs = zip(starts, ends, strict=True)
        rows = {f"level {level}": f"{self[first]} to {self[last]}" for level, (first, last) in enumerate(pairs)}
        return html_table(f"Vocabulary: {len(self)} tokens", rows)
