"""Custom logit processor for SGLang.

`catalex constrain --form sglang` writes a module with a subclass that names its folder, and the text by which requests
refer to it. `custom_params` of a request need the key `catalex` with the name of a subset, "all" for all items.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import torch

from ..errors import ConfigError, InputError
from .answers import Answer, mask
from .generation import ALL, request_subset
from .live import AnyPath, LiveTrie

try:
    from sglang.srt.sampling.custom_logit_processor import CustomLogitProcessor
except ImportError as error:
    raise ImportError(
        "catalex.serving.sglang: expected SGLang, got none; install it, or use catalex.LogitsProcessor"
    ) from error

log = logging.getLogger("catalex.serving")
KEY = "catalex"
ANSWER = "_catalex_answer"


class LogitProcessor(CustomLogitProcessor):  # type: ignore[misc]
    """Base class of a processor; a subclass sets `source`, and other attributes as in `LiveTrie`.

    `eos_token_id` is by default that of the model's configuration.
    """

    source: ClassVar[AnyPath]
    vocabulary: ClassVar[AnyPath | None] = None
    subsets: ClassVar[AnyPath | None] = None
    start: ClassVar[Literal["always", "free"]] = "always"
    after: ClassVar[Literal["any", "eos", "id"] | None] = None
    eos_token_id: ClassVar[int | Sequence[int] | None] = None
    # The tokens that end an answer, once a request has told them.
    _ends: ClassVar[list[int]] = []

    def __init__(self) -> None:
        if _overlaps():
            raise ConfigError(
                "overlap scheduling: expected none, because the last token of a request is not known when the next one "
                "is sampled, got overlapped batches; start SGLang with --disable-overlap-schedule"
            )

    def live(self, request: Any, logits: int) -> LiveTrie:
        """The trie of this process."""
        return LiveTrie.shared(
            self.source,
            vocabulary=self.vocabulary,
            subsets=self.subsets,
            start=self.start,
            after=self.after,
            eos_token_id=self.eos_token_id if self.eos_token_id is not None else _end_tokens(request),
            logits=logits,
        )

    def __call__(
        self, logits: torch.Tensor, custom_param_list: list[dict[str, Any] | None] | None = None
    ) -> torch.Tensor:
        """Masks the logits of a batch, in place."""
        given = custom_param_list or [None] * logits.shape[0]
        mask(logits, [self._answer(params, logits.shape[1]) for params in given])
        for row, params in enumerate(given):
            if params is None or "__req__" not in params:
                log.warning('catalex: a request gets no item: custom_params must be an object: {"catalex": "all"}')
                logits[row] = float("-inf")
                logits[row, self._known_ends()] = 0.0
        return logits

    def _known_ends(self) -> list[int]:
        """The tokens that end an answer, for a request that SGLang does not pass to the processor."""
        own = self.eos_token_id
        if own is not None:
            return [own] if isinstance(own, int) else list(own)
        # An error would stop the server. Before the first complete request, the answer has no item but goes on.
        return type(self)._ends or [0]

    def _answer(self, params: dict[str, Any] | None, logits: int) -> Answer | None:
        if params is None or "__req__" not in params:
            # SGLang adds the request to custom_params only if they are an object.
            return None
        request = params["__req__"]
        answer: Answer | None = params.get(ANSWER)
        if answer is None:
            generation = self.live(request, logits).current
            type(self)._ends = list(generation.eos)
            try:
                subset: Any = generation.subset(request_subset(params.get(KEY, ALL)))
            except InputError as error:
                log.warning("catalex: a request gets no item: %s", error)
                subset = generation.no_items
            answer = params[ANSWER] = Answer(generation, list(request.origin_input_ids), [], subset)
        answer.output = request.output_ids
        return answer


def _end_tokens(request: Any) -> list[int]:
    """The tokens that end an answer, according to the model's configuration or its tokenizer."""
    found = getattr(request, "eos_token_ids", None) or []
    if not found:
        value = getattr(getattr(request, "tokenizer", None), "eos_token_id", None)
        found = [] if value is None else [value]
    if not found:
        raise ConfigError("eos_token_id: expected one in the model's configuration, got none; set it in the class")
    return sorted(found)


def _overlaps() -> bool:
    """Whether SGLang samples a token before it has the previous one. False where its settings are not known."""
    try:
        schedule = importlib.import_module("sglang.srt.runtime_context").get_schedule()
        disabled = bool(schedule.disable_overlap_schedule)
    except (ImportError, AttributeError, ValueError):
        try:
            settings = importlib.import_module("sglang.srt.server_args").get_global_server_args()
            disabled = bool(settings.disable_overlap_schedule)
        except (ImportError, AttributeError, ValueError):
            return False
    if disabled:
        return False
    try:
        return not importlib.import_module("sglang.srt.environ").envs.SGLANG_ENABLE_DELAY_SAMPLE.get()
    except (ImportError, AttributeError):
        return True
