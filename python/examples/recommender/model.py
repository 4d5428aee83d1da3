"""A small decoder over the tokens of semantic IDs, trained from scratch.

A history is the tokens of its items, one after the other; the next token is to be told. Each level of each code is a
word of its own, and words know their level and the place of their item.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True)
class Size:
    """The decoder's shape. `history` is in items."""

    width: int = 64
    heads: int = 4
    layers: int = 2
    dropout: float = 0.2
    history: int = 20


class Block(nn.Module):  # type: ignore[misc]
    """Attention to what came before, then a perceptron, both beside a skip."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.size = size
        self.before_attention, self.before_mlp = nn.LayerNorm(size.width), nn.LayerNorm(size.width)
        self.qkv, self.out = nn.Linear(size.width, 3 * size.width), nn.Linear(size.width, size.width)
        self.mlp = nn.Sequential(
            nn.Linear(size.width, 4 * size.width), nn.GELU(), nn.Linear(4 * size.width, size.width)
        )
        self.dropout = nn.Dropout(size.dropout)

    def forward(self, x: Tensor, past: tuple[Tensor, Tensor] | None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """`x (batch, length, width)`, after the keys and values of `past`; both together come back for the next."""
        batch, length, width = x.shape
        parts = self.qkv(self.before_attention(x)).view(batch, length, 3, self.size.heads, -1).transpose(1, 3)
        q, k, v = parts.unbind(2)
        if past is not None:
            k, v = torch.cat([past[0], k], 2), torch.cat([past[1], v], 2)
        seen = torch.ones(length, k.shape[2], dtype=torch.bool).tril(k.shape[2] - length)
        rate = self.size.dropout if self.training else 0.0
        mixed = functional.scaled_dot_product_attention(q, k, v, attn_mask=seen, dropout_p=rate)
        x = x + self.dropout(self.out(mixed.transpose(1, 2).reshape(batch, length, width)))
        return x + self.dropout(self.mlp(self.before_mlp(x))), (k, v)


Past = list[tuple[Tensor, Tensor]]


class Decoder(nn.Module):  # type: ignore[misc]
    """Histories are padded on the left, with the token `padding`."""

    def __init__(self, size: Size, codebook_sizes: list[int]) -> None:
        super().__init__()
        self.size, self.levels, self.padding = size, len(codebook_sizes), sum(codebook_sizes)
        self.tokens = nn.Embedding(self.padding + 1, size.width)
        self.places = nn.Embedding(size.history + 1, size.width)
        self.kinds = nn.Embedding(self.levels, size.width)
        self.blocks = nn.ModuleList(Block(size) for _ in range(size.layers))
        self.last = nn.LayerNorm(size.width)
        self.dropout = nn.Dropout(size.dropout)
        for table in (self.tokens, self.places, self.kinds):
            nn.init.normal_(table.weight, std=0.02)

    def forward(self, tokens: Tensor, start: int = 0, past: Past | None = None) -> tuple[Tensor, Past]:
        """Scores of the next token, `(batch, length, tokens)`, for `tokens (batch, length)` that begin at token `start`
        of the history."""
        at = torch.arange(start, start + tokens.shape[1])
        x = self.tokens(tokens) + self.places(at // self.levels) + self.kinds(at % self.levels)
        x, kept = self.dropout(x), []
        for number, block in enumerate(self.blocks):
            x, both = block(x, None if past is None else past[number])
            kept.append(both)
        return self.last(x) @ self.tokens.weight[: self.padding].T, kept
