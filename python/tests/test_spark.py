"""`catalex.spark` on a real cluster of two executors gives the same result for each item as one machine."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import scale_made
from conftest import ROOT
from scale_made import Crowd, assert_same
from shop import Shop

import catalex

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

if find_spec("pyspark") is None:
    pytest.skip("SKIPPED: PySpark is not installed (python/requirements-test-spark.txt)", allow_module_level=True)
if shutil.which("java") is None and "JAVA_HOME" not in os.environ:
    pytest.skip("SKIPPED: there is no Java here, which Spark needs (17 or later)", allow_module_level=True)

ITEMS = 200_000


def home(folder: Path) -> Path:
    """A SPARK_HOME whose workers write next to it and not into the installed package."""
    spec = find_spec("pyspark")
    assert spec is not None and spec.origin is not None
    folder.mkdir()
    for part in Path(spec.origin).parent.iterdir():
        if part.name != "work":
            (folder / part.name).symlink_to(part)
    return folder


@pytest.fixture(scope="module")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    folder = tmp_path_factory.mktemp("spark")
    environment = {"SPARK_HOME": str(home(folder / "home")), "PYSPARK_PYTHON": sys.executable}
    environment["SPARK_LOCAL_IP"] = "127.0.0.1"
    patch = pytest.MonkeyPatch()
    for name, value in environment.items():
        patch.setenv(name, value)
    from pyspark.sql import SparkSession  # noqa: PLC0415 - it may not be here

    settings = {
        "spark.ui.enabled": "false",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.executor.memory": "1g",
        "spark.local.dir": str(folder / "local"),
        "spark.sql.warehouse.dir": str(folder / "warehouse"),
        "spark.sql.shuffle.partitions": "4",
        # The executors import the tested package.
        "spark.executorEnv.PYTHONPATH": os.pathsep.join(sys.path),
    }
    builder = SparkSession.builder.master("local-cluster[2,1,1024]").appName("catalex")
    for name, value in settings.items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("OFF")
    yield session
    session.stop()
    patch.undo()


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Crowd:
    return scale_made.crowd(tmp_path_factory.mktemp("crowd"), ITEMS, levels=4, giant=3_000)


@pytest.fixture(scope="module")
def tokenized(spark: SparkSession, crowd: Crowd) -> DataFrame:
    """Codes of items from Parquet files, written to Parquet files and read again."""
    from catalex import spark as engine  # noqa: PLC0415

    codes = engine.tokenize(spark.read.parquet(str(crowd.items)), crowd.model)
    codes.write.parquet(str(crowd.folder / "codes"))
    return spark.read.parquet(str(crowd.folder / "codes"))


def executors() -> list[int]:
    """Processes of this session's executors."""
    listed = subprocess.run(["ps", "-ww", "-eo", "pid,ppid,args"], capture_output=True, text=True, check=True).stdout
    rows = [line.split(None, 2) for line in listed.splitlines()[1:]]
    parents = {int(pid): int(parent) for pid, parent, *_ in rows}

    def is_ours(pid: int) -> bool:
        while pid in parents and pid != os.getpid():
            pid = parents[pid]
        return pid == os.getpid()

    found = [int(pid) for pid, _, *rest in rows if rest and "CoarseGrainedExecutorBackend" in rest[0]]
    return [pid for pid in found if is_ours(pid)]


def test_the_items_have_overfull_prefixes(crowd: Crowd) -> None:
    prefixes, most = scale_made.overfull(crowd)
    assert prefixes > 0 and most <= scale_made.SIZE**3
    assert crowd.alone["reassigned"].to_numpy().sum() > 3_000


def test_ids_equal_those_of_one_machine_after_an_executor_is_killed(
    spark: SparkSession, crowd: Crowd, tokenized: DataFrame
) -> None:
    from catalex import spark as engine  # noqa: PLC0415

    tokenized.count()  # executors are up
    before = executors()
    assert len(before) == 2
    resolved = engine.resolve(tokenized, crowd.model)
    killed = threading.Timer(1, os.kill, (before[0], signal.SIGKILL))
    killed.start()
    resolved.write.parquet(str(crowd.folder / "tokens"))
    killed.join()
    assert before[0] not in executors()
    assert_same(pq.read_table(crowd.folder / "tokens"), crowd)


def test_other_buckets_and_partitions_change_nothing(spark: SparkSession, crowd: Crowd, tokenized: DataFrame) -> None:
    from catalex import spark as engine  # noqa: PLC0415

    resolved = engine.resolve(tokenized.repartition(3), crowd.model, buckets=7, check_ids=False)
    assert_same(resolved.toArrow(), crowd)


@pytest.mark.parametrize(("n", "levels", "giant"), [(40_000, 4, 3_000), (6_000, 3, 1_500)])
def test_new_items_get_the_same_free_codes_as_on_one_machine(
    spark: SparkSession, tmp_path: Path, n: int, levels: int, giant: int
) -> None:
    from catalex import spark as engine  # noqa: PLC0415

    items, occupied, new = scale_made.grown(scale_made.crowd(tmp_path / "crowd", n, levels=levels, giant=giant))
    engine.tokenize(spark.read.parquet(str(items)), new.model).write.parquet(str(tmp_path / "codes"))
    codes = spark.read.parquet(str(tmp_path / "codes"))
    taken = spark.read.parquet(str(occupied))
    assert_same(engine.resolve(codes, new.model, occupied=taken).toArrow(), new)
    with pytest.raises(catalex.InputError, match="occupied: expected a column 'codes'"):
        engine.resolve(codes, new.model, occupied=codes.select("item_id"))
    with pytest.raises(catalex.InputError, match="occupied: expected a Spark DataFrame, got list"):
        engine.resolve(codes, new.model, occupied=[[1, 2, 3]])


