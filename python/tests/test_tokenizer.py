"""`catalex.Tokenizer`: the same codes as the command line, all kinds of matrices, and refused inputs."""

import copy
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from shop import DIM, ITEMS, LEVELS, SIZE, Shop

import catalex

Layout = Callable[[npt.NDArray[Any], Path], npt.NDArray[Any]]


def strided(x: npt.NDArray[Any], _: Path) -> npt.NDArray[Any]:
    wide = np.zeros((2 * len(x), 3 * x.shape[1]), x.dtype)
    wide[::2, 1::3] = x
    return wide[::2, 1::3]


def backwards(x: npt.NDArray[Any], _: Path) -> npt.NDArray[Any]:
    return np.ascontiguousarray(x[::-1, ::-1])[::-1, ::-1]


def read_only(x: npt.NDArray[Any], _: Path) -> npt.NDArray[Any]:
    x = x.copy()
    x.flags.writeable = False
    return x


def mapped(x: npt.NDArray[Any], folder: Path) -> npt.NDArray[Any]:
    np.save(folder / "m.npy", x)
    memory: npt.NDArray[Any] = np.load(folder / "m.npy", mmap_mode="r")
    return memory


def unaligned(x: npt.NDArray[Any], _: Path) -> npt.NDArray[Any]:
    raw = np.zeros(x.nbytes + 1, np.uint8)
    raw[1:] = np.ascontiguousarray(x).view(np.uint8).ravel()
    return raw[1:].view(x.dtype).reshape(x.shape)


def big_endian(x: npt.NDArray[Any], _: Path) -> npt.NDArray[Any]:
    return x.astype(x.dtype.newbyteorder(">"))


LAYOUTS: list[Layout] = [
    lambda x, _: x,
    lambda x, _: np.asfortranarray(x),
    strided,
    backwards,
    read_only,
    mapped,
    unaligned,
    big_endian,
]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_matrices_of_every_kind_give_the_same_codes(shop: Shop, tmp_path: Path, layout: Layout, dtype: str) -> None:
    x = shop.vectors.astype(dtype)
    expected = shop.tokenizer.encode(x.astype("float32"))
    given = layout(x, tmp_path)
    before = given.copy()
    codes = shop.tokenizer.encode(given)
    assert codes.dtype == np.uint16 and codes.shape == (ITEMS, LEVELS)
    np.testing.assert_array_equal(codes, expected)
    np.testing.assert_array_equal(given, before)
    assert shop.tokenizer.tokenize(given) == shop.tokenizer.tokenize(x.astype("float32"))


def test_float32_is_not_copied(shop: Shop) -> None:
    from catalex._arrays import floats  # noqa: PLC0415

    for given in (shop.vectors, np.asfortranarray(shop.vectors), shop.vectors[::2, :], shop.vectors[:, ::-1]):
        assert np.shares_memory(floats(given, "X"), given)


def test_codes_and_ids_equal_those_of_the_command_line(shop: Shop) -> None:
    table = shop.tokenizer.tokenize(shop.folder / "x.npy")
    assert table == shop.table == shop.tokenizer.tokenize(shop.vectors)
    kept = shop.tokenizer.tokenize(shop.vectors, collisions="keep")
    np.testing.assert_array_equal(shop.tokenizer.encode(shop.vectors), kept.codes)
    assert shop.tokenizer.semantic_ids(table.codes) == table.semantic_ids
    assert shop.tokenizer.semantic_ids(table.codes[:2, :1], token_format="[{index}:{code}]")[0].startswith("[0:")
    np.testing.assert_array_equal(shop.tokenizer.parse_ids(table.semantic_ids), table.codes)
    assert shop.tokenizer.parse_ids(["<a_3><b_1>"]).tolist() == [[3, 1]]
    with pytest.raises(catalex.InputError, match="the same number of codes in each, got 1 and 2"):
        shop.tokenizer.parse_ids(["<a_3>", "<a_3><b_1>"])
    # Row by row as in one go.
    np.testing.assert_array_equal(
        np.concatenate([shop.tokenizer.encode(shop.vectors[i : i + 1]) for i in range(40)]), kept.codes[:40]
    )


def test_decoding_approximates_the_vectors_and_errors_match_the_codebooks(shop: Shop) -> None:
    codes = shop.tokenizer.encode(shop.vectors)
    decoded = shop.tokenizer.decode(codes)
    assert decoded.dtype == np.float32 and decoded.shape == (ITEMS, DIM)
    error = ((decoded - shop.vectors) ** 2).sum() / ((shop.vectors - shop.vectors.mean(0)) ** 2).sum()
    assert error < 0.5
    np.testing.assert_array_equal(decoded, shop.tokenizer.decode(codes.astype(np.int64)))
    latents = shop.tokenizer.latents(shop.vectors)
    assert latents.shape == (ITEMS, shop.tokenizer.latent_dim)
    summed = sum(book[codes[:, level]] for level, book in enumerate(shop.tokenizer.codebooks))
    kept = shop.tokenizer.tokenize(shop.vectors, collisions="keep")
    np.testing.assert_allclose(((latents - summed) ** 2).sum(1), kept.residual_error, rtol=1e-3, atol=1e-4)


