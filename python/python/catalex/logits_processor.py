"""Constrained decoding for `transformers.generate`, and for any decoding loop with a matrix of scores."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import index
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np
import numpy.typing as npt

from ._arrays import refuse
from ._native import Decoder, Subset, Trie

if TYPE_CHECKING:
    import torch

Scores = TypeVar("Scores", bound="npt.NDArray[Any] | torch.Tensor")

Answers = tuple[npt.NDArray[np.int64], int, "list[Subset | None] | None", "list[int | None] | None"]

# Minus infinity of 16-bit floats, as the integer of the same bits.
LOWEST = {"float16": -0x0400, "bfloat16": -0x0080}


class LogitsProcessor:
    """Restricts a language model to the semantic IDs of existing items.

    Pass it as `logits_processor=[LogitsProcessor(trie, ...)]` to `model.generate`, with greedy decoding, sampling or
    beam search, and any prompt. The trie must know the model's token ids: `Trie.from_table(tokens, vocabulary)`.

    Each step finds its position in an ID from the last tokens of the row, so beams can be reordered, and an answer can
    have any number of IDs. An unfinished ID at the end of the prompt is completed.

    * `start`: `"always"`, the answer begins with an ID; `"free"`, any text is allowed, and the IDs in it are valid.
    * `after`: what can follow an ID: `"eos"`, the end of the answer; `"id"`, another ID, or the end of the answer if
      `eos_token_id` is given; `"any"`, anything. By default `"eos"` if `eos_token_id` is given and the answer begins
      with an ID, so that every beam is another item; otherwise `"any"`.
    * `eos_token_id`: the token or tokens that end an answer.
    * `subsets`: the allowed items: one `Subset` (or `None` for all items) per prompt of the batch, in order. A single
      `Subset` applies to all prompts.
    * `exclude`: items that are not allowed, such as those that a user has seen or blocked: one collection of item ids
      (or `None`) per prompt. It is combined with `subsets`. Ids that are no items, such as those of deleted items, are
      ignored. The trie must be one of a token table.
    * `max_per_first_code`: the maximum number of answers of a prompt whose IDs have the same first code: one number for
      all prompts, or one (or `None`) per prompt. Only for beam search. After the first code, the quota of a code is
      divided among the beams that have it, and each beam continues with as many of its best tokens.
    * `prompt_length`: length of the prompts. By default it is the length at the first call of a generation. A call
      starts a new generation unless it continues the previous call: the same prompts and one more token.
    * `in_place`: whether scores are changed in place, which is faster. With `output_logits=True`, generate returns the
      original scores only with `in_place=False`.

    If the vocabulary has markers before and after an ID, IDs are written between them. Scores are matrices of torch on
    any device, or of numpy.
    """

    def __init__(
        self,
        trie: Trie,
        *,
        start: Literal["always", "free"] = "always",
        after: Literal["any", "eos", "id"] | None = None,
        eos_token_id: int | Sequence[int] | None = None,
        subsets: Subset | Sequence[Subset | None] | None = None,
        exclude: Sequence[Iterable[Any] | None] | None = None,
        max_per_first_code: int | Sequence[int | None] | None = None,
        prompt_length: int | None = None,
        in_place: bool = True,
    ) -> None:
        ids = () if eos_token_id is None else (eos_token_id,) if isinstance(eos_token_id, int) else eos_token_id
        if after is None:
            after = "eos" if ids and start == "always" else "any"
        self._trie = trie
        self._decoder = Decoder(trie, start, after, list(ids))
        allowed: list[Subset | None] | None = None
        if subsets is not None:
            allowed = [subsets] if isinstance(subsets, Subset) else list(subsets)
        self._subsets = allowed if exclude is None else _without(trie, allowed, list(exclude))
        self._limits = None if max_per_first_code is None else _limits(max_per_first_code)
        self._fixed_length = prompt_length
        self._in_place = in_place
        self._prompts: npt.NDArray[np.int64] | None = None
        self._length = 0

    def __call__(self, input_ids: npt.NDArray[Any] | torch.Tensor, scores: Scores) -> Scores:
        """Scores `(rows, tokens)`, minus infinity for tokens that must not follow `input_ids (rows, length)`."""
        tokens = _as_numpy(input_ids)
        prompt = self._prompt_length(tokens)
        on = self._on_numpy if isinstance(scores, np.ndarray) else self._on_torch
        masked: Scores = on(tokens, prompt, scores)
        return masked

    def reset(self) -> None:
        """The next call starts a new generation."""
        self._prompts = None

    def _answers(self, tokens: npt.NDArray[np.int64], prompt: int) -> Answers:
        return tokens, prompt, self._subsets, self._limits

    def _prompt_length(self, tokens: npt.NDArray[np.int64]) -> int:
        if self._fixed_length is not None:
            return self._fixed_length
        before, length = self._prompts, tokens.shape[1]
        goes_on = (
            before is not None
            and tokens.shape[0] == before.shape[0]
            and length == self._length + 1
            and np.array_equal(tokens[:, : before.shape[1]], before)
        )
        self._length = length
        if before is None or not goes_on:
            self._prompts = tokens.copy()
            return int(length)
        return int(before.shape[1])

    def _on_numpy(self, tokens: npt.NDArray[np.int64], prompt: int, scores: Any) -> Any:
        if scores.dtype == np.float16:
            masked = self._on_numpy_bits(tokens, prompt, scores.view(np.int16), LOWEST["float16"])
            return masked.view(np.float16)
        return self._on_numpy_bits(tokens, prompt, scores, 0)

    def _on_numpy_bits(
        self, tokens: npt.NDArray[np.int64], prompt: int, scores: npt.NDArray[Any], lowest: int
    ) -> npt.NDArray[Any]:
        if self._in_place and scores.flags.c_contiguous and scores.flags.writeable:
            self._decoder.mask(self._answers(tokens, prompt), scores, None, lowest)
            return scores
        masked = np.empty(scores.shape, scores.dtype)
        self._decoder.mask(self._answers(tokens, prompt), np.ascontiguousarray(scores), masked, lowest)
        return masked

    def _on_torch(self, tokens: npt.NDArray[np.int64], prompt: int, scores: Any) -> Any:
        kind = str(scores.dtype).removeprefix("torch.")
        if scores.device.type != "cpu" or kind not in {"float32", "float64", *LOWEST}:
            return self._on_device(tokens, prompt, scores)
        import torch  # noqa: PLC0415

        scores = scores.detach().contiguous()
        masked = scores if self._in_place else torch.empty_like(scores)

        def bits(tensor: torch.Tensor) -> Any:
            return (tensor.view(torch.int16) if kind in LOWEST else tensor).numpy()

        out = None if self._in_place else bits(masked)
        self._decoder.mask(self._answers(tokens, prompt), bits(scores), out, LOWEST.get(kind, 0))
        return masked

    def _on_device(self, tokens: npt.NDArray[np.int64], prompt: int, scores: Any) -> Any:
        """Scores in the memory of another device: only the positions of allowed tokens are sent there."""
        import torch  # noqa: PLC0415

        ids = self._trie.tokens
        assert ids is not None
        free, places, quotas = self._decoder.allowed(self._answers(tokens, prompt), scores.shape[1])
        if (quotas >= 0).any():
            given = scores.reshape(-1)[torch.from_numpy(places).to(scores.device)].float().cpu().numpy()
            places = places[_best(given, places // scores.shape[1], quotas)]
        at = torch.from_numpy(places).to(scores.device)
        free_rows = torch.from_numpy(np.flatnonzero(free)).to(scores.device)
        masked = torch.full_like(scores, float("-inf"))
        masked[free_rows] = scores[free_rows]
        first = ids.first_id
        last = first + sum(ids.codebook_sizes)
        masked[:, first:last] = float("-inf")
        masked[:, [marker for marker in (ids.begin, ids.end) if marker is not None]] = float("-inf")
        masked.view(-1)[at] = scores.reshape(-1)[at]
        return masked


def _without(
    trie: Trie, subsets: list[Subset | None] | None, exclude: list[Iterable[Any] | None]
) -> list[Subset | None]:
    """The subset of each prompt without the excluded items."""
    allowed: list[Subset | None] = [None] if subsets is None else subsets
    if len(allowed) == 1:
        allowed = allowed * len(exclude)
    if len(allowed) != len(exclude):
        help = "pass one collection of items (or None) per prompt"
        raise refuse("exclude", f"{len(allowed)} collections, as many as subsets", str(len(exclude)), help)
    pairs = zip(allowed, exclude, strict=True)
    return [subset if items is None else trie.without(items, subset, ignore_missing=True) for subset, items in pairs]


def _limits(given: int | Sequence[int | None]) -> list[int | None]:
    """The maximum number of answers per first code of each prompt."""
    each = list(given) if isinstance(given, Iterable) else [given]
    for limit in each:
        if limit is not None and not (hasattr(limit, "__index__") and 1 <= index(limit) < 2**32):
            help = "pass a number, or one (or None) per prompt"
            raise refuse("max_per_first_code", "numbers from 1", repr(limit), help)
    return [None if limit is None else index(limit) for limit in each]


def _best(
    scores: npt.NDArray[Any], rows: npt.NDArray[np.int64], quotas: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """The positions of the best scores of each row, as many as its quota. Rows with the quota -1 keep all."""
    ranked = np.lexsort((-np.nan_to_num(scores, nan=-np.inf), rows))
    first = np.searchsorted(rows, rows)
    place = np.empty(len(rows), np.int64)
    place[ranked] = np.arange(len(rows)) - first
    quota = quotas[rows]
    return np.flatnonzero((quota < 0) | (place < quota))


def _as_numpy(input_ids: Any) -> npt.NDArray[np.int64]:
    if not isinstance(input_ids, np.ndarray):
        input_ids = input_ids.detach().cpu().numpy()
    return np.ascontiguousarray(input_ids, dtype=np.int64)
