"""The folder that `catalex build` writes."""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path
from typing import Any

from . import _native
from ._formats import read_json
from ._html import table
from .errors import InputError
from .features import Features
from .token_table import TokenTable
from .tokenizer import Tokenizer

MANIFEST = "manifest.json"


class Index:
    """An index, as written by `build`. Each part is read when it is first used.

    `ArtifactError` if its manifest is damaged or of a newer version. Indexes of older versions can be read.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        try:
            self.manifest: dict[str, Any] = read_json(
                self.path / MANIFEST,
                "the manifest of an index",
                _native.index_format_version(),
                needs=("items", "model_hash"),
            )
        except (FileNotFoundError, NotADirectoryError) as error:
            raise InputError(f"{path}: expected an index, got {error}; name the folder that build wrote") from error

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The trained model."""
        return Tokenizer.load(self.path)

    @cached_property
    def table(self) -> TokenTable:
        """The semantic IDs of the items."""
        return TokenTable.read(self.path)

    @property
    def features(self) -> Features:
        """The vectors of the items."""
        return Features(self.path)

    @property
    def vocabulary(self) -> Path:
        """The vocabulary folder, with an extended tokenizer in `tokenizer/` if one was given."""
        return self.path / "vocabulary"

    @property
    def report(self) -> Path:
        """The report, an HTML file."""
        return self.path / "report.html"

    def __len__(self) -> int:
        return int(self.manifest["items"])

    def __repr__(self) -> str:
        return f"Index({str(self.path)!r}, {len(self)} items)"

    def _repr_html_(self) -> str:
        rows = {"items": len(self), "model": self.manifest["model_hash"][:12], "report": self.report}
        return table(f"Index {self.path}", rows)
