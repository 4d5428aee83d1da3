"""`catalex.TokenTable`, and Arrow's protocol with each library that supports it."""

import copy
import pickle
from pathlib import Path
from typing import Any

import duckdb
import nanoarrow
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from made import done
from shop import DIM, ITEMS, LEVELS, SIZE, Shop

import catalex

COLUMNS = ["item_id", "codes", "semantic_id", "residual_error", "reassigned"]


def test_columns_equal_those_of_the_file(shop: Shop) -> None:
    file = pq.read_table(shop.folder / "tokens.parquet")
    table = shop.table
    assert table.item_ids == file["item_id"].to_pylist() == list(range(ITEMS))
    assert table.semantic_ids == file["semantic_id"].to_pylist()
    assert table.codes.tolist() == file["codes"].to_pylist()
    assert table.residual_error.tolist() == file["residual_error"].to_pylist()
    assert table.reassigned.tolist() == file["reassigned"].to_pylist()
    assert table.reassigned.any()
    report = table.collision_report
    assert report is not None and report["moved"] == table.reassigned.sum()
    assert (table.levels, table.codebook_sizes, table.token_format) == (LEVELS, [SIZE] * LEVELS, "<{level}_{code}>")
    assert (len(table), table.collisions) == (ITEMS, "resolve")
    assert repr(table) == f"TokenTable(1500 items, 3 levels, {table.semantic_ids[0]} ...)"
    assert table._repr_html_().count("<tr>") == 5


def test_items_ids_and_prefixes_find_each_other(shop: Shop) -> None:
    table, tokens = shop.table, shop.folder / "tokens.parquet"
    for item in (0, 7, 1499):
        semantic_id = table.lookup(item)
        assert done("lookup", tokens, "--item", str(item)).split("\t")[0] == semantic_id
        assert table.items(semantic_id) == [item] == table.items(table.codes[item].tolist())
        assert table.lookup(str(item)) == semantic_id
        prefix = semantic_id.split(">")[0] + ">"
        printed = [int(line.split("\t")[1]) for line in done("lookup", tokens, prefix).splitlines()]
        assert table.items(prefix) == printed == table.items(table.codes[item, :1])
        assert table.lookup(item, levels=1) == prefix and table.lookup(item, levels=LEVELS) == semantic_id
    for levels in (1, LEVELS):
        groups = table.prefixes(levels)
        assert [item for items in groups.values() for item in items] == table.items()
        assert all(items == table.items(prefix) for prefix, items in list(groups.items())[:9])
        assert len(groups) == len(np.unique(table.codes[:, :levels], axis=0))
    with pytest.raises(catalex.InputError, match="levels: expected 1 to 3, got 4; ask for"):
        table.lookup(7, levels=4)
    with pytest.raises(catalex.InputError, match="levels: expected 1 to 3, got 0"):
        table.prefixes(0)
    assert len(table.items()) == ITEMS
    assert 7 in table and 1500 not in table and "x" not in table
    assert dict(table)[7] == table.lookup(7)
    unused = next(code for code in range(SIZE) if not (table.codes[:, :2] == [0, code]).all(1).any())
    assert table.items([0, unused]) == []
    with pytest.raises(catalex.InputError, match="item pen: expected an item of the token table, got none of its 1500"):
        table.lookup("pen")
    with pytest.raises(catalex.InputError, match="a code below 16"):
        table.items("<a_16>")
    with pytest.raises(catalex.InputError, match="integers from 0"):
        table.items([0.5])  # type: ignore[list-item]


