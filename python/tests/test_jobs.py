"""Jobs that run in this process write the same files as the command line, and accept objects in place of paths."""

import hashlib
import inspect
import json
import subprocess
import sys
import textwrap
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from conftest import ROOT
from made import catalex as program
from made import done, write_tokenizer
from shop import ITEMS, Shop

import catalex
from catalex import _settings
from catalex.quality import Figures

OLD_INDEX = ROOT / "tests" / "golden" / "index-0.1"
OLD_CATALOG = ROOT / "tests" / "golden" / "index-0.1-catalog.jsonl"


def hashes(folder: Path) -> dict[str, str]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("llm") / "tokenizer"
    write_tokenizer(folder)
    return folder


@pytest.fixture(scope="module")
def events() -> pa.Table:
    """Ten events for each of 40 users."""
    rng = np.random.default_rng(0)
    users, items = np.repeat(np.arange(40), 10), rng.integers(0, ITEMS, 400)
    return pa.table(
        {"user_id": users, "item_id": items, "timestamp": np.arange(400), "rating": rng.integers(1, 6, 400)}
    )


@pytest.fixture(scope="module")
def catalog(shop: Shop) -> pa.Table:
    titles = [f"item {row}" if row else None for row in range(ITEMS)]
    return pa.table({"item_id": np.arange(ITEMS), "title": titles, "kind": [f"kind {row % 3}" for row in range(ITEMS)]})


def test_tokenize_writes_the_same_table_as_the_command_line(shop: Shop, tmp_path: Path) -> None:
    model = shop.folder / "model"
    for features in (shop.folder / "x.npy", shop.vectors, catalex.Features(shop.vectors)):
        for by in (model, shop.tokenizer):
            assert catalex.tokenize(features, by) == shop.table, type(features)
    out = tmp_path / "tokens.parquet"
    assert catalex.tokenize(shop.folder / "x.npy", model, out=out, threads=2) == shop.table
    assert out.read_bytes() == (shop.folder / "tokens.parquet").read_bytes()
    with pytest.raises(catalex.ResourceError, match="already exists"):
        catalex.tokenize(shop.vectors, model, out=out)
    kept = catalex.tokenize(
        shop.vectors, model, out=out, collisions="keep", token_format="[{index}:{code}]", force=True
    )
    np.testing.assert_array_equal(kept.codes, shop.tokenizer.encode(shop.vectors))
    assert kept == catalex.TokenTable.read(out) and kept.semantic_ids[0].startswith("[0:")
    with pytest.raises(catalex.InputError, match="out: expected where to write"):
        catalex.tokenize(shop.vectors, model, force=True)
    with pytest.raises(catalex.CatalexError, match="token-format"):
        catalex.tokenize(shop.vectors, model, token_format="<{code}>")


def test_items_of_a_previous_table_keep_their_ids(shop: Shop, tmp_path: Path) -> None:
    model = shop.folder / "model"
    old = catalex.tokenize(shop.vectors[:1_000], model, out=tmp_path / "old.parquet")
    by_path = catalex.tokenize(shop.vectors, model, previous=tmp_path / "old.parquet")
    assert by_path.semantic_ids[:1_000] == old.semantic_ids
    assert len(set(by_path.semantic_ids)) == len(shop.vectors)
    assert catalex.tokenize(shop.vectors, shop.tokenizer, previous=old, max_far=0.9) == by_path
    assert shop.tokenizer.tokenize(shop.vectors, previous=old) == by_path
    with pytest.raises(catalex.InputError, match=r"far from those of training \(max-far\)"):
        catalex.tokenize(100 * shop.vectors, model, max_far=0.05)
    with pytest.raises(catalex.InputError, match="previous: expected a TokenTable, got str"):
        shop.tokenizer.tokenize(shop.vectors, previous="old.parquet")  # type: ignore[arg-type]
    with pytest.raises(catalex.InputError, match="the table's own settings"):
        shop.tokenizer.tokenize(shop.vectors, previous=old, collisions="keep")


