"""Tunes a language model on semantic IDs and compares it with other identifiers of items.

    export PYTHONPATH=python/examples:python/benchmarks
    python -m llm_recommender catalex --data office     all rows, three seeds, for one GPU
    python -m llm_recommender catalex --short           made data and a made model, to check that it runs

Each user's last event tests and the one before validates. The table goes to stdout; each result is also a line of JSON.
The language model and the text encoder are in the models folder of the set-up, CATALEX_MODELS.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import sys
import time
from pathlib import Path

import torch
from emoji_llm import unpack

from recommend.catalogs import SHARED, SHOPS, Catalog, given, shop
from recommend.histories import content_hash
from recommend.runs import Record, append, device_of, key_of, read_records
from recommend.table import sections

from . import made
from .identifiers import Identifiers
from .runs import NAMES, OURS, Study
from .settings import add_settings, given_settings

SHORT_BUILD = "--levels 2 --codebook-size 16 --epochs 60 --seed 1"


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="llm_recommender", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("catalex", help="the program: a path, or a name on PATH")
    parser.add_argument("--data", choices=sorted(SHOPS), default="office", help="a shop of --shared")
    parser.add_argument("--shared", type=Path, default=SHARED, metavar="DIR")
    parser.add_argument("--items", type=Path, metavar="FILE", help="your items: JSON Lines with id and title")
    parser.add_argument("--histories", type=Path, metavar="FILE", help="your events: lines `user item item ...` "
                        "(.txt), or a CSV table with user, item and optionally time")  # fmt: skip
    parser.add_argument("--text", default="title", metavar="COLUMNS", help="columns of --items that are encoded")
    parser.add_argument("--build", default="", metavar="FLAGS", help="flags of `catalex build`")
    parser.add_argument("--models", type=Path, default=Path(os.environ.get("CATALEX_MODELS", "")))
    parser.add_argument(
        "--llm", type=Path, metavar="DIR", help="a Hugging Face folder [default: SmolLM2-135M-Instruct]"
    )
    parser.add_argument("--rows", nargs="+", choices=NAMES, default=NAMES, metavar="ROW", help="; ".join(NAMES))
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds [default: 3]")
    parser.add_argument("--device", default="auto", help="cpu, cuda or cuda:N [default: auto]")
    parser.add_argument("--out", type=Path, default=Path("target/llm-recommender"), help="folder of all files")
    parser.add_argument(
        "--short", action="store_true", help="a made catalog and a made model, on a CPU within a minute"
    )
    add_settings(parser)
    arguments = parser.parse_args()
    catalog = catalog_of(arguments)
    if catalog is None:
        return
    program = shutil.which(arguments.catalex)
    if program is None:
        sys.exit(f"llm_recommender: expected the built program, got {arguments.catalex}: there is no such program")
    build = tuple(shlex.split(arguments.build or (SHORT_BUILD if arguments.short else "")))
    identifiers = Identifiers(Path(program), arguments.out / catalog.name, catalog,
                              arguments.models / "minilm", build)  # fmt: skip
    identifiers.prepare()
    study = Study(identifiers, llm_of(arguments, catalog), given_settings(arguments),
                  torch.device(device_of(arguments.device)), arguments.short)  # fmt: skip
    if study.device.type == "cuda":
        torch.set_float32_matmul_precision("high")
    print(sections(compute(study, arguments.rows, arguments.seeds), OURS))


def catalog_of(arguments: argparse.Namespace) -> Catalog | None:
    if arguments.short:
        return made.catalog()
    if arguments.items and arguments.histories:
        return given(arguments.items.stem, arguments.items, arguments.histories, arguments.text)
    try:
        return shop(arguments.data, arguments.shared)
    except LookupError as error:
        print(f"llm_recommender: SKIPPED {arguments.data}: {error}; use --items and --histories", file=sys.stderr)
        return None


def llm_of(arguments: argparse.Namespace, catalog: Catalog) -> Path:
    """The folder of the language model, which is written if it is not given."""
    if arguments.llm:
        return Path(arguments.llm)
    folder: Path = arguments.out / ("made-llm" if arguments.short else "smollm2")
    if arguments.short:
        made.write_llm(folder, [str(row["title"]) for row in catalog.rows])
    else:
        unpack(next((arguments.models / "smollm2").glob("*.gguf")), folder)
    return folder


def compute(study: Study, names: list[str], seeds: int) -> list[Record]:
    """All results, seed by seed. Results that stand in `runs.jsonl` are not computed again."""
    histories, file = study.histories(), study.made.folder / "runs.jsonl"
    done = {key_of(record): record for record in read_records(file)}
    settings = {"llm": study.llm.name, **study.settings.record()}
    found = []
    for seed in range(seeds):
        for name in names:
            key: Record = {
                "data": study.made.catalog.name, "split": "leave-one-out", "set": name, "seed": seed,
                "hash": content_hash(histories.items, histories.offsets), "settings": settings,
            }  # fmt: skip
            if key_of(key) not in done:
                began = time.monotonic()
                print(f"llm_recommender: {name}, seed {seed}", file=sys.stderr, flush=True)
                result = study.result(name, seed)
                events = min(study.settings.test_users, len(study.made.users()))
                record: Record = {**key, "items": histories.n_items, "test_events": events, **result}
                record |= {"device": str(study.device), "seconds": round(time.monotonic() - began, 1)}
                append(record, file)
                print(f"llm_recommender: {json.dumps(record['figures'])}", file=sys.stderr, flush=True)
                done[key_of(key)] = record
            found.append(done[key_of(key)])
    return found


if __name__ == "__main__":
    main()
