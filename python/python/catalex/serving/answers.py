"""Masks for the requests of a batch, each at its own position of its answer and each with its own generation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt

from .._native import Subset
from ..errors import InputError
from ..logits_processor import LOWEST
from .generation import ALL, Generation

if TYPE_CHECKING:
    import torch

Scores = TypeVar("Scores", bound="npt.NDArray[Any] | torch.Tensor")


class Answer:
    """The answer to a request: the generation that it began with, and its tokens so far.

    `output` can be the list that the server appends tokens to. `subset` is the name of a subset of the generation;
    `InputError` for an unknown one.
    """

    __slots__ = ("_prompt", "generation", "output", "subset")

    def __init__(
        self, generation: Generation, prompt: Sequence[int], output: Sequence[int], subset: str | Subset | None = ALL
    ) -> None:
        self.generation = generation
        self._prompt = list(prompt[-generation.width :])
        self.output = output
        self.subset = generation.subset(subset) if isinstance(subset, str) else subset

    @property
    def begun(self) -> bool:
        """Whether the answer has a token."""
        return len(self.output) > 0

    def tail(self) -> list[int]:
        """The last tokens of prompt and answer, as many as determine the position in an ID; -1 before the prompt."""
        width = self.generation.width
        last = list(self.output[-width:])
        if last and last[-1] < 0:
            raise RuntimeError(
                f"token ids of an answer: expected the id of its last token, got the placeholder {last[-1]}; the "
                "server must fill it in before it samples the next token"
            )
        if len(last) < width:
            last = self._prompt[len(last) - width :] + last
        return [-1] * (width - len(last)) + last


def mask(logits: Scores, answers: Sequence[Answer | None]) -> Scores:
    """Sets the logits `(rows, tokens)` of all tokens that must not come next to minus infinity, in place.

    There is one answer per row, or `None` for a row that is not constrained. Logits are a matrix of torch on any
    device, or of numpy. On the CPU, threads write the masks with the interpreter lock released.

    Where no token is allowed, because a prompt ends inside an ID that no item has or a subset is empty, the tokens that
    end an answer are allowed. A request without a valid answer ends; the other requests of the batch are not affected.
    """
    if logits.shape[0] != len(answers):
        raise InputError(f"answers: expected one per row, {logits.shape[0]}, got {len(answers)}; pass None for others")
    groups: dict[int, list[int]] = {}
    for row, answer in enumerate(answers):
        if answer is not None:
            groups.setdefault(id(answer.generation), []).append(row)
    for rows in groups.values():
        chosen = [answer for row in rows if (answer := answers[row]) is not None]
        _mask_rows(logits, chosen[0].generation, np.asarray(rows, np.int64), chosen)
    return logits


def _mask_rows(logits: Any, generation: Generation, rows: npt.NDArray[np.int64], answers: list[Answer]) -> None:
    tails = np.array([answer.tail() for answer in answers], np.int64)
    begun = np.array([answer.begun for answer in answers], np.bool_)
    subsets = [answer.subset for answer in answers]
    kind = str(logits.dtype).removeprefix("torch.")
    on_cpu = isinstance(logits, np.ndarray) or logits.device.type == "cpu"
    if not on_cpu or kind not in {"float32", "float64", *LOWEST} or not _is_contiguous(logits):
        if isinstance(logits, np.ndarray):
            import torch  # noqa: PLC0415

            logits = torch.from_numpy(logits)
        generation.on(logits.device).mask_host(logits, tails, begun, rows, subsets)
        return
    given = subsets if any(subset is not None for subset in subsets) else None
    generation.decoder.mask_rows((tails, begun, rows, given), _bits(logits, kind), LOWEST.get(kind, 0))


def _is_contiguous(logits: Any) -> bool:
    return bool(logits.flags.c_contiguous if isinstance(logits, np.ndarray) else logits.is_contiguous())


def _bits(logits: Any, kind: str) -> npt.NDArray[Any]:
    """The logits as a numpy array that shares their memory; 16-bit floats as integers."""
    if isinstance(logits, np.ndarray):
        return logits.view(np.int16) if kind in LOWEST else logits
    import torch  # noqa: PLC0415

    logits = logits.detach()
    array: npt.NDArray[Any] = (logits.view(torch.int16) if kind in LOWEST else logits).numpy()
    return array