def test_items_that_leave_their_first_code(spark: SparkSession, tmp_path: Path) -> None:
    """One first code has more items than there are codes after it."""
    from catalex import spark as engine  # noqa: PLC0415

    small = scale_made.crowd(tmp_path / "small", 6_000, levels=3, giant=1_500)
    assert (np.bincount(np.array(small.alone["codes"].to_pylist())[:, 0]) == scale_made.SIZE**2).any()
    rows = engine.tokenize(spark.read.parquet(str(small.items)), small.model).cache()
    assert_same(engine.resolve(rows, small.model).toArrow(), small)


def test_ids_can_be_strings_and_the_model_a_folder(spark: SparkSession, shop: Shop) -> None:
    from catalex import spark as engine  # noqa: PLC0415

    names = [f"item {row}" for row in range(len(shop.vectors))]
    rows = pa.table({"name": names, "vector": list(shop.vectors.astype(np.float64))})
    df = spark.createDataFrame(rows)
    found = engine.resolve(
        engine.tokenize(df, shop.folder / "model", "vector", "name"), shop.folder / "model"
    ).toArrow()
    table = engine.token_table(found, shop.tokenizer)
    assert dict(table) == dict(zip(names, shop.table.semantic_ids, strict=True))
    assert table.model_hash == shop.tokenizer.hash


def failing(call: Any) -> str:
    with pytest.raises(Exception) as caught:
        call()
    return str(caught.value)


@pytest.mark.parametrize(
    ("columns", "arguments", "expected"),
    [
        ({"id": [1]}, {}, "expected a column 'item_id', got columns id"),
        ({"item_id": [1]}, {}, "expected a column 'text', got columns item_id"),
        ({"item_id": [1], "text": ["pen"]}, {}, "column 'text': expected array<float> or array<double>, got string"),
        ({"item_id": [1], "text": [[1, 2]]}, {}, "got array<bigint>"),
        (
            {"item_id": [1.5], "text": [[1.0]]},
            {},
            "column 'item_id': expected item ids: integers or strings, got double",
        ),
        ({"item_id": [1], "text": [[1.0]]}, {"features": ["text", "image"]}, "features: expected the model's 1"),
        ({"item_id": [1], "text": [[1.0]]}, {"model": 3}, "model: expected a Tokenizer or its folder, got int"),
    ],
)
def test_wrong_calls_are_refused_at_once(
    spark: SparkSession, shop: Shop, columns: dict[str, list[Any]], arguments: dict[str, Any], expected: str
) -> None:
    from catalex import spark as engine  # noqa: PLC0415

    df = spark.createDataFrame(pa.table(columns))
    given = {"model": shop.tokenizer, **arguments}
    with pytest.raises(catalex.InputError) as caught:
        engine.tokenize(df, **given)
    assert expected in str(caught.value)


def test_no_data_frame_is_refused(shop: Shop) -> None:
    from catalex import spark as engine  # noqa: PLC0415

    with pytest.raises(catalex.InputError, match="df: expected a Spark DataFrame, got list"):
        engine.tokenize([1], shop.tokenizer)


@pytest.mark.parametrize(
    ("ids", "vectors", "expected"),
    [
        ([1, None], [[0.5] * 24, [0.5] * 24], "column 'item_id': expected an item id in each row, got 1 null"),
        ([1, 2], [[0.5] * 24, [0.5] * 23], "24"),
        ([1, 2], [[0.5] * 24, None], "a vector in at least one of"),
        ([1, 2], [[0.5] * 24, [float("nan")] * 24], "NaN"),
    ],
)
def test_bad_rows_are_named(spark: SparkSession, shop: Shop, ids: list[Any], vectors: list[Any], expected: str) -> None:
    from catalex import spark as engine  # noqa: PLC0415

    df = spark.createDataFrame(pa.table({"item_id": pa.array(ids, pa.int64()), "text": vectors}))
    assert expected in failing(lambda: engine.tokenize(df, shop.tokenizer).toArrow())


def test_invalid_inputs_of_resolve_are_refused(spark: SparkSession, shop: Shop) -> None:
    from catalex import spark as engine  # noqa: PLC0415

    rows = pa.table({"item_id": [7, 8, 7], "text": list(shop.vectors[:3])})
    codes = engine.tokenize(spark.createDataFrame(rows).repartition(3), shop.tokenizer)
    assert "item 7: expected one row per item id, got 2 rows" in failing(lambda: engine.resolve(codes, shop.tokenizer))
    without = codes.drop("latent")
    assert "expected a column 'latent'" in failing(lambda: engine.resolve(without, shop.tokenizer))
    assert "buckets: expected a number above 0, got 0" in failing(
        lambda: engine.resolve(codes, shop.tokenizer, buckets=0)
    )


def test_the_pages_code_runs(spark: SparkSession, shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs the example of docs/scale.md unchanged."""
    page = (ROOT / "docs" / "scale.md").read_text(encoding="utf-8")
    code = page.split("<!-- tested by test_spark.py -->\n```python\n")[1].split("```")[0]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model").symlink_to(shop.folder / "model")
    ids = pa.array(range(len(shop.vectors)))
    pq.write_table(pa.table({"item_id": ids, "text": list(shop.vectors)}), tmp_path / "features.parquet")
    # Relative paths start from the folder in which Spark's process was started.
    for name in ("features.parquet", "codes", "tokens"):
        code = code.replace(f'parquet("{name}")', f'parquet("{tmp_path / name}")')
    names: dict[str, Any] = {"spark": spark}
    exec(code, names)
    assert dict(names["table"]) == dict(shop.table)
