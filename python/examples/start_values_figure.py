"""Draws docs/start-values.svg: new rows compared with existing ones, for each method of start values.

    python start_values_figure.py --llm HF_DIR --model MODEL --start NAME=VOCABULARY_DIR ... [--results FILE] --out SVG

The numbers of the figure are printed as JSON.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import safe_open

Rows = npt.NDArray[np.float64]
COLOURS = {"old rows": "#888888", "mean": "#c44e52", "grounded": "#dd8452", "structured": "#4c72b0"}
INPUT = "model.embed_tokens.weight"
NEAREST = 5
WIDTH, HEIGHT, MARGIN = 300, 220, 48


def read(path: Path, name: str) -> Rows:
    with safe_open(path, framework="np") as file:
        return np.asarray(file.get_tensor(name), dtype=np.float64)


def effective_rank(rows: Rows) -> tuple[float, Rows]:
    """Exponential of the entropy of the covariance's spectrum (Roy and Vetterli, 2007), and the spectrum."""
    values = np.linalg.svd(rows - rows.mean(0), compute_uv=False) ** 2 / len(rows)
    share = values / values.sum()
    share = share[share > 0]
    return float(np.exp(-(share * np.log(share)).sum())), values


def cosines(rows: Rows) -> Rows:
    """Of all pairs of at most 1,000 rows."""
    some = rows[np.random.default_rng(0).permutation(len(rows))[:1000]]
    unit = some / np.linalg.norm(some, axis=1, keepdims=True)
    both: Rows = (unit @ unit.T)[np.triu_indices(len(unit), 1)]
    return both


def nearest_are_nearest(rows: Rows, book: Rows) -> float:
    """Share of the codes whose nearest row belongs to one of the codes with the five nearest codewords."""

    def distances(points: Rows) -> Rows:
        squares = (points**2).sum(1)
        between: Rows = squares[:, None] + squares - 2 * points @ points.T
        np.fill_diagonal(between, np.inf)
        return between

    near = np.argsort(distances(book), axis=1)[:, :NEAREST]
    return float(np.mean([row in codes for row, codes in zip(distances(rows).argmin(1), near, strict=True)]))


class Panel:
    """A drawing of lines in a frame."""

    def __init__(self, left: int, title: str, x_label: str, x: tuple[float, float], y: tuple[float, float]) -> None:
        self.left, self.x, self.y = left, x, y
        self.parts = [
            f'<rect x="{left}" y="{MARGIN}" width="{WIDTH}" height="{HEIGHT}" class="frame"/>',
            f'<text x="{left}" y="{MARGIN - 12}" class="title">{title}</text>',
            f'<text x="{left + WIDTH / 2}" y="{MARGIN + HEIGHT + 34}" class="mid">{x_label}</text>',
        ]

    def place(self, x: float, y: float) -> tuple[float, float]:
        along = (x - self.x[0]) / (self.x[1] - self.x[0])
        up = min(max((y - self.y[0]) / (self.y[1] - self.y[0]), 0.0), 1.0)
        return self.left + along * WIDTH, MARGIN + (1 - up) * HEIGHT

    def line(self, xs: Any, ys: Any, colour: str) -> None:
        points = " ".join("{:.1f},{:.1f}".format(*self.place(x, y)) for x, y in zip(xs, ys, strict=True))
        self.parts.append(f'<polyline points="{points}" stroke="{colour}" class="line"/>')

    def ticks(self, xs: list[tuple[float, str]], ys: list[tuple[float, str]]) -> None:
        for x, text in xs:
            self.parts.append(
                f'<text x="{self.place(x, 0)[0]:.1f}" y="{MARGIN + HEIGHT + 16}" class="mid">{text}</text>'
            )
        for y, text in ys:
            self.parts.append(f'<text x="{self.left - 6}" y="{self.place(0, y)[1] + 4:.1f}" class="end">{text}</text>')


def spectrum(sets: dict[str, Rows]) -> Panel:
    panel = Panel(60, "Variance along principal directions", "direction", (0, 1), (-13, 1))
    for name, rows in sets.items():
        values = effective_rank(rows)[1]
        values = values[values > 1e-16]
        panel.line(np.linspace(0, 1, len(values)), np.log10(values), COLOURS[name])
    panel.ticks([(0, "first"), (1, "last")], [(p, f"1e{p}") for p in (-12, -9, -6, -3, 0)])
    return panel


