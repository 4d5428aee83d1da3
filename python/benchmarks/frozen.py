"""A catalex model in numpy: an independent reader of the format that docs/formats.md specifies."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

from measures import Codes, Matrix

BLOCK = 8192


class FrozenModel:
    """Codes and decoded vectors, before collisions are resolved."""

    def __init__(self, folder: Path) -> None:
        self.tensors: dict[str, Matrix] = load_file(folder / "model.safetensors")
        self.levels = sum(name.startswith("codebooks.") for name in self.tensors)

    def codes(self, vectors: Matrix) -> Codes:
        rest = self.latents(vectors)
        codes = np.zeros((len(rest), self.levels), np.int64)
        for level in range(self.levels):
            book = self.tensors[f"codebooks.{level}"]
            for start in range(0, len(rest), BLOCK):
                rows = slice(start, start + BLOCK)
                costs = (book**2).sum(axis=1) - 2 * rest[rows] @ book.T + self.tensors[f"offsets.{level}"]
                if level == 1 and "pair_offsets" in self.tensors:
                    costs += self.tensors["pair_offsets"][codes[rows, 0]]
                if level == self.levels - 1 and "last_offsets" in self.tensors:
                    costs += self.tensors["last_offsets"][codes[rows, 0]]
                codes[rows, level] = costs.argmin(axis=1)
            rest = rest - book[codes[:, level]]
        return codes

    def latents(self, vectors: Matrix) -> Matrix:
        """The vectors that the codes approximate."""
        return self._through("projection", self._standardised(vectors))

    def decode(self, codes: Codes) -> Matrix:
        latents = sum(self.tensors[f"codebooks.{level}"][codes[:, level]] for level in range(self.levels))
        standardised = self._through("inverse", np.asarray(latents, np.float32))
        scale = self.tensors["standardization.scale"]
        known = scale > 0
        out = np.broadcast_to(self.tensors["standardization.mean"], standardised.shape).copy()
        out[:, known] += standardised[:, known] / scale[known]
        return out

    def _standardised(self, vectors: Matrix) -> Matrix:
        return (vectors - self.tensors["standardization.mean"]) * self.tensors["standardization.scale"]

    def _through(self, name: str, x: Matrix) -> Matrix:
        skip = self.tensors.get(f"{name}.skip")
        at, activation = 0, x
        while f"{name}.{at}.weight" in self.tensors:
            if at > 0:
                activation = np.maximum(activation, 0)
            activation = activation @ self.tensors[f"{name}.{at}.weight"].T + self.tensors[f"{name}.{at}.bias"]
            at += 1
        if skip is None:
            return activation
        return x @ skip.T + activation if at else x @ skip.T
