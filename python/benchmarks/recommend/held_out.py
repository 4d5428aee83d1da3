"""How many IDs each way to grow keeps, and its error on new items that were held out.

    python -m recommend.held_out target/release/catalex --out FOLDER --features text --way "looser=retrain --keep 0.1"

A third of the new items is held out of all ways. The error is that of their text vectors, relative to the mean vector
of all items: 1 means that the IDs say nothing.
"""

from __future__ import annotations

import argparse

import numpy as np

from .make import add_arguments, catalogs, growing
from .vectors import read_modality
from .ways import OLD, Ways, codes_of


def held_out(maker: Ways, ways: dict[str, tuple[str, ...]], seed: int) -> dict[str, tuple[list[float], float]]:
    """For each way, the share of old items that keep their prefix of each length, and the relative error."""
    import catalex  # noqa: PLC0415  only this needs it

    new, items = maker.growth.new, len(maker.growth.new)
    held = new & (np.random.default_rng(1).random(items) < 1 / 3)
    text = read_modality(maker.encoder.text(), "text")
    before = np.empty((0, 0), np.int64)
    found = {}
    for way, index in maker.indexes(ways, seed, np.flatnonzero(~held)):
        codes = codes_of(index, items)
        if way == OLD:
            before = codes
            continue
        same = (codes == before)[~new]
        kept = [float(same[:, :depth].all(axis=1).mean()) for depth in range(1, codes.shape[1] + 1)]
        model = catalex.Tokenizer.load(index)
        names = list(model.modalities)
        rows = {name: text[held] if name == "text" else np.zeros((held.sum(), dim), np.float32)
                for name, dim in model.modalities.items()}  # fmt: skip
        present = np.array([[name == "text" for name in names]] * int(held.sum()))
        start = sum(dim for name, dim in model.modalities.items() if names.index(name) < names.index("text"))
        decoded = model.decode(model.encode(rows, present=present))[:, start : start + text.shape[1]]
        error = ((text[held] - decoded) ** 2).sum() / ((text[held] - text.mean(axis=0)) ** 2).sum()
        found[way] = (kept, float(error))
    return found


def table(found: dict[str, tuple[list[float], float]], free: str) -> str:
    """The table in Markdown, with errors relative to those of the way `free`."""
    depths = len(next(iter(found.values()))[0])
    heads = ["", *(f"{depth} codes" for depth in range(1, depths + 1)), "error of new items", f"relative to {free}"]
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    for way, (kept, error) in found.items():
        shares = [f"{100 * share:.1f}%" for share in kept]
        lines.append("| " + " | ".join([way, *shares, f"{error:.4f}", f"{error / found[free][1]:.3f}"]) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="recommend.held_out", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_arguments(parser)
    arguments = parser.parse_args()
    cache = arguments.out / "cache"
    cache.mkdir(parents=True, exist_ok=True)
    for catalog in catalogs(arguments):
        maker, ways = growing(catalog, arguments, cache)
        found = held_out(maker, ways, 0)
        print(f"\n### {catalog.name}, {len(maker.growth.new):,} items, {maker.growth.new.sum():,} of them new\n")
        print(table(found, "from scratch"))


if __name__ == "__main__":
    main()
