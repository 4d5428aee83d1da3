"""A small decoder over the tokens of semantic IDs, trained from scratch.

A history is the sequence of its items' tokens, and the model predicts the next token. Each code of each level is a
separate token, with embeddings of its level and of the position of its item. The level of the next token is known, so
only the tokens of that level are scored.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from .tree import Tree


@dataclass(frozen=True)
class Size:
    """The decoder's shape. `history` is in items."""

    width: int = 64
    heads: int = 4
    layers: int = 2
    dropout: float = 0.2
    history: int = 20


class Block(nn.Module):  # type: ignore[misc]
    """Causal attention, then a perceptron, both with a skip connection."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.size = size
        self.before_attention, self.before_mlp = nn.LayerNorm(size.width), nn.LayerNorm(size.width)
        self.qkv, self.out = nn.Linear(size.width, 3 * size.width), nn.Linear(size.width, size.width)
        self.mlp = nn.Sequential(
            nn.Linear(size.width, 4 * size.width), nn.GELU(), nn.Linear(4 * size.width, size.width)
        )
        self.dropout = nn.Dropout(size.dropout)

    def forward(
        self, x: Tensor, past: tuple[Tensor, Tensor] | None, seen: Tensor | None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """The output for `x (batch, length, width)`, and its keys and values for later tokens. With a past,
        `seen (length, past + length)` is the attention mask; without a past, attention is causal."""
        batch, length, width = x.shape
        parts = self.qkv(self.before_attention(x)).view(batch, length, 3, self.size.heads, -1).transpose(1, 3)
        q, k, v = parts.unbind(2)
        if past is not None:
            k, v = torch.cat([past[0], k], 2), torch.cat([past[1], v], 2)
        mixed = functional.scaled_dot_product_attention(q, k, v, attn_mask=seen, is_causal=past is None)
        x = x + self.dropout(self.out(mixed.transpose(1, 2).reshape(batch, length, width)))
        return x + self.dropout(self.mlp(self.before_mlp(x))), (k, v)


Past = list[tuple[Tensor, Tensor]]


class Decoder(nn.Module):  # type: ignore[misc]
    """Histories are padded on the left, with the token `padding`."""

    def __init__(self, size: Size, codebook_sizes: list[int]) -> None:
        super().__init__()
        self.size, self.levels, self.padding = size, len(codebook_sizes), sum(codebook_sizes)
        self.ends = np.cumsum([0, *codebook_sizes]).tolist()
        self.tokens = nn.Embedding(self.padding + 1, size.width)
        self.places = nn.Embedding(size.history + 1, size.width)
        self.kinds = nn.Embedding(self.levels, size.width)
        self.blocks = nn.ModuleList(Block(size) for _ in range(size.layers))
        self.last = nn.LayerNorm(size.width)
        self.dropout = nn.Dropout(size.dropout)
        for table in (self.tokens, self.places, self.kinds):
            nn.init.normal_(table.weight, std=0.02)

    def forward(self, tokens: Tensor) -> tuple[Tensor, Past]:
        """States that predict the next token, `(batch, length, width)`, for histories of tokens `(batch, length)`."""
        return self._read(tokens, torch.arange(tokens.shape[1]), None, None)

    def go_on(self, beams: Tensor, length: int, past: Past) -> Tensor:
        """States that predict the next token of each beam, `(batch, beams, width)`, for the tokens
        `(batch, beams, said)` that beams generate after a history of `length` tokens.

        All beams are read as one sequence in which each beam attends to the history and to itself, so that the keys and
        values of the history are not copied per beam.
        """
        batch, n, said = beams.shape
        own = torch.block_diag(*[torch.ones(said, said).tril()] * n).bool()
        seen = torch.cat([torch.ones(n * said, length, dtype=torch.bool), own], 1)
        x, _ = self._read(beams.flatten(1), (length + torch.arange(said)).repeat(n), past, seen)
        return x.view(batch, n, said, -1)[:, :, -1]

    def _read(self, tokens: Tensor, at: Tensor, past: Past | None, seen: Tensor | None) -> tuple[Tensor, Past]:
        x = self.tokens(tokens) + self.places(at // self.levels) + self.kinds(at % self.levels)
        x, kept = self.dropout(x), []
        for number, block in enumerate(self.blocks):
            x, both = block(x, None if past is None else past[number], seen)
            kept.append(both)
        return self.last(x), kept

    def scores(self, said: Tensor, level: int) -> Tensor:
        """Scores of the codes of a level, `(..., codes)`, if the next token is of that level."""
        return said @ self.tokens.weight[self.ends[level] : self.ends[level + 1]].T

    def loss(self, tokens: Tensor, tree: Tree) -> Tensor:
        """Mean cross-entropy of the tokens `(batch, length)`, each predicted from those before it, without padding."""
        lost, counted = self.nats(tokens, tree)
        return lost.sum() / counted.sum().clamp_min(1)

    def nats(self, tokens: Tensor, tree: Tree) -> tuple[Tensor, Tensor]:
        """Cross-entropy of each of the tokens `(batch, length)`, predicted from those before it, and a mask of the
        predicted tokens, both `(batch, items, levels)`. Padding and the first token are not predicted.

        As in decoding, a code is predicted among the codes that continue the ID of an item, so the model need not learn
        which codes follow a prefix.
        """
        said, _ = self._read(tokens[:, :-1], torch.arange(tokens.shape[1] - 1), None, None)
        said = functional.pad(said, (0, 0, 1, 0)).view(len(tokens), -1, self.levels, self.size.width)
        items = tokens.view(len(tokens), -1, self.levels)
        told = items != self.padding
        told[:, 0, 0] = False
        prefix = items.new_zeros(items.shape[:2])
        lost = said.new_zeros(items.shape)
        for level, table in enumerate(tree.next):
            there = told[:, :, level]
            code = items[:, :, level] - self.ends[level]
            scores = self.scores(said[:, :, level][there], level).masked_fill(table[prefix[there]] < 0, -torch.inf)
            lost[:, :, level][there] = functional.cross_entropy(scores, code[there], reduction="none")
            prefix = table[prefix, code.clamp(0, table.shape[1] - 1)].clamp_min(0)
        return lost, told
