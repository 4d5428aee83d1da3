"""Quality figures and collision resolution, for token tables and for the codes of other quantizers."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from . import _native
from ._arrays import codes as as_codes
from ._arrays import floats, refuse
from ._arrays import item_ids as as_item_ids
from ._html import table as html_table
from .features import Features
from .token_table import TokenTable
from .tokenizer import Tokenizer


class Resolution(NamedTuple):
    """The result of `resolve_collisions`."""

    codes: npt.NDArray[np.uint16]
    """Codes `(n, levels)`, all rows distinct."""
    residual_error: npt.NDArray[np.float32]
    """Squared distance `(n,)` between each latent and the sum of its codewords."""
    reassigned: npt.NDArray[np.bool_]
    """Whether each item was moved `(n,)`."""
    report: dict[str, Any]
    """Statistics: items moved, added distortion, and so on."""


class Figures(dict[str, Any]):
    """The figures of a token table: a dictionary. Notebooks show the main figures."""

    def _repr_html_(self) -> str:
        rows: dict[str, Any] = {}
        if histories := self.get("histories"):
            nats = f"{histories['entropy']['given_last_item']:.4f}"
            # A comparison of two sets of IDs has no shuffled ones.
            if found := histories.get("shuffled"):
                rows["next item: nats"] = f"{nats} ({found['nats']:.4f} if the IDs are shuffled)"
                rows["next item: gain"] = f"{found['gain']:.4f}, standard error {found['standard_error']:.4f}"
            else:
                rows["next item: nats"] = nats
            if histories["purity"] and (lift := histories["purity"][0]["lift"]) is not None:
                rows["last two items share the first code"] = f"{lift:.1f} times as often as by chance"
        rows["distinct IDs"] = self["distinct_ids"]
        if self["collisions"] is not None:
            rows["items moved to make IDs unique"] = self["collisions"]["moved"]
        rows |= {f"codes in use, level {u['level']}": f"{u['used']} of {u['codes']}" for u in self["usage"]}
        rows["prefixes by depth"] = ", ".join(map(str, self["distinct_prefixes"]))
        if self["reconstruction"] is not None:
            if held_out := self["reconstruction"]["held_out"]:
                rows["held-out error"] = f"{held_out['error']:.3f} on {held_out['items']} items"
            rows["in-sample error"] = f"{self['reconstruction']['after_resolution']:.3f}"
        if self["neighbours"] is not None:
            found = self["neighbours"]
            text = f"{found['recall']:.1%} of {found['neighbours']} ({found['recall_by_chance']:.1%} by chance)"
            rows["neighbours found by prefix"] = text
        return html_table(f"{self['items']} items", rows)


def resolve_collisions(
    codes: Any, latents: Any, codebooks: Tokenizer | Sequence[Any], *, item_ids: Any = None
) -> Resolution:
    """Makes the codes of items unique with minimum added distortion.

    `codes (n, levels)` are those of any residual quantizer, `latents (n, dim)` are the vectors that it quantized, and
    `codebooks` is the model, or its codebooks `(size, dim)`, one per level. Ties go to the lower item id, or to the
    lower row without `item_ids`.
    """
    if isinstance(codebooks, Tokenizer):
        model, books = codebooks._native, codebooks.codebooks
    else:
        model, books = None, [floats(book, f"codebooks[{level}]") for level, book in enumerate(codebooks)]
        if not books:
            raise refuse("codebooks", "one per level", "none", "give the quantizer's codebooks")
    given = as_codes(codes, "codes", len(books))
    vectors = floats(latents, "latents", books[0].shape[1])
    ids = None if item_ids is None else as_item_ids(item_ids)
    found, errors, moved, report = _native.resolve(vectors, given, books, ids, model)
    return Resolution(found, errors, moved, json.loads(report))


def evaluate(
    table: TokenTable,
    *,
    model: Tokenizer | None = None,
    features: Any = None,
    labels: Sequence[str] | None = None,
    label: str = "label",
) -> Figures:
    """The figures of a token table in memory: the content of `catalex inspect --json`.

    With the table's model and features, they include the reconstruction error and how well prefixes keep neighbours
    together. With one label per item (empty for none), they include how well prefixes agree with the labels.
    """
    if features is not None and model is None:
        raise refuse("features", "together with model", "one of the two", "give both, or neither")
    source = None
    if features is not None and model is not None:
        # A matrix has no item ids: its rows are those of the table.
        ids = table.item_ids if _is_matrix(features) else None
        source = model._features(features, item_ids=ids)._native
    names = None if labels is None else [str(name) for name in labels]
    native = None if model is None else model._native
    return Figures(json.loads(_native.evaluate(table._native, native, source, names, label)))


def _is_matrix(data: Any) -> bool:
    known = isinstance(data, Features | str | os.PathLike)
    return not known and not hasattr(data, "__arrow_c_stream__") and not hasattr(data, "__arrow_c_array__")
