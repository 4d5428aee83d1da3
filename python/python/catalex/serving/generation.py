"""One generation of the valid IDs, with its rules and named subsets. It never changes, so threads can share it."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from .._native import Decoder, Subset, Trie
from ..errors import ConfigError, InputError

if TYPE_CHECKING:
    import torch

    from .device import DeviceTrie

ALL = "all"
"""The name of the subset of all items."""


class Generation:
    """The items that requests can be answered with: a trie with token ids, the rules of answers, and named subsets.

    `start`, `after` and `eos_token_id` are those of `catalex.LogitsProcessor`. `subsets` are subsets of this trie by
    name. The name "all" is the subset of all items. `name` identifies the generation in messages.
    """

    def __init__(
        self,
        trie: Trie,
        *,
        start: Literal["always", "free"] = "always",
        after: Literal["any", "eos", "id"] | None = None,
        eos_token_id: int | Sequence[int] | None = None,
        subsets: Mapping[str, Subset] | None = None,
        name: str = "",
        hold: object = None,
    ) -> None:
        ids = () if eos_token_id is None else (eos_token_id,) if isinstance(eos_token_id, int) else tuple(eos_token_id)
        if after is None:
            after = "eos" if ids and start == "always" else "any"
        tokens = trie.tokens
        if tokens is None:
            raise InputError(
                "trie of a server: expected token ids of a language model, got none; pass the folder that "
                "`catalex vocab --tokenizer` wrote: vocabulary=, or `catalex constrain --vocabulary`"
            )
        self.decoder = Decoder(trie, start, after, list(ids))
        self.trie, self.tokens, self.name = trie, tokens, name
        self.start, self.after, self.eos = start, after, ids
        self.subsets: dict[str, Subset] = dict(subsets or {})
        if ALL in self.subsets:
            raise ConfigError(f"subset {ALL!r}: expected another name, got that of all items; rename its file")
        self.width = trie.levels + 2
        self.no_items = trie.subset([])
        # Keeps a store from removing the generation.
        self._hold = hold
        self._devices: dict[str, DeviceTrie] = {}
        self._lock = threading.Lock()

    def subset(self, name: str) -> Subset | None:
        """The subset of a name; `None` for all items. `InputError` for an unknown name."""
        if name == ALL:
            return None
        found = self.subsets.get(name)
        if found is None:
            known = ", ".join([ALL, *sorted(self.subsets)])
            raise InputError(
                f"subset {name!r}: expected one of {known}, got an unknown name; add its file, or correct it"
            )
        return found

    def on(self, device: torch.device | str) -> DeviceTrie:
        """The trie on a device of torch. It is copied there once."""
        from .device import DeviceTrie  # noqa: PLC0415

        with self._lock:
            found = self._devices.get(str(device))
            if found is None:
                found = self._devices[str(device)] = DeviceTrie(self, device)
            return found

    def check_logits(self, logits: int) -> None:
        """`InputError` if a model has fewer logits than the vocabulary has token ids."""
        needed = max(self.tokens.vocabulary_size, *(token + 1 for token in self.eos), 0)
        if logits < needed:
            raise InputError(
                f"logits of the language model: expected at least {needed} per row, one for each token id in use, got "
                f"{logits}; serve the model with the extended vocabulary of this index"
            )

    def __repr__(self) -> str:
        return f"Generation({self.name!r}, {len(self.trie)} items, subsets {sorted(self.subsets)})"


def request_subset(value: Any) -> str:
    """The name of the subset that the setting `catalex` of a request gives: the name itself, an object with `subset`,
    or true for all items. `InputError` for other values."""
    if isinstance(value, Mapping):
        unknown = sorted(set(value) - {"subset"})
        if unknown:
            raise InputError(f"setting catalex: expected the key subset, got {unknown[0]!r}; correct the request")
        value = value.get("subset", ALL)
    if value is None or value is True or (isinstance(value, int) and value == 1) or value == "":
        return ALL
    if isinstance(value, str):
        return value
    raise InputError(
        f'setting catalex: expected the name of a subset, such as "{ALL}", got {value!r}; correct the request'
    )
