"""A decoder-only transformer over the tokens of IDs, trained from scratch.

Each code of each level is a token of its own. A history is a start token and the tokens of its items, oldest first. The
level of the next token is known, so only codes of that level are scored; input and output embeddings are the same.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

Cache = tuple[Tensor, Tensor]
"""Keys and values of one block."""


class Block(nn.Module):  # type: ignore[misc]
    """Causal attention, then a perceptron, each with dropout and a skip connection."""

    def __init__(self, dim: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.before_attention, self.before_mlp = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.qkv, self.out = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.up, self.down = nn.Linear(dim, 4 * dim), nn.Linear(4 * dim, dim)

    def forward(self, x: Tensor) -> tuple[Tensor, Cache]:
        """The output for whole sequences `(rows, length, dim)`, and their keys and values."""
        q, k, v = self._heads(x)
        mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self._rest(x, mixed), (k, v)

    def step(self, x: Tensor, past: Cache, masked: Tensor, own: Cache | None) -> tuple[Tensor, Cache]:
        """The output for one token of each beam, `(rows, beams, dim)`, and the beams' own keys and values,
        `(rows, heads, beams, tokens, dim / heads)`.

        All beams of a row attend to the one copy of its history, `past`, except where it is `masked`
        `(rows, 1, 1, length)`. Each beam also attends to its `own` tokens.
        """
        q, k, v = self._heads(x)
        keys, values = k.unsqueeze(3), v.unsqueeze(3)
        if own is not None:
            keys, values = torch.cat([own[0], keys], 3), torch.cat([own[1], values], 3)
        to_past = (q @ past[0].transpose(2, 3)).masked_fill(masked, -torch.inf)
        to_own = (keys * q.unsqueeze(3)).sum(4)
        weights = (torch.cat([to_past, to_own], 3).float() / math.sqrt(q.shape[3])).softmax(3).to(v.dtype)
        length = past[0].shape[2]
        mixed = weights[..., :length] @ past[1] + (weights[..., length:, None] * values).sum(3)
        return self._rest(x, mixed), (keys, values)

    def _heads(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        rows, length, dim = x.shape
        parts = self.qkv(self.before_attention(x)).view(rows, length, 3, self.heads, dim // self.heads)
        q, k, v = parts.permute(2, 0, 3, 1, 4)
        return q, k, v

    def _rest(self, x: Tensor, mixed: Tensor) -> Tensor:
        x = x + dropped(self.out(mixed.transpose(1, 2).flatten(2)), self.dropout, self.training)
        told = self.down(functional.gelu(self.up(self.before_mlp(x))))
        return x + dropped(told, self.dropout, self.training)


def dropped(x: Tensor, share: float, training: bool) -> Tensor:
    """Dropout of a `share` of the elements. On a CPU, it is rounded to a multiple of 1/256, and one random number
    decides on eight elements: random numbers would take a fifth of the time of training."""
    if not training or x.device.type == "cuda":
        return functional.dropout(x, share, training)
    kept = 256 - round(256 * share)
    if not 0 < kept < 256:
        return functional.dropout(x, float(kept == 0), training)
    words = torch.empty(-(-x.numel() // 8), dtype=torch.int64).random_(-(2**63), None)
    mask = words.view(torch.uint8)[: x.numel()].view(x.shape) < kept
    return x * mask.to(x.dtype).mul_(256 / kept)


class Decoder(nn.Module):  # type: ignore[misc]
    """Tokens are those of a `Tree`, then `start` and `padding`. Sequences are padded at their end."""

    def __init__(self, offsets: list[int], history: int, *, dim: int, layers: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.offsets, self.levels, self.dropout = offsets, len(offsets) - 1, dropout
        self.start, self.padding = offsets[-1], offsets[-1] + 1
        self.tokens = nn.Embedding(offsets[-1] + 2, dim)
        self.places = nn.Embedding((history + 1) * self.levels + 1, dim)
        self.blocks = nn.ModuleList(Block(dim, heads, dropout) for _ in range(layers))
        self.last = nn.LayerNorm(dim)
        for table in (self.tokens, self.places):
            nn.init.normal_(table.weight, std=0.02)

    def text(self, tokens: Tensor, there: Tensor) -> Tensor:
        """The tokens of histories: `tokens (rows, items, levels)` where `there (rows, items)` is true."""
        padded = tokens.masked_fill(~there.unsqueeze(2), self.padding).flatten(1)
        return functional.pad(padded, (1, 0), value=self.start)

    def forward(self, text: Tensor) -> tuple[Tensor, list[Cache]]:
        """States that predict the next token, `(rows, length, dim)`, and the keys and values of each block."""
        x = self.tokens(text) + self.places(torch.arange(text.shape[1], device=text.device))
        x, kept = dropped(x, self.dropout, self.training), []
        for block in self.blocks:
            x, cache = block(x)
            kept.append(cache)
        return self.last(x), kept

    def step(
        self, tokens: Tensor, places: Tensor, past: list[Cache], masked: Tensor, own: list[Cache] | None
    ) -> tuple[Tensor, list[Cache]]:
        """States after one more token of each beam, `(rows, beams)`, at the position `places (rows,)`."""
        x, kept = self.tokens(tokens) + self.places(places).unsqueeze(1), []
        for number, block in enumerate(self.blocks):
            x, cache = block.step(x, past[number], masked, None if own is None else own[number])
            kept.append(cache)
        return self.last(x), kept

    def scores(self, state: Tensor, level: int) -> Tensor:
        """Logits of the codes of a level, `(..., codes)`. In float32, since bfloat16 would tie many codes."""
        with torch.autocast(state.device.type, enabled=False):
            return state.float() @ self.tokens.weight[self.offsets[level] : self.offsets[level + 1]].T
