"""The declared settings in Python: names, values of all kinds, and refused values."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import catalex
from catalex import _settings
from catalex.programs import BUILD, EMBED


def test_options_come_from_the_declarations() -> None:
    assert {"text", "image_encoder", "embedding", "interactions", "session_gap"} <= EMBED
    assert {"tokenizer", "token_format", "collisions"} <= BUILD and not EMBED & BUILD
    setting = _settings.group("constraint")["dense_depth"]
    assert (setting.kind, setting.default, setting.value_name) == ("integer", "1", "N")
    assert setting.range == "a number from 1 to 2" and setting.help.startswith("Number of levels")
    assert all(setting.help for name in ("train", "export", "llm") for setting in _settings.group(name).values())


def test_values_of_every_kind_become_json() -> None:
    given: dict[str, Any] = {
        "history": np.int64(3),
        "valid_share": np.float32(0.5),
        "users": Path("users.json"),
        "implicit": np.True_,
        "few_shot": np.array([16, 64]),
        "items": None,
    }
    assert _settings.values("export", given) == {
        "history": 3,
        "valid-share": 0.5,
        "users": "users.json",
        "implicit": True,
        "few-shot": [16, 64],
    }
    assert _settings.values("columns", {"title": "a,b"}) == _settings.values("columns", {"title": ["a", "b"]})
    assert _settings.values("encode", {"embedding": {"a": "x,y.npy"}}) == {"embedding": ["a=x,y.npy"]}
    assert _settings.values("train", {"weight": {"text": 1}, "hidden": 8}) == {"weight": {"text": 1.0}, "hidden": [8]}


@pytest.mark.parametrize(
    ("group", "name", "value", "expected"),
    [
        ("export", "history", "many", "a whole number of at least 0, got 'many'"),
        ("export", "history", -1, "a whole number of at least 0, got -1"),
        ("export", "history", True, "a whole number of at least 0, got True"),
        ("export", "history", 1.5, "a whole number of at least 0, got 1.5"),
        ("export", "valid_share", "0.1", "a finite number, got '0.1'"),
        ("export", "valid_share", float("nan"), "a finite number, got nan"),
        ("train", "ridge", -np.inf, "a finite number, got -inf"),
        ("train", "weight", {"text": np.float32("nan")}, "a dictionary of finite numbers"),
        ("export", "users", 3, "a text or a path, got 3"),
        ("export", "implicit", 1, "True or False, got 1"),
        ("export", "implicit", np.array([True, False]), "True or False"),
        ("export", "few_shot", ["a"], "whole numbers of at least 0"),
        ("columns", "title", 3, "a text, or a list of texts, got 3"),
        ("columns", "title", [3], "a text, or a list of texts"),
        ("encode", "embedding", 3, "a text, a list of texts, or a dictionary"),
        ("train", "weight", 1.0, "a dictionary of finite numbers"),
    ],
)
def test_a_value_of_another_kind_is_refused(group: str, name: str, value: Any, expected: str) -> None:
    with pytest.raises(catalex.ConfigError) as error:
        _settings.values(group, {name: value})
    assert str(error.value).startswith(f"setting {name}: expected {expected}")


def test_an_unknown_option_names_the_known_ones() -> None:
    with pytest.raises(catalex.ConfigError, match=r"setting txt: expected one of average_text, .*did you mean text\?"):
        catalex.embed("catalog.csv", txt="title")
    with pytest.raises(catalex.ConfigError, match=r"setting batchsize: expected one of .*batch_size"):
        catalex.build("catalog.csv", "index", batchsize=3)


@pytest.mark.parametrize(
    ("name", "value"),
    [("ridge", float("nan")), ("learning_rate", np.float32("inf")), ("weight", {"a": float("-inf")})],
)
def test_numbers_that_are_not_finite_are_refused_before_anything_runs(name: str, value: Any) -> None:
    features, nowhere = np.zeros((4, 2), np.float32), "/no/such/place"
    calls: list[Callable[[], object]] = [
        lambda: catalex.train(features, binary=nowhere, **{name: value}),
        lambda: catalex.SemanticIdEncoder(binary=nowhere, **{name: value}).fit(features),
        lambda: catalex.build("c.csv", out="o", binary=nowhere, **{name: value}),
        lambda: catalex.TrainConfig(**{name: value}).flags(),
    ]
    for call in calls:
        with pytest.raises(catalex.ConfigError, match=rf"setting {name}: expected a finite number, got .*(nan|inf)"):
            call()
    with pytest.raises(ValueError, match="max_unknown_events: expected a finite number"):
        catalex.embed("c.csv", out="o.parquet", max_unknown_events=float("nan"), binary=nowhere)
