"""`train`, `embed` and `build` in a separate process: settings, progress, errors and interruption."""

import dataclasses
import inspect
import os
import re
import signal
import stat
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from made import catalex as program
from made import done
from shop import DIM, ITEMS, Shop

import catalex
import catalex_cli
from catalex.config import flags, train_flags
from catalex.programs import BUILD, EMBED
from catalex.progress import NotebookBar, TerminalBar
from catalex.run import find_binary

SMALL: dict[str, Any] = {"levels": 3, "codebook_size": 16, "epochs": 1, "progress": "none"}


@pytest.fixture(autouse=True)
def on_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    release = Path(os.environ["CARGO_TARGET_DIR"]) / "release"
    monkeypatch.setenv("PATH", f"{release}{os.pathsep}{os.environ['PATH']}")


def documented(verb: str) -> dict[str, str | None]:
    """The flags of a verb in the command line's help, with their defaults."""
    text = program("help", verb).stdout
    flags: dict[str, str | None] = {}
    for part in re.split(r"^ +(?:-\w, )?--", text, flags=re.MULTILINE)[1:]:
        name = re.match(r"[\w-]+", part)
        assert name is not None
        default = re.search(r"\[default:\s+(.+?)\]", part, re.DOTALL)
        flags[name[0].replace("-", "_")] = " ".join(default[1].split()) if default else None
    return flags


HERE = {"out", "force", "resume", "checkpoint_every", "threads", "progress", "config", "help"}
"""Flags that are arguments of `train`, `embed` and `build` themselves."""


def test_settings_equal_those_of_the_command_line() -> None:
    fields = {field.name for field in dataclasses.fields(catalex.TrainConfig)}
    assert documented("train").keys() - HERE == fields


def test_arguments_equal_those_of_the_command_line() -> None:
    train = {f.name for f in dataclasses.fields(catalex.TrainConfig)}
    assert documented("embed").keys() - HERE == EMBED
    assert documented("build").keys() - HERE == EMBED | BUILD | train
    vocab = set(inspect.signature(catalex.vocab).parameters) - {"tokens"}
    # `from` is a keyword of Python.
    assert documented("vocab").keys() - {"help", "config", "from"} == vocab - {"trained_on"}
    estimator = set(catalex.SemanticIdEncoder().get_params())
    assert estimator == train | {"threads", "progress", "binary"}


def test_flags_contain_only_given_settings() -> None:
    config = catalex.TrainConfig(recipe="lc-rec", hidden=(64, 32), weight={"text": 1, "image": 0.5})
    assert config.flags() == ["--recipe=lc-rec", "--hidden=64,32", "--weight=text=1,image=0.5"]
    assert train_flags(config, {"epochs": 15, "hidden": []})[1:] == [
        "--hidden=0",
        "--weight=text=1,image=0.5",
        "--epochs=15",
    ]
    assert flags({"embedding": {"a": "x,y.npy", "b": "z.parquet:v"}}) == [
        "--embedding=a=x,y.npy",
        "--embedding=b=z.parquet:v",
    ]
    with pytest.raises(catalex.ConfigError, match="setting epoch: expected one of agreement"):
        catalex.train(np.zeros((4, 4)), epoch=3)
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.levels = 3  # type: ignore[misc]


def test_train_equals_the_command_line(shop: Shop, tmp_path: Path) -> None:
    done("train", shop.folder / "x.npy", "--levels=3", "--codebook-size=16", "--epochs=1", "--out", tmp_path / "a")
    expected = (tmp_path / "a" / "model.safetensors").read_bytes()
    lists = pa.array(shop.vectors.tolist(), pa.list_(pa.float32()))
    given: list[Any] = [shop.folder / "x.npy", shop.vectors, pa.table({"features": lists})]
    given += [np.asfortranarray(shop.vectors), pl.DataFrame({"features": shop.vectors})]
    given += [catalex.Features(shop.vectors, item_ids=range(9, 9 + ITEMS))]
    for features in given:
        model = catalex.train(features, **SMALL)
        assert model.hash == catalex.Tokenizer.load(tmp_path / "a").hash, type(features)
    out = catalex.train(
        shop.vectors, out=tmp_path / "b", config=catalex.TrainConfig(levels=3), codebook_size=16, epochs=1
    )
    assert (tmp_path / "b" / "model.safetensors").read_bytes() == expected
    assert out.hash == catalex.Tokenizer.load(tmp_path / "a").hash


def test_progress_is_reported_to_a_function(shop: Shop) -> None:
    events: list[dict[str, Any]] = []
    catalex.train(shop.vectors, **{**SMALL, "progress": events.append})
    assert {"begin", "end"} <= {event["event"] for event in events}
    stages = [event["stage"] for event in events if event["event"] == "begin"]
    assert len(stages) >= 2 and len(set(stages)) == len(stages)
    assert all(event["done"] <= event["total"] for event in events if event.get("total"))


