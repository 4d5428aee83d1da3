"""Logits processor for vLLM, for both of its model runners.

`catalex constrain --form vllm` writes a module with a subclass that names its folder. A request is constrained if its
`extra_args` (`vllm_xargs` over HTTP) have the key `catalex` with the name of a subset, "all" for all items.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import torch

from ..errors import ConfigError, InputError
from .answers import Answer, mask
from .generation import ALL, Generation, request_subset
from .live import AnyPath, LiveTrie

try:
    from vllm.v1.sample.logits_processor import LogitsProcessor as PersistentBatch
    from vllm.v1.sample.logits_processor import MoveDirectionality
except ImportError as error:
    raise ImportError(
        "catalex.serving.vllm: expected a vLLM that has --logits-processors, got none; install it, or use "
        "catalex.LogitsProcessor"
    ) from error
try:
    from vllm.v1.worker.gpu.sample.logits_processor import LogitsProcessor as RequestSlots

    BASES: tuple[Any, ...] = (PersistentBatch, RequestSlots)
except ImportError:  # a vLLM with one model runner
    BASES = (PersistentBatch,)

log = logging.getLogger("catalex.serving")
KEY = "catalex"
# Number of removed requests that are remembered, because a preempted request comes back, and number of generations
# that they keep in memory.
REMEMBERED, GENERATIONS = 256, 2


class LogitsProcessor(*BASES):  # type: ignore[misc]
    """Base class of a processor; a subclass sets `source`, and other attributes as in `LiveTrie`.

    `every_request` constrains requests without the key `catalex` too, to all items. vLLM's beam search needs it,
    because its requests have no `extra_args`. `eos_token_id` is by default that of the model's configuration.
    """

    source: ClassVar[AnyPath]
    vocabulary: ClassVar[AnyPath | None] = None
    subsets: ClassVar[AnyPath | None] = None
    every_request: ClassVar[bool] = False
    start: ClassVar[Literal["always", "free"]] = "always"
    after: ClassVar[Literal["any", "eos", "id"] | None] = None
    eos_token_id: ClassVar[int | Sequence[int] | None] = None

    def __init__(self, vllm_config: Any, state: Any, is_pin_memory: bool | None = None) -> None:
        if getattr(vllm_config, "speculative_config", None) is not None:
            raise ConfigError("speculative decoding: expected none, got some; it is not supported with catalex")
        model = vllm_config.model_config
        eos = self.eos_token_id if self.eos_token_id is not None else _end_tokens(model)
        self.live = LiveTrie.shared(
            self.source,
            vocabulary=self.vocabulary,
            subsets=self.subsets,
            start=self.start,
            after=self.after,
            eos_token_id=eos,
            logits=model.get_vocab_size(),
        )
        self._batch: Any = _Batch() if isinstance(state, torch.device | str) else _Slots(state)

    @classmethod
    def validate_params(cls, sampling_params: Any) -> None:
        """Refuses a request with an unknown subset, with HTTP status 400."""
        name = cls._subset_of(sampling_params)
        if name is None or name == ALL:
            return
        from pathlib import Path  # noqa: PLC0415

        known = sorted(path.stem for path in Path(cls.subsets).glob("*.txt")) if cls.subsets is not None else []
        if name not in known:
            raise InputError(
                f"setting {KEY}: expected one of {', '.join([ALL, *known])}, got {name!r}; add its file to the folder "
                "of subsets, or correct the request"
            )

    @classmethod
    def _subset_of(cls, params: Any) -> str | None:
        """The subset that a request names; `None` for a request that is not constrained."""
        arguments = getattr(params, "extra_args", None) or {}
        if KEY not in arguments:
            return ALL if cls.every_request else None
        return request_subset(arguments[KEY])

    def _began(self, params: Any) -> tuple[Generation, str] | None:
        """The generation that a request began with, and the name of its subset; `None` if it is not constrained."""
        name = self._subset_of(params)
        if name is None:
            return None
        return self.live.current, name

    def is_argmax_invariant(self) -> bool:
        """False: the most probable token can be one that must not come next."""
        return False

    # Of the model runner with a persistent batch (V1).

    def update_state(self, batch_update: Any) -> None:
        """Follows the rows of the batch."""
        self._batch.update(batch_update, self._began)

    # Of the model runner with request slots (V2).

    def add_request(self, req_idx: int, sampling_params: Any) -> bool:
        """Remembers the generation of a request by its slot. Returns whether it is constrained."""
        return bool(self._batch.add(req_idx, self._began(sampling_params)))

    def apply_staged_writes(self) -> None:
        """Sends the subsets of new requests to the device."""
        self._batch.send()

    def apply(self, logits: torch.Tensor, ctx: Any = None) -> torch.Tensor:
        """Masks the logits of a batch, in place."""
        return self._batch.apply(logits, ctx)


class _Batch:
    """Requests by row, with their tokens on the host."""

    def __init__(self) -> None:
        self.answers: dict[int, Answer] = {}
        self.removed: OrderedDict[int, Answer] = OrderedDict()

    def update(self, change: Any, began: Any) -> None:
        if change is None:
            return
        for row in change.removed:
            self._remove(row)
        for row, params, prompt, output in change.added:
            self._remove(row)
            # A preempted request comes back with the same list, and keeps its generation.
            known = self.removed.pop(id(output), None)
            found = None if known is not None else began(params)
            if known is not None:
                self.answers[row] = known
            elif found is not None:
                generation, name = found
                self.answers[row] = Answer(generation, prompt or [], output, _named(generation, name))
        for source, target, direction in change.moved:
            moved, replaced = self.answers.pop(source, None), self.answers.pop(target, None)
            if moved is not None:
                self.answers[target] = moved
            if replaced is not None and direction == MoveDirectionality.SWAP:
                self.answers[source] = replaced

    def _remove(self, row: int) -> None:
        answer = self.answers.pop(row, None)
        if answer is not None:
            # The list stays alive, so its id is not reused.
            self.removed[id(answer.output)] = answer
            while len(self.removed) > REMEMBERED or self._generations() > GENERATIONS:
                self.removed.popitem(last=False)

    def _generations(self) -> int:
        """Number of generations that only removed requests keep."""
        return len({id(answer.generation) for answer in self.removed.values()})

    def apply(self, logits: torch.Tensor, _: Any) -> torch.Tensor:
        if self.answers:
            mask(logits, [self.answers.get(row) for row in range(logits.shape[0])])
        return logits


class _Slots:
    """Requests by slot, with their tokens on the device. Masks are computed there."""

    def __init__(self, state: Any) -> None:
        self.state = state
        self.generations: list[Generation | None] = [None] * state.max_num_reqs
        self.names = [ALL] * state.max_num_reqs
        self.chosen = torch.zeros(state.max_num_reqs, dtype=torch.int64)
        self.on_device = self.chosen.to(state.device)
        self.changed = False
        self.named = False
        # The newest generation, and the slots that were in a batch since it came.
        self.newest: Generation | None = None
        self.used: set[int] = set()

    def add(self, slot: int, began: tuple[Generation, str] | None) -> bool:
        self.generations[slot] = None
        if began is None:
            return False
        generation, name = began
        if generation is not self.newest:
            self._follow(generation)
        if not self._choose(slot, generation, name):
            log.warning("catalex: a request names the subset %r, which %s lacks: it gets no item", name, generation)
        self.named = self.named or name != ALL
        return True

    def _choose(self, slot: int, generation: Generation, name: str) -> bool:
        """Sets the generation and the subset of a slot. Returns whether the generation has the subset."""
        trie = generation.on(self.state.device)
        self.generations[slot], self.names[slot] = generation, name
        self.chosen[slot] = trie.row_of.get(name, 0 if name == ALL else trie.no_items)
        self.changed = True
        return name == ALL or name in trie.row_of

    def _follow(self, generation: Generation) -> None:
        """Notes a new generation. vLLM does not tell when a request ends, so the slots that were in no batch since the
        last change follow it; otherwise they would keep earlier generations in memory."""
        for slot, current in enumerate(self.generations):
            if current is not None and current is not self.newest and slot not in self.used:
                self._choose(slot, generation, self.names[slot])
        self.newest = generation
        self.used.clear()

    def send(self) -> None:
        if self.changed:
            self.on_device = self.chosen.to(self.state.device)
            self.changed = False

    def apply(self, logits: torch.Tensor, ctx: Any) -> torch.Tensor:
        slots = ctx.idx_mapping_np
        if logits.shape[0] != len(slots):
            raise ConfigError("speculative decoding: expected one row per request, got more; it is not supported")
        self.used.update(slots.tolist())
        groups: dict[int, list[int]] = {}
        for row, slot in enumerate(slots):
            if self.generations[slot] is not None:
                groups.setdefault(id(self.generations[slot]), []).append(row)
        for rows in groups.values():
            generation = self.generations[slots[rows[0]]]
            assert generation is not None
            self._mask(logits, ctx, generation, None if len(rows) == len(slots) else rows)
        return logits

    def _mask(self, logits: torch.Tensor, ctx: Any, generation: Generation, rows: list[int] | None) -> None:
        slots, last, at = ctx.idx_mapping.long(), ctx.input_ids.long(), ctx.pos.long()
        of_rows = None
        if rows is not None:
            of_rows = torch.tensor(rows, pin_memory=logits.is_cuda).to(logits.device, non_blocking=True)
            slots, last, at = slots[of_rows], last[of_rows], at[of_rows]
        before = torch.arange(1 - generation.width, 1, device=logits.device)
        places = at[:, None] + before
        tails = self.state.all_token_ids.gpu[slots[:, None], places.clamp(min=0)].long()
        tails = torch.where(places < 0, -1, tails)
        tails[:, -1] = last
        begun = at + 1 > self.state.prompt_len.gpu[slots]
        trie = generation.on(self.state.device)
        trie.mask(logits, tails, begun, rows=of_rows, subsets=self.on_device[slots] if self.named else None)


def _named(generation: Generation, name: str) -> Any:
    """The subset of a name. A request cannot be refused any more here, so an unknown name is a subset without items."""
    try:
        return generation.subset(name)
    except InputError as error:
        log.warning("catalex: a request gets no item: %s", error)
        return generation.no_items


def _end_tokens(model: Any) -> list[int]:
    """The tokens that end an answer, according to the model's configuration."""
    found: set[int] = set()
    for config in (model.try_get_generation_config(), getattr(model, "hf_config", None)):
        value = config.get("eos_token_id") if isinstance(config, dict) else getattr(config, "eos_token_id", None)
        found.update([value] if isinstance(value, int) else value or [])
    if not found:
        raise ConfigError(
            "eos_token_id: expected one in the model's configuration, got none; set it in the class of the processor"
        )
    return sorted(found)
