"""Training and encoding in the manner of scikit-learn."""

from __future__ import annotations

import inspect
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from .config import TrainConfig
from .programs import train
from .run import Progress
from .tokenizer import Tokenizer


class NotFittedError(ValueError, AttributeError):
    """`fit` comes first. scikit-learn's error of this name has the same bases."""


class SemanticIdEncoder:
    """A transformer from vectors `(n, dim)` to codes `(n, levels)`, with the settings of `TrainConfig`.

    `fit` trains in a process of its own; `tokenizer_` is then the model. It works in a scikit-learn `Pipeline`, with
    `clone` and in grid searches, and needs no scikit-learn.
    """

    def __init__(
        self,
        *,
        recipe: str = TrainConfig.recipe,
        levels: int = TrainConfig.levels,
        codebook_size: int | Sequence[int] = TrainConfig.codebook_size,
        latent_dim: int = TrainConfig.latent_dim,
        hidden: int | Sequence[int] = TrainConfig.hidden,
        epochs: int = TrainConfig.epochs,
        batch_size: int = TrainConfig.batch_size,
        learning_rate: float = TrainConfig.learning_rate,
        weight_decay: float = TrainConfig.weight_decay,
        commitment_weight: float = TrainConfig.commitment_weight,
        reconstruction_weight: float = TrainConfig.reconstruction_weight,
        sample_items: int = TrainConfig.sample_items,
        kmeans_iterations: int = TrainConfig.kmeans_iterations,
        refine_iterations: int | None = TrainConfig.refine_iterations,
        ridge: float = TrainConfig.ridge,
        balance: float = TrainConfig.balance,
        coherence: float | None = TrainConfig.coherence,
        separation: float = TrainConfig.separation,
        sinkhorn: float | None = TrainConfig.sinkhorn,
        holdout: float = TrainConfig.holdout,
        patience: int = TrainConfig.patience,
        weight: Mapping[str, float] | None = TrainConfig.weight,
        agreement: float = TrainConfig.agreement,
        modality_dropout: float = TrainConfig.modality_dropout,
        seed: int = TrainConfig.seed,
        device: str = TrainConfig.device,
        threads: int | None = None,
        progress: Progress = "none",
        binary: str | os.PathLike[str] | None = None,
    ) -> None:
        for name in self._names():
            setattr(self, name, locals()[name])

    @classmethod
    def _names(cls) -> list[str]:
        return [name for name in inspect.signature(cls.__init__).parameters if name != "self"]

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The settings."""
        return {name: getattr(self, name) for name in self._names()}

    def set_params(self, **params: Any) -> SemanticIdEncoder:
        """Changes settings."""
        for name, value in params.items():
            if name not in self._names():
                raise ValueError(f"invalid parameter {name!r} for {self!r}; valid ones are {', '.join(self._names())}")
            setattr(self, name, value)
        return self

    def fit(self, X: Any, y: object = None) -> SemanticIdEncoder:
        """Trains on rows `(n, dim)`; `y` is ignored."""
        params = self.get_params()
        others = {name: params.pop(name) for name in ("threads", "progress", "binary")}
        self.tokenizer_: Tokenizer = train(X, config=TrainConfig(**params), **others)
        self.n_features_in_ = self.tokenizer_.dim
        return self

    def transform(self, X: Any) -> npt.NDArray[np.uint16]:
        """Codes `(n, levels)` of rows `(n, dim)`."""
        return self._fitted().encode(X)

    def fit_transform(self, X: Any, y: object = None) -> npt.NDArray[np.uint16]:
        """`fit`, then `transform`."""
        return self.fit(X, y).transform(X)

    def inverse_transform(self, codes: Any) -> npt.NDArray[np.float32]:
        """Rows `(n, dim)` that codes `(n, levels)` stand for."""
        return self._fitted().decode(codes)

    def get_feature_names_out(self, input_features: object = None) -> npt.NDArray[Any]:
        """`code_0`, `code_1`, ..."""
        return np.array([f"code_{level}" for level in range(self._fitted().levels)], object)

    def _fitted(self) -> Tokenizer:
        if not hasattr(self, "tokenizer_"):
            raise NotFittedError("this SemanticIdEncoder is not fitted yet; call fit first")
        return self.tokenizer_

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "tokenizer_")

    def __sklearn_tags__(self) -> Any:
        """What scikit-learn asks of an estimator; it is the only one that does."""
        from sklearn.utils import InputTags, Tags, TargetTags, TransformerTags  # noqa: PLC0415

        return Tags(
            estimator_type="transformer",
            target_tags=TargetTags(required=False),
            transformer_tags=TransformerTags(),
            input_tags=InputTags(),
        )

    def __repr__(self) -> str:
        defaults = {name: p.default for name, p in inspect.signature(type(self).__init__).parameters.items()}
        changed = [f"{name}={value!r}" for name, value in self.get_params().items() if value != defaults[name]]
        return f"SemanticIdEncoder({', '.join(changed)})"
