"""A list of runs, in one or several processes, with one line of JSON per result. Results that stand in the file are not
computed again."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import torch

from .evaluation import Run, evaluate
from .histories import load

KEY = ("data", "split", "set", "seed", "hash", "settings")

Record = dict[str, object]


@dataclass(frozen=True)
class Machine:
    device: str
    """`cpu`, `cuda` or `cuda:N`."""
    jobs: int
    threads: int
    """Per process."""


def device_of(name: str) -> str:
    """`auto` is a GPU where there is one."""
    return name if name != "auto" else "cuda" if torch.cuda.is_available() else "cpu"


def read_records(path: Path) -> list[Record]:
    """The results of a file of runs. Lines that were cut off are ignored, with a warning."""
    found: list[Record] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines() if path.is_file() else [], 1):
        try:
            record = json.loads(line)
        except ValueError:
            record = None
        if isinstance(record, dict):
            found.append(record)
        elif line.strip():
            print(f"recommend: line {number} of {path} is no JSON object: it is ignored", file=sys.stderr)
    return found


def key_of(record: Record) -> str:
    return json.dumps({name: record.get(name) for name in KEY}, sort_keys=True)


def compute(
    runs: list[Run], paths: dict[str, Path], file: Path | None, machine: Machine, deadline: float
) -> tuple[list[Record], int]:
    """The results of runs, in their order, and the number of runs that failed. No run starts after the `deadline`
    (`time.monotonic()`). `paths` maps the data of a run, by name and split, to its file, which other processes read."""
    done = {key_of(record): record for record in read_records(file)} if file else {}
    keys = [key_of(dict(run.key())) for run in runs]
    waiting: dict[str, Run] = {}
    for key, run in zip(keys, runs, strict=True):
        if key not in done:
            waiting.setdefault(key, run)
    if len(waiting) < len(set(keys)):
        print(f"recommend: {len(set(keys)) - len(waiting)} runs stand in {file} already", file=sys.stderr)
    failed = 0
    for record in _results(list(waiting.values()), paths, machine, deadline):
        if isinstance(record, str):
            failed += 1
            print(f"recommend: {record}", file=sys.stderr)
            continue
        done[key_of(record)] = record
        if file:
            append(record, file)
        figures = {name: round(value, 4) for name, value in record["figures"].items()}  # type: ignore[attr-defined]
        print(
            f"recommend: {record['data']}, {record['set']}, seed {record['seed']}, {record['seconds']} s: {figures}",
            file=sys.stderr,
        )
    left = sum(key not in done for key in set(keys)) - failed
    if left:
        print(f"recommend: {left} runs were not started before the deadline", file=sys.stderr)
    return [done[key] for key in dict.fromkeys(keys) if key in done], failed


def append(record: Record, file: Path) -> None:
    """Adds a line to the file, after a line that was cut off begins a new one."""
    with file.open("a+b") as out:
        if out.tell() > 0:
            out.seek(-1, os.SEEK_END)
            if out.read(1) != b"\n":
                out.write(b"\n")
        out.write(json.dumps(record).encode() + b"\n")


def prepare(machine: Machine) -> None:
    """The same numbers for the same seed on one device, and a bound on its memory."""
    torch.set_num_threads(machine.threads)
    if machine.device.startswith("cuda"):
        torch.use_deterministic_algorithms(True, warn_only=True)
        torch.utils.deterministic.fill_uninitialized_memory = False
        torch.set_float32_matmul_precision("high")
        if machine.jobs > 1:
            torch.cuda.set_per_process_memory_fraction(0.95 / machine.jobs, torch.device(machine.device).index)


def _results(runs: list[Run], paths: dict[str, Path], machine: Machine, deadline: float) -> Iterator[Record | str]:
    """The result of each run as it is ready, or the text of its error."""
    if machine.jobs == 1:
        prepare(machine)
        for run in runs:
            if time.monotonic() < deadline:
                yield _guarded(run, machine)
        return
    left = iter(runs)
    with ProcessPoolExecutor(machine.jobs, get_context("spawn"), initializer=prepare, initargs=(machine,)) as pool:

        def start() -> Iterator[Future[Record | str]]:
            if time.monotonic() < deadline and (run := next(left, None)) is not None:
                path = paths[f"{run.data.name} {run.data.split}"]
                yield pool.submit(_from_file, path, run.name, run.seed, run.settings, machine)

        going = {future for _ in range(machine.jobs) for future in start()}
        while going:
            ready, going = wait(going, return_when=FIRST_COMPLETED)
            for future in ready:
                going |= set(start())
                yield future.result()


def _from_file(path: Path, name: str, seed: int, settings: object, machine: Machine) -> Record | str:
    return _guarded(Run(load(path), name, seed, settings), machine)  # type: ignore[arg-type]


def _guarded(run: Run, machine: Machine) -> Record | str:
    try:
        return dict(evaluate(run, torch.device(machine.device)))
    except (RuntimeError, ValueError) as error:
        return f"{run.data.name}, {run.name}, seed {run.seed} failed: {error}"
