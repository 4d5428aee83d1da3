"""The benchmark of training on a GPU, at a small size on the CPU."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import gpu

ROOT = Path(__file__).resolve().parents[2]


def test_the_table_has_a_row_for_every_case() -> None:
    binary = Path(os.environ.get("CARGO_TARGET_DIR", "")) / "release" / "catalex"
    if not binary.is_file():
        pytest.fail("there is no built catalex in $CARGO_TARGET_DIR/release: run `make test-python`")
    script = ROOT / "python" / "benchmarks" / "gpu.py"
    command: list[str | Path] = [sys.executable, script, "--catalex", binary, "--devices", "cpu", "--small"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "scripts")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows = [[cell.strip() for cell in line.strip("| \n").split("|")] for line in done.stdout.splitlines()[2:]]
    assert [row[:2] for row in rows] == [
        ["default, 1,200 x 16", "cpu"],
        ["default, 1,500 x 24", "cpu"],
        ["LC-Rec, 1,024 x 24, a step of 256", "cpu, PyTorch"],
        ["LC-Rec, 1,024 x 24, a step of 256", "cpu"],
    ]
    for row in rows[:2]:
        assert 0.0 < float(row[4]) < 0.9, row
        assert all(1.0 < float(number) <= 32.0 for number in row[5].split()), row
        assert row[7] == "yes", row
    assert all(float(row[2]) > 0 for row in rows)


def test_the_plain_loop_assigns_codes_evenly_and_has_gradients() -> None:
    torch.manual_seed(1)
    plan = gpu.sinkhorn(torch.rand(64, 8) + torch.arange(8))
    assert torch.allclose(plan.sum(0), torch.full((8,), 1 / 8, dtype=torch.float64))
    assert torch.bincount(plan.argmax(1), minlength=8).max() <= 16, "nearest codes alone would all be 0"
    model = gpu.PlainRqVae(24, gpu.SMALL)
    model(torch.from_numpy(gpu.vectors(256, 24))).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.abs().max() > 0, name
