"""catalex's logits processor for SGLang. README-sglang.md shows how to start the server."""

import os
from pathlib import Path

from catalex.serving.sglang import LogitProcessor


class CatalexLogitProcessor(LogitProcessor):
    source = os.environ.get("CATALEX_SOURCE", Path(__file__).parent)
    subsets = os.environ.get("CATALEX_SUBSETS")
