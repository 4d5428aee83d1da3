"""Semantic IDs for LLM recommenders."""

from ._native import Subset, TokenIds, Trie, __version__
from .errors import ArtifactError, CatalexError, ConfigError, InputError, ResourceError
from .logits_processor import LogitsProcessor

__all__ = [
    "ArtifactError",
    "CatalexError",
    "ConfigError",
    "InputError",
    "LogitsProcessor",
    "ResourceError",
    "Subset",
    "TokenIds",
    "Trie",
    "__version__",
]
