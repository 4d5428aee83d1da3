"""Small generated inputs for the tests of servers, and the interfaces of vLLM and SGLang restated.

The restated classes have the signatures and the protocol of the published sources: vLLM 0.33.0
(vllm/v1/sample/logits_processor/interface.py, vllm/v1/worker/gpu/sample/logits_processor/interface.py) and SGLang
0.5.23 (python/sglang/srt/sampling/custom_logit_processor.py). `test_serving_installed.py` compares them with installed
servers.
"""

import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum, auto
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
from made import done, random_codes, write_table, write_tokenizer

import catalex

SIZES = [8, 16, 16, 32]
EOS = 0
SUBSETS = {"odd": 1, "even": 0}


@dataclass
class Shelf:
    """A token table with its vocabulary, and the folders that are made of it."""

    folder: Path
    ids: list[str]
    codes: npt.NDArray[np.uint16]

    @property
    def table(self) -> Path:
        return self.folder / "tokens.parquet"

    @property
    def vocabulary(self) -> Path:
        return self.folder / "vocabulary"

    def constrain(self, out: Path, *arguments: str) -> Path:
        done("constrain", self.table, "--vocabulary", self.vocabulary, "--out", out, "--force", *arguments)
        return out

    def subsets(self) -> Path:
        """A folder of two named subsets, each with an id that no item has."""
        folder = self.folder / "subsets"
        folder.mkdir(exist_ok=True)
        for name, odd in SUBSETS.items():
            lines = [item for row, item in enumerate(self.ids) if row % 2 == odd]
            (folder / f"{name}.txt").write_text("\n".join([*lines, "sold out long ago"]) + "\n", encoding="utf-8")
        return folder


def shelf(folder: Path, items: int = 400, seed: int = 0) -> Shelf:
    codes = random_codes(items, SIZES, seed)
    made = Shelf(folder, [f"item {row}" for row in range(items)], codes)
    folder.mkdir(parents=True, exist_ok=True)
    write_table(made.table, codes, SIZES, made.ids)
    if not made.vocabulary.exists():
        write_tokenizer(folder / "tokenizer")
        done("vocab", made.table, "--tokenizer", folder / "tokenizer", "--out", made.vocabulary)
    return made


def tokens_of(trie: catalex.Trie, codes: Sequence[int]) -> list[int]:
    ids = trie.tokens
    assert ids is not None
    return [ids.id(level, code) for level, code in enumerate(codes)]


# vLLM: the model runner with a persistent batch.


class MoveDirectionality(Enum):
    UNIDIRECTIONAL = auto()
    SWAP = auto()


@dataclass(frozen=True)
class BatchUpdate:
    batch_size: int
    removed: Sequence[int]
    added: Sequence[tuple[int, Any, list[int] | None, list[int]]]
    moved: Sequence[tuple[int, int, MoveDirectionality]]


class PersistentBatch(ABC):
    @classmethod
    def validate_params(cls, sampling_params: Any) -> None:
        return None

    @abstractmethod
    def __init__(self, vllm_config: Any, device: Any, is_pin_memory: bool) -> None: ...

    @abstractmethod
    def apply(self, logits: Any) -> Any: ...

    @abstractmethod
    def is_argmax_invariant(self) -> bool: ...

    @abstractmethod
    def update_state(self, batch_update: BatchUpdate | None) -> None: ...


# vLLM: the model runner with request slots.


class RequestSlots(ABC):
    def __init__(self, vllm_config: Any, req_states: Any) -> None:  # noqa: B027
        pass

    @classmethod  # noqa: B027
    def validate_params(cls, sampling_params: Any) -> None:
        pass

    def add_request(self, req_idx: int, sampling_params: Any) -> bool:
        return True

    def apply_staged_writes(self) -> None:  # noqa: B027
        pass

    @abstractmethod
    def apply(self, logits: Any, ctx: Any) -> Any: ...


# SGLang.


class CustomLogitProcessor(ABC):
    @abstractmethod
    def __call__(self, logits: Any, custom_param_list: list[dict[str, Any]] | None = None) -> Any: ...


@dataclass
class Params:
    """vLLM's `SamplingParams`, as far as processors read it."""

    extra_args: dict[str, Any] | None = None


@dataclass
class Req:
    """SGLang's `Req`, as far as processors read it."""

    origin_input_ids: list[int]
    output_ids: list[int] = field(default_factory=list)
    eos_token_ids: set[int] | None = field(default_factory=lambda: {EOS})


def config(logits: int, eos: int | list[int] | None = EOS) -> Any:
    """vLLM's `VllmConfig`, as far as processors read it."""
    model = SimpleNamespace(
        get_vocab_size=lambda: logits,
        try_get_generation_config=lambda: {} if eos is None else {"eos_token_id": eos},
        hf_config=SimpleNamespace(eos_token_id=None),
    )
    return SimpleNamespace(model_config=model, speculative_config=None)


@contextmanager
def servers(*, overlap: bool = False) -> Iterator[None]:
    """The restated interfaces in place of vLLM and SGLang."""
    names: dict[str, dict[str, Any]] = {
        "vllm.v1.sample.logits_processor": {
            "LogitsProcessor": PersistentBatch,
            "MoveDirectionality": MoveDirectionality,
        },
        "vllm.v1.worker.gpu.sample.logits_processor": {"LogitsProcessor": RequestSlots},
        "sglang.srt.sampling.custom_logit_processor": {"CustomLogitProcessor": CustomLogitProcessor},
        "sglang.srt.runtime_context": {
            "get_schedule": lambda: SimpleNamespace(disable_overlap_schedule=not overlap),
        },
    }
    before = dict(sys.modules)
    for name in [name for name in sys.modules if name.split(".")[0] in {"vllm", "sglang"}]:
        del sys.modules[name]
    for name, content in names.items():
        parts = name.split(".")
        for depth in range(1, len(parts) + 1):
            part = ".".join(parts[:depth])
            module = sys.modules.setdefault(part, ModuleType(part))
            module.__path__ = []
        vars(sys.modules[name]).update(content)
    for name in ("catalex.serving.vllm", "catalex.serving.sglang"):
        sys.modules.pop(name, None)
    try:
        yield
    finally:
        for name in set(sys.modules) - set(before):
            if name.split(".")[0] in {"vllm", "sglang", "catalex_vllm", "catalex_sglang"}:
                del sys.modules[name]
        for name in ("catalex.serving.vllm", "catalex.serving.sglang"):
            sys.modules.pop(name, None)
        sys.modules.update({name: before[name] for name in before if name not in sys.modules})
