"""The language model: loading, the rows of the new tokens, and which of its parameters are trained."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer

from catalex import apply_start_values

from .settings import ALL, MATRIX, Settings

DEFAULT = "transformers"
"""Start values of `resize_token_embeddings`: samples around the mean of the existing rows (`mean_resizing=True`)."""


def load(llm: Path, settings: Settings, device: torch.device) -> Any:
    """The model in float32, with all or only its first layers. A GPU computes in bfloat16 by autocast."""
    changes = {"num_hidden_layers": settings.layers} if settings.layers else {}
    return AutoModelForCausalLM.from_pretrained(llm, dtype=torch.float32, **changes).to(device)


def extend(model: Any, vocabulary: Path, method: str) -> tuple[Any, list[int]]:
    """The extended tokenizer, and the ids of the new tokens, whose rows the model gets."""
    described = json.loads((vocabulary / "vocabulary.json").read_text(encoding="utf-8"))["tokenizer"]
    new = [int(token) for token in described["trainable_token_indices"]]
    if method == DEFAULT:
        rows = max(described["embedding_rows"], model.get_input_embeddings().weight.shape[0])
        model.resize_token_embeddings(rows)
    else:
        apply_start_values(model, vocabulary)
    return AutoTokenizer.from_pretrained(vocabulary / "tokenizer"), new


def trainable(model: Any, new: list[int], settings: Settings, seed: int) -> Any:
    """The model in which only what `settings.tune` names is trained. Without new tokens, `rows` is LoRA alone."""
    if settings.tune == ALL:
        return model
    torch.manual_seed(seed)
    matrices = [model.get_input_embeddings()]
    output = model.get_output_embeddings()
    if output is not None and output.weight is not matrices[0].weight:
        matrices.append(output)
    names = [name.rpartition(".")[2] for name, module in model.named_modules() if any(module is m for m in matrices)]
    options: dict[str, Any] = {}
    if settings.tune == MATRIX:
        options = {"modules_to_save": names, "ensure_weight_tying": len(matrices) == 1}
    elif new:
        options = {"trainable_token_indices": {name: new for name in names}}
    return get_peft_model(
        model,
        LoraConfig(
            r=settings.rank, lora_alpha=2 * settings.rank, target_modules="all-linear", task_type="CAUSAL_LM", **options
        ),
    )


def trained_parameters(model: Any) -> dict[str, torch.nn.Parameter]:
    """The parameters that are trained, each once."""
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
