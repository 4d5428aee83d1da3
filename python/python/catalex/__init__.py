"""Semantic IDs for LLM recommenders."""

from ._native import FacetTokenizer, FmIndex, Occurrences, Subset, TokenIds, Trie, __version__, trans_rec
from .errors import ArtifactError, CatalexError, ConfigError, InputError, ResourceError
from .llm import apply_start_values
from .logits_processor import LogitsProcessor

__all__ = [
    "ArtifactError",
    "CatalexError",
    "ConfigError",
    "FacetTokenizer",
    "FmIndex",
    "InputError",
    "LogitsProcessor",
    "Occurrences",
    "ResourceError",
    "Subset",
    "TokenIds",
    "Trie",
    "__version__",
    "apply_start_values",
    "trans_rec",
]
