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
    """An index that `build` wrote, or the current generation of a store. Each part is read when it is first used.

    `path` is the folder of the index. If a store was given, it is the folder of the current generation, which is not
    removed as long as the object exists.

    `ArtifactError` if its manifest is damaged or of a newer version. Indexes of older versions can be read.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        hold: _native.Hold
        self.path, hold = _native.resolve_index(path)
        self._hold = hold
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

    @cached_property
    def attributes(self) -> _native.Attributes:
        """The attributes of the items, if the index was built with `attributes`. Changes stay in memory."""
        return _native.Attributes.read(self.path)

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

    def append(self, catalog: Any, out: str | os.PathLike[str] | None = None, **options: Any) -> Index:
        """Writes the next generation of this index, with the items of a catalog. See `catalex.append`."""
        from .generations import append  # noqa: PLC0415 - it imports this module

        return append(self, catalog, out, **options)

    def delete(self, items: Any, out: str | os.PathLike[str] | None = None, **options: Any) -> Index:
        """Writes the next generation of this index, without some items. See `catalex.delete`."""
        from .generations import delete  # noqa: PLC0415 - it imports this module

        return delete(self, items, out, **options)

    @property
    def generation(self) -> dict[str, Any]:
        """The generation of this index: `number`, `parent`, `change`, `reason`, `counts` and `created`.

        An index of an older release has number 0, change "build", and no other values.
        """
        unknown = {"number": 0, "parent": None, "change": "build", "reason": None, "counts": None, "created": None}
        found: dict[str, Any] = self.manifest.get("generation", unknown)
        return found

    def __reduce__(self) -> tuple[Any, ...]:
        return Index, (self.path,)

    def __len__(self) -> int:
        return int(self.manifest["items"])

    def __repr__(self) -> str:
        return f"Index({str(self.path)!r}, {len(self)} items)"

    def _repr_html_(self) -> str:
        rows = {"items": len(self), "model": self.manifest["model_hash"][:12], "report": self.report}
        return table(f"Index {self.path}", rows)