def test_properties_describe_the_model(shop: Shop) -> None:
    t = shop.tokenizer
    assert (t.levels, t.codebook_sizes, t.dim, t.modalities) == (LEVELS, [SIZE] * LEVELS, DIM, {"features": DIM})
    assert t.config["weights_sha256"] == t.hash == shop.table.model_hash
    assert repr(t) == f"Tokenizer(features {DIM} -> {t.latent_dim} -> {LEVELS} x {SIZE} codes, {t.hash[:12]})"
    assert t._repr_html_().startswith("<table>") and "1500 items" in t._repr_html_()


def test_it_is_copied_pickled_and_saved(shop: Shop, tmp_path: Path) -> None:
    shop.tokenizer.save(tmp_path / "model")
    others = [copy.copy(shop.tokenizer), copy.deepcopy(shop.tokenizer), catalex.Tokenizer.load(tmp_path / "model")]
    others += [pickle.loads(pickle.dumps(shop.tokenizer, protocol)) for protocol in (2, 5)]
    for other in others:
        assert other == shop.tokenizer and hash(other) == hash(shop.tokenizer)
        np.testing.assert_array_equal(other.encode(shop.vectors), shop.tokenizer.encode(shop.vectors))
    for name in ("config.json", "model.safetensors"):
        assert (tmp_path / "model" / name).read_bytes() == (shop.folder / "model" / name).read_bytes()


def test_modalities_are_passed_by_name(shop: Shop) -> None:
    codes = shop.tokenizer.encode(shop.vectors)
    np.testing.assert_array_equal(shop.tokenizer.encode({"features": shop.vectors}), codes)
    everything = np.ones((ITEMS, 1), bool)
    np.testing.assert_array_equal(shop.tokenizer.encode(shop.vectors, present=everything), codes)
    missing = everything.copy()
    missing[7] = False
    without = shop.tokenizer.encode(shop.vectors, present=missing)
    assert (np.flatnonzero((without != codes).any(1)) == [7]).all()


def test_features_round_trip(shop: Shop, tmp_path: Path) -> None:
    ids = [f"item-{row}" for row in range(ITEMS)]
    both = {"text": shop.vectors[:, :4], "image": shop.vectors[:, 4:]}
    present = np.ones((ITEMS, 2), bool)
    present[[3, 9], 1] = False
    features = catalex.Features(both, item_ids=ids, present=present)
    features.write(tmp_path / "f.parquet")
    for given in (features, catalex.Features(tmp_path / "f.parquet"), catalex.Features._whole(tmp_path / "f.parquet")):
        assert given.item_ids == ids
        np.testing.assert_array_equal(given.vectors("text"), both["text"])
        image = given.vectors("image")
        assert np.isnan(image[~present[:, 1]]).all()
        np.testing.assert_array_equal(image[present[:, 1]], both["image"][present[:, 1]])
        side_by_side = np.hstack([given.vectors(name) for name in given.modalities])
        np.testing.assert_array_equal(given.vectors(), side_by_side)
        with pytest.raises(catalex.InputError, match=r"modality: expected one of .*, got txt; check its spelling"):
            given.vectors("txt")
    assert catalex.Features(shop.vectors).item_ids == list(range(ITEMS))
    assert "text</th>" in features._repr_html_() and "4 numbers" in features._repr_html_()


def test_empty_input_gives_empty_output(shop: Shop) -> None:
    assert shop.tokenizer.encode(np.zeros((0, DIM), "f4")).shape == (0, LEVELS)
    assert shop.tokenizer.decode(np.zeros((0, LEVELS), int)).shape == (0, DIM)


