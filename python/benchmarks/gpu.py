"""Training on a GPU beside the same machine's CPU, and LC-Rec's recipe beside a plain loop of PyTorch on the same card.

`PYTHONPATH=../scripts python benchmarks/gpu.py --catalex PATH` in `python/` prints one table. Without `--catalex` it
runs the installed program. `--devices cpu --small` runs everything at a small size without a GPU, which the tests do.
"""

from __future__ import annotations

import argparse
import itertools
import json
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from frozen import FrozenModel
from measures import Matrix, perplexity

SAMPLE = 20_000
"""Items by which perplexities are measured."""


@dataclass(frozen=True)
class Sizes:
    default: tuple[tuple[int, int], ...]
    """Items and dimensions, for the default recipe."""
    lc_rec: tuple[int, int]
    hidden: tuple[int, ...]
    epochs: tuple[int, int]
    """Two numbers of epochs for LC-Rec's recipe: their difference is timed, without the start of the program."""
    batch: int
    codes: int


FULL = Sizes(((12_000, 384), (262_144, 768)), (32_768, 768), (2048, 1024, 512, 256, 128, 64), (5, 55), 1_024, 256)
SMALL = Sizes(((1_200, 16), (1_500, 24)), (1_024, 24), (48, 32), (2, 12), 256, 32)


