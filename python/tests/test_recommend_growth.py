"""Recommenders of catalogs that grow: blocks of events, IDs made in several ways, and fine-tuning."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip(
    "torch", reason="THE RECOMMENDER OF THE BENCHMARKS IS NOT TESTED: torch is not installed here"
)

from recommend.catalogs import Catalog  # noqa: E402  after the check for torch
from recommend.evaluation import Run, evaluate  # noqa: E402
from recommend.fine_tune import windows  # noqa: E402
from recommend.growth import grown  # noqa: E402
from recommend.held_out import held_out, table  # noqa: E402
from recommend.histories import Blocks, Data, load, of_users, save  # noqa: E402
from recommend.settings import Settings  # noqa: E402
from recommend.vectors import Encoder  # noqa: E402
from recommend.ways import KNOWN, Ways, parse_way  # noqa: E402


def test_a_grown_catalog_has_old_and_new_blocks(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    # Items 40 to 49 come late in every history.
    users = [np.concatenate([rng.integers(40, size=6), 40 + rng.integers(10, size=3)]) for _ in range(60)]
    rows: list[dict[str, object]] = [{"id": str(at)} for at in range(50)]
    untimed = grown(Catalog("shop", rows, "title", users, None))
    assert np.flatnonzero(untimed.new).tolist() == list(range(40, 50))
    assert (untimed.cuts == 4).all()
    times = [np.arange(9.0) * 10 + user / 100 for user in range(60)]
    timed = grown(Catalog("shop", rows, "title", users, times))
    # A fifth of nine events, so the new items are those that first occur at the third position or later.
    assert (timed.cuts <= 2).all() and timed.cuts.max() > 0
    early = np.unique(np.concatenate([items[:cut] for items, cut in zip(users, timed.cuts, strict=True)]))
    assert not timed.new[early].any() and timed.new[40:].all()
    old = np.stack([np.arange(50) // 10, np.arange(50) % 10], axis=1)
    blocks = Blocks(untimed.cuts, untimed.new, np.where(untimed.new[:, None], 0, old))
    data = Data("shop", "growth", untimed.histories, {"same": old}, blocks)
    save(data, tmp_path / "shop.npz")
    found = load(tmp_path / "shop.npz")
    assert found.blocks is not None
    assert found.blocks.cuts.tolist() == untimed.cuts.tolist() and found.blocks.new.tolist() == untimed.new.tolist()
    counted = found.blocks.histories(found.histories).popularity()
    assert counted.sum() == 240 and (counted[40:] == 0).all()


def test_windows_predict_each_event_of_a_block_once() -> None:
    histories = of_users(30, [np.arange(13), np.arange(13, 17), np.arange(17, 25)])
    starts, ends = histories.offsets[:-1] + np.array([3, 0, 8]), histories.offsets[1:] - 1
    rows, first = windows(histories, starts, ends, 5)
    predicted = [row[at:][row[at:] >= 0].tolist() for row, at in zip(rows, first, strict=True)]
    assert sorted(item for items in predicted for item in items) == [*range(3, 12), *range(13, 16)]
    # Only the first event of a user has no earlier event in its row.
    assert all(at > 0 or row[0] == 13 for row, at in zip(rows, first, strict=True))


def test_fine_tuning_keeps_what_was_learned_of_ids_that_stay() -> None:
    groups, each = 12, 6
    rng = np.random.default_rng(0)
    # From group to group in a circle.
    walk = (rng.integers(groups, size=(300, 1)) + np.arange(12)) % groups
    users = list(walk * each + rng.integers(each, size=walk.shape))
    histories = of_users(groups * each, users)
    codes = np.stack([np.arange(groups * each) // each, np.arange(groups * each) % each], axis=1)
    shuffled = codes[rng.permutation(len(codes))]
    blocks = Blocks(np.full(300, 5), np.zeros(len(codes), bool), codes)
    data = Data("walks", "growth", histories, {"same": codes, "shuffled": shuffled}, blocks)
    settings = replace(
        Settings(), dim=32, layers=1, heads=2, dropout=0.1, history=5, batch=64, beam=20, learning_rate=5e-3,
        old_epochs=12, tune_epochs=1.0,
    )  # fmt: skip
    recall = {name: evaluate(Run(data, name, 0, settings), torch.device("cpu"))["figures"]["recall@5"]  # type: ignore[index]
              for name in data.sets}  # fmt: skip
    assert recall["same"] > 1.5 * recall["shuffled"], recall


def test_every_way_gives_every_item_an_id(tmp_path: Path) -> None:
    binary = Path(os.environ.get("CARGO_TARGET_DIR", "")) / "release" / "catalex"
    if not binary.is_file():
        pytest.fail("there is no built catalex in $CARGO_TARGET_DIR/release: run `make test-python`")
    rng = np.random.default_rng(0)
    words = ["pen", "desk", "lamp", "paper", "stapler", "chair", "ink", "folder"]
    rows: list[dict[str, object]] = [{"id": str(at), "title": f"{words[at % 8]} number {at}"} for at in range(60)]
    users = [np.concatenate([rng.integers(48, size=5), 48 + rng.integers(12, size=4)]) for _ in range(40)]
    catalog = Catalog("shop", rows, "title", users, None)
    growth = grown(catalog)
    encoder = Encoder(binary, Path(os.environ["CATALEX_MODELS"]), tmp_path, catalog, growth.histories)
    ways = KNOWN | dict([parse_way("keep 1=retrain --keep 1")])
    maker = Ways(encoder, growth, True, tmp_path, ("--levels", "3", "--codebook-size", "8"))
    blocks, sets = maker.make(ways, 1)
    assert set(sets) == set(ways)
    kept = ~growth.new
    for codes in sets.values():
        assert codes.shape == (1, 60, blocks.old.shape[2])
        assert len(np.unique(codes[0], axis=0)) == 60
    for way in ("frozen", "keep 1"):
        assert (sets[way][0][kept] == blocks.old[0][kept]).all()
    assert (sets["from scratch"][0] != sets["from scratch, renamed"][0]).any()
    found = held_out(maker, {way: KNOWN[way] for way in ("frozen", "from scratch")}, 0)
    assert found["frozen"][0] == [1, 1, 1]
    assert found["from scratch"][0][0] < 0.9
    assert all(0 < error < 1.5 for _, error in found.values())
    assert "| frozen | 100.0% |" in table(found, "from scratch")
    with pytest.raises(ValueError, match="append, retrain or build"):
        parse_way("other=drift")
