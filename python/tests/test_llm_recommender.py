"""The language model recommender of python/examples in its short form, with the command of docs/recommenders.md."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT

torch = pytest.importorskip("torch", reason="THE LLM RECOMMENDER IS NOT TESTED: torch is not installed here")
pytest.importorskip("peft", reason="THE LLM RECOMMENDER IS NOT TESTED: peft is not installed here")

from llm_recommender import made  # noqa: E402  after the checks
from llm_recommender.__main__ import catalog_of  # noqa: E402
from llm_recommender.models import load, trainable, trained_parameters  # noqa: E402
from llm_recommender.runs import OURS, SCRATCH, TITLES  # noqa: E402
from llm_recommender.settings import ALL, MATRIX, ROWS, Settings  # noqa: E402
from llm_recommender.tuning import nats  # noqa: E402

from recommend.runs import Record  # noqa: E402
from recommend.scoring import figures, hits_of_items  # noqa: E402
from recommend.table import sections  # noqa: E402

BLOCK = re.compile(r"^<!-- tested by python/tests/test_llm_recommender.py -->\n```sh\n(.*?)^```$", re.M | re.S)
CPU, NEW = torch.device("cpu"), 6


def test_the_short_form_recommends_items_above_chance(tmp_path: Path) -> None:
    (command,) = BLOCK.findall((ROOT / "docs" / "recommenders.md").read_text(encoding="utf-8"))
    (tmp_path / "python").symlink_to(ROOT / "python")
    release = Path(os.environ["CARGO_TARGET_DIR"]) / "release"
    path = os.pathsep.join([str(release), str(Path(sys.executable).parent), os.environ["PATH"]])
    # More threads only wait for each other in models of this size.
    environment = {**os.environ, "PATH": path, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        ["bash", "-euc", command], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert f"| {OURS} | 1 | 0." in done.stdout
    folder = tmp_path / "target" / "llm-short" / "made"
    records = {record["set"]: record for record in map(json.loads, (folder / "runs.jsonl").read_text().splitlines())}
    assert set(records) == {OURS, TITLES, SCRATCH}
    ours = records[OURS]
    assert ours["real_constrained"] == 1.0
    assert ours["curve"]["nats"][-1] < 0.5 * ours["curve"]["nats"][0]
    # By chance, ten of 96 items contain the next one in a tenth of the cases.
    assert ours["figures"]["recall@10"] > 0.5
    manifest = (folder / "index" / "manifest.json").read_text(encoding="utf-8")
    assert '"hold-out-last": 2' in manifest, "behaviour comes from training events alone"


@pytest.fixture(scope="module")
def llm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made-llm")
    made.write_llm(folder, [f"{color} {kind}" for color in made.COLORS for kind in made.KINDS])
    return folder


@pytest.mark.parametrize("tune", [ROWS, MATRIX, ALL])
def test_a_step_changes_only_the_rows_that_are_trained(llm: Path, tune: str) -> None:
    settings = Settings(tune=tune, rank=2)
    model = load(llm, settings, CPU)
    old = model.get_input_embeddings().weight.shape[0]
    model.resize_token_embeddings(old + NEW, mean_resizing=False)
    before = model.get_input_embeddings().weight.detach().clone()
    model = trainable(model, list(range(old, old + NEW)), settings, 0)
    parameters = trained_parameters(model)
    adapters = sum(value.numel() for name, value in parameters.items() if "lora_" in name)
    embeddings = {ROWS: NEW * before.shape[1], MATRIX: before.numel()}
    if tune in embeddings:
        assert sum(value.numel() for value in parameters.values()) == adapters + embeddings[tune]
    optimizer = torch.optim.AdamW(parameters.values(), lr=0.1, weight_decay=0.0)
    nats(model, [([5, old + 1, 7], [old + 2, 9]), ([3], [old])], 0).sum().backward()
    optimizer.step()
    after = (model if tune == ALL else model.merge_and_unload()).get_input_embeddings().weight
    changed = (after != before).any(1)
    assert changed[old : old + 3].all()
    assert changed[:old].any() == (tune != ROWS)


def test_padding_does_not_change_the_loss(llm: Path) -> None:
    model = load(llm, Settings(layers=1), CPU).eval()
    assert len(model.model.layers) == 1
    pairs = [([5, 6, 7, 8], [9, 10]), ([11], [12, 13, 14])]
    alone = [float(nats(model, [pair], 0).detach()) for pair in pairs]
    np.testing.assert_allclose(nats(model, pairs, 0).tolist(), alone, rtol=1e-4)


def test_absent_data_is_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = Namespace(short=False, items=None, histories=None, data="office", shared=tmp_path)
    assert catalog_of(arguments) is None
    assert "SKIPPED office" in capsys.readouterr().err


def test_a_table_of_runs_without_hits_is_printed() -> None:
    histories = made.catalog(users=4).histories("leave-one-out")
    found = figures(hits_of_items(np.full((4, 10), -1), np.arange(4)), np.arange(4), histories, 10)
    about: Record = {"data": "made", "split": "", "settings": {}, "seed": 0, "items": 96, "test_events": 4, **found}
    said = sections([{**about, "set": OURS}, {**about, "set": TITLES}], OURS)
    assert f"| {TITLES} | 1 | +0.0000 | +0.0000 |" in said
