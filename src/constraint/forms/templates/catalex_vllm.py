"""catalex's logits processor for vLLM. README-vllm.md shows how to start the server."""

import os
from pathlib import Path

from catalex.serving.vllm import LogitsProcessor


class CatalexLogitsProcessor(LogitsProcessor):
    source = os.environ.get("CATALEX_SOURCE", Path(__file__).parent)
    subsets = os.environ.get("CATALEX_SUBSETS")
    every_request = os.environ.get("CATALEX_EVERY_REQUEST") == "1"
