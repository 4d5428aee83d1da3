"""Start values of new tokens, given to a language model of `transformers`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

FILE = "new_token_embeddings.safetensors"
KEY = "catalex"
FORMAT_VERSION = 1


def apply_start_values(model: PreTrainedModel, path: str | Path, *, pad_to_multiple_of: int | None = None) -> range:
    """Grows the embeddings of `model` and sets the rows of the new tokens; returns the tokens' ids.

    `path` is `new_token_embeddings.safetensors`, or the vocabulary folder that holds it. Matrices are never made
    smaller. Rows that only pad them start as the mean of the old ones.
    """
    import torch  # noqa: PLC0415 - the package does without it otherwise
    from safetensors import safe_open  # noqa: PLC0415

    path = Path(path)
    path = path / FILE if path.is_dir() else path
    with safe_open(path, framework="pt") as file:
        metadata = (file.metadata() or {}).get(KEY)
        if metadata is None:
            raise ValueError(f"{path} holds no start values: name the {FILE} that `catalex vocab --llm` wrote")
        description = json.loads(metadata)
        if description["format_version"] != FORMAT_VERSION:
            raise ValueError(f"{path} has format version {description['format_version']}, expected {FORMAT_VERSION}")
        rows = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no dict
    first, n = description["first_id"], description["tokens"]
    embeddings = model.get_input_embeddings().weight
    old, dim = embeddings.shape
    if first > old or rows["input_embeddings"].shape != (n, dim):
        raise ValueError(
            f"{path} has rows of {rows['input_embeddings'].shape[1]} numbers for ids from {first} on, and the model "
            f"has {old} rows of {dim}: name the start values that were made for this model"
        )
    if first + n > old or pad_to_multiple_of:
        total = max(first + n, old)
        model.resize_token_embeddings(total, pad_to_multiple_of=pad_to_multiple_of, mean_resizing=False)
    with torch.no_grad():
        embeddings = model.get_input_embeddings().weight
        set_rows(embeddings, rows["input_embeddings"], first, old)
        output = model.get_output_embeddings()
        if output is not None and output.weight is not embeddings:
            set_rows(output.weight, rows.get("output_embeddings", rows["input_embeddings"]), first, old)
    return range(first, first + n)


def set_rows(weight: torch.Tensor, rows: torch.Tensor, first: int, old: int) -> None:
    """Sets rows from `first` on; what comes after them and was not there before becomes the old rows' mean."""
    end = first + len(rows)
    if len(weight) > max(end, old):
        weight[max(end, old) :] = weight[:first].float().mean(0).to(weight.dtype)
    weight[first:end] = rows.to(weight)