def histogram(sets: dict[str, Rows]) -> Panel:
    panel = Panel(60 + WIDTH + 70, "Cosines of pairs of rows", "cosine", (-0.5, 1.05), (0, 1))
    edges = np.linspace(-0.5, 1.05, 63)
    for name, rows in sets.items():
        counts = np.histogram(cosines(rows), edges)[0]
        panel.line((edges[1:] + edges[:-1]) / 2, counts / counts.max(), COLOURS[name])
    panel.ticks([(x, str(x)) for x in (-0.5, 0.0, 0.5, 1.0)], [])
    return panel


def losses(results: dict[str, Any]) -> Panel:
    curves = {name: one["curve"] for name, one in results.items()}
    top = max(max(curve["held_out"]) for curve in curves.values())
    low = min(min(curve["held_out"]) for curve in curves.values())
    last = max(curve["step"][-1] for curve in curves.values())
    y = (np.floor(low), np.ceil(top))
    panel = Panel(60 + 2 * (WIDTH + 70), "Loss of held-out text-to-ID pairs", "step", (0, last), y)
    for name, curve in curves.items():
        panel.line(curve["step"], curve["held_out"], COLOURS[name])
    panel.ticks([(0, "0"), (last, str(last))], [(v, str(int(v))) for v in y])
    return panel


def svg(panels: list[Panel], names: list[str]) -> str:
    width, height = 40 + len(panels) * (WIDTH + 70), HEIGHT + 2 * MARGIN + 30
    legend = [
        f'<rect x="{60 + 130 * at}" y="{height - 18}" width="18" height="4" fill="{COLOURS[name]}"/>'
        f'<text x="{84 + 130 * at}" y="{height - 12}">{name}</text>'
        for at, name in enumerate(names)
    ]
    style = (
        "text{font:12px sans-serif;fill:#333}.title{font-weight:bold}.mid{text-anchor:middle}.end{text-anchor:end}"
        ".frame{fill:none;stroke:#bbb}.line{fill:none;stroke-width:1.8}"
    )
    parts = [part for panel in panels for part in panel.parts]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}">',
            f'<style>{style}</style><rect width="{width}" height="{height}" fill="white"/>',
            *parts,
            *legend,
            "</svg>\n",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--llm", type=Path, required=True)
    parser.add_argument("--model", type=Path, required=True, help="the model that gave the codes")
    parser.add_argument("--start", action="append", required=True, metavar="NAME=DIR")
    parser.add_argument("--results", type=Path, help="what emoji_llm.py found")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    sets = {"old rows": read(arguments.llm / "model.safetensors", INPUT)}
    for start in arguments.start:
        name, _, folder = start.partition("=")
        sets[name] = read(Path(folder) / "new_token_embeddings.safetensors", "input_embeddings")
    books: list[Rows] = []
    config = json.loads((arguments.model / "config.json").read_text())
    for level in range(len(config["codebook_sizes"])):
        books.append(read(arguments.model / "model.safetensors", f"codebooks.{level}"))
    figures: dict[str, Any] = {"chance": [round(NEAREST / (len(book) - 1), 3) for book in books]}
    for name, rows in sets.items():
        figures[name] = {
            "effective_rank": round(effective_rank(rows)[0], 1),
            "median_cosine": round(float(np.median(cosines(rows))), 3),
            "mean_norm": round(float(np.linalg.norm(rows, axis=1).mean()), 3),
        }
        if name != "old rows":
            at = np.cumsum([0, *map(len, books)])
            shares = [nearest_are_nearest(rows[a:b], book) for a, b, book in zip(at[:-1], at[1:], books, strict=True)]
            figures[name]["nearest_are_nearest"] = [round(share, 3) for share in shares]
    # The old rows are many: as many of them as new ones, so that their ranks compare.
    some = np.random.default_rng(0).permutation(len(sets["old rows"]))[: len(next(reversed(sets.values())))]
    figures["as many old rows"] = {"effective_rank": round(effective_rank(sets["old rows"][some])[0], 1)}
    panels = [spectrum(sets), histogram(sets)]
    if arguments.results:
        panels.append(losses(json.loads(arguments.results.read_text())))
    arguments.out.write_text(svg(panels, list(sets)), encoding="utf-8")
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