def test_it_is_copied_pickled_and_written(shop: Shop, tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    shop.table.write(path)
    assert path.read_bytes() == (shop.folder / "tokens.parquet").read_bytes()
    with pytest.raises(catalex.ResourceError, match="already exists"):
        shop.table.write(path)
    shop.table.write(path, force=True)
    others = [copy.copy(shop.table), copy.deepcopy(shop.table), pickle.loads(pickle.dumps(shop.table))]
    assert all(other == shop.table for other in [*others, catalex.TokenTable.read(path)])
    (tmp_path / "bad.parquet").write_bytes(path.read_bytes()[:-9])
    with pytest.raises(catalex.ArtifactError, match="damaged"):
        catalex.TokenTable.read(tmp_path / "bad.parquet")
    with pytest.raises(catalex.InputError, match="does not exist"):
        catalex.TokenTable.read(tmp_path / "none")


def test_pyarrow_takes_and_gives(shop: Shop) -> None:
    arrow = shop.table.to_arrow()
    file = pq.read_table(shop.folder / "tokens.parquet")
    assert arrow.equals(file.replace_schema_metadata(arrow.schema.metadata))
    assert arrow.schema.metadata[b"catalex.model_hash"].decode() == shop.tokenizer.hash
    assert pa.record_batch(shop.table).num_rows == ITEMS
    assert pa.schema(shop.table) == arrow.schema
    assert catalex.TokenTable.from_arrow(arrow) == shop.table
    # In chunks, and as a record batch.
    pieces = pa.concat_tables([arrow.slice(0, 700), arrow.slice(700)])
    assert catalex.TokenTable.from_arrow(pieces) == shop.table
    assert catalex.TokenTable.from_arrow(pa.record_batch(shop.table)) == shop.table


def test_polars_takes_and_gives(shop: Shop) -> None:
    frame = shop.table.to_polars()
    assert frame.columns == COLUMNS
    assert frame["codes"].to_numpy().tolist() == shop.table.codes.tolist()
    # polars drops the metadata of the schema.
    assert catalex.TokenTable.from_arrow(frame, like=shop.table).to_arrow().equals(shop.table.to_arrow())
    with pytest.raises(catalex.ArtifactError, match=r"catalex\.format_version"):
        catalex.TokenTable.from_arrow(frame)


def test_duckdb_takes_and_gives(shop: Shop) -> None:
    tokens = shop.table.to_arrow()  # found by its name
    assert len(tokens) == ITEMS
    relation = duckdb.sql("SELECT * FROM tokens ORDER BY item_id")
    back = catalex.TokenTable.from_arrow(relation, like=shop.table)
    np.testing.assert_array_equal(back.codes, shop.table.codes)
    moved = duckdb.sql("SELECT count(*) AS n FROM tokens WHERE reassigned")
    assert moved is not None and pa.table(moved)["n"].to_pylist() == [shop.table.reassigned.sum()]


def test_pandas_takes_and_gives(shop: Shop) -> None:
    frame = shop.table.to_pandas()
    assert list(frame.columns) == COLUMNS
    assert frame.equals(frame) and np.stack(frame["codes"].to_list()).tolist() == shop.table.codes.tolist()
    back = catalex.TokenTable.from_arrow(shop.table.to_arrow().to_pandas(), like=shop.table)
    assert back.semantic_ids == shop.table.semantic_ids
    assert pd.DataFrame.from_arrow(shop.table).shape == (ITEMS, 5)


def test_nanoarrow_takes_and_gives(shop: Shop) -> None:
    stream = nanoarrow.ArrayStream(shop.table)
    array = nanoarrow.Array(shop.table)
    assert len(array) == ITEMS
    assert catalex.TokenTable.from_arrow(array, like=shop.table).codes.tolist() == shop.table.codes.tolist()
    assert catalex.TokenTable.from_arrow(stream, like=shop.table).item_ids == shop.table.item_ids


def frames(shop: Shop, ids: list[str]) -> list[Any]:
    lists = [row.tolist() for row in shop.vectors]
    arrow = pa.table({"item_id": ids, "features": pa.array(lists, pa.list_(pa.float32()))})
    fixed = pa.array(shop.vectors.ravel()).cast(pa.float32())
    sized = pa.table({"item_id": ids, "features": pa.FixedSizeListArray.from_arrays(fixed, DIM)})
    return [
        arrow,
        sized,
        pa.record_batch(sized.to_batches()[0]),
        pl.DataFrame({"item_id": ids, "features": shop.vectors}),
        pl.DataFrame({"item_id": ids, "features": [row.astype("f8").tolist() for row in shop.vectors]}),
        pd.DataFrame({"item_id": ids, "features": list(shop.vectors)}),
        duckdb.from_arrow(arrow),
        nanoarrow.ArrayStream(sized),
        nanoarrow.Array(sized.to_batches()[0]),
    ]


def test_features_come_from_every_library(shop: Shop) -> None:
    ids = [f"item-{row}" for row in range(ITEMS)]
    expected = shop.tokenizer.tokenize(shop.vectors, item_ids=ids)
    for frame in frames(shop, ids):
        assert shop.tokenizer.tokenize(frame) == expected, type(frame)
    sku = pl.DataFrame({"sku": ids, "features": shop.vectors})
    assert shop.tokenizer.tokenize(sku, id="sku") == expected
    assert shop.tokenizer.tokenize(catalex.Features(sku, id="sku")) == expected


def test_ids_can_be_columns(shop: Shop) -> None:
    ids = [f"item-{row}" for row in range(ITEMS)]
    expected = shop.tokenizer.tokenize(shop.vectors, item_ids=ids)
    for given in (pa.array(ids), pl.Series(ids), pd.Series(ids), np.array(ids), tuple(ids)):
        assert shop.tokenizer.tokenize(shop.vectors, item_ids=given) == expected
    numbers = range(10, 10 + ITEMS)
    of_numbers = shop.tokenizer.tokenize(shop.vectors, item_ids=numbers)
    assert of_numbers.item_ids == list(numbers)
    for column in (pl.Series(numbers), pa.array(numbers), np.arange(10, 10 + ITEMS, dtype=np.int32)):
        assert shop.tokenizer.tokenize(shop.vectors, item_ids=column) == of_numbers


def test_features_are_written_and_described(shop: Shop, tmp_path: Path) -> None:
    features = catalex.Features({"text": shop.vectors, "image": shop.vectors[:, :5]}, item_ids=np.arange(ITEMS))
    assert (len(features), features.modalities) == (ITEMS, {"text": DIM, "image": 5})
    assert repr(features) == "Features(1500 items; text 24, image 5)"
    features.write(tmp_path / "f.parquet")
    with pytest.raises(catalex.ResourceError, match="already exists"):
        features.write(tmp_path / "f.parquet")
    read = pq.read_table(tmp_path / "f.parquet")
    np.testing.assert_array_equal(np.stack(read["image"].to_numpy()), shop.vectors[:, :5])
    present = np.ones((ITEMS, 2), bool)
    present[3, 1] = False
    catalex.Features({"text": shop.vectors, "image": shop.vectors}, present=present).write(tmp_path / "g.parquet")
    assert pq.read_table(tmp_path / "g.parquet")["image"].null_count == 1


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda _: pa.table({"item_id": ["a"], "title": ["b"]}), "expected a column of float lists"),
        (lambda _: pa.table({"item_id": ["a", "a"], "v": [[1.0], [2.0]]}), 'row 2, column "item_id"'),
        (lambda _: pa.table({"v": [[1.0, 2.0], [2.0]]}), 'row 2, column "v": expected vectors of 2 numbers'),
        (lambda _: pa.table({"v": [[1.0, float("nan")]]}), 'row 1, column "v": expected finite numbers, got NaN'),
        (lambda _: pa.table({"v": [[1.0, None]]}), "a null inside the vector"),
        (lambda shop: pa.table({"v": shop.vectors[:, :3].tolist()}), "vectors of 24 numbers, as the model"),
        (lambda _: pa.array([1, 2]), "Arrow data: expected a table"),
        (lambda _: pa.table({"v": pa.array([], pa.list_(pa.float32()))}), "expected at least one item"),
        (lambda _: Path("nowhere.npy"), "does not exist"),
        (lambda _: object(), "features: expected a matrix"),
    ],
)
def test_wrong_features_are_refused(shop: Shop, make: Any, says: str) -> None:
    with pytest.raises(catalex.InputError, match=says):
        shop.tokenizer.tokenize(make(shop))


