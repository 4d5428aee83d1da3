"""Constrained decoding in servers: a live trie that follows the generations of an index, and masks for batches.

`catalex.serving.vllm` and `catalex.serving.sglang` are the logits processors of vLLM and SGLang, and
`catalex.serving.device` has the masks on accelerators. docs/serving.md explains how to start the servers.
"""

from .answers import Answer, mask
from .generation import ALL, Generation
from .live import LiveTrie

__all__ = ["ALL", "Answer", "Generation", "LiveTrie", "mask"]
