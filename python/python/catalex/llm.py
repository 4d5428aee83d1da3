"""Start values of new tokens, applied to a language model of `transformers`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ._formats import parse_json
from .errors import ArtifactError, InputError

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

FILE = "new_token_embeddings.safetensors"
KEY = "catalex"
FORMAT_VERSION = 1


def apply_start_values(model: PreTrainedModel, path: str | Path, *, pad_to_multiple_of: int | None = None) -> range:
    """Grows the embedding matrices of `model` and sets the rows of the new tokens; returns the ids of the tokens.

    `path` is `new_token_embeddings.safetensors`, or the vocabulary folder that has it. Matrices never become smaller.
    Padding rows start as the mean of the old rows. `ArtifactError` if the file has no start values or is of a
    newer version, `InputError` if they were made for another model.
    """
    import torch  # noqa: PLC0415 - the package does without it otherwise

    path = Path(path)
    path = path / FILE if path.is_dir() else path
    description, rows = _read(path)
    first, n = description["first_id"], description["tokens"]
    embeddings = model.get_input_embeddings().weight
    old, dim = embeddings.shape
    # Tokens that the tokenizer adds when it is loaded can be missing from the model.
    added = description.get("added_on_loading", 0)
    if first - added > old or rows["input_embeddings"].shape != (n, dim):
        raise InputError(
            f"{path}: expected start values for a model with {old} rows of {dim} numbers, got rows of "
            f"{rows['input_embeddings'].shape[1]} numbers for ids from {first} on; name the start values that were "
            "made for this model"
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


def _read(path: Path) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """The description of start values, and their rows by name."""
    from safetensors import SafetensorError, safe_open  # noqa: PLC0415

    what = f"start values: the {FILE} that `catalex vocab --llm` wrote"
    if not path.is_file():
        raise InputError(f"{path}: expected {what}, got no file; check the path")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = (file.metadata() or {}).get(KEY)
            rows = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    except SafetensorError as error:
        raise ArtifactError(f"{path}: expected {what}, got a damaged file ({error}); write it again") from error
    if metadata is None or "input_embeddings" not in rows:
        raise ArtifactError(f"{path}: expected {what}, got a file without start values; check the path")
    description = parse_json(metadata, str(path), what, FORMAT_VERSION, needs=("first_id", "tokens"))
    repeated = {"tokens": len(rows["input_embeddings"])}
    if "codebook_sizes" in description:
        repeated["codes"] = sum(description["codebook_sizes"])
    if "output_embeddings" in rows:
        repeated["tokens of the output"] = len(rows["output_embeddings"])
    said = {**description, "tokens of the output": description["tokens"]}
    for key, number in repeated.items():
        if said.get(key, number) != number:
            raise ArtifactError(f"{path}: expected {number} {key}, got {said[key]}; write it again")
    return description, rows


def set_rows(weight: torch.Tensor, rows: torch.Tensor, first: int, old: int) -> None:
    """Sets the rows from `first` on. Other new rows get the mean of the old rows."""
    end = first + len(rows)
    mean = weight[: min(first, old)].float().mean(0).to(weight.dtype)
    if len(weight) > max(end, old):
        weight[max(end, old) :] = mean
    if old < first:
        weight[old:first] = mean
    weight[first:end] = rows.to(weight)