def test_vocab_writes_the_same_folder_as_the_command_line(shop: Shop, tokenizer: Path, tmp_path: Path) -> None:
    tokens = shop.folder / "tokens.parquet"
    done("vocab", tokens, "--tokenizer", tokenizer, "--begin-token", "<|b|>", "--out", tmp_path / "a")
    options: dict[str, Any] = {"tokenizer": tokenizer, "begin_token": "<|b|>"}
    written = catalex.vocab(tokens, tmp_path / "b", **options)
    catalex.vocab(shop.table, tmp_path / "c", **options)
    again = catalex.Vocabulary(shop.table).write(tmp_path / "d", **options)
    assert hashes(tmp_path / "a") == hashes(tmp_path / "b") == hashes(tmp_path / "c") == hashes(tmp_path / "d")
    assert written == again == json.loads((tmp_path / "a" / "vocabulary.json").read_text())
    with pytest.raises(catalex.ConfigError, match="start-values: expected a value for --llm"):
        catalex.vocab(tokens, tmp_path / "e", start_values="mean")
    with pytest.raises(catalex.ResourceError, match="already exists"):
        catalex.vocab(tokens, tmp_path / "b")
    assert catalex.vocab(tokens, tmp_path / "b", force=True)["tokenizer"] is None


def test_constrain_writes_the_same_folder_as_the_command_line(shop: Shop, tokenizer: Path, tmp_path: Path) -> None:
    tokens = shop.folder / "tokens.parquet"
    (tmp_path / "only.txt").write_text("7\n9\n")
    flags = ["--form", "trie,choices", "--only", str(tmp_path / "only.txt")]
    printed = json.loads(done("constrain", tokens, *flags, "--out", tmp_path / "a"))
    first = catalex.constrain(tokens, tmp_path / "b", form="trie,choices", only=tmp_path / "only.txt")
    second = catalex.constrain(shop.table, tmp_path / "c", form=["trie", "choices"], only=[7, 9])
    assert hashes(tmp_path / "a") == hashes(tmp_path / "b") == hashes(tmp_path / "c")
    assert printed == first == second and first["items"] == 2
    catalex.vocab(shop.table, tmp_path / "vocabulary", tokenizer=tokenizer)
    with_ids = catalex.constrain(shop.table, tmp_path / "d", form="trie", vocabulary=tmp_path / "vocabulary")
    assert with_ids["token_ids"]["first_id"] == catalex.TokenIds.read(tmp_path / "vocabulary").first_id
    with pytest.raises(catalex.ConfigError, match="form"):
        catalex.constrain(tokens, tmp_path / "e", form="tree")
    with pytest.raises(catalex.ConfigError, match="setting dense-depth: expected a number from 1 to 2, got 3"):
        catalex.constrain(tokens, tmp_path / "e", form="static", dense_depth=3)
    with pytest.raises(catalex.InputError, match="ids of the token table"):
        catalex.constrain(tokens, tmp_path / "e", form="trie", only=[-1])
    assert not (tmp_path / "e").exists()


