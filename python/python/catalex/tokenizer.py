"""The trained model: it encodes vectors as codes and decodes codes to vectors."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from . import _native, features
from ._arrays import codes as as_codes
from ._arrays import flags, floats, modalities, refuse
from ._html import table
from .features import Features
from .token_table import TokenTable

TOKEN_FORMAT = "<{level}_{code}>"


class Tokenizer:
    """A trained model, which encodes items.

    It consists of arrays: it needs no libtorch, threads can share it, it can be pickled, and it works in a forked
    process.
    """

    def __init__(self, native: _native.Tokenizer) -> None:
        self._native = native

    @staticmethod
    def load(path: str | os.PathLike[str]) -> Tokenizer:
        """Reads the folder that `catalex train` wrote, or the model of an index.

        `ModelError` if it is neither, is damaged, or is of a version that this release does not read.
        """
        return Tokenizer(_native.Tokenizer.load(path))

    def save(self, path: str | os.PathLike[str], *, force: bool = False) -> None:
        """Writes the model's folder, completely or not at all."""
        self._native.save(path, force=force)

    @property
    def modalities(self) -> dict[str, int]:
        """Dimension of each modality, in the order in which their vectors are concatenated."""
        return dict(self._native.modalities)

    @cached_property
    def dim(self) -> int:
        """Sum of the dimensions of all modalities."""
        return self._native.dim

    @property
    def latent_dim(self) -> int:
        """Dimension of the latents and of the codewords."""
        return self._native.latent_dim

    @property
    def levels(self) -> int:
        """Number of codes per item."""
        return len(self.codebook_sizes)

    @cached_property
    def codebook_sizes(self) -> list[int]:
        """Number of codes of each level."""
        return self._native.codebook_sizes

    @property
    def codebooks(self) -> list[npt.NDArray[np.float32]]:
        """One codebook `(size, latent_dim)` per level."""
        return self._native.codebooks

    @property
    def hash(self) -> str:
        """SHA-256 of the weights, which identifies the model."""
        return self._native.hash

    @property
    def config(self) -> dict[str, Any]:
        """The content of `config.json`: shapes, and how the model was trained."""
        config: dict[str, Any] = json.loads(self._native.config_json)
        return config

    def encode(self, X: Any, *, present: Any = None) -> npt.NDArray[np.uint16]:
        """Codes `(n, levels)` of rows `(n, dim)`, as the quantizer assigns them: items can get identical codes.

        `X` is a matrix of float16, float32 or float64 with the modalities side by side, or a mapping from modality
        names to matrices. A float32 matrix of any memory layout is not copied. `present (n, modalities)` is false where
        an item lacks a modality.
        """
        return self._native.encode(*self._rows(X, present))

    def latents(self, X: Any, *, present: Any = None) -> npt.NDArray[np.float32]:
        """Latents `(n, latent_dim)` of rows `(n, dim)`: the vectors that the codes approximate."""
        return self._native.latents(*self._rows(X, present))

    def decode(self, codes: Any) -> npt.NDArray[np.float32]:
        """Reconstructed rows `(n, dim)` of codes `(n, levels)`, in the units of the input."""
        return self._native.decode(as_codes(codes, "codes", self.levels))

    def semantic_ids(self, codes: Any, *, token_format: str = TOKEN_FORMAT) -> list[str]:
        """Semantic IDs of codes `(n, levels)`, such as `<a_12><b_203><c_7><d_91>`; fewer columns give prefixes."""
        return _native.semantic_ids(as_codes(codes, "codes"), token_format)

    def parse_ids(self, ids: Sequence[str], *, token_format: str = TOKEN_FORMAT) -> npt.NDArray[np.uint16]:
        """Codes `(n, levels)` of semantic IDs, or of prefixes of equal length: the inverse of `semantic_ids`."""
        return _native.parse_ids(list(ids), self.codebook_sizes, token_format)

    def tokenize(
        self,
        features: Any,
        *,
        item_ids: Any = None,
        id: str | None = None,
        present: Any = None,
        token_format: str = TOKEN_FORMAT,
        collisions: str = "resolve",
        previous: TokenTable | None = None,
    ) -> TokenTable:
        """Gives every item of some features a semantic ID. `features` is any input of `Features`.

        `collisions` says how items with identical codes are handled: `"resolve"` moves items to free codes, so that
        every ID is unique; `"keep"` leaves them; `"suffix"` adds a disambiguating level; `"lc-rec"` runs LC-Rec's loop,
        which can leave some.

        Items of a `previous` table of this model keep their IDs and come first. Only the other items of `features` get
        new IDs, which differ from all IDs of that table.
        """
        source = self._features(features, item_ids=item_ids, id=id, present=present)
        if previous is None:
            return TokenTable(self._native.tokenize(source._native, token_format, collisions))
        if not isinstance(previous, TokenTable):
            got = type(previous).__name__
            raise refuse("previous", "a TokenTable", got, "read it: catalex.TokenTable.read(path)")
        if collisions != "resolve" or token_format not in (TOKEN_FORMAT, previous.token_format):
            help = "omit collisions and token_format: new items get unique IDs in its token format"
            raise refuse("previous", "the table's own settings", f"{token_format} and {collisions}", help)
        return TokenTable(self._native.tokenize(source._native, token_format, collisions, previous._native))

    def _features(self, data: Any, **names: Any) -> Features:
        return features.of(data, self._native.modalities, **names)

    def _rows(self, x: Any, present: Any) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_] | None]:
        if isinstance(x, Mapping):
            x = self._side_by_side(x)
        rows = floats(x, "X", self.dim)
        if present is None:
            return rows, None
        return rows, flags(present, "present", (len(rows), len(self._native.modalities)))

    def _side_by_side(self, given: Mapping[Any, Any]) -> npt.NDArray[np.float32]:
        shapes = self.modalities
        names, matrices = modalities(given, None)
        if sorted(names) != sorted(shapes):
            help = "encode with the vectors that the model was trained on"
            raise refuse("modalities of X", ", ".join(shapes), ", ".join(names), help)
        by_name = dict(zip(names, matrices, strict=True))
        for name, dim in shapes.items():
            floats(by_name[name], f"X[{name!r}]", dim)
            if len(by_name[name]) != len(matrices[0]):
                got = f"{len(matrices[0])} and {len(by_name[name])}"
                raise refuse(
                    "rows of X", "equally many in each modality", got, "give every item a row in each modality"
                )
        return np.concatenate([by_name[name] for name in shapes], axis=1)

    def __reduce__(self) -> tuple[Any, ...]:
        return _of_bytes, self._native.to_bytes()

    def __copy__(self) -> Tokenizer:
        return Tokenizer(self._native)

    def __deepcopy__(self, memo: dict[int, Any]) -> Tokenizer:
        return Tokenizer(self._native)  # it is immutable

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Tokenizer) and self._native.config_json == other._native.config_json

    def __hash__(self) -> int:
        return hash(self.hash)

    def __repr__(self) -> str:
        shapes = " + ".join(f"{name} {dim}" for name, dim in self._native.modalities)
        return f"Tokenizer({shapes} -> {self.latent_dim} -> {_sizes(self.codebook_sizes)} codes, {self.hash[:12]})"

    def _repr_html_(self) -> str:
        training = self.config.get("training") or {}
        rows = {
            "modalities": ", ".join(f"{name} ({dim})" for name, dim in self._native.modalities),
            "latent dimension": self.latent_dim,
            "codes": _sizes(self.codebook_sizes),
            "trained on": f"{training['items']} items" if training.get("items") else "unknown",
            "hash": self.hash[:12],
        }
        return table("Tokenizer", rows)


def _of_bytes(config: bytes, weights: bytes) -> Tokenizer:
    return Tokenizer(_native.Tokenizer.of_bytes(config, weights))


def _sizes(sizes: list[int]) -> str:
    """`4 x 256` if all codebooks have the same size."""
    return f"{len(sizes)} x {sizes[0]}" if len(set(sizes)) == 1 else ", ".join(map(str, sizes))
