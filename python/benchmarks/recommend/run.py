"""Trains and scores a recommender on ID sets, prints the tables, and appends each result to a file.

    python -m recommend.run FOLDER/office.npz FOLDER/beauty.npz --json RUNS.jsonl --jobs 4

It needs numpy and torch alone. Without `--only`, all ID sets of the data files run, and the rows that need none:
popularity, transitions, item tokens, random. Seed by seed, so that a study that is cut short has all rows.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import time
from pathlib import Path

from .baselines import BASELINES
from .evaluation import WITHOUT_FILE, Run
from .histories import Data, load
from .runs import Machine, compute, device_of
from .settings import add_settings, given_settings
from .table import BASELINE, sections


def add_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("runs")
    group.add_argument("--only", nargs="+", metavar="NAME", help="ID sets to run [default: all, and the other rows]")
    group.add_argument("--seeds", default="5", help="a number of seeds from 0 on, or a list such as 0,3 [default: 5]")
    group.add_argument(
        "--json", type=Path, metavar="FILE", help="append results to FILE; results in it are not repeated"
    )
    group.add_argument("--baseline", default=BASELINE, help=f"ID set of the differences [default: {BASELINE}]")
    group.add_argument("--device", default="auto", help="cpu, cuda or cuda:N [default: auto]")
    group.add_argument("--jobs", type=int, default=1, help="processes that share the runs [default: 1]")
    group.add_argument("--threads", type=int, help="threads per process [default: all cores, divided by the processes]")
    group.add_argument(
        "--deadline", type=float, default=math.inf, metavar="SECONDS", help="start no run after this time"
    )
    add_settings(parser)


def seeds_of(text: str) -> list[int]:
    return [int(seed) for seed in text.split(",")] if "," in text else list(range(int(text)))


def execute(paths: list[Path], arguments: argparse.Namespace) -> int:
    """Runs what the arguments say, prints the tables, and returns the number of runs that failed."""
    began = time.monotonic()
    # Matrix products on a GPU are deterministic only with this.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    settings, loaded = given_settings(arguments), {path: load(path) for path in paths}
    runs = []
    for seed in seeds_of(arguments.seeds):
        for data in loaded.values():
            runs += [Run(data, name, seed, settings) for name in _names(data, arguments.only)]
    files = {f"{data.name} {data.split}": path for path, data in loaded.items()}
    if len(files) < len(paths):
        sys.exit(f"recommend: expected data files with different names or splits, got {len(paths)} for {list(files)}")
    threads = arguments.threads or max(1, (os.cpu_count() or 1) // arguments.jobs)
    machine = Machine(device_of(arguments.device), arguments.jobs, threads)
    records, failed = compute(runs, files, arguments.json, machine, began + arguments.deadline)
    print(sections(records, arguments.baseline))
    return failed


def _names(data: Data, only: list[str] | None) -> list[str]:
    known = [*data.sets, *(WITHOUT_FILE if data.blocks is None else BASELINES)]
    if only is None:
        return list(dict.fromkeys(known))
    for name in only:
        if name not in known:
            print(f"recommend: SKIPPED {name} on {data.name}: it has {', '.join(known)}", file=sys.stderr)
    return [name for name in only if name in known]


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="recommend.run", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", nargs="+", type=Path, help="files of `python -m recommend.make`")
    add_arguments(parser)
    arguments = parser.parse_args()
    sys.exit(1 if execute(arguments.data, arguments) else 0)


if __name__ == "__main__":
    main()
