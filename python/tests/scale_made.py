"""Generated items for the tests of Spark and Ray: overfull prefixes, a small model, and the result of one machine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from made import done

import catalex

DIM, SIZE = 8, 24
PARTS = 8


@dataclass(frozen=True)
class Crowd:
    """Items in Parquet files, the model, and the token table of one machine."""

    folder: Path
    items: Path
    model: catalex.Tokenizer
    alone: pa.Table
    """Sorted by item."""


def train(folder: Path, vectors: npt.NDArray[np.float32], levels: int) -> catalex.Tokenizer:
    np.save(folder / "sample.npy", vectors)
    settings = ["--levels", levels, "--codebook-size", SIZE, "--latent-dim", DIM, "--hidden", 16, "--epochs", 2]
    done("train", folder / "sample.npy", *map(str, settings), "--out", folder / "model")
    return catalex.Tokenizer.load(folder / "model")


def crowd(folder: Path, n: int, levels: int, giant: int) -> Crowd:
    """`n` items in clusters of different sizes. `giant` items are nearly identical, and some of these are identical."""
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(300, DIM))
    vectors = centres[(300 * rng.random(n) ** 2).astype(int)] + 0.4 * rng.normal(size=(n, DIM))
    vectors[:giant] = centres[0] + 0.02 * rng.normal(size=(giant, DIM))
    vectors[: giant // 10] = centres[0]
    vectors = vectors.astype(np.float32)
    sample = rng.choice(n, 3_000, replace=False)
    model = train(folder, vectors[sample], levels)
    ids = rng.permutation(n).astype(np.int64)
    items = folder / "items"
    items.mkdir()
    shuffled = rng.permutation(n)
    lists = pa.FixedSizeListArray.from_arrays(pa.array(vectors[shuffled].ravel()), DIM).cast(pa.list_(pa.float32()))
    table = pa.table({"item_id": ids[shuffled], "text": lists})
    for part in range(PARTS):
        size = -(-n // PARTS)
        pq.write_table(table.slice(part * size, size), items / f"part-{part}.parquet", row_group_size=5_000)
    alone = model.tokenize(vectors, item_ids=ids)
    return Crowd(folder, items, model, in_order(alone.to_arrow()))


def grown(crowd: Crowd) -> tuple[Path, Path, Crowd]:
    """Splits the crowd into old and new items. Returns the files of the new items (a third of all), the folder with the
    token table of the old items, and the new items with the IDs that one machine gives them with this table."""
    rows = pa.concat_tables([pq.read_table(part) for part in sorted(crowd.items.iterdir())])
    ids, vectors = rows["item_id"].to_numpy(), np.array(rows["text"].to_pylist(), np.float32)
    is_new = ids % 3 == 0
    previous = crowd.model.tokenize(vectors[~is_new], item_ids=ids[~is_new])
    occupied = crowd.folder / "occupied"
    occupied.mkdir()
    previous.write(occupied / "tokens.parquet")
    items = crowd.folder / "new-items"
    items.mkdir()
    new = rows.filter(pa.array(is_new))
    for part in range(PARTS):
        size = -(-new.num_rows // PARTS)
        pq.write_table(new.slice(part * size, size), items / f"part-{part}.parquet", row_group_size=5_000)
    whole = crowd.model.tokenize(vectors, item_ids=ids, previous=previous)
    assert whole.semantic_ids[: len(previous)] == previous.semantic_ids
    placed = whole.to_arrow().slice(len(previous))
    return items, occupied, Crowd(crowd.folder, items, crowd.model, in_order(placed))


def in_order(table: pa.Table) -> pa.Table:
    return table.sort_by("item_id")


def assert_same(found: pa.Table, crowd: Crowd) -> None:
    """Compares all items: ids, codes, semantic IDs, errors to the last bit, and which items moved."""
    table = catalex_table(found, crowd.model)
    theirs, ours = in_order(table.to_arrow()), crowd.alone
    assert theirs.num_rows == ours.num_rows
    for column in ("item_id", "codes", "semantic_id", "residual_error", "reassigned"):
        assert theirs[column].combine_chunks().equals(ours[column].combine_chunks()), column
    assert len(set(table.semantic_ids)) == len(table)


def catalex_table(found: pa.Table, model: catalex.Tokenizer) -> catalex.TokenTable:
    from catalex import cluster  # noqa: PLC0415 - it needs pyarrow, and the package does not

    return cluster.token_table(found, model)


def overfull(crowd: Crowd) -> tuple[int, int]:
    """In the first part of the items, before collisions are resolved: the number of prefixes with more items than
    last-level codes, and the largest number of items of a first code."""
    vectors = np.concatenate(
        [
            np.array(b["text"].to_pylist(), np.float32)
            for b in pq.ParquetFile(crowd.items / "part-0.parquet").iter_batches()
        ]
    )
    codes = crowd.model.encode(vectors)
    _, counts = np.unique(codes[:, :-1], axis=0, return_counts=True)
    return int((counts > SIZE).sum()), int(np.bincount(codes[:, 0]).max())
