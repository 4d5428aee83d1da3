"""`evaluate`, `resolve_collisions` and `Vocabulary` give the same results as the command line."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made import done, write_tokenizer
from shop import ITEMS, LEVELS, SIZE, Shop

import catalex


def test_evaluate_equals_inspect(shop: Shop) -> None:
    tokens, features, model = shop.folder / "tokens.parquet", shop.folder / "x.npy", shop.folder / "model"
    plain = json.loads(done("inspect", tokens, "--json"))
    assert catalex.evaluate(shop.table) == plain
    full = json.loads(done("inspect", tokens, "--features", features, "--model", model, "--json"))
    assert full["neighbours"]["recall"] > 0.1 and full["reconstruction"]["before_resolution"] < 0.5
    for given in (features, shop.vectors, catalex.Features(features), shop.vectors.astype("f8")):
        assert catalex.evaluate(shop.table, model=shop.tokenizer, features=given) == full
    shown = catalex.evaluate(shop.table, model=shop.tokenizer, features=features)._repr_html_()
    assert (
        f"{full['neighbours']['recall']:.1%} of 10" in shown
        and f"{full['reconstruction']['after_resolution']:.3f}" in shown
    )
    shown = catalex.evaluate(shop.table)._repr_html_()
    assert f"<caption>{ITEMS} items</caption>" in shown and shown.count("codes in use") == LEVELS
    assert "neighbours" not in shown


def test_labels_are_compared_with_prefixes(shop: Shop) -> None:
    labels = [f"group {code}" for code in shop.table.codes[:, 0]]
    labels[5] = ""
    figures = catalex.evaluate(shop.table, labels=labels, label="group")
    assert figures["labels"]["by_depth"][0]["purity"] == 1
    assert (figures["labels"]["label"], figures["labels"]["labelled"]) == ("group", ITEMS - 1)
    with pytest.raises(catalex.InputError, match="labels: expected 1500, got 2"):
        catalex.evaluate(shop.table, labels=["a", "b"])


def test_evaluate_requires_features_with_the_model(shop: Shop) -> None:
    with pytest.raises(catalex.InputError, match="together with model"):
        catalex.evaluate(shop.table, features=shop.vectors)
    with pytest.raises(catalex.InputError, match="features: expected together with model"):
        catalex.evaluate(shop.table, model=shop.tokenizer)
    with pytest.raises(catalex.InputError, match="items of the features"):
        catalex.evaluate(shop.table, model=shop.tokenizer, features=catalex.Features(shop.vectors[:9]))
    with pytest.raises(catalex.InputError, match="item_ids: expected 9"):
        catalex.evaluate(shop.table, model=shop.tokenizer, features=shop.vectors[:9])


def test_resolve_collisions_equals_tokenize(shop: Shop) -> None:
    kept = shop.tokenizer.tokenize(shop.vectors, collisions="keep")
    latents = shop.tokenizer.latents(shop.vectors)
    resolved = catalex.resolve_collisions(kept.codes, latents, shop.tokenizer)
    np.testing.assert_array_equal(resolved.codes, shop.table.codes)
    np.testing.assert_array_equal(resolved.reassigned, shop.table.reassigned)
    np.testing.assert_allclose(resolved.residual_error, shop.table.residual_error, rtol=1e-5)
    expected = shop.table.collision_report
    assert expected is not None
    for name, value in resolved.report.items():
        assert value == pytest.approx(expected[name], rel=1e-5)


def test_codes_of_another_quantizer_become_unique() -> None:
    rng = np.random.default_rng(0)
    books = [rng.normal(size=(8, 4)), 0.3 * rng.normal(size=(16, 4))]
    latents = rng.normal(size=(100, 4)).astype("f4")
    codes, rest = np.zeros((100, 2), int), latents.astype("f8")
    for level, book in enumerate(books):
        codes[:, level] = ((rest[:, None] - book) ** 2).sum(2).argmin(1)
        rest = rest - book[codes[:, level]]
    assert len(np.unique(codes, axis=0)) < 100
    ids = [f"item-{row:03}" for row in range(100)]
    resolved = catalex.resolve_collisions(codes, latents, books, item_ids=ids)
    assert len(np.unique(resolved.codes, axis=0)) == 100
    changed = (resolved.codes != codes).any(1)
    np.testing.assert_array_equal(changed, resolved.reassigned)
    assert resolved.report["moved"] == changed.sum() < 60
    table = catalex.TokenTable.from_codes(resolved.codes, [8, 16], item_ids=ids)
    assert table.lookup("item-000") == table.semantic_ids[0]
    # The result depends on the ids, not on the order of the rows.
    order = rng.permutation(100)
    again = catalex.resolve_collisions(codes[order], latents[order], books, item_ids=[ids[row] for row in order])
    np.testing.assert_array_equal(again.codes, resolved.codes[order])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"codes": np.zeros((3, 3), int)}, r"codes: expected a matrix \(n, 2\)"),
        ({"codes": np.full((3, 2), 9)}, "codes of level 0: expected below 4, got 9"),
        ({"codes": np.zeros((4, 2), int)}, r"latents: expected shape \(4, 2\), got shape \(3, 2\)"),
        ({"latents": np.zeros((3, 5))}, r"latents: expected a matrix \(n, 2\)"),
        ({"latents": np.full((3, 2), np.nan)}, r"latents\[0, 0\]: expected finite numbers, got NaN"),
        ({"codebooks": []}, "codebooks: expected one per level, got none"),
        ({"codebooks": [np.zeros((1, 2)), np.zeros((2, 2))]}, "expected at most 2"),
        ({"item_ids": [1, 1, 2]}, "item 1: expected one row per item id, got rows 1 and 2"),
        ({"item_ids": [1]}, "1 ids"),
    ],
)
def test_invalid_inputs_of_resolve_are_refused(change: dict[str, Any], says: str) -> None:
    given: dict[str, Any] = {
        "codes": np.zeros((3, 2), int),
        "latents": np.zeros((3, 2)),
        "codebooks": [np.zeros((4, 2)), np.ones((4, 2))],
        **change,
    }
    with pytest.raises(catalex.InputError, match=says):
        catalex.resolve_collisions(**given)


def test_the_vocabulary_equals_that_of_the_command_line(shop: Shop, tmp_path: Path) -> None:
    write_tokenizer(tmp_path / "hf")
    markers: dict[str, Any] = {"begin_token": "<|sid_begin|>", "end_token": "<|sid_end|>"}
    vocabulary = catalex.Vocabulary(shop.table)
    written = vocabulary.write(tmp_path / "a", tokenizer=tmp_path / "hf", pad_to_multiple_of=64, **markers)
    flags = ["--begin-token=<|sid_begin|>", "--end-token=<|sid_end|>", "--pad-to-multiple-of=64"]
    tokens = shop.folder / "tokens.parquet"
    done("vocab", tokens, "--tokenizer", tmp_path / "hf", *flags, "--out", tmp_path / "b")
    files = {p.relative_to(tmp_path / "b") for p in (tmp_path / "b").rglob("*") if p.is_file()}
    assert files == {p.relative_to(tmp_path / "a") for p in (tmp_path / "a").rglob("*") if p.is_file()}
    for file in files:
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes(), file
    assert written["tokens"] == len(vocabulary) == LEVELS * SIZE
    assert list(vocabulary) == written["add_tokens_list"][: len(vocabulary)]
    assert vocabulary[vocabulary.index(1, 5)] == "<b_5>" and vocabulary.offsets == [0, SIZE, 2 * SIZE]
    assert repr(vocabulary) == "Vocabulary(48 tokens, <a_0> to <c_15>)"
    assert "<b_0> to <b_15>" not in repr(vocabulary) and "level 1" in vocabulary._repr_html_()
    assert catalex.TokenIds.read(tmp_path / "a").first_id == written["tokenizer"]["first_id"]


def test_wrong_vocabularies_are_refused(shop: Shop, tmp_path: Path) -> None:
    vocabulary = catalex.Vocabulary(shop.folder / "tokens.parquet")
    vocabulary.write(tmp_path / "v")
    with pytest.raises(catalex.ResourceError, match="already exists"):
        vocabulary.write(tmp_path / "v")
    vocabulary.write(tmp_path / "v", force=True)
    with pytest.raises(catalex.ConfigError, match="pad-to-multiple-of"):
        vocabulary.write(tmp_path / "w", pad_to_multiple_of=8)
    with pytest.raises(catalex.ConfigError, match="begin-token"):
        vocabulary.write(tmp_path / "w", begin_token="a b")
    with pytest.raises(catalex.ConfigError, match="setting gguf: expected a value for --llm"):
        vocabulary.write(tmp_path / "w", gguf="model.gguf")
    with pytest.raises(catalex.ConfigError, match="setting llm: expected a value for --tokenizer"):
        vocabulary.write(tmp_path / "w", llm=tmp_path)
    with pytest.raises(catalex.ConfigError, match="start-values"):
        vocabulary.write(tmp_path / "w", llm=tmp_path, tokenizer=tmp_path, start_values="random")
    with pytest.raises(catalex.InputError, match="does not exist"):
        vocabulary.write(tmp_path / "w", tokenizer=tmp_path / "none")
    with pytest.raises(IndexError, match="no code 16 at level 0"):
        vocabulary.index(0, 16)
    assert not (tmp_path / "w").exists()
