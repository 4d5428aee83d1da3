"""Records of an export as examples: the tokens of a prompt and of its expected answer."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

Example = tuple[list[int], list[int]]

TASKS = ("seqrec", "item2index", "index2item")
"""LC-Rec's tasks that are trained: the next item, and the alignment of titles and IDs in both directions."""


class Encoder:
    """Texts to tokens. A prompt is an instruction and its input, each on a line of its own."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self.end = int(tokenizer.eos_token_id)
        self.pad = self.end if tokenizer.pad_token_id is None else int(tokenizer.pad_token_id)

    def prompts(self, records: list[dict[str, str]]) -> list[list[int]]:
        texts = ["\n".join(filter(None, [one["instruction"], one["input"]])) + "\n" for one in records]
        found: list[list[int]] = self.tokenizer(texts)["input_ids"]
        return [ids[:-1] if ids[-1] == self.end else ids for ids in found]

    def answers(self, texts: list[str]) -> list[list[int]]:
        """Tokens without the end of the text. SentencePiece's space before an ID is left out by the tokenizer."""
        found: list[list[int]] = self.tokenizer(texts, add_special_tokens=False)["input_ids"]
        return found

    def examples(self, records: list[dict[str, str]]) -> list[Example]:
        answers = self.answers([one["output"] for one in records])
        prompts = self.prompts(records)
        return [(prompt, [*answer, self.end]) for prompt, answer in zip(prompts, answers, strict=True)]


def read(path: Path) -> list[dict[str, str]]:
    found: list[dict[str, str]] = json.loads(path.read_text(encoding="utf-8"))
    return found


def some(records: list[dict[str, str]], most: int) -> list[int]:
    """The numbers of the records of at most `most` users, at equal distances."""
    return [int(at) for at in np.linspace(0, len(records) - 1, min(most, len(records))).round()]


def batches(examples: list[Example], size: int, seed: int) -> Iterator[list[Example]]:
    """An endless sequence of batches. Each epoch has another order."""
    order, size = random.Random(seed), min(size, len(examples))
    while True:
        shuffled = order.sample(examples, len(examples))
        yield from (shuffled[at : at + size] for at in range(0, len(shuffled) - size + 1, size))


def padded(rows: list[list[int]], pad: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Rows of tokens that end at the same position, `(rows, length)`, and their mask."""
    width = max(map(len, rows))
    ids = torch.tensor([[pad] * (width - len(row)) + row for row in rows])
    mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows])
    return ids.to(device), mask.to(device)