def test_bars_show_stage_rate_and_figures(capsys: pytest.CaptureFixture[str]) -> None:
    events = [
        {"event": "begin", "stage": "train", "done": 0, "total": 4, "unit": "epochs"},
        {"event": "progress", "stage": "train", "done": 2, "total": 4, "unit": "epochs", "loss": 0.25},
        {"event": "end", "stage": "train", "done": 4, "total": 4, "unit": "epochs", "loss": 0.125},
    ]
    bar = TerminalBar(sys.stderr)
    for event in events:
        bar(event)
    bar.close()
    shown = capsys.readouterr().err
    assert "train [================                ] 2/4 epochs, loss 0.2500" in shown
    assert shown.endswith("4/4 epochs, loss 0.1250\n")
    cells: list[str] = []

    class Handle:
        def update(self, bar: Any) -> None:
            cells.append(bar._repr_html_())

    def display(bar: Any, display_id: bool) -> Handle:
        cells.append(bar._repr_html_())
        return Handle()

    notebook = NotebookBar(display)
    early = {"event": "end", "stage": "train", "done": 3, "total": 4, "unit": "epochs"}
    for event in [*events, *events[:2], early]:
        notebook(event)
    # Training that was over early is over.
    assert re.findall(r'value="([\d.]+)"', "".join(cells)) == ["0.000", "0.500", "1.000"] * 2
    with pytest.warns(UserWarning, match="careful"):
        bar({"event": "warning", "message": "careful"})
    with pytest.raises(catalex.ConfigError, match='expected "auto", "bar", "none" or a function'):
        catalex.train(np.zeros((4, 4)), progress="loud")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("features", "settings", "error", "says"),
    [
        (np.zeros((4, 4)), {}, catalex.ConfigError, "setting codebook-size: expected at most 4"),
        (np.ones((40, 4)), {"levels": 9}, catalex.ConfigError, "setting levels: expected a number from 1 to 8"),
        (np.ones((400, 4)), {"device": "abacus"}, catalex.CatalexError, "abacus"),
        (
            np.ones((4, 4)),
            {"batch_size": "many"},
            catalex.ConfigError,
            '--batch-size: expected a whole number, got "many"',
        ),
        (np.full((4, 4), np.nan), {}, catalex.InputError, r"features\[0, 0\]: expected finite numbers, got nan"),
        (np.zeros((4, 4), object), {}, catalex.InputError, "got dtype object"),
        (np.zeros(4), {}, catalex.InputError, r"got shape \(4,\)"),
        (Path("nowhere.npy"), {}, catalex.InputError, "nowhere.npy does not exist"),
        (np.ones((4, 4)), {"resume": True}, catalex.InputError, "out: expected where to write"),
    ],
)
def test_errors_of_the_program_are_raised(features: Any, settings: Any, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        catalex.train(features, progress="none", **settings)


def test_existing_output_is_not_replaced(shop: Shop) -> None:
    with pytest.raises(catalex.ResourceError, match="already exists"):
        catalex.train(shop.vectors, out=shop.folder / "model", **SMALL)


def fake(folder: Path, body: str) -> Path:
    """Writes a shell script in place of the program, such as one that ends like a crash."""
    path = folder / "catalex"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


@pytest.mark.parametrize(
    ("body", "error", "says"),
    [
        (
            "echo 'thread panicked' >&2; kill -ABRT $$",
            catalex.RunError,
            "catalex train was killed by SIGABRT.*panicked",
        ),
        ("kill -KILL $$", catalex.RunError, "killed by SIGKILL; the system does this when memory runs out"),
        ("kill -SEGV $$", catalex.RunError, "killed by SIGSEGV.*resume=True"),
        ("echo 'error: odd' >&2; exit 3", catalex.RunError, "failed with exit code 3: odd"),
        ("echo 'libtorch_cpu.so: cannot open' >&2; exit 127", catalex.ResourceError, r"catalex\[train\]"),
    ],
)
def test_a_crash_of_the_program_is_raised(tmp_path: Path, body: str, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=re.compile(says, re.DOTALL)):
        catalex.train(np.ones((4, 4)), binary=fake(tmp_path, body), progress="none")


def test_the_program_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_binary() == Path(os.environ["CARGO_TARGET_DIR"]) / "release" / "catalex"
    assert find_binary(fake(tmp_path, "true")) == tmp_path / "catalex"
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    with pytest.raises(catalex.ResourceError, match=r"not on the PATH; install a wheel.*`binary=`"):
        find_binary()
    with pytest.raises(catalex.ResourceError, match="which is no file"):
        catalex.train(np.ones((4, 4)), binary=tmp_path / "none")
    (tmp_path / "text").write_text("no program")
    with pytest.raises(catalex.ResourceError, match="cannot run"):
        catalex.train(np.ones((4, 4)), binary=tmp_path / "text")


def test_libtorch_is_found_in_the_torch_package(shop: Shop) -> None:
    variables = {k: v for k, v in os.environ.items() if k not in ("LD_LIBRARY_PATH", "LIBTORCH", "ORT_DYLIB_PATH")}
    code = "import catalex, sys; print(catalex.train(sys.argv[1], levels=4, codebook_size=8, epochs=1).hash)"
    run = subprocess.run(
        [sys.executable, "-c", code, str(shop.folder / "x.npy")],
        env=variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert catalex_cli.environment({})["LD_LIBRARY_PATH"].endswith("torch/lib")


STOPPED = """
    import os, signal, sys, threading, time
    import numpy as np
    import catalex

    begun = []
    def interrupt(event):
        if not begun:
            begun.append(time.perf_counter())
            os.kill(os.getpid(), signal.SIGINT)
    x = np.random.default_rng(0).normal(size=(100_000, 64)).astype("f4")
    try:
        catalex.train(x, out=sys.argv[1], progress=interrupt)
    except KeyboardInterrupt:
        print(time.perf_counter() - begun[0])
"""


def test_ctrl_c_reaches_the_program(tmp_path: Path) -> None:
    command = [sys.executable, "-c", textwrap.dedent(STOPPED), str(tmp_path / "model")]
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert run.returncode == 0, run.stderr
    assert float(run.stdout) < 2
    assert not (tmp_path / "model").exists()
    left = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert str(tmp_path / "model") not in left


def test_a_program_that_does_not_end_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("catalex.run.GRACE", 0.5)
    stubborn = fake(tmp_path, "trap '' INT; echo '{\"event\": \"begin\"}' >&2; sleep 60 & wait; wait; sleep 60")

    def interrupt(_: object) -> None:
        raise KeyboardInterrupt

    # In the background of a shell it is ignored.
    before = signal.getsignal(signal.SIGINT)
    began = time.perf_counter()
    with pytest.raises(KeyboardInterrupt):
        catalex.train(np.ones((4, 4)), binary=stubborn, progress=interrupt)
    assert time.perf_counter() - began < 10
    assert signal.getsignal(signal.SIGINT) is before


def test_catalogs_are_embedded_and_built(tmp_path: Path) -> None:
    minilm = Path(os.environ["CATALEX_MODELS"]) / "minilm"
    names = ["red pen", "blue pen", "desk lamp", "floor lamp", "chair", "armchair", "stool", "sofa"]
    catalog = pl.DataFrame({"sku": [f"s{i}" for i in range(24)], "title": [f"{n} {k}" for n in names for k in "abc"]})
    embedded = catalex.embed(catalog, id="sku", text="title", text_encoder=minilm, progress="none")
    assert repr(embedded) == "Features(24 items; text 384)"
    catalog.write_parquet(tmp_path / "c.parquet")
    index = catalex.build(
        tmp_path / "c.parquet",
        tmp_path / "index",
        id="sku",
        text=["title"],
        text_encoder=minilm,
        tokenizer=minilm,
        levels=2,
        codebook_size=8,
        progress="none",
    )
    assert repr(index) == f"Index({str(tmp_path / 'index')!r}, 24 items)" and len(index) == 24
    assert index.table == index.tokenizer.tokenize(index.features)
    # `build` computes the same features as `embed`.
    assert index.tokenizer.tokenize(embedded) == index.table
    assert index.report.is_file() and (index.vocabulary / "tokenizer" / "tokenizer.json").is_file()
    assert "report" in index._repr_html_()
    with pytest.raises(catalex.InputError, match="expected an index"):
        catalex.Index(tmp_path)
    with pytest.raises(catalex.ConfigError, match="setting txt: expected one of"):
        catalex.embed(catalog, txt="title")
    with pytest.raises(catalex.InputError, match="catalog: expected a path, or a table"):
        catalex.embed(["pen"], text="title")


def test_it_is_an_estimator(shop: Shop) -> None:
    from sklearn.base import clone  # noqa: PLC0415
    from sklearn.pipeline import make_pipeline  # noqa: PLC0415
    from sklearn.preprocessing import StandardScaler  # noqa: PLC0415

    encoder = catalex.SemanticIdEncoder(levels=3, codebook_size=16, epochs=1)
    assert repr(encoder) == "SemanticIdEncoder(levels=3, codebook_size=16, epochs=1)"
    assert clone(encoder).get_params() == encoder.get_params()
    with pytest.raises(ValueError, match="not fitted yet"):
        encoder.transform(shop.vectors)
    codes = encoder.fit_transform(shop.vectors)
    assert encoder.tokenizer_.hash == catalex.train(shop.vectors, **SMALL).hash
    assert (codes.shape, encoder.n_features_in_) == ((ITEMS, 3), DIM)
    assert encoder.inverse_transform(codes).shape == (ITEMS, DIM)
    assert encoder.get_feature_names_out().tolist() == ["code_0", "code_1", "code_2"]
    assert not hasattr(clone(encoder), "tokenizer_")
    pipeline = make_pipeline(StandardScaler(), encoder.set_params(codebook_size=12)).fit(shop.vectors)
    assert pipeline.transform(shop.vectors).max() == 11
    with pytest.raises(ValueError, match="invalid parameter 'epoch'"):
        encoder.set_params(epoch=3)
