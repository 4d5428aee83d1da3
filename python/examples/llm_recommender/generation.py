"""Answers of the language model: IDs of items by constrained beam search, or titles."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from catalex import LogitsProcessor, TokenTable, Trie
from recommend.histories import Rows
from recommend.training import mixed

from .records import Encoder, padded
from .settings import Settings


def in_pieces(prompts: list[list[int]], size: int) -> Iterator[tuple[list[int], list[list[int]]]]:
    """The numbers of prompts of similar length, and these prompts."""
    order = sorted(range(len(prompts)), key=lambda at: len(prompts[at]))
    for at in range(0, len(order), size):
        rows = order[at : at + size]
        yield rows, [prompts[row] for row in rows]


def table_of(tokens: Path) -> Path:
    """The token table of an index, or the table itself."""
    return tokens / "tokens.parquet" if tokens.is_dir() else tokens


def items_by_id(tokens: Path, encoder: Encoder) -> dict[tuple[int, ...], int]:
    """The item, as a row of the catalog, of the token ids of each semantic ID."""
    table = TokenTable.read(table_of(tokens))
    ids = encoder.answers(list(table.semantic_ids))
    return {tuple(one): item for one, item in zip(ids, map(int, table.item_ids), strict=True)}


@torch.no_grad()  # type: ignore[untyped-decorator]
def items(
    model: Any, prompts: list[list[int]], encoder: Encoder, *, tokens: Path, vocabulary: Path, settings: Settings
) -> Rows:
    """The items of the beams, `(prompts, beams)`, best first; -1 for an answer that is not the ID of an item. All items
    are allowed, also those of the history."""
    trie, known = Trie.from_table(table_of(tokens), vocabulary), items_by_id(tokens, encoder)
    levels, beams, device = trie.levels, min(settings.beams, len(known)), next(model.parameters()).device
    found = np.full((len(prompts), beams), -1, np.int64)
    for rows, piece in in_pieces(prompts, settings.asked):
        ids, mask = padded(piece, encoder.pad, device)
        processor = LogitsProcessor(trie, start="always", after="eos", eos_token_id=encoder.end)
        with mixed(device):
            said = model.generate(
                input_ids=ids, attention_mask=mask, pad_token_id=encoder.pad, logits_processor=[processor],
                do_sample=False, num_beams=beams, num_return_sequences=beams, max_new_tokens=levels,
            )  # fmt: skip
        answers = said[:, ids.shape[1] :].view(len(rows), beams, -1).tolist()
        found[rows] = [[known.get(tuple(answer), -1) for answer in beam] for beam in answers]
    return found


@torch.no_grad()  # type: ignore[untyped-decorator]
def texts(model: Any, prompts: list[list[int]], encoder: Encoder, settings: Settings) -> list[str]:
    """One text per prompt, by greedy decoding, as in BIGRec."""
    found, device = [""] * len(prompts), next(model.parameters()).device
    for rows, piece in in_pieces(prompts, settings.asked):
        ids, mask = padded(piece, encoder.pad, device)
        with mixed(device):
            said = model.generate(
                input_ids=ids, attention_mask=mask, pad_token_id=encoder.pad, eos_token_id=encoder.end,
                do_sample=False, num_beams=1, max_new_tokens=settings.answer_tokens,
            )  # fmt: skip
        answers = encoder.tokenizer.batch_decode(said[:, ids.shape[1] :], skip_special_tokens=True)
        for row, answer in zip(rows, answers, strict=True):
            found[row] = answer.strip().strip('"')
    return found


@torch.no_grad()  # type: ignore[untyped-decorator]
def vectors(model: Any, said: list[str], encoder: Encoder, size: int) -> npt.NDArray[np.float32]:
    """The last hidden state of the last token of each text, `(texts, dim)`, as in BIGRec."""
    ids_of = [ids or [encoder.end] for ids in encoder.answers(said)]
    device, found = next(model.parameters()).device, [np.empty(0, np.float32)] * len(said)
    for rows, piece in in_pieces(ids_of, size):
        ids, mask = padded(piece, encoder.pad, device)
        places = (mask.cumsum(1) - 1).clamp_min(0)
        with mixed(device):
            states = model(input_ids=ids, attention_mask=mask, position_ids=places, output_hidden_states=True,
                           logits_to_keep=1).hidden_states[-1][:, -1]  # fmt: skip
        for row, state in zip(rows, states.float().cpu().numpy(), strict=True):
            found[row] = state
    return np.stack(found)
