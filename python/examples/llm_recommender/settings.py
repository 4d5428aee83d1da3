"""Settings of a comparison. They are written with every result."""

from __future__ import annotations

import argparse
from dataclasses import asdict, dataclass, fields

ROWS, MATRIX, ALL = "rows", "matrix", "all"


@dataclass(frozen=True)
class Settings:
    steps: int = 2000
    """Gradient steps of one run at most."""
    batch: int = 64
    minutes: float = 0.4
    """Time limit of the tuning of one run. The learning rate decays to zero at this end or at that of the steps."""
    tune: str = ROWS
    """`rows`: LoRA and the rows of the new tokens. `matrix`: LoRA and whole embedding matrices. `all`: everything."""
    learning_rate: float = 1e-3
    rank: int = 16
    """Rank of the LoRA adapters."""
    layers: int = 0
    """Use only the first layers of the language model; 0 keeps all."""
    history: int = 10
    """Items of a history in a prompt."""
    measurements: int = 10
    """How often the validation loss is measured."""
    valid_users: int = 500
    test_users: int = 5000
    """Users who validate and test: of more, this number at equal distances."""
    beams: int = 20
    asked: int = 128
    """Prompts that are answered together."""
    answer_tokens: int = 32
    """Longest generated title."""

    def record(self) -> dict[str, int | float | str]:
        return asdict(self)


SHORT = {
    "steps": 120, "batch": 32, "minutes": 10.0, "tune": ALL, "learning_rate": 5e-3, "history": 1, "measurements": 4,
    "valid_users": 40, "test_users": 60, "beams": 10, "answer_tokens": 8,
}  # fmt: skip
CHOICES = {"tune": [ROWS, MATRIX, ALL]}
HELP = {
    "steps": "most gradient steps of a run",
    "batch": "examples per gradient step",
    "minutes": "time limit of the tuning of a run, in minutes",
    "tune": "what is trained: LoRA and the new tokens' rows, LoRA and the embedding matrices, or all parameters",
    "learning_rate": "highest learning rate of AdamW, after a warm-up; it decays along a cosine",
    "rank": "rank of the LoRA adapters",
    "layers": "use only this many first layers of the language model, to save time; 0: all",
    "history": "items of a history in a prompt",
    "measurements": "measurements of the validation loss; the state with the lowest one is kept",
    "valid_users": "most users for the validation loss",
    "test_users": "most users for Recall and NDCG",
    "beams": "beams of the search",
    "asked": "prompts that are answered together",
    "answer_tokens": "longest generated title, in tokens",
}


def add_settings(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("settings of a run")
    for field in fields(Settings):
        flag, text = "--" + field.name.replace("_", "-"), f"{HELP[field.name]} [default: {field.default}]"
        group.add_argument(flag, type=type(field.default), choices=CHOICES.get(field.name), help=text)


def given_settings(arguments: argparse.Namespace) -> Settings:
    given = {field.name: getattr(arguments, field.name) for field in fields(Settings)}
    base = SHORT if arguments.short else {}
    return Settings(**{**base, **{name: value for name, value in given.items() if value is not None}})