def test_export_writes_the_same_folder_as_the_command_line(
    shop: Shop, events: pa.Table, catalog: pa.Table, tmp_path: Path
) -> None:
    from pyarrow import csv  # noqa: PLC0415

    tokens = shop.folder / "tokens.parquet"
    csv.write_csv(events, tmp_path / "events.csv")
    csv.write_csv(catalog, tmp_path / "catalog.csv")
    columns = ["--title", "title", "--attributes", "kind"]
    events_csv, catalog_csv = str(tmp_path / "events.csv"), str(tmp_path / "catalog.csv")
    flags = ["--catalog", catalog_csv, *columns, "--interactions", events_csv, "--seed", "7"]
    done("export", tokens, "--for", "lc-rec", *flags, "--name", "shop", "--out", tmp_path / "a")
    options: dict[str, Any] = {"family": "lc-rec", "title": "title", "attributes": ["kind"], "seed": 7, "name": "shop"}
    with pytest.warns(UserWarning, match="have no title"):
        written = catalex.export(shop.table, tmp_path / "b", catalog=catalog, interactions=events, **options)
    assert hashes(tmp_path / "a") == hashes(tmp_path / "b")
    description = json.loads((tmp_path / "a" / "export.json").read_text())
    assert {**written, "sha256": description["sha256"]} == description
    dry = catalex.export(
        tokens, family="sequences", interactions=tmp_path / "events.csv", dry_run=True, progress=lambda event: None
    )
    assert dry["dry_run"] and any(task["samples"] for task in dry["tasks"].values())
    with pytest.raises(catalex.ConfigError, match="catalog: expected a catalog"):
        catalex.export(tokens, tmp_path / "c", family="lc-rec", interactions=events)
    with pytest.raises(catalex.ConfigError, match="expected either dry_run or out"):
        catalex.export(tokens, tmp_path / "c", family="sequences", interactions=events, dry_run=True)
    with pytest.raises(catalex.InputError, match="interactions: expected a path, or a table"):
        catalex.export(tokens, tmp_path / "c", family="sequences", interactions=[1, 2])
    assert "[" in catalex.family_templates("lc-rec")
    with pytest.raises(catalex.ConfigError, match="lc-rec"):
        catalex.family_templates("lcrec")


def test_inspect_returns_what_the_command_line_prints(shop: Shop, catalog: pa.Table, tmp_path: Path) -> None:
    tokens, model, x = shop.folder / "tokens.parquet", shop.folder / "model", shop.folder / "x.npy"
    printed = json.loads(done("inspect", tokens, "--features", x, "--model", model, "--json"))
    assert catalex.inspect(tokens, features=x, model=model) == printed
    assert catalex.inspect(shop.table, features=shop.vectors, model=shop.tokenizer) == printed
    assert catalex.inspect(shop.table, features=shop.vectors, model=shop.tokenizer)["items"] == ITEMS
    assert catalex.inspect(model) == catalex.inspect(shop.tokenizer) == json.loads(done("inspect", model, "--json"))
    assert catalex.inspect(shop.tokenizer, features=shop.vectors)["items"] == ITEMS
    report = tmp_path / "report.html"
    figures = catalex.inspect(shop.table, catalog=catalog, label="kind", text="title", report=report)
    assert figures["labels"]["label"] == "kind" and report.read_text().startswith("<!doctype html>")
    assert isinstance(figures, Figures) and "distinct IDs" in figures._repr_html_()
    with pytest.raises(catalex.ConfigError, match="both --features and --model"):
        catalex.inspect(shop.table, features=shop.vectors)
    with pytest.raises(catalex.ResourceError, match="already exists"):
        catalex.inspect(shop.table, report=report)


def test_lookup_returns_what_the_command_line_prints(shop: Shop) -> None:
    tokens = shop.folder / "tokens.parquet"
    (hit,) = catalex.lookup(tokens, item=7)
    assert hit["semantic_id"] == shop.table.lookup(7) and hit["codes"] == shop.table.codes[7].tolist()
    prefix = shop.table.lookup(7, levels=1)
    assert catalex.lookup(shop.table, prefix) == json.loads(done("lookup", tokens, prefix, "--json"))
    with pytest.raises(catalex.InputError, match="either a semantic ID or item="):
        catalex.lookup(tokens)
    with pytest.raises(catalex.CatalexError):
        catalex.lookup(tokens, item="nothing")