def bad(row: int, column: int, value: float) -> npt.NDArray[Any]:
    x = np.zeros((2_000, DIM))
    x[row, column] = value
    return x


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (np.zeros(DIM), rf"X: expected a matrix \(n, {DIM}\) of float16.*got shape \({DIM},\).*reshape"),
        (np.zeros((2, 3, DIM)), rf"got shape \(2, 3, {DIM}\); give one row per item"),
        (np.zeros((2, DIM + 1)), rf"expected a matrix \(n, {DIM}\).*got shape \(2, {DIM + 1}\)"),
        (np.zeros((2, DIM), int), r"got dtype int64; convert it: X\.astype"),
        (np.zeros((2, DIM), complex), "got dtype complex128"),
        (np.zeros((2, DIM), object), r"got dtype object; stack the vectors.*numpy\.stack"),
        ([["a"] * DIM], "got dtype <U1"),
        ([[1.0, 2.0], [1.0]], "expected a matrix"),
        (None, "got dtype object"),
        (np.array([np.zeros(DIM), None], object), "got dtype object"),
        (bad(1_234, 5, np.nan), r"X\[1234, 5\]: expected finite numbers, got NaN"),
        (bad(3, 0, -np.inf), r"X\[3, 0\]: expected finite numbers, got -inf"),
        (bad(3, 0, 1e300), r"X\[3, 0\]: expected finite numbers, got inf"),
        (np.ma.masked_array(np.full((1, DIM), 2.0), mask=True, fill_value=np.nan), r"X\[0, 0\]: expected finite"),
        ({"text": np.zeros((2, DIM))}, "modalities of X: expected features, got text"),
        ({"features": np.zeros((2, 3))}, rf"X\['features'\]: expected a matrix \(n, {DIM}\)"),
        ({}, "an empty mapping"),
    ],
)
def test_wrong_matrices_are_refused(shop: Shop, given: Any, says: str) -> None:
    with pytest.raises(catalex.InputError, match=says):
        shop.tokenizer.encode(given)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (np.zeros((2, LEVELS)), r"codes: expected a matrix \(n, 3\) of integers.*got dtype float64"),
        (np.zeros((2, LEVELS + 1), int), r"got shape \(2, 4\); give one code per level"),
        (np.zeros(LEVELS, int), r"got shape \(3,\)"),
        (np.full((2, LEVELS), -1), r"codes\[0, 0\]: expected 0 to 65535, got -1"),
        (np.array([[0, 0, 0], [0, 70_000, 0]]), r"codes\[1, 1\]: expected 0 to 65535, got 70000"),
        (np.array([[0, 0, 0], [0, SIZE, 0]]), "codes of level 1: expected below 16, got 16"),
    ],
)
def test_wrong_codes_are_refused(shop: Shop, given: Any, says: str) -> None:
    with pytest.raises(catalex.InputError, match=says):
        shop.tokenizer.decode(given)


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        (
            {"present": np.ones((3, 1), bool)},
            catalex.InputError,
            rf"present: expected booleans of shape \({ITEMS}, 1\)",
        ),
        ({"present": np.ones((ITEMS, 1))}, catalex.InputError, "got float64 of shape"),
        ({"item_ids": [1, 2]}, catalex.InputError, "item_ids: expected 1500, one per row, got 2"),
        ({"item_ids": [7] * ITEMS}, catalex.InputError, "rows 1 and 2"),
        ({"item_ids": np.zeros((ITEMS, 2), int)}, catalex.InputError, "give a list"),
        ({"item_ids": [1.5] * ITEMS}, catalex.InputError, r"item_ids\[0\]: expected integers or strings"),
        ({"item_ids": ["a", 1] * (ITEMS // 2)}, catalex.InputError, "item_ids"),
        ({"item_ids": [None] * ITEMS}, catalex.InputError, r"item_ids\[0\]"),
        ({"item_ids": np.full(ITEMS, 2**63, np.uint64)}, catalex.InputError, "signed 64-bit integers"),
        ({"id": "item"}, catalex.InputError, "id: expected none with matrices"),
        ({"token_format": "{code}"}, catalex.ConfigError, "token-format"),
        ({"collisions": "drop"}, catalex.ConfigError, "resolve, keep, suffix or lc-rec"),
    ],
)
def test_wrong_arguments_are_refused(shop: Shop, arguments: dict[str, Any], error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        shop.tokenizer.tokenize(shop.vectors, **arguments)


def test_wrong_items_are_named(shop: Shop) -> None:
    x = shop.vectors.copy()
    x[9, 2] = np.nan
    with pytest.raises(catalex.InputError, match="item pen-9: expected finite numbers"):
        shop.tokenizer.tokenize(x, item_ids=[f"pen-{row}" for row in range(ITEMS)])
    missing = np.ones(ITEMS, bool)
    missing[4] = False
    with pytest.raises(catalex.InputError, match="item 4: expected a vector"):
        shop.tokenizer.tokenize(shop.vectors, present=missing)


def test_a_folder_that_is_not_a_model_is_refused(shop: Shop, tmp_path: Path) -> None:
    with pytest.raises(catalex.ModelError, match="does not exist"):
        catalex.Tokenizer.load(tmp_path)
    model = tmp_path / "model"
    shop.tokenizer.save(model)
    with pytest.raises(catalex.ResourceError, match="already exists"):
        shop.tokenizer.save(model)
    shop.tokenizer.save(model, force=True)
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps({**config, "format_version": 99}))
    with pytest.raises(catalex.ModelError, match="version 99"):
        catalex.Tokenizer.load(model)
    shop.tokenizer.save(model, force=True)
    weights = bytearray((model / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (model / "model.safetensors").write_bytes(weights)
    with pytest.raises(catalex.ModelError, match="SHA-256"):
        catalex.Tokenizer.load(model)
    assert issubclass(catalex.ModelError, catalex.ArtifactError)
