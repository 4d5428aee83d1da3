"""The figures that `catalex inspect --json` prints of every ID set of a data file, for `recommend.correlate`.

    python -m recommend.figures target/release/catalex FOLDER/office.npz --out FIGURES.json [--interactions]

Every ID set and seed is written as a token table and inspected. With `--interactions`, `inspect` also gets the training
and validation events. Its test events are then the validation events, which no ID set was made from. Other flags are
passed to `catalex inspect`. A file that exists keeps its other data sets and ID sets.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from .histories import VALID, Data, Rows, load, training_lines


def write_token_table(codes: Rows, path: Path) -> None:
    """A token table of codes `(items, levels)`. Item ids are the row numbers, errors are zero."""
    import pyarrow as pa  # noqa: PLC0415  only this needs it
    import pyarrow.parquet as pq  # noqa: PLC0415

    items, levels = codes.shape
    sizes = [max(2, int(size) + 1) for size in codes.max(axis=0)]
    letters = [chr(ord("a") + level) for level in range(levels)]
    texts = ["".join(f"<{letter}_{code}>" for letter, code in zip(letters, row, strict=True)) for row in codes.tolist()]
    code_type = pa.list_(pa.field("element", pa.uint16(), nullable=False), levels)
    columns = {
        "item_id": (pa.int64(), np.arange(items)),
        "codes": (code_type, codes.astype(np.uint16).tolist()),
        "semantic_id": (pa.utf8(), texts),
        "residual_error": (pa.float32(), np.zeros(items, np.float32)),
        "reassigned": (pa.bool_(), np.zeros(items, bool)),
    }
    unique = len(np.unique(codes, axis=0)) == items
    metadata = {
        "catalex.format_version": "1",
        "catalex.model_hash": "0" * 64,
        "catalex.levels": str(levels),
        "catalex.codebook_sizes": json.dumps(sizes),
        "catalex.token_format": "<{level}_{code}>",
        "catalex.collision_policy": "resolve" if unique else "keep",
    }
    schema = pa.schema([pa.field(name, of, nullable=False) for name, (of, _) in columns.items()], metadata)
    arrays = [pa.array(values, of) for of, values in columns.values()]
    pq.write_table(pa.Table.from_arrays(arrays, schema=schema), path)


def inspect(
    catalex: Path, data: Data, flags: list[str], *, interactions: bool, seeds: int | None = None
) -> dict[str, list[object]]:
    """The figures of each seed of each ID set, or of the first `seeds`. What `inspect` refuses is skipped, with its
    message."""
    found: dict[str, list[object]] = {}
    with tempfile.TemporaryDirectory() as name:
        table, events = Path(name) / "tokens.parquet", Path(name) / "training.txt"
        events.write_text(training_lines(data.histories, VALID), encoding="utf-8")
        for key, codes in data.sets.items():
            for of_seed in (codes if codes.ndim == 3 else codes[None])[:seeds]:
                write_token_table(of_seed, table)
                command = [str(catalex), "inspect", str(table), "--json", *flags]
                command += ["--interactions", str(events)] if interactions else []
                done = subprocess.run(command, capture_output=True, text=True, check=False)
                if done.returncode:
                    print(f"recommend: SKIPPED {key} of {data.name}: {done.stderr.strip()}", file=sys.stderr)
                    break
                found.setdefault(key, []).append(json.loads(done.stdout))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="recommend.figures", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("catalex", type=Path, help="the built program")
    parser.add_argument("data", nargs="+", type=Path, help="files of `python -m recommend.make`")
    parser.add_argument("--out", type=Path, required=True, help="JSON: data set, ID set, figures of each seed")
    parser.add_argument("--interactions", action="store_true", help="give `inspect` the events before the test events")
    parser.add_argument("--seeds", type=int, metavar="N", help="seeds of each ID set [default: all]")
    arguments, flags = parser.parse_known_args()
    found = json.loads(arguments.out.read_text(encoding="utf-8")) if arguments.out.is_file() else {}
    for path in arguments.data:
        data = load(path)
        name = data.name if data.split == "leave-one-out" else f"{data.name} {data.split}"
        figures = inspect(
            arguments.catalex.resolve(), data, flags, seeds=arguments.seeds, interactions=arguments.interactions
        )
        found.setdefault(name, {}).update(figures)
        arguments.out.write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main()
