"""The folder that `catalex build` leaves."""

from __future__ import annotations

import json
import os
from functools import cached_property
from pathlib import Path
from typing import Any

from ._html import table
from .errors import InputError
from .features import Features
from .token_table import TokenTable
from .tokenizer import Tokenizer


class Index:
    """What `catalex build` wrote; its parts are read when they are asked for."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        try:
            text = (self.path / "manifest.json").read_text(encoding="utf-8")
        except OSError as error:
            raise InputError(f"{path}: expected an index, got {error}; name the folder that build wrote") from error
        self.manifest: dict[str, Any] = json.loads(text)

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The frozen model."""
        return Tokenizer.load(self.path)

    @cached_property
    def table(self) -> TokenTable:
        """The items' semantic IDs."""
        return TokenTable.read(self.path)

    @property
    def features(self) -> Features:
        """The items' vectors."""
        return Features(self.path)

    @property
    def vocabulary(self) -> Path:
        """The vocabulary's folder, with the extended tokenizer in `tokenizer/` where one was named."""
        return self.path / "vocabulary"

    @property
    def report(self) -> Path:
        """The page for people."""
        return self.path / "report.html"

    def __len__(self) -> int:
        return int(self.manifest["items"])

    def __repr__(self) -> str:
        return f"Index({str(self.path)!r}, {len(self)} items)"

    def _repr_html_(self) -> str:
        rows = {"items": len(self), "model": self.manifest["model_hash"][:12], "report": self.report}
        return table(f"Index {self.path}", rows)
