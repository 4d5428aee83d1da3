"""The trie on a device of torch. Masks are computed there, without a copy to the host.

The arrays are a compressed sparse row matrix of the transitions between prefixes, as in STATIC (arXiv 2602.22647).
Each step finds the position in an ID from the last tokens of the row, with one binary search per level. So rows can be
reordered, and no state has to be moved with them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from .._native import Subset
from ..errors import InputError

if TYPE_CHECKING:
    from .generation import Generation


class DeviceTrie:
    """The trie of a generation on a device, with its named subsets. `Generation.on` creates it.

    It takes about 12 bytes per prefix, and 1 byte per prefix and named subset.
    """

    def __init__(self, generation: Generation, device: torch.device | str) -> None:
        tokens, self.device = generation.tokens, torch.device(device)
        keys, starts, self._stride, self._most = generation.decoder.arrays()
        self._keys = torch.from_numpy(keys).to(self.device)
        self._starts = torch.from_numpy(starts).to(self.device)
        sizes = tokens.codebook_sizes
        bounds = np.cumsum([tokens.first_id, *sizes])
        self._bounds = torch.from_numpy(bounds).to(self.device)
        self._levels = len(sizes)
        self._least = max(self._stride, *(token + 1 for token in generation.eos), 0)
        self._decoder, self._generation = generation.decoder, generation
        self._begin, self._end = tokens.begin, tokens.end
        # Begin marker, end marker, ends of answers: the tokens besides codes that the rules can allow.
        markers = [-1 if marker is None else marker for marker in (tokens.begin, tokens.end)]
        self._others = torch.tensor([*markers, *generation.eos], device=self.device)
        self._id_tokens = torch.tensor(
            [marker for marker in markers if marker >= 0], dtype=torch.int64, device=self.device
        )
        self._codes = (tokens.first_id, int(bounds[-1]))
        self._free = generation.start == "free"
        self._after = generation.after
        # The rows of subsets: all items, no items, and the named subsets.
        self.row_of = {name: row for row, name in enumerate(sorted(generation.subsets), 2)}
        self._reachable = torch.zeros((2 + len(self.row_of), len(keys)), dtype=torch.bool, device=self.device)
        self._reachable[0] = True
        for name, row in self.row_of.items():
            self._reachable[row] = torch.from_numpy(self._decoder.reachable(generation.subsets[name])).to(self.device)
        self._has_items = self._reachable.any(1)
        self._plain: torch.Tensor | None = None

    no_items = 1
    """The row of the subset without items."""

    @property
    def nbytes(self) -> int:
        """Bytes on the device."""
        return sum(array.nbytes for array in (self._keys, self._starts, self._reachable))

    def mask_host(
        self,
        logits: torch.Tensor,
        tails: npt.NDArray[np.int64],
        begun: npt.NDArray[np.bool_],
        rows: npt.NDArray[np.int64],
        subsets: Sequence[Subset | None],
    ) -> None:
        """As `mask`, for last tokens in the memory of the host."""
        named = {id(subset): self.row_of[name] for name, subset in self._generation.subsets.items()}
        named[id(self._generation.no_items)] = self.no_items
        if any(subset is not None and id(subset) not in named for subset in subsets):
            raise InputError(
                "subset: expected a named subset of the generation, got another; name it in its generation"
            )
        chosen = np.array([0 if subset is None else named[id(subset)] for subset in subsets], np.int64)
        every = len(rows) == logits.shape[0] and bool((rows == np.arange(len(rows))).all())
        self.mask(
            logits,
            self._sent(tails),
            self._sent(begun),
            rows=None if every else self._sent(rows),
            subsets=self._sent(chosen) if chosen.any() else None,
        )

    def _sent(self, array: npt.NDArray[Any]) -> torch.Tensor:
        tensor = torch.from_numpy(array)
        if self.device.type == "cuda":
            tensor = tensor.pin_memory()
        return tensor.to(self.device, non_blocking=True)

    def mask(
        self,
        logits: torch.Tensor,
        tails: torch.Tensor,
        begun: torch.Tensor,
        *,
        rows: torch.Tensor | None = None,
        subsets: torch.Tensor | None = None,
    ) -> None:
        """Masks logits `(rows, tokens)` in place. All arguments are on the device, and nothing is read back from it.

        `tails (requests, levels + 2)` has the last tokens of each request, prompt included, with -1 on the left of
        shorter ones. `begun (requests,)` tells whether the answer has a token. `rows` are the requests' rows of logits,
        and `subsets` their rows of `row_of`; by default the rows in order, and all items.
        """
        # Ids beyond the logits would be an illegal access on the device.
        if logits.shape[1] < self._least:
            self._generation.check_logits(logits.shape[1])
        chosen = logits if rows is None else logits.index_select(0, rows)
        masked = self._masked(chosen, tails.long(), begun, subsets)
        if rows is None:
            return
        logits.index_copy_(0, rows, masked)

    def _masked(
        self, logits: torch.Tensor, tails: torch.Tensor, begun: torch.Tensor, subsets: torch.Tensor | None
    ) -> torch.Tensor:
        node, inside, missing, complete, is_end = self._position(tails)
        closed = complete & begun
        unclosed = closed & (self._end is not None)
        ended = (is_end & begun) | (closed & (self._end is None))
        elsewhere = ~(inside | unclosed | ended)
        begins = elsewhere & ~begun
        others = elsewhere & begun
        if self._free:
            others = others | begins
        elif self._generation.eos:
            finished = begun & (tails[:, -1:] == self._others[2:]).any(1)
            elsewhere, others = elsewhere & ~finished, others & ~finished
        if self._after == "any":
            others = others | ended
        starts = elsewhere if self._after == "eos" else elsewhere | ended
        if self._begin is None:
            parents, node = (inside & ~missing) | starts, torch.where(inside, node, 0)
        else:
            parents = inside & ~missing
        tokens, allowed = self._children(node, parents, subsets)
        marks = starts & (self._begin is not None)
        if subsets is not None:
            marks = marks & self._has_items[subsets]
        ends = ended & (self._after != "any")
        ends = ends | ~(allowed.any(1) | others | marks | unclosed | ends)
        flags = torch.cat(
            [allowed, marks[:, None], unclosed[:, None], ends[:, None].expand(-1, len(self._others) - 2)], 1
        )
        tokens = torch.cat([tokens, self._others.expand(len(tokens), -1)], 1)
        tokens = torch.where(flags, tokens, 0)
        lowest = float("-inf")
        kept = logits.gather(1, tokens).masked_fill_(~flags, lowest)
        logits.masked_fill_(~(others[:, None] & self._plain_tokens(logits.shape[1])), lowest)
        return logits.scatter_reduce_(1, tokens, kept, "amax")

    def _position(self, tails: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Per row: the node of its prefix, whether it is inside an ID, whether no item has the prefix, whether all
        codes of an ID are there, and whether it is at an end marker."""
        last = tails[:, -1]
        levels = torch.bucketize(tails, self._bounds, right=True) - 1
        depth = torch.where((levels[:, -1] >= 0) & (levels[:, -1] < self._levels), levels[:, -1] + 1, 0)
        node = torch.zeros_like(last)
        missing = torch.zeros_like(last, dtype=torch.bool)
        broken = missing
        width = tails.shape[1]
        for level in range(self._levels):
            active = level < depth
            at = (width - depth + level).clamp_(max=width - 1)[:, None]
            broken = broken | (active & (levels.gather(1, at)[:, 0] != level))
            key = node * self._stride + tails.gather(1, at)[:, 0]
            place = torch.searchsorted(self._keys, key).clamp_(max=len(self._keys) - 1)
            found = self._keys[place] == key
            missing = missing | (active & ~found)
            node = torch.where(active & found & ~missing, place + 1, node)
        chain = (depth > 0) & ~broken
        is_begin = last == (-2 if self._begin is None else self._begin)
        inside = is_begin | (chain & (depth < self._levels))
        complete = chain & (depth == self._levels)
        is_end = last == (-2 if self._end is None else self._end)
        return torch.where(inside & ~is_begin, node, 0), inside, missing & ~is_begin, complete, is_end

    def _children(
        self, node: torch.Tensor, parents: torch.Tensor, subsets: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The tokens that follow the prefixes of these nodes `(rows, most children)`, and which of them are there."""
        node = torch.where(parents, node, 0)
        places = self._starts[node].long()[:, None] + torch.arange(self._most, device=self.device)
        allowed = parents[:, None] & (places < self._starts[node + 1][:, None])
        places = places.clamp_(max=len(self._keys) - 1)
        if subsets is not None:
            allowed = allowed & self._reachable[subsets[:, None], places]
        return self._keys[places] - (node * self._stride)[:, None], allowed

    def _plain_tokens(self, logits: int) -> torch.Tensor:
        """Which of the model's tokens are neither codes nor markers."""
        if self._plain is None or len(self._plain) != logits:
            plain = torch.ones(logits, dtype=torch.bool, device=self.device)
            plain[self._codes[0] : self._codes[1]] = False
            plain[self._id_tokens] = False
            self._plain = plain
        return self._plain
