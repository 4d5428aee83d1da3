"""The training settings of the package equal the declared ones, and given values are always sent."""

import dataclasses
import inspect
import os
from pathlib import Path
from typing import Any

import pytest
from made import catalex as program

import catalex
import make_train_config
from catalex import estimator
from catalex._native import train_settings
from catalex.config import train_flags

SETTINGS = {setting["name"]: setting for setting in train_settings()}


def test_files_are_generated_from_the_declaration() -> None:
    for path, text in make_train_config.generated().items():
        assert path.read_text(encoding="utf-8") == text, f"run scripts/make_train_config.py: {path.name} differs"


def test_fields_and_arguments_are_the_declared_settings() -> None:
    fields = {field.name: field.default for field in dataclasses.fields(catalex.TrainConfig)}
    assert fields == dict.fromkeys(SETTINGS)
    parameters = inspect.signature(catalex.SemanticIdEncoder).parameters
    assert {name: parameters[name].default for name in SETTINGS} == fields


def test_defaults_and_help_equal_those_of_the_command_line() -> None:
    written = " ".join(program("help", "train").stdout.split())
    for setting in SETTINGS.values():
        help = setting["help"].removesuffix(".")
        assert f"{help} [default: {setting['default']}]" in written, setting["name"]


VALUES: dict[str, Any] = {
    "recipe": "default",
    "levels": 4,
    "codebook_size": [256],
    "latent_dim": 256,
    "hidden": 512,
    "epochs": 15,
    "batch_size": 512,
    "learning_rate": 0.0001,
    "weight_decay": 0.01,
    "commitment_weight": 0.25,
    "reconstruction_weight": 1,
    "sample_items": 262144,
    "kmeans_iterations": 25,
    "refine_iterations": 0,
    "ridge": 2,
    "balance": 0.006,
    "coherence": 0.0,
    "separation": 1,
    "sinkhorn": 0.003,
    "holdout": 0.05,
    "patience": 3,
    "weight": {"text": 1},
    "agreement": 0.8,
    "modality_dropout": 0.2,
    "seed": 42,
    "device": "cpu",
}
"""A value for every setting: the default if there is one."""


@pytest.mark.parametrize("name", SETTINGS)
def test_a_given_value_is_sent_even_if_it_is_the_default(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    value = VALUES[name]
    flag = f"--{name.replace('_', '-')}="
    assert [f[: len(flag)] for f in catalex.TrainConfig(**{name: value}).flags()] == [flag]
    assert train_flags(None, {name: value}) == catalex.TrainConfig(**{name: value}).flags()

    sent: list[list[str]] = []

    def train(x: object, *, config: catalex.TrainConfig, **others: object) -> Any:
        sent.append(config.flags())
        return type("Model", (), {"dim": 1})

    monkeypatch.setattr(estimator, "train", train)
    encoder = catalex.SemanticIdEncoder()
    for fitted in (catalex.SemanticIdEncoder(**{name: value}), encoder.set_params(**{name: value})):
        assert fitted.get_params()[name] is value
        fitted.fit([[0.0]])
    assert sent == [catalex.TrainConfig(**{name: value}).flags()] * 2


def test_a_recipe_keeps_the_values_that_are_given() -> None:
    assert catalex.TrainConfig(recipe="lc-rec", epochs=15).flags() == ["--recipe=lc-rec", "--epochs=15"]
    config = catalex.TrainConfig(recipe="lc-rec", epochs=15, seed=1)
    assert train_flags(config, {"epochs": 20, "seed": None}) == ["--recipe=lc-rec", "--epochs=20", "--seed=1"]
    assert catalex.TrainConfig().flags() == train_flags(None, {}) == []


def test_parameters_follow_scikit_learn() -> None:
    from sklearn.base import clone  # noqa: PLC0415

    encoder = catalex.SemanticIdEncoder(recipe="lc-rec", epochs=15, hidden=[64, 32], weight={"text": 1.0})
    copy = clone(encoder)
    assert copy.get_params() == encoder.get_params()
    assert repr(copy) == "SemanticIdEncoder(recipe='lc-rec', hidden=[64, 32], epochs=15, weight={'text': 1.0})"
    assert clone(encoder.set_params(epochs=None)).get_params()["epochs"] is None
    assert catalex.SemanticIdEncoder().get_params()["epochs"] is None


def test_a_setting_without_use_is_refused() -> None:
    with pytest.raises(catalex.ConfigError, match=r"ridge.* recipe lc-rec"):
        binary = Path(os.environ["CARGO_TARGET_DIR"]) / "release" / "catalex"
        catalex.train([[0.0, 1.0], [1.0, 0.0]], recipe="lc-rec", ridge=2.0, progress="none", binary=binary)