def test_jobs_take_an_index_of_an_older_release(tmp_path: Path) -> None:
    index = catalex.Index(OLD_INDEX)
    assert (len(index), index.manifest["catalex_version"]) == (48, "0.1.0")
    assert catalex.tokenize(index, index) == catalex.tokenize(index.features, index.tokenizer) == index.table
    assert catalex.inspect(index)["items"] == catalex.inspect(OLD_INDEX)["items"] == 48
    vectors = index.features.vectors("text")
    assert catalex.inspect(index, features={"text": vectors})["reconstruction"] is not None
    assert catalex.constrain(index, tmp_path / "forms", form="choices")["items"] == 48
    assert catalex.vocab(index, tmp_path / "vocabulary")["model_hash"] == index.tokenizer.hash
    assert len(catalex.lookup(index, index.table.lookup(index.table.item_ids[0]))) == 1


HERE = {"progress", "force", "out", "dry_run"}
"""Parameters of jobs that are not settings."""


@pytest.mark.parametrize(
    ("job", "groups", "others"),
    [
        (catalex.tokenize, ("tokens", "sharing", "members", "far", "threads"), {"features", "model", "previous"}),
        (catalex.vocab, ("vocabulary", "llm"), {"tokens"}),
        (catalex.constrain, ("constraint",), {"tokens"}),
        (catalex.export, ("columns", "export"), {"tokens", "family", "catalog"}),
        (catalex.inspect, ("report", "histories"), {"subject", "features", "model", "report"}),
        (catalex.compare, ("histories", "compare"), {"a", "b"}),
        (catalex.ranking_features, ("ranking",), {"tokens"}),
    ],
)
def test_parameters_are_the_declared_settings(
    job: Callable[..., Any], groups: tuple[str, ...], others: set[str]
) -> None:
    parameters = inspect.signature(job).parameters
    # `from` is a keyword of Python.
    names = {"trained_on" if name == "from" else name for name in _settings.names(*groups)}
    assert parameters.keys() - HERE - others == names - others
    # The command line has the same names.
    text = program("help", "features" if job is catalex.ranking_features else job.__name__).stdout
    assert all(f"--{name.replace('_', '-')}" in text for name in _settings.names(*groups))
    given = [parameters[name] for name in names]
    assert {p.default for p in given} <= {None, inspect.Parameter.empty}, "a default is stated in the declaration only"


def test_progress_and_warnings_reach_python(shop: Shop, events: pa.Table, catalog: pa.Table, tmp_path: Path) -> None:
    heard: list[dict[str, Any]] = []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        catalex.export(
            shop.table,
            tmp_path / "a",
            family="lc-rec",
            catalog=catalog,
            interactions=events,
            progress=heard.append,
        )
    assert [event["event"] for event in heard].count("warning") == 1
    catalex.tokenize(shop.vectors, shop.tokenizer, progress=heard.append)
    assert {"begin", "end"} <= {event["event"] for event in heard}

    def fails(event: dict[str, Any]) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        catalex.export(
            shop.table, tmp_path / "b", family="lc-rec", catalog=catalog, interactions=events, progress=fails
        )


INTERRUPTED = """
    import os, signal, sys, time
    import numpy as np
    import catalex

    begun = []
    def interrupt(event):
        if not begun:
            begun.append(time.perf_counter())
            os.kill(os.getpid(), signal.SIGINT)
    x = np.random.default_rng(0).normal(size=(400_000, 24)).astype("f4")
    np.save(sys.argv[2], x)
    try:
        catalex.tokenize(sys.argv[2], sys.argv[1], collisions="keep", out=sys.argv[3], progress=interrupt)
    except KeyboardInterrupt:
        print(time.perf_counter() - begun[0])
"""


def test_ctrl_c_stops_a_job_without_output(shop: Shop, tmp_path: Path) -> None:
    arguments = [shop.folder / "model", tmp_path / "x.npy", tmp_path / "tokens.parquet"]
    command = [sys.executable, "-c", textwrap.dedent(INTERRUPTED), *map(str, arguments)]
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert run.returncode == 0, run.stderr
    assert float(run.stdout) < 2
    assert [path.name for path in tmp_path.iterdir()] == ["x.npy"]
