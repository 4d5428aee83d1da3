"""The settings of `catalex train`, under its names and with its defaults."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal

from .errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """How to train. `catalex help train` and docs/quantizer.md say what each setting does.

    A setting that is left at its default is the recipe's own: `TrainConfig(recipe="lc-rec")` trains for as many epochs
    as LC-Rec does.
    """

    recipe: Literal["default", "rq-kmeans", "lc-rec"] = "default"
    levels: int = 4
    codebook_size: int | Sequence[int] = 256
    latent_dim: int = 256
    hidden: int | Sequence[int] = 512
    epochs: int = 15
    batch_size: int = 512
    learning_rate: float = 0.0001
    weight_decay: float = 0.01
    commitment_weight: float = 0.25
    reconstruction_weight: float = 1
    sample_items: int = 262144
    kmeans_iterations: int = 25
    refine_iterations: int | None = None
    """12, to 40 for large catalogs."""
    ridge: float = 2
    balance: float = 0.006
    coherence: float | None = None
    """0.02, with behaviour 0."""
    separation: float = 1
    sinkhorn: float | None = None
    """0, of lc-rec 0.003."""
    holdout: float = 0.05
    patience: int = 3
    weight: Mapping[str, float] | None = None
    """0.6 of image and 3 of behaviour beside others, else 1."""
    agreement: float = 0.8
    modality_dropout: float = 0.2
    seed: int = 42
    device: str = "cpu"

    def flags(self) -> list[str]:
        """The command line's flags of what is not at its default."""
        given = {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) != f.default}
        return flags(given)


NAMES = frozenset(f.name for f in fields(TrainConfig))


def train_flags(config: TrainConfig | None, settings: Mapping[str, Any]) -> list[str]:
    """The flags of a config and of settings by name, which win over it."""
    for name in settings:
        if name not in NAMES:
            known = ", ".join(sorted(NAMES))
            raise ConfigError(f"setting {name}: expected one of {known}, got an unknown one; mend its spelling")
    base = {} if config is None else {f.name: getattr(config, f.name) for f in fields(config)}
    kept = {f.name: base[f.name] for f in fields(TrainConfig) if f.name in base and base[f.name] != f.default}
    return flags({**kept, **settings})


def flags(options: Mapping[str, Any]) -> list[str]:
    """`{"batch_size": 3}` as `["--batch-size=3"]`; what is `None` is left out."""
    written = []
    for name, value in options.items():
        flag = "--" + name.replace("_", "-")
        if value is None or value is False:
            continue
        if value is True:
            written.append(flag)
        elif isinstance(value, Mapping):
            pairs = [f"{key}={of}" for key, of in value.items()]
            # A path may have a comma.
            written += [f"{flag}={pair}" for pair in pairs] if name == "embedding" else [f"{flag}={','.join(pairs)}"]
        elif isinstance(value, Sequence) and not isinstance(value, str):
            written.append(f"{flag}={','.join(map(str, value)) or '0'}")
        else:
            written.append(f"{flag}={value}")
    return written
