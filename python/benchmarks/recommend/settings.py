"""Settings of a run. Runs with equal settings can be compared, so they are written with every result."""

from __future__ import annotations

import argparse
from dataclasses import asdict, dataclass, fields

SMALL = {
    "dim": 128, "layers": 1, "heads": 4, "dropout": 0.1, "history": 10,
    "epochs": 12, "every": 1, "patience": 3, "batch": 128, "beam": 20,
}  # fmt: skip


@dataclass(frozen=True)
class Settings:
    dim: int = 192
    layers: int = 4
    heads: int = 6
    dropout: float = 0.2
    history: int = 20
    """Items that the model reads."""
    epochs: int = 120
    """At most: training stops after `patience` measurements without a better validation loss."""
    every: int = 4
    """Epochs per measurement of the validation loss."""
    patience: int = 4
    batch: int = 512
    learning_rate: float = 1e-3
    weight_decay: float = 0.1
    windows: str = "random"
    """`random`: each epoch reads one random range of each history; `last`: always its end."""
    softmax: str = "valid"
    """Codes among which the loss is computed. `valid`: those that continue the ID of an item, as in constrained
    decoding; `all`: all codes of the level, as in the fine-tuning of an LLM."""
    old_epochs: int = 25
    tune_epochs: float = 3.0
    """Epochs on the old block and on the next block of a catalog that grows."""
    beam: int = 50
    seen: str = "allow"
    """`allow`: items of a user's history can be recommended; `exclude`: they cannot."""
    most_events: int = 25_000
    """Most validation and most test events; of more, this number at equal distances is used."""

    def record(self) -> dict[str, int | float | str]:
        return asdict(self)


CHOICES = {"windows": ["random", "last"], "softmax": ["valid", "all"], "seen": ["allow", "exclude"]}
HELP = {
    "dim": "width of the model",
    "layers": "layers of the model",
    "heads": "attention heads",
    "dropout": "dropout",
    "history": "items that the model reads",
    "epochs": "most epochs",
    "every": "epochs per measurement of the validation loss",
    "patience": "measurements without a better validation loss after which training stops",
    "batch": "histories per gradient step",
    "learning_rate": "highest learning rate of AdamW, after a warm-up; it decays along a cosine",
    "weight_decay": "weight decay of AdamW",
    "windows": "train on a random range of each history per epoch, or always on its last events",
    "softmax": "compute the loss among the codes that continue the ID of an item, or among all codes of the level",
    "old_epochs": "epochs on the old block, if the catalog grows",
    "tune_epochs": "epochs of fine-tuning on the next block, if the catalog grows",
    "beam": "beams; no measure at more recommendations than this is reported",
    "seen": "whether items of a user's history can be recommended",
    "most_events": "most validation and most test events",
}


def add_settings(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("settings of a run")
    small = ", ".join(f"{name} {value}" for name, value in SMALL.items())
    group.add_argument("--small", action="store_true", help=f"defaults for a CPU: {small}")
    for field in fields(Settings):
        flag = "--" + field.name.replace("_", "-")
        of_type = type(field.default)
        text = f"{HELP[field.name]} [default: {field.default}]"
        group.add_argument(flag, type=of_type, choices=CHOICES.get(field.name), help=text)


def given_settings(arguments: argparse.Namespace) -> Settings:
    given = {field.name: getattr(arguments, field.name) for field in fields(Settings)}
    base = SMALL if arguments.small else {}
    return Settings(**{**base, **{name: value for name, value in given.items() if value is not None}})