def vectors(items: int, dim: int, seed: int = 0) -> Matrix:
    """Clusters within clusters, in dimensions of decreasing variance, as embeddings of a catalog have."""
    rng = np.random.default_rng(seed)
    scale = (1 / np.sqrt(1 + np.arange(dim))).astype(np.float32)
    out = rng.standard_normal((items, dim), np.float32) * np.float32(0.4)
    for clusters, size in ((items // 8 + 1, 0.5), (64, 1.0)):
        centres = rng.standard_normal((clusters, dim), np.float32) * np.float32(size)
        out += centres[rng.integers(0, clusters, items)]
    return out * scale


@dataclass
class Card:
    """The highest memory of the card above that at the start, in MB, as nvidia-smi reports it."""

    device: str
    peak: int | None = None
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> Card:
        before = self._used()
        if self.device == "cpu" or before is None:
            return self
        self.peak = 0

        def watch() -> None:
            while not self._stop.wait(0.1):
                self.peak = max(self.peak or 0, (self._used() or 0) - before)

        self._thread = threading.Thread(target=watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        if self._thread:
            self._thread.join()

    def _used(self) -> int | None:
        tool = shutil.which("nvidia-smi")
        if self.device == "cpu" or not tool:
            return None
        _, _, number = self.device.partition(":")
        query = [tool, "--query-gpu=memory.used", "--format=csv,noheader,nounits", "-i", number or "0"]
        said = subprocess.run(query, capture_output=True, text=True, check=False)
        return int(said.stdout.split()[0]) if said.returncode == 0 and said.stdout.split() else None


@dataclass(frozen=True)
class Run:
    seconds: float
    error: float
    sha256: str
    peak: int | None


def train(program: str, features: Path, model: Path, device: str, arguments: list[str]) -> Run:
    """`catalex train` as a whole, from reading the file to the model on disk."""
    command: list[str | Path] = [program, "train", features, "--out", model, "--force", "--device", device]
    command += ["--progress", "none"]
    with Card(device) as card:
        began = time.perf_counter()
        subprocess.run([*command, *arguments], check=True)
        seconds = time.perf_counter() - began
    config = json.loads((model / "config.json").read_text())
    record = config["training"]
    errors = {figures["epoch"]: figures["error"] for figures in record["history"]}
    return Run(seconds, errors.get(record["best_epoch"], float("nan")), config["weights_sha256"], card.peak)


def perplexities(model: Path, x: Matrix) -> str:
    """The perplexity of each level, on the first items."""
    return " ".join(f"{perplexity(level):.0f}" for level in FrozenModel(model).codes(x[:SAMPLE]).T)


class PlainRqVae(torch.nn.Module):  # type: ignore[misc]
    """LC-Rec's RQ-VAE, as its published code writes it, without k-means at the start."""

    def __init__(self, dim: int, sizes: Sizes, latent_dim: int = 32) -> None:
        super().__init__()
        widths = [dim, *sizes.hidden, latent_dim]
        self.encoder, self.decoder = perceptron(widths), perceptron(widths[::-1])
        self.books = torch.nn.ParameterList(
            torch.nn.Parameter(torch.randn(sizes.codes, latent_dim) * 0.1) for _ in range(4)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The loss of a batch."""
        z = self.encoder(x)
        rest, total, losses = z, torch.zeros_like(z), []
        for level, book in enumerate(self.books):
            distances = (rest**2).sum(1, keepdim=True) + (book**2).sum(1) - 2 * rest @ book.T
            code = (sinkhorn(distances) if level + 1 == len(self.books) else -distances).argmax(1)
            codeword = torch.nn.functional.embedding(code, book)
            losses.append(
                torch.nn.functional.mse_loss(codeword, rest.detach())
                + 0.25 * torch.nn.functional.mse_loss(codeword.detach(), rest)
            )
            straight = rest + (codeword - rest).detach()
            rest, total = rest - straight, total + straight
        return torch.nn.functional.mse_loss(self.decoder(total), x) + torch.stack(losses).mean()


def perceptron(widths: list[int]) -> torch.nn.Sequential:
    layers: list[torch.nn.Module] = []
    for width, following in itertools.pairwise(widths):
        linear = torch.nn.Linear(width, following)
        torch.nn.init.xavier_normal_(linear.weight)
        layers += [linear, torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1])


@torch.no_grad()  # type: ignore[untyped-decorator]
def sinkhorn(distances: torch.Tensor, epsilon: float = 0.003, iterations: int = 50) -> torch.Tensor:
    most, least = distances.max(), distances.min()
    middle = (most + least) / 2
    plan = torch.exp(-((distances - middle) / (most - middle + 1e-5)).double() / epsilon)
    plan /= plan.sum()
    for _ in range(iterations):
        plan /= plan.sum(1, keepdim=True)
        plan /= len(plan)
        plan /= plan.sum(0, keepdim=True)
        plan /= plan.shape[1]
    return plan


def plain_loop(x: Matrix, sizes: Sizes, device: str) -> float:
    """Seconds per step of a plain loop of PyTorch: data on the device, no reading of losses within an epoch."""
    torch.manual_seed(0)
    data, model = torch.from_numpy(x).to(device), PlainRqVae(x.shape[1], sizes).to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=1e-4)
    steps, began = 0, 0.0
    for epoch in range(sizes.epochs[1] - sizes.epochs[0] + 1):
        if epoch == 1:  # The first epoch warms up.
            wait(device)
            steps, began = 0, time.perf_counter()
        for rows in torch.randperm(len(data), device=device).split(sizes.batch):
            optimizer.zero_grad()
            model(data[rows]).backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            steps += 1
    wait(device)
    return (time.perf_counter() - began) / steps


def wait(device: str) -> None:
    if device != "cpu":
        torch.cuda.synchronize()


def lc_rec(program: str, sizes: Sizes, device: str, folder: Path) -> list[list[str]]:
    items, dim = sizes.lc_rec
    x, features = vectors(items, dim), folder / "lc-rec.npy"
    np.save(features, x)
    seconds = []
    for epochs in sizes.epochs:
        arguments = ["--recipe", "lc-rec", "--epochs", str(epochs), "--batch-size", str(sizes.batch)]
        arguments += ["--codebook-size", str(sizes.codes), "--hidden", ",".join(map(str, sizes.hidden))]
        run = train(program, features, folder / "model", device, arguments)
        seconds.append(run.seconds)
    steps = (sizes.epochs[1] - sizes.epochs[0]) * -(-items // sizes.batch)
    ours, plain = (seconds[1] - seconds[0]) / steps, plain_loop(x, sizes, device)
    name = f"LC-Rec, {items:,} x {dim}, a step of {sizes.batch:,}"
    memory = "" if run.peak is None else f"{run.peak:,} MB"
    return [
        [name, f"{device}, PyTorch", f"{plain:.5f}", "1.0", "", "", "", ""],
        [name, device, f"{ours:.5f}", f"{plain / ours:.1f}", "", "", memory, ""],
    ]


def default(program: str, shape: tuple[int, int], sizes: Sizes, devices: list[str], folder: Path) -> list[list[str]]:
    items, dim = shape
    x, features = vectors(items, dim), folder / "features.npy"
    np.save(features, x)
    arguments = ["--codebook-size", str(sizes.codes)]
    rows: list[list[str]] = []
    first = 0.0
    for device in devices:
        run = train(program, features, folder / "model", device, arguments)
        first = first or run.seconds
        # One run on the CPU is enough: the tests compare its bytes.
        equal = ""
        if device != "cpu" or sizes is SMALL:
            again = train(program, features, folder / "model", device, arguments)
            equal = "yes" if again.sha256 == run.sha256 else "NO"
        memory = "" if run.peak is None else f"{run.peak:,} MB"
        used = perplexities(folder / "model", x)
        rows.append(
            [
                f"default, {items:,} x {dim}",
                device,
                f"{run.seconds:.2f}",
                f"{first / run.seconds:.1f}",
                f"{run.error:.5f}",
                used,
                memory,
                equal,
            ]
        )
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--catalex", default=shutil.which("catalex") or "catalex", help="the program")
    parser.add_argument("--devices", default="cpu,cuda", help="the first one is the baseline")
    parser.add_argument("--small", action="store_true", help="small sizes, for a test")
    options = parser.parse_args()
    devices, sizes = options.devices.split(","), SMALL if options.small else FULL
    columns = ["case", "device", "seconds", "times as fast", "held-out error", "perplexities", "memory", "runs equal"]
    print("| " + " | ".join(columns) + " |\n|" + "---|" * len(columns), flush=True)
    wrong = False
    with tempfile.TemporaryDirectory() as name:
        for shape in sizes.default:
            for row in default(options.catalex, shape, sizes, devices, Path(name)):
                print("| " + " | ".join(row) + " |", flush=True)
                wrong |= row[-1] == "NO"
        for row in lc_rec(options.catalex, sizes, devices[-1], Path(name)):
            print("| " + " | ".join(row) + " |", flush=True)
    return int(wrong)


if __name__ == "__main__":
    sys.exit(main())
