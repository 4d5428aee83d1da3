"""Which figures of ID sets predict recommendation quality? Rank correlations over ID sets.

    python -m recommend.correlate RUNS.jsonl FIGURES.json [DATA=FIGURES.json ...]

FIGURES.json maps the name of an ID set to its figures: numbers by name, or nested objects of numbers, such as those of
`catalex inspect --json`. With several data sets, the file maps their names to such objects, or each data set has a file
of its own, DATA=FILE. A list of objects, one per seed, is averaged.

Recall@10 of an ID set is its mean over seeds. Per data set and over all of them, the table has Spearman's and Kendall's
rank correlation with bootstrap intervals (95%, ID sets resampled). Over several data sets, ID sets are ranked and
compared only within a data set, so differences between data sets do not count.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from pathlib import Path

import numpy as np

from .runs import Record, read_records
from .statistics import Floats, Interval, bootstrap

LEAST = 4
"""ID sets that a correlation needs."""

Figures = dict[str, dict[str, float]]
"""Figures by ID set and name."""


def flat(value: object, name: str = "") -> dict[str, float]:
    """The finite numbers of nested objects and lists, by dotted names."""
    if isinstance(value, dict):
        parts = [flat(inner, f"{name}.{key}" if name else str(key)) for key, inner in value.items()]
        return {key: number for part in parts for key, number in part.items()}
    if isinstance(value, list) and name:
        return flat({str(at): inner for at, inner in enumerate(value)}, name)
    if isinstance(value, int | float) and math.isfinite(value):
        return {name: float(value)}
    return {}


def of_set(value: object) -> dict[str, float]:
    """The figures of one ID set; the mean of those of its seeds if it is a list of objects."""
    if not isinstance(value, list):
        return flat(value)
    seeds = [flat(one) for one in value]
    return {name: float(np.mean([seed[name] for seed in seeds if name in seed])) for seed in seeds for name in seed}


def read_figures(files: list[str], data: list[str]) -> dict[str, Figures]:
    """Figures by data set."""
    found: dict[str, Figures] = {}
    for file in files:
        name, _, path = file.rpartition("=")
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        if name:
            content = {name: content}
        elif not set(content) & set(data):
            if len(data) > 1:
                raise ValueError(
                    f"{path}: expected the data sets {', '.join(data)}, got {', '.join(content)}: give DATA=FILE"
                )
            content = {data[0]: content}
        for of, sets in content.items():
            for key, value in sets.items():
                found.setdefault(of, {}).setdefault(key, {}).update(of_set(value))
    return found


def quality(records: list[Record], measure: str) -> Figures:
    """The mean of a measure over seeds, by data set and ID set. Of several results with one seed, the last one counts.
    With a split other than leave-one-out, the split is part of the data set's name."""
    values: dict[str, dict[str, dict[object, float]]] = {}
    for record in records:
        figures = record["figures"]
        split = "" if record["split"] == "leave-one-out" else f" {record['split']}"
        if measure in figures:  # type: ignore[operator]
            sets = values.setdefault(f"{record['data']}{split}", {})
            sets.setdefault(str(record["set"]), {})[record["seed"]] = figures[measure]  # type: ignore[index]
    settings = {(record["data"], record["split"], json.dumps(record["settings"], sort_keys=True)) for record in records}
    if len(settings) > len({of[:2] for of in settings}):
        print("recommend: runs on the same data have different settings: their results are averaged", file=sys.stderr)
    return {
        data: {name: float(np.mean(list(of.values()))) for name, of in sets.items()} for data, sets in values.items()
    }


def pairs(figures: Figures, reached: dict[str, float], name: str) -> tuple[Floats, Floats]:
    """A figure and the quality of the ID sets that have both."""
    sets = [key for key in reached if name in figures.get(key, {})]
    return np.array([figures[key][name] for key in sets]), np.array([reached[key] for key in sets])


def correlations(
    figures: dict[str, Figures], reached: Figures, draws: int
) -> dict[str, dict[str, dict[str, Interval]]]:
    """By figure, then by data set or "all", then by the name of the correlation. Figures that are equal for all ID sets
    are left out."""
    names = dict.fromkeys(name for sets in figures.values() for of in sets.values() for name in of)
    found: dict[str, dict[str, dict[str, Interval]]] = {}
    for name in names:
        groups = {data: pairs(figures.get(data, {}), of, name) for data, of in reached.items()}
        groups = {data: both for data, both in groups.items() if len(both[0]) >= LEAST and np.ptp(both[0]) > 0}
        if groups:
            found[name] = {data: bootstrap([both], draws=draws) for data, both in groups.items()}
            if len(reached) > 1:
                found[name]["all"] = bootstrap(list(groups.values()), draws=draws)
    return found


def table(found: dict[str, dict[str, dict[str, Interval]]], data: list[str]) -> str:
    columns = [*data, *(["all"] if len(data) > 1 else [])]
    cells = ["figure", *(f"{column}, {name}" for column in columns for name in ("Spearman", "Kendall"))]
    lines = ["| " + " | ".join(cells) + " |", "|" + "---|" * len(cells)]

    def strength(name: str) -> float:
        whole = found[name].get(columns[-1])
        return -abs(whole["spearman"].mean) if whole and not math.isnan(whole["spearman"].mean) else 1.0

    for name in sorted(found, key=strength):
        cells = [name]
        for column in columns:
            for kind in ("spearman", "kendall"):
                of = found[name].get(column, {}).get(kind)
                cells.append(f"{of.mean:+.2f} [{of.low:+.2f}, {of.high:+.2f}]" if of else "")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="recommend.correlate", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", type=Path, help="JSON Lines of `python -m recommend.run`")
    parser.add_argument("figures", nargs="+", metavar="FIGURES.json", help="figures of the ID sets, FILE or DATA=FILE")
    parser.add_argument("--measure", default="recall@10", help="measure to predict [default: recall@10]")
    parser.add_argument("--draws", type=int, default=1000, help="bootstrap draws [default: 1000]")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    reached = quality(read_records(arguments.runs), arguments.measure)
    figures = read_figures(arguments.figures, list(reached))
    for data, sets in reached.items():
        missing = [name for name in sets if name not in figures.get(data, {})]
        if missing:
            print(f"recommend: no figures of {', '.join(missing)} on {data}: left out", file=sys.stderr)
    found = correlations(figures, reached, arguments.draws)
    if arguments.json:
        plain = {f: {d: {k: vars(i) for k, i in of.items()} for d, of in sets.items()} for f, sets in found.items()}
        print(json.dumps(plain, indent=1))
    else:
        print(f"Rank correlation with {arguments.measure} over " + ", ".join(
            f"{len(sets.keys() & figures.get(data, {}).keys())} ID sets of {data}" for data, sets in reached.items()
        ) + ":\n")  # fmt: skip
        print(table(found, list(reached)))


if __name__ == "__main__":
    main()