def test_invalid_arrow_data_is_not_a_token_table(shop: Shop) -> None:
    arrow = shop.table.to_arrow()
    with pytest.raises(catalex.InputError, match="codes below 16"):
        catalex.TokenTable.from_arrow(
            arrow.set_column(1, "codes", pa.array([[99, 0, 0]] * ITEMS, pa.list_(pa.uint16(), 3))), like=shop.table
        )
    with pytest.raises(catalex.InputError, match='column "codes": expected fixed_size_list<uint16>'):
        catalex.TokenTable.from_arrow(arrow.drop_columns("codes"))
    with pytest.raises(catalex.InputError, match="Arrow data: expected a table"):
        catalex.TokenTable.from_arrow([1, 2])


def test_a_token_table_is_made_from_codes() -> None:
    codes = np.array([[0, 1], [1, 0], [1, 1]])
    table = catalex.TokenTable.from_codes(codes, [2, 2], item_ids=["a", "b", "c"])
    assert table.semantic_ids == ["<a_0><b_1>", "<a_1><b_0>", "<a_1><b_1>"]
    assert table.items("<a_1>") == ["b", "c"]
    for wrong, sizes, says in [
        (codes[[0, 0]], [2, 2], "codes that no other item has"),
        (codes, [2, 1], "codes below 1 at level 1"),
        (codes, [2], "levels of the codes: expected 1, got 2"),
    ]:
        with pytest.raises(catalex.InputError, match=says):
            catalex.TokenTable.from_codes(wrong, sizes)
    assert len(catalex.TokenTable.from_codes(codes[[0, 0]], [2, 2], collisions="keep")) == 2
