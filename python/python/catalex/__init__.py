"""Semantic IDs for LLM recommenders."""

from ._native import Attributes, FacetTokenizer, FmIndex, Occurrences, Subset, TokenIds, Trie, __version__, trans_rec
from .changes import adopt, compare, diff, import_ids
from .config import TrainConfig
from .errors import ArtifactError, CatalexError, ConfigError, InputError, ModelError, ResourceError, RunError
from .estimator import SemanticIdEncoder
from .features import Features
from .generations import append, delete, drift, retrain
from .index import Index
from .jobs import check, constrain, export, family_templates, inspect, lookup, tokenize, vocab
from .llm import apply_start_values
from .logits_processor import LogitsProcessor
from .programs import build, embed, train
from .quality import Resolution, evaluate, resolve_collisions
from .ranking import SubwordVocabulary, prefix_ids, ranking_features
from .store import Store, history, publish, rollback, verify
from .token_table import TokenTable
from .tokenizer import Tokenizer
from .vocabulary import Vocabulary

__all__ = [
    "ArtifactError",
    "Attributes",
    "CatalexError",
    "ConfigError",
    "FacetTokenizer",
    "Features",
    "FmIndex",
    "Index",
    "InputError",
    "LogitsProcessor",
    "ModelError",
    "Occurrences",
    "Resolution",
    "ResourceError",
    "RunError",
    "SemanticIdEncoder",
    "Store",
    "Subset",
    "SubwordVocabulary",
    "TokenIds",
    "TokenTable",
    "Tokenizer",
    "TrainConfig",
    "Trie",
    "Vocabulary",
    "__version__",
    "adopt",
    "append",
    "apply_start_values",
    "build",
    "check",
    "compare",
    "constrain",
    "delete",
    "diff",
    "drift",
    "embed",
    "evaluate",
    "export",
    "family_templates",
    "history",
    "import_ids",
    "inspect",
    "lookup",
    "prefix_ids",
    "publish",
    "ranking_features",
    "resolve_collisions",
    "retrain",
    "rollback",
    "tokenize",
    "train",
    "trans_rec",
    "verify",
    "vocab",
]
