"""llama.cpp's own reader of grammars, without a model's weights: which tokens it lets through."""

import ctypes
import json
import tempfile
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest

CANDIDATE = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])


def write_vocabulary(tokenizer_json: Path, path: Path) -> None:
    """A GGUF file of a byte-level BPE tokenizer and no model."""
    tokenizer = json.loads(tokenizer_json.read_text(encoding="utf-8"))
    words: dict[str, int] = tokenizer["model"]["vocab"]
    kinds = dict.fromkeys(words, gguf.TokenType.NORMAL)
    for token in tokenizer["added_tokens"]:
        words[token["content"]] = token["id"]
        kinds[token["content"]] = gguf.TokenType.CONTROL if token["special"] else gguf.TokenType.USER_DEFINED
    tokens = sorted(words, key=words.__getitem__)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types([kinds[token] for token in tokens])
    writer.add_token_merges([" ".join(pair) for pair in tokenizer["model"]["merges"]])
    writer.add_eos_token_id(0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


class LlamaGrammar:
    """A grammar over the ids of a tokenizer."""

    def __init__(self, grammar: str, tokenizer_json: Path) -> None:
        self.llama = pytest.importorskip("llama_cpp", reason="llama.cpp is not here: it does not check GBNF")
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "vocabulary.gguf"
            write_vocabulary(tokenizer_json, path)
            self.model = self.llama.Llama(str(path), vocab_only=True, verbose=False)
        vocabulary = self.llama.llama_model_get_vocab(self.model.model)
        self.size = self.llama.llama_vocab_n_tokens(vocabulary)
        self.sampler: Any = self.llama.llama_sampler_init_grammar(vocabulary, grammar.encode(), b"root")
        assert self.sampler, "llama.cpp cannot read the grammar"

    def allowed(self) -> list[int]:
        """The tokens that may follow."""
        rows = np.zeros(self.size, CANDIDATE)
        rows["id"] = np.arange(self.size)
        pointer = rows.ctypes.data_as(ctypes.POINTER(self.llama.llama_token_data))
        array = self.llama.llama_token_data_array(data=pointer, size=self.size, selected=-1, sorted=False)
        self.llama.llama_sampler_apply(self.sampler, ctypes.byref(array))
        allowed: list[int] = np.flatnonzero(np.isfinite(rows["logit"])).tolist()
        return allowed

    def accept(self, token: int) -> None:
        """Goes on by a token that is allowed; another would end the process."""
        self.llama.llama_sampler_accept(self.sampler, token)

    def begin(self) -> None:
        self.llama.llama_sampler_reset(self.sampler)

    def close(self) -> None:
        self.llama.llama_sampler_free(self.sampler)
        self.model.close()
