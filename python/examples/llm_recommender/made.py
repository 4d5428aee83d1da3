"""A small catalog, histories with a planted pattern, and an untrained language model: the input of `--short`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from recommend.catalogs import Catalog, Event, of_events

KINDS = ["tea", "lamp", "boot", "violin", "tent", "garden hose", "novel", "bicycle", "sofa", "camera", "pan", "kite"]
COLORS = ["red", "blue", "green", "white", "black", "yellow", "brown", "grey"]


def catalog(users: int = 300, seed: int = 0) -> Catalog:
    """Eight items of each of twelve kinds. Every user goes from kind to kind in the same circle."""
    rows: list[dict[str, object]] = [
        {"id": str(at), "title": f"{COLORS[at % len(COLORS)]} {KINDS[at // len(COLORS)]}"}
        for at in range(len(KINDS) * len(COLORS))
    ]
    rng = np.random.default_rng(seed)
    events: list[Event] = []
    for user in range(users):
        kinds = (rng.integers(len(KINDS)) + np.arange(rng.integers(5, 9))) % len(KINDS)
        items = kinds * len(COLORS) + rng.integers(len(COLORS), size=len(kinds))
        events += [(f"u{user}", str(item), None) for item in items]
    return of_events("made", rows, "title", events)


def write_llm(folder: Path, texts: list[str]) -> None:
    """A byte-level BPE tokenizer trained on the texts, and a Llama model with two layers and random weights."""
    import torch  # noqa: PLC0415
    from transformers import LlamaConfig, LlamaForCausalLM  # noqa: PLC0415  it takes seconds to load

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=600, special_tokens=["<|end|>"], initial_alphabet=alphabet)
    tokenizer.train_from_iterator(texts, trainer)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|end|>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
    torch.manual_seed(0)
    shape = {
        "initializer_range": 0.1,
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
    }
    end = tokenizer.token_to_id("<|end|>")
    LlamaForCausalLM(
        LlamaConfig(
            vocab_size=tokenizer.get_vocab_size(), max_position_embeddings=512, tie_word_embeddings=True,
            bos_token_id=end, eos_token_id=end, **shape,
        )
    ).save_pretrained(folder)  # fmt: skip
