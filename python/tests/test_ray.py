"""`catalex.ray` on a local Ray cluster gives the same result for each item as one machine."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import scale_made
from conftest import ROOT
from scale_made import Crowd, assert_same
from shop import Shop

import catalex

if find_spec("ray") is None:
    pytest.skip("SKIPPED: Ray is not installed (python/requirements-test.txt)", allow_module_level=True)

ITEMS = 40_000


@pytest.fixture(scope="module", autouse=True)
def ray() -> Iterator[Any]:
    patch = pytest.MonkeyPatch()
    # A local cluster without log output and usage reports.
    patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    patch.setenv("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
    import ray  # noqa: PLC0415 - it may not be here

    ray.init(
        # More CPUs than needed, because actors of a failed job keep theirs for a while.
        num_cpus=6,
        include_dashboard=False,
        object_store_memory=300_000_000,
        log_to_driver=False,
        runtime_env={"env_vars": {"PYTHONPATH": os.pathsep.join(sys.path)}},
    )
    ray.data.DataContext.get_current().enable_progress_bars = False
    yield ray
    ray.shutdown()
    patch.undo()


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Crowd:
    return scale_made.crowd(tmp_path_factory.mktemp("crowd"), ITEMS, levels=4, giant=3_000)


def collected(ds: Any, folder: Path) -> pa.Table:
    """The Parquet output of a data set."""
    ds.write_parquet(str(folder))
    return pq.read_table(folder)


def test_ids_equal_those_of_one_machine(ray: Any, crowd: Crowd, tmp_path: Path) -> None:
    from catalex import ray as engine  # noqa: PLC0415

    prefixes, _ = scale_made.overfull(crowd)
    assert prefixes > 0
    codes = engine.tokenize(ray.data.read_parquet(str(crowd.items)), crowd.model).materialize()
    assert_same(collected(engine.resolve(codes, crowd.model), tmp_path / "tokens"), crowd)


def test_items_that_leave_their_first_code(ray: Any, tmp_path: Path) -> None:
    from catalex import ray as engine  # noqa: PLC0415

    small = scale_made.crowd(tmp_path / "small", 6_000, levels=3, giant=1_500)
    codes = engine.tokenize(ray.data.read_parquet(str(small.items)), small.model, concurrency=1).materialize()
    found = engine.resolve(codes, small.model, buckets=3, check_ids=False)
    assert_same(collected(found, tmp_path / "tokens"), small)


@pytest.mark.parametrize(("n", "levels", "giant"), [(20_000, 4, 3_000), (6_000, 3, 1_500)])
def test_new_items_get_the_same_free_codes_as_on_one_machine(
    ray: Any, tmp_path: Path, n: int, levels: int, giant: int
) -> None:
    from catalex import ray as engine  # noqa: PLC0415

    items, occupied, new = scale_made.grown(scale_made.crowd(tmp_path / "crowd", n, levels=levels, giant=giant))
    codes = engine.tokenize(ray.data.read_parquet(str(items)), new.model, concurrency=1).materialize()
    taken = ray.data.read_parquet(str(occupied))
    found = engine.resolve(codes, new.model, occupied=taken, buckets=5)
    assert_same(collected(found, tmp_path / "tokens"), new)
    with pytest.raises(catalex.InputError, match="occupied: expected a column 'codes'"):
        engine.resolve(codes, new.model, occupied=ray.data.from_arrow(pa.table({"code": [1]})))
    with pytest.raises(catalex.InputError, match="occupied: expected a Ray Dataset, got list"):
        engine.resolve(codes, new.model, occupied=[[1, 2, 3]])


@pytest.mark.parametrize(
    ("columns", "arguments", "expected"),
    [
        ({"id": [1]}, {}, "expected a column 'item_id', got columns id"),
        ({"item_id": [1]}, {}, "expected a column 'text', got columns item_id"),
        ({"item_id": [1], "text": [[1.0]]}, {"features": ["text", "image"]}, "features: expected the model's 1"),
    ],
)
def test_wrong_calls_are_refused_at_once(
    ray: Any, shop: Shop, columns: dict[str, list[Any]], arguments: dict[str, Any], expected: str
) -> None:
    from catalex import ray as engine  # noqa: PLC0415

    with pytest.raises(catalex.InputError) as caught:
        engine.tokenize(ray.data.from_arrow(pa.table(columns)), shop.tokenizer, **arguments)
    assert expected in str(caught.value)
    with pytest.raises(catalex.InputError, match="ds: expected a Ray Dataset, got list"):
        engine.tokenize([1], shop.tokenizer)


def test_bad_rows_are_named(ray: Any, shop: Shop) -> None:
    from catalex import ray as engine  # noqa: PLC0415

    rows = pa.table({"item_id": pa.array([1, None]), "text": [[0.5] * 24] * 2})
    with pytest.raises(Exception, match="expected an item id in each row, got 1 null"):
        engine.tokenize(ray.data.from_arrow(rows), shop.tokenizer, concurrency=1).materialize()
    rows = pa.table({"item_id": [7, 8, 7], "text": list(shop.vectors[:3])})
    parts = ray.data.from_arrow([rows.slice(0, 2), rows.slice(2)])
    # The rows can be in one Ray block or in two.
    twice = "item 7: expected one row per item id, got 2 rows|expected an id not used before, got 7"
    with pytest.raises(Exception, match=twice):
        engine.resolve(engine.tokenize(parts, shop.tokenizer, concurrency=1).materialize(), shop.tokenizer)
    without = ray.data.from_arrow(pa.table({"item_id": [1], "codes": [[1, 2, 3]], "residual_error": [0.5]}))
    with pytest.raises(catalex.InputError, match="expected a column 'latent'"):
        engine.resolve(without, shop.tokenizer)


def test_the_pages_code_runs(ray: Any, shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs the example of docs/scale.md unchanged."""
    page = (ROOT / "docs" / "scale.md").read_text(encoding="utf-8")
    code = page.split("<!-- tested by test_ray.py -->\n```python\n")[1].split("```")[0]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model").symlink_to(shop.folder / "model")
    rows = pa.table({"item_id": np.arange(len(shop.vectors)), "text": list(shop.vectors)})
    pq.write_table(rows, tmp_path / "features.parquet")
    names: dict[str, Any] = {}
    # Relative paths start from the working folder of Ray's workers.
    for name in ("features.parquet", "tokens"):
        code = code.replace(f'"{name}"', f'"{tmp_path / name}"')
    exec(code, names)
    assert dict(names["table"]) == dict(shop.table)
