"""The token table: the semantic ID of each item."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from . import _native
from ._arrays import codes as as_codes
from ._arrays import item_ids as as_item_ids
from ._arrays import refuse
from ._html import table

if TYPE_CHECKING:
    import pandas
    import polars
    import pyarrow

ItemId = int | str


class TokenTable:
    """The semantic IDs of a catalog, one row per item.

    `Tokenizer.tokenize` makes one; `TokenTable.read` reads one that `catalex tokenize` or `build` wrote. It supports
    Arrow's PyCapsule protocol: `pyarrow.table(t)`, `polars.DataFrame(t)`, `nanoarrow.Array(t)`, and in DuckDB
    `SELECT ... FROM t` after `t = t.to_arrow()`.
    """

    def __init__(self, native: _native.TokenTable) -> None:
        self._native = native

    @staticmethod
    def read(path: str | os.PathLike[str]) -> TokenTable:
        """Reads and checks a token table, or the token table of an index."""
        return TokenTable(_native.TokenTable.read(path))

    def write(self, path: str | os.PathLike[str], *, force: bool = False) -> None:
        """Writes a Parquet file, completely or not at all. Equal tables give equal bytes."""
        self._native.write(path, force=force)

    @staticmethod
    def from_arrow(data: Any, *, like: TokenTable | None = None) -> TokenTable:
        """The token table in Arrow data with the same columns. It is checked like a file.

        Model, codebook sizes and token format are in the schema's metadata. Some programs drop the metadata, such as
        polars: they are then taken from the table `like`.
        """
        return TokenTable(_native.TokenTable.of_arrow(data, None if like is None else like._native))

    @staticmethod
    def from_codes(
        codes: Any,
        codebook_sizes: Sequence[int],
        *,
        item_ids: Any = None,
        token_format: str = "<{level}_{code}>",
        collisions: str = "resolve",
        model_hash: str = "",
    ) -> TokenTable:
        """The table of codes `(n, levels)` of another quantizer; `resolve_collisions` makes codes unique."""
        sizes = [int(size) for size in codebook_sizes]
        ids = None if item_ids is None else as_item_ids(item_ids)
        given = as_codes(codes, "codes")
        metadata = {
            "codebook_sizes": sizes,
            "token_format": token_format,
            "collisions": collisions,
            "model_hash": model_hash,
        }
        return TokenTable(_native.TokenTable.of_codes(given, ids, metadata))

    @property
    def item_ids(self) -> list[int] | list[str]:
        """The item ids, in the order of the catalog."""
        return self._native.item_ids

    @property
    def codes(self) -> npt.NDArray[np.uint16]:
        """Codes `(n, levels)`."""
        return self._native.codes

    @property
    def semantic_ids(self) -> list[str]:
        """The semantic IDs, in row order."""
        return self._native.semantic_ids

    @property
    def residual_error(self) -> npt.NDArray[np.float32]:
        """Squared distance `(n,)` between each item's latent and the sum of its codewords."""
        return self._native.residual_error

    @property
    def reassigned(self) -> npt.NDArray[np.bool_]:
        """Whether each item's codes were changed `(n,)` to make them unique."""
        return self._native.reassigned

    @property
    def levels(self) -> int:
        """Number of codes per item."""
        return len(self.codebook_sizes)

    @property
    def codebook_sizes(self) -> list[int]:
        """Codes per level."""
        return self._native.codebook_sizes

    @property
    def model_hash(self) -> str:
        """Hash of the model that assigned the codes."""
        return self._native.model_hash

    @property
    def token_format(self) -> str:
        """Format of the tokens."""
        return self._native.token_format

    @property
    def collisions(self) -> str:
        """How items with identical codes were handled: `"resolve"`, `"keep"`, `"suffix"`, `"lc-rec"` or `"share"`."""
        return self._native.collisions

    @property
    def capacity(self) -> int | None:
        """Maximum number of items per ID; `None` if the collision policy does not limit it."""
        return self._native.capacity

    @property
    def members(self) -> npt.NDArray[np.uint16] | None:
        """Rank of each item among the items of its ID `(n,)`, from 0; `None` without a capacity above 1."""
        return self._native.members

    @property
    def must_differ(self) -> list[list[Any]] | None:
        """Each item's values of the columns in which the items of an ID must agree; `None` without such columns."""
        classes = self._native.must_differ
        return None if classes is None else [json.loads(values) for values in classes]

    @property
    def collision_report(self) -> dict[str, Any] | None:
        """Statistics of the collision resolution, if the table has them."""
        report = self._native.report_json
        return None if report is None else json.loads(report)

    def lookup(self, item: ItemId, *, levels: int | None = None) -> str:
        """The semantic ID of an item, or its first `levels` tokens: a prefix for `items`."""
        semantic_id = self._native.semantic_id(self._native.row(str(item)))
        if levels is None:
            return semantic_id
        codes = _native.parse_ids([semantic_id], self.codebook_sizes, self.token_format)
        return self._prefixes(codes, levels)[0]

    def prefixes(self, levels: int = 1) -> dict[str, list[int] | list[str]]:
        """The items under each prefix of `levels` tokens, in the order of their codes."""
        rows, ids = self.rows(), self.item_ids
        groups: dict[str, list[Any]] = {}
        for row, prefix in zip(rows.tolist(), self._prefixes(self.codes[rows], levels), strict=True):
            groups.setdefault(prefix, []).append(ids[row])
        return groups

    def _prefixes(self, codes: npt.NDArray[np.uint16], levels: int) -> list[str]:
        if levels not in range(1, self.levels + 1):
            raise refuse("levels", f"1 to {self.levels}", repr(levels), "ask for at most the number of levels")
        return _native.semantic_ids(np.ascontiguousarray(codes[:, :levels]), self.token_format)

    def items(self, prefix: str | Sequence[int] | npt.NDArray[Any] = "") -> list[int] | list[str]:
        """The items under a semantic ID or a prefix, given as text or as codes, in the order of their codes.

        Items that share an ID are in the order of their ranks.
        """
        ids = self.item_ids
        return [ids[row] for row in self.rows(prefix).tolist()]

    def rows(self, prefix: str | Sequence[int] | npt.NDArray[Any] = "") -> npt.NDArray[np.int64]:
        """The row numbers of `items`."""
        if isinstance(prefix, str):
            return self._native.rows_of_text(prefix)
        return self._native.rows_of_codes(
            as_codes([list(prefix)] if len(prefix) else np.empty((1, 0), int), "prefix")[0].tolist()
        )

    def __contains__(self, item: ItemId) -> bool:
        try:
            self._native.row(str(item))
        except ValueError:
            return False
        return True

    def __iter__(self) -> Iterator[tuple[ItemId, str]]:
        """Pairs of item id and semantic ID: `dict(table)` makes a dictionary."""
        return iter(zip(self.item_ids, self.semantic_ids, strict=True))

    def to_arrow(self) -> pyarrow.Table:
        """The table as a pyarrow table, with model, codebook sizes and token format in the schema's metadata."""
        import pyarrow  # noqa: PLC0415 - the package does without it otherwise

        return pyarrow.table(self)

    def to_pandas(self) -> pandas.DataFrame:
        """The table as a pandas data frame, with codes as arrays. Does not need pyarrow."""
        import pandas  # noqa: PLC0415

        columns: dict[str, Any] = {
            "item_id": self.item_ids,
            "codes": list(self.codes),
            "semantic_id": self.semantic_ids,
            "residual_error": self.residual_error,
            "reassigned": self.reassigned,
        }
        if self.members is not None:
            columns["member"] = self.members
        if self._native.must_differ is not None:
            columns["must_differ"] = self._native.must_differ
        return pandas.DataFrame(columns)

    def to_polars(self) -> polars.DataFrame:
        """The table as a polars data frame, with codes as fixed-size arrays."""
        import polars  # noqa: PLC0415

        return polars.DataFrame(self)

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self._native.__arrow_c_stream__(requested_schema)

    def __arrow_c_array__(self, requested_schema: object = None) -> tuple[object, object]:
        return self._native.__arrow_c_array__(requested_schema)

    def __arrow_c_schema__(self) -> object:
        return self._native.__arrow_c_schema__()

    def __len__(self) -> int:
        return len(self._native)

    def __reduce__(self) -> tuple[Any, ...]:
        return _of_bytes, (self._native.to_bytes(),)

    def __copy__(self) -> TokenTable:
        return TokenTable(self._native)

    def __deepcopy__(self, memo: dict[int, Any]) -> TokenTable:
        return TokenTable(self._native)  # it is immutable

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TokenTable) and self._native.to_bytes() == other._native.to_bytes()

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        first = f", {self._native.semantic_id(0)} ..." if len(self) else ""
        return f"TokenTable({len(self)} items, {self.levels} levels{first})"

    def _repr_html_(self) -> str:
        ids = self.item_ids
        shown = {str(ids[row]): self._native.semantic_id(row) for row in range(min(5, len(self)))}
        return table(f"TokenTable: {len(self)} items, {self.levels} levels", shown)


def _of_bytes(data: bytes) -> TokenTable:
    return TokenTable(_native.TokenTable.of_bytes(data))
