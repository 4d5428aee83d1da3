"""The study around the recommender: data, ID sets, statistics, runs that are resumed, tables and correlations."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT

torch = pytest.importorskip(
    "torch", reason="THE RECOMMENDER OF THE BENCHMARKS IS NOT TESTED: torch is not installed here"
)

import recommend.runs  # noqa: E402  after the check for torch
from recommend.catalogs import given  # noqa: E402
from recommend.correlate import correlations, quality, read_figures, table  # noqa: E402
from recommend.evaluation import Run, evaluate  # noqa: E402
from recommend.figures import inspect, write_token_table  # noqa: E402
from recommend.histories import TEST, TRAIN, VALID, Data, by_time, load, of_users, save  # noqa: E402
from recommend.idsets import read_sets  # noqa: E402
from recommend.makers import CatalexSet, by_catalex, numbered, parse, residual_k_means  # noqa: E402
from recommend.runs import Machine, Record, compute, read_records  # noqa: E402
from recommend.settings import Settings  # noqa: E402
from recommend.statistics import bootstrap, kendall, paired, ranks, spearman, t_quantile  # noqa: E402
from recommend.table import difference, sections  # noqa: E402
from recommend.vectors import Encoder, fused  # noqa: E402

TINY = Settings(dim=8, layers=1, heads=1, history=3, epochs=1, every=1, batch=32, beam=10)
ONE = Machine("cpu", 1, 1)
NEVER = float("inf")


def tiny(name: str = "tiny") -> Data:
    rng = np.random.default_rng(0)
    histories = of_users(20, list(rng.integers(20, size=(15, 5))))
    codes = np.stack([np.arange(20) // 5, np.arange(20) % 5], axis=1)
    return Data(name, "leave-one-out", histories, {"ids": codes, "of seeds": np.stack([codes, codes[::-1]])})


@pytest.fixture
def binary() -> Path:
    path = Path(os.environ.get("CARGO_TARGET_DIR", "")) / "release" / "catalex"
    if not path.is_file():
        pytest.fail("there is no built catalex in $CARGO_TARGET_DIR/release: run `make test-python`")
    return path


def test_splits_are_ordered_and_keep_equal_times_together() -> None:
    histories = of_users(9, [np.arange(4), np.array([5, 6]), np.array([7, 8, 7])])
    assert histories.parts.tolist() == [TRAIN, TRAIN, VALID, TEST, TRAIN, TRAIN, TRAIN, VALID, TEST]
    assert histories.items[histories.events(TEST, 9)].tolist() == [3, 7]
    assert [ends.tolist() for ends in histories.training()] == [[0, 4, 6], [2, 6, 7]]
    times = [np.array([0.0, 3, 8, 9]), np.array([1.0, 2, 4, 8, 8, 9])]
    parts = by_time(times, 0.2)
    # The last two of ten events are those at time 9. Those at time 8 validate, all three.
    assert [of.tolist() for of in parts] == [[TRAIN, TRAIN, VALID, TEST], [TRAIN, TRAIN, TRAIN, VALID, VALID, TEST]]


def test_windows_are_the_last_items_of_ranges() -> None:
    histories = of_users(9, [np.arange(5), np.arange(5, 9)])
    found = histories.windows(np.array([0, 0, 5]), np.array([5, 2, 9]), 3)
    assert found.tolist() == [[2, 3, 4], [0, 1, -1], [6, 7, 8]]


def test_an_event_without_history_is_no_test_event() -> None:
    histories = of_users(3, [np.array([0, 1]), np.array([2])], [np.array([TRAIN, TEST]), np.array([TEST])])
    assert histories.items[histories.events(TEST, 9)].tolist() == [1]


def test_a_data_file_is_read_back(tmp_path: Path) -> None:
    data = tiny()
    save(data, tmp_path / "tiny.npz")
    found = load(tmp_path / "tiny.npz")
    assert (found.name, found.split, found.histories.n_items) == ("tiny", "leave-one-out", 20)
    assert found.histories.parts.tolist() == data.histories.parts.tolist()
    assert found.codes("ids", 3).tolist() == data.sets["ids"].tolist()
    assert found.codes("of seeds", 3).tolist() == data.sets["ids"][::-1].tolist()
    # A file of other origin has histories and codes alone.
    np.savez(tmp_path / "other.npz", seq_items=data.histories.items, seq_offsets=data.histories.offsets,
             codes_ids=data.sets["ids"])  # fmt: skip
    assert load(tmp_path / "other.npz").histories.parts.tolist() == data.histories.parts.tolist()
    np.savez(tmp_path / "bad.npz", codes_ids=data.sets["ids"])
    with pytest.raises(ValueError, match="expected an array seq_items, got codes_ids"):
        load(tmp_path / "bad.npz")


def test_id_sets_are_read_from_every_kind_of_file(tmp_path: Path) -> None:
    codes = np.array([[0, 1], [2, 3], [2, 4]])
    write_token_table(codes, tmp_path / "tokens.parquet")
    np.save(tmp_path / "a.npy", codes)
    np.savez(tmp_path / "one.npz", codes_x=codes)
    np.savez(tmp_path / "two.npz", codes_x=codes, codes_y=codes, vectors=np.zeros((3, 2)))
    (tmp_path / "lc.json").write_text(
        json.dumps({"2": ["<a_2>", "<b_4>"], "0": ["<a_0>", "<b_1>"], "1": ["<a_2>", "<b_3>"]})
    )
    for path in ("tokens.parquet", "", "a.npy", "one.npz", "lc.json"):
        assert {
            name: found.tolist() for name, found in read_sets("mine", tmp_path / path, ["0", "1", "2"]).items()
        } == {"mine": codes.tolist()}
    assert list(read_sets("mine", tmp_path / "two.npz", ["0", "1", "2"])) == ["mine x", "mine y"]
    # A file that numbers the items 5, 7, 6, and has the same users.
    (tmp_path / "x.json").write_text(
        json.dumps({"5": ["<a_0>", "<b_1>"], "7": ["<a_2>", "<b_3>"], "6": ["<a_2>", "<b_4>"]})
    )
    (tmp_path / "users.json").write_text(json.dumps({"0": [7, 5], "1": [6, 7, 6]}))
    both, users = Path(f"{tmp_path / 'x.json'}+{tmp_path / 'users.json'}"), [np.array([1, 0]), np.array([2, 1, 2])]
    assert read_sets("mine", both, ["0", "1", "2"], users)["mine"].tolist() == codes.tolist()
    with pytest.raises(ValueError, match="expected one number per item, got 7 and 6 for row 1"):
        read_sets("mine", both, ["0", "1", "2"], [np.array([1, 0]), np.array([1, 2, 2])])
    with pytest.raises(ValueError, match="expected the histories of the 1 users"):
        read_sets("mine", both, ["0", "1", "2"], users[:1])
    with pytest.raises(ValueError, match="got none for 1, such as 7"):
        read_sets("mine", tmp_path / "lc.json", ["0", "7"])
    with pytest.raises(ValueError, match="expected codes of 4 items, got 3"):
        read_sets("mine", tmp_path / "a.npy", ["0", "1", "2", "3"])
    with pytest.raises(ValueError, match="expected whole numbers"):
        np.save(tmp_path / "f.npy", codes.astype(float))
        read_sets("mine", tmp_path / "f.npy", ["0", "1", "2"])


def test_a_catalog_with_times_is_sorted_and_unknown_items_are_left_out(tmp_path: Path) -> None:
    items = tmp_path / "items.jsonl"
    items.write_text('{"item_id": 7, "title": "A", "more": 1}\n{"item_id": 9, "title": "B"}\n')
    (tmp_path / "did.csv").write_text("user,item,time\nu,9,5\nu,7,3\nu,8,4\nv,7,1\n")
    (tmp_path / "did.txt").write_text("u 9 8 7\n\nv 7\n")
    timed, lines = (given("x", items, tmp_path / f"did.{end}", "title") for end in ("csv", "txt"))
    assert timed.rows == [{"id": "7", "title": "A"}, {"id": "9", "title": "B"}]
    assert [user.tolist() for user in timed.users] == [[0, 1], [0]]
    assert [user.tolist() for user in lines.users] == [[1, 0], [0]]
    with pytest.raises(LookupError, match="no times"):
        lines.histories("time")


def test_behaviour_is_made_from_training_events_alone(tmp_path: Path) -> None:
    items = tmp_path / "items.jsonl"
    items.write_text("".join(json.dumps({"id": f"item {item}", "title": "x"}) + "\n" for item in range(6)))
    used = {"u": [0, 1, 2, 3], "v": [3, 4], "w": [5, 0, 2]}
    lines = ["user,item", *(f"{user},item {item}" for user, history in used.items() for item in history)]
    (tmp_path / "did.csv").write_text("\n".join(lines))
    catalog = given("x", items, tmp_path / "did.csv", "title")
    encoder = Encoder(tmp_path / "catalex", tmp_path, tmp_path, catalog, catalog.histories("leave-one-out"))
    # Ids with spaces are no problem: the file has row numbers.
    assert encoder.training_file().read_text().splitlines() == ["0 0 1", "1 3 4", "2 5"]


def test_settings_of_a_set_are_parsed() -> None:
    assert parse("a=text --levels 3") == ("a", CatalexSet("text", (), ("--levels", "3")))
    assert parse("b=") == ("b", CatalexSet("text+behaviour"))
    both = CatalexSet("text+behaviour", ("--behaviour-window", "9"), ("--weight", "behaviour=1"))
    assert parse("c=text+behaviour --behaviour-window 9 -- --weight behaviour=1") == ("c", both)
    with pytest.raises(ValueError, match="expected --set NAME=FLAGS"):
        parse("--levels 3")


def test_paired_intervals_are_those_of_the_t_distribution() -> None:
    for share, freedom, known in [(0.975, 1, 12.7062), (0.975, 2, 4.30265), (0.975, 4, 2.77645), (0.95, 9, 1.83311),
                                  (0.975, 30, 2.04227)]:  # fmt: skip
        assert t_quantile(share, freedom) == pytest.approx(known, rel=1e-5)
    found = paired(np.array([2.0, 4.0, 6.0]), np.array([1.0, 2.0, 3.0]))
    half = 4.30265 / np.sqrt(3)
    assert (found.mean, found.low, found.high) == pytest.approx((2, 2 - half, 2 + half), rel=1e-5)
    assert paired(np.array([1.0]), np.array([0.5])).high == np.inf
    interval, pairs = difference({0: 0.3, 1: 0.5, 7: 0.9}, {0: 0.1, 1: 0.2, 2: 0.3})
    assert pairs == 2
    assert interval is not None
    assert interval.mean == pytest.approx(0.25)
    assert difference({0: 0.5}, {0: 0.1, 1: 0.3})[1] == 1
    assert difference({0: 0.5}, {0: 0.1, 1: 0.3}, seedless=True)[1] == 2
    assert difference({3: 0.5, 4: 0.1}, {0: 0.1, 1: 0.3}) == (None, 0)


def test_rank_correlations_match_hand_values() -> None:
    x, y = np.array([1.0, 2, 3, 4]), np.array([1.0, 3, 2, 4])
    assert ranks(np.array([5.0, 1, 5, 0])).tolist() == [3.5, 2, 3.5, 1]
    assert spearman([(x, y)]) == pytest.approx(0.8)
    assert kendall([(x, y)]) == pytest.approx(4 / 6)
    # One tie of x: of its 5 other pairs, 4 agree and 1 does not.
    assert kendall([(np.array([1.0, 1, 3, 4]), y)]) == pytest.approx(3 / np.sqrt(30))
    # Each group is in order, though the groups together are not.
    groups = [(x, x), (x + 10, x - 10)]
    assert spearman(groups) == pytest.approx(1)
    assert kendall(groups) == pytest.approx(1)
    assert np.isnan(spearman([(np.ones(4), y)]))
    found = bootstrap([(np.arange(12.0), np.arange(12.0))], draws=50)
    assert (found["kendall"].mean, found["kendall"].low, found["kendall"].high) == pytest.approx((1, 1, 1))


def test_runs_in_the_file_are_not_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, file = tiny(), tmp_path / "runs.jsonl"
    runs = [Run(data, name, seed, TINY) for seed in (0, 1) for name in ("ids", "popularity")]
    first, failed = compute(runs, {}, file, ONE, NEVER)
    # Popularity does not depend on the seed.
    assert (len(first), failed) == (3, 0)
    lines = file.read_text().splitlines()
    file.write_text("\n".join(lines[:2]) + "\n" + lines[2][:30])
    computed = []

    def counted(run: Run, device: object) -> Record:
        computed.append((run.name, run.seed))
        return evaluate(run, torch.device("cpu"))

    monkeypatch.setattr(recommend.runs, "evaluate", counted)
    assert compute(runs, {}, file, ONE, NEVER)[0][:2] == first[:2]
    assert computed == [("ids", 1)]
    assert len(read_records(file)) == 3
    assert compute(runs, {}, file, ONE, NEVER)[1] == 0
    assert computed == [("ids", 1)]
    # Other codes of the same name are another run; so are other settings.
    other = Data(data.name, data.split, data.histories, {"ids": data.sets["ids"][::-1].copy()})
    compute([Run(other, "ids", 0, TINY)], {}, file, ONE, NEVER)
    assert computed == [("ids", 1), ("ids", 0)]
    assert compute([Run(data, "random", 0, TINY)], {}, file, ONE, -NEVER) == ([], 0)


def test_a_failed_run_does_not_end_the_others() -> None:
    data = tiny()
    bad = Data("bad", "leave-one-out", of_users(20, [np.array([1, 2])]), data.sets)
    found, failed = compute([Run(bad, "ids", 0, TINY), Run(data, "popularity", 0, TINY)], {}, None, ONE, NEVER)
    assert (failed, [record["data"] for record in found]) == (1, ["tiny"])


BARE = """
import runpy, sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("catalex", "pyarrow", "scipy", "faiss", "pandas", "sklearn"):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Absent())
sys.argv = ["run", *sys.argv[1:]]
runpy.run_module("recommend.run", run_name="__main__")
"""


def test_runs_need_only_numpy_and_torch_and_share_a_list(tmp_path: Path) -> None:
    save(tiny(), tmp_path / "tiny.npz")
    (tmp_path / "bare.py").write_text(
        f"if __name__ == '__main__':\n    {BARE.strip().replace(chr(10), chr(10) + '    ')}\n"
    )
    command = [
        sys.executable,
        str(tmp_path / "bare.py"),
        str(tmp_path / "tiny.npz"),
        "--json",
        str(tmp_path / "runs.jsonl"),
    ]
    command += [
        "--jobs",
        "2",
        "--threads",
        "1",
        "--seeds",
        "2",
        "--epochs",
        "1",
        "--dim",
        "8",
        "--heads",
        "1",
        "--layers",
        "1",
    ]
    command += [
        "--every",
        "1",
        "--device",
        "cpu",
        "--only",
        "ids",
        "popularity",
        "--baseline",
        "popularity",
        "--beam",
        "10",
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "python" / "benchmarks")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(read_records(tmp_path / "runs.jsonl")) == 3
    assert "| ids | 2 |" in done.stdout
    assert "Difference from popularity" in done.stdout


def record(name: str, seed: int, recall: float, data: str = "shop") -> Record:
    segment = {"events": 3, "recall@10": recall}
    return {
        "data": data, "split": "leave-one-out", "set": name, "seed": seed, "hash": "", "settings": {"beam": 50},
        "items": 1000, "test_events": 12, "figures": {"recall@10": recall, "ndcg@10": recall / 2}, "nats": 5.0,
        "segments": {of: segment for of in ("head", "middle", "tail", "cold")}, "duplicates": 0.1,
        "real_constrained": 1.0, "real_free": 0.5,
    }  # fmt: skip


def test_tables_have_means_spreads_and_paired_differences() -> None:
    records = [record("catalex text", 0, 0.10), record("catalex text", 1, 0.12)]
    records += [record("other", 0, 0.11), record("other", 1, 0.14), record("popularity", 0, 0.05)]
    del records[-1]["nats"]
    text = sections(records, "catalex text")
    assert "| catalex text | 2 | 0.1100 ± 0.0141 | 0.0550 ± 0.0071 | 5.000 ± 0.000 | 10.0% |" in text
    # Differences of 0.01 and 0.02: a half width of 12.706 * 0.0071 / 1.414.
    assert "| other | 2 | +0.0150 [-0.0485, +0.0785], +13.6% |" in text
    assert "| popularity | 2 | -0.0600 [" in text
    assert "cold (3)" in text
    assert "| 100.0% | 50.0% |" in text
    # Other settings and other data sets have a section of their own.
    other = {**record("other", 0, 0.2), "settings": {"beam": 10}}
    assert sections([*records, other, record("x", 0, 0.1, "films")], "catalex text").count("###") == 3


def test_correlations_rank_id_sets_within_data_sets(tmp_path: Path) -> None:
    records = [record(f"s{at}", seed, 0.1 * at + 0.01 * seed + base, data)
               for data, base in (("a", 0.0), ("b", 5.0)) for at in range(6) for seed in (0, 1)]  # fmt: skip
    reached = quality(records, "recall@10")
    assert reached["a"]["s2"] == pytest.approx(0.205)
    figures = {
        data: {
            f"s{at}": [{"good": base + at, "deep": {"bad": [-at]}, "same": 1}, {"good": base + at}] for at in range(6)
        }
        for data, base in (("a", 100), ("b", -100))
    }
    path = tmp_path / "figures.json"
    path.write_text(json.dumps(figures))
    found = correlations(read_figures([str(path)], ["a", "b"]), reached, draws=50)
    assert set(found) == {"good", "deep.bad.0"}
    assert found["good"]["all"]["spearman"].mean == pytest.approx(1)
    assert found["deep.bad.0"]["b"]["kendall"].mean == pytest.approx(-1)
    assert "| good | +1.00 [" in table(found, ["a", "b"])
    # One data set: the file need not name it.
    path.write_text(json.dumps(figures["a"]))
    assert set(correlations(read_figures([str(path)], ["a"]), {"a": reached["a"]}, 50)["good"]) == {"a"}
    assert set(read_figures([f"a={path}"], ["a", "b"])) == {"a"}
    with pytest.raises(ValueError, match="give DATA=FILE"):
        read_figures([str(path)], ["a", "b"])


def test_modalities_are_fused_with_weights(tmp_path: Path) -> None:
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    rng = np.random.default_rng(0)
    text, behaviour = rng.normal(size=(50, 8)) + 3, 0.1 * rng.normal(size=(50, 4))
    rows = [None if at < 10 else row for at, row in enumerate(behaviour.tolist())]
    pq.write_table(
        pa.table({"item_id": np.arange(50), "text": text.tolist(), "behaviour": rows}), tmp_path / "x.parquet"
    )
    for weight, wanted in ((3.0, 3.0), (None, 2 * np.sqrt((behaviour[10:] ** 2).sum(axis=1).mean()))):
        x = fused(tmp_path / "x.parquet", weight)
        assert (x[:, :8] ** 2).sum(axis=1).mean() == pytest.approx(1, rel=1e-4)
        assert (x[:10, 8:] == 0).all()
        assert np.sqrt((x[10:, 8:] ** 2).sum(axis=1).mean()) == pytest.approx(wanted, rel=1e-4)


def test_residual_k_means_reduces_the_error_per_level() -> None:
    rng = np.random.default_rng(0)
    x = (rng.normal(size=(20, 6))[rng.integers(20, size=600)] + 0.1 * rng.normal(size=(600, 6))).astype(np.float32)
    codes = residual_k_means(x, 0, iterations=5)
    assert codes.shape == (600, 4)
    assert len(np.unique(codes[:, 0])) > 200
    assert (residual_k_means(x, 0, iterations=5) == codes).all()
    # GRID's IDs are distinct: copies of an item are numbered.
    twice = np.concatenate([x[:300], x[:300]])
    distinct = numbered(twice, 0)
    assert len(np.unique(distinct, axis=0)) == 600
    assert (distinct[:300, :3] == distinct[300:, :3]).all()
    assert distinct[:, 3].min() == 0


def test_catalex_makes_a_set_and_inspects_every_set(binary: Path, tmp_path: Path) -> None:
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    x = np.random.default_rng(0).normal(size=(200, 8)).astype(np.float32)
    pq.write_table(pa.table({"item_id": np.arange(200), "text": list(x)}), tmp_path / "x.parquet")
    flags = ("--levels", "3", "--collisions", "keep", "--codebook-size", "8", "--epochs", "0")
    codes = by_catalex(binary, tmp_path / "x.parquet", flags, 0)
    assert codes.shape == (200, 3)
    assert codes.max() == 7
    users = list(np.random.default_rng(1).integers(200, size=(30, 6)))
    data = Data("x", "leave-one-out", of_users(200, users), {"ours": np.stack([codes, codes]), "one": codes})
    found = inspect(binary, data, [], interactions=False)
    assert [len(found[name]) for name in ("ours", "one")] == [2, 1]
    assert found["ours"][0] == found["one"][0]
