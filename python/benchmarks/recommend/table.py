"""Tables of runs in Markdown.

    python -m recommend.table RUNS.jsonl [--baseline NAME]

There is one section per data set, split and settings: Recall and NDCG as mean and standard deviation over seeds, paired
differences from a baseline with 95% confidence intervals, and Recall@10 by popularity of the correct item.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from pathlib import Path

import numpy as np

from .runs import Record, key_of, read_records
from .scoring import CUTS, SEGMENTS
from .statistics import Floats, Interval, paired

BASELINE = "catalex text"
FIGURES = [f"{name}@{cut}" for cut in CUTS for name in ("recall", "ndcg")]
NAMES = {figure: figure.replace("recall", "Recall").replace("ndcg", "NDCG") for figure in FIGURES}
COMPARED = ("recall@10", "ndcg@10")

Seeds = dict[int, Record]


def sections(records: list[Record], baseline: str) -> str:
    """All tables. Of several results with one data set, split, settings, ID set and seed, the last one counts."""
    groups: dict[str, dict[str, Seeds]] = {}
    for record in records:
        about = json.dumps([record["data"], record["split"], record["settings"]], sort_keys=True)
        seeds = groups.setdefault(about, {}).setdefault(str(record["set"]), {})
        seed = int(record["seed"])  # type: ignore[call-overload]
        if seed in seeds and key_of(seeds[seed]) != key_of(record):
            print(f"recommend: {record['data']}, {record['set']}, seed {seed}: the later of two results is shown",
                  file=sys.stderr)  # fmt: skip
        seeds[seed] = record
    return "\n".join(_section(about, sets, baseline) for about, sets in groups.items())


def _section(about: str, sets: dict[str, Seeds], baseline: str) -> str:
    data, split, settings = json.loads(about)
    first = next(record for seeds in sets.values() for record in seeds.values())
    said = ", ".join(f"{name} {value}" for name, value in settings.items())
    lines = [f"### {data}, {split}", "", f"{first['items']:,} items, {first['test_events']:,} test events. {said}.", ""]
    figures = [figure for figure in FIGURES if any(_values(seeds, figure) for seeds in sets.values())]
    lines += _head(["IDs", "seeds", *(NAMES[figure] for figure in figures), "nats", "duplicate IDs"])
    for name, seeds in sets.items():
        cells = [_spread(list(_values(seeds, figure).values()), 4) for figure in figures]
        nats = [_number(record["nats"]) for record in seeds.values() if "nats" in record]
        duplicates = [_number(record["duplicates"]) for record in seeds.values() if "duplicates" in record]
        share = f"{100 * np.mean(duplicates):.1f}%" if duplicates else ""
        lines.append(_row([name, str(len(seeds)), *cells, _spread(nats, 3), share]))
    if baseline in sets:
        lines += ["", f"Difference from {baseline} with the same seed, and its 95% confidence interval:", ""]
        lines += _head(["IDs", "pairs", *(f"{NAMES[figure]}, relative" for figure in COMPARED)])
        for name, seeds in sets.items():
            if name != baseline:
                lines.append(_row([name, *_differences(seeds, sets[baseline])]))
    return "\n".join([*lines, "", *_apart(sets), ""])


def _apart(sets: dict[str, Seeds]) -> list[str]:
    """Recall@10 by popularity of the correct item, and the share of beams that end in real items."""
    first = next(record for seeds in sets.values() for record in seeds.values())
    counts = [_segment(first, name)["events"] for name in SEGMENTS]
    lines = [
        "Recall@10 by popularity of the correct item in training (number of test events), and beams that end in the "
    ]
    lines[0] += "ID of an item, with and without the constraint:"
    titles = [f"{name} ({int(count):,})" for name, count in zip(SEGMENTS, counts, strict=True)]
    lines += ["", *_head(["IDs", *titles, "real beams", "real beams, not constrained"])]
    for name, seeds in sets.items():
        cells = []
        for segment in SEGMENTS:
            found = [_segment(record, segment).get("recall@10") for record in seeds.values()]
            cells.append(_spread([value for value in found if value is not None], 4))
        for share in ("real_constrained", "real_free"):
            shares = [_number(record[share]) for record in seeds.values() if share in record]
            cells.append(f"{100 * np.mean(shares):.1f}%" if shares else "")
        lines.append(_row([name, *cells]))
    return lines


def _differences(ours: Seeds, theirs: Seeds) -> list[str]:
    cells = []
    pairs = 0
    for figure in COMPARED:
        one, other = _values(ours, figure), _values(theirs, figure)
        interval, pairs = difference(one, other, seedless=all("nats" not in record for record in ours.values()))
        level = float(np.mean(list(other.values()))) if other else math.nan
        if interval is None:
            cells.append("")
        else:
            bounds = f" [{interval.low:+.4f}, {interval.high:+.4f}]" if pairs > 1 else ""
            relative = f", {100 * interval.mean / level:+.1f}%" if level != 0 else ""
            cells.append(f"{interval.mean:+.4f}{bounds}{relative}")
    return [str(pairs), *cells]


def difference(
    ours: dict[int, float], theirs: dict[int, float], *, seedless: bool = False
) -> tuple[Interval | None, int]:
    """The paired difference over the seeds that both have, and their number. If our row does not depend on the seed,
    its result is compared with every seed."""
    if seedless:
        ours = dict.fromkeys(theirs, next(iter(ours.values())))
    both = sorted(ours.keys() & theirs.keys())
    if not both:
        return None, 0
    left: Floats = np.array([ours[seed] for seed in both])
    return paired(left, np.array([theirs[seed] for seed in both])), len(both)


def _values(seeds: Seeds, figure: str) -> dict[int, float]:
    found = {seed: record["figures"] for seed, record in seeds.items()}
    return {seed: figures[figure] for seed, figures in found.items() if figure in figures}  # type: ignore[index, operator]


def _segment(record: Record, name: str) -> dict[str, float]:
    return record["segments"][name]  # type: ignore[index, no-any-return]


def _number(value: object) -> float:
    return float(value)  # type: ignore[arg-type]


def _spread(values: list[float], digits: int) -> str:
    if not values:
        return ""
    spread = f" ± {np.std(values, ddof=1):.{digits}f}" if len(values) > 1 else ""
    return f"{np.mean(values):.{digits}f}{spread}"


def _head(cells: list[str]) -> list[str]:
    return [_row(cells), "|" + "---|" * len(cells)]


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="recommend.table", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", type=Path, help="JSON Lines of `python -m recommend.run`")
    parser.add_argument("--baseline", default=BASELINE, help=f"ID set of the differences [default: {BASELINE}]")
    arguments = parser.parse_args()
    print(sections(read_records(arguments.runs), arguments.baseline))


if __name__ == "__main__":
    main()
