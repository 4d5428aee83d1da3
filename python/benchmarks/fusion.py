"""Do fused features bring items of one kind together? The share of an item's 10 nearest that have its label: by text,
by picture, by both side by side, and by what `catalex train` makes of them; and how many items keep their first code
when one modality is hidden.

    PYTHONPATH=scripts python python/benchmarks/fusion.py target/release/catalex --cache FOLDER [--set emoji|osrs]

The emoji are the repository's. `osrs` are the 3,478 things to wear of a game: they need PyPI's osrsbox 2.2.3 installed
(`pip install --no-deps osrsbox==2.2.3`), whose data are GPL and are read from there. CATALEX_MODELS is the folder of
set-up's models. Further arguments go to `catalex train`.
"""

from __future__ import annotations

import argparse
import base64
import importlib.util
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from data import EMOJI, ROOT, embedded


@dataclass(frozen=True)
class Catalog:
    path: Path
    text: str
    label: str


def emoji(_: Path) -> Catalog:
    return Catalog(EMOJI, "label,tags", "subgroup")


def osrs(cache: Path) -> Catalog:
    """Things that can be worn, each name and description once; the label is where."""
    found = importlib.util.find_spec("osrsbox")
    if found is None or found.origin is None:
        sys.exit("fusion: osrsbox is not installed: pip install --no-deps osrsbox==2.2.3")
    items = json.loads((Path(found.origin).parent / "docs" / "items-complete.json").read_text(encoding="utf-8"))
    pictures = cache / "osrs-pictures"
    pictures.mkdir(exist_ok=True)
    seen = set()
    path = cache / "osrs.jsonl"
    with path.open("w", encoding="utf-8") as out:
        for item in items.values():
            key = (item["name"], item["examine"])
            if item["equipable_by_player"] and not item["duplicate"] and item["examine"] and key not in seen:
                seen.add(key)
                picture = pictures / f"{item['id']}.png"
                picture.write_bytes(base64.b64decode(item["icon"]))
                line = {"id": item["id"], "name": item["name"], "examine": item["examine"], "image": str(picture)}
                out.write(json.dumps({**line, "slot": item["equipment"]["slot"]}) + "\n")
    return Catalog(path, "name,examine", "slot")


SETS = {"emoji": emoji, "osrs": osrs}


def hidden(features: pa.Table, modality: str, rows: list[int]) -> pa.Table:
    """The features without a modality of some items."""
    gone = set(rows)
    values = [None if row in gone else value for row, value in enumerate(features[modality].to_pylist())]
    column = pa.array(values, features.schema.field(modality).type)
    return features.set_column(features.schema.get_field_index(modality), modality, column)


def first_codes(catalex: Path, features: Path, model: Path, out: Path) -> list[int]:
    """As the model gives them, before collisions are resolved."""
    command: list[str | Path] = [catalex, "tokenize", features, "--model", model, "--out", out, "--collisions", "keep"]
    subprocess.run(command, check=True)
    return [codes[0] for codes in pq.read_table(out)["codes"].to_pylist()]


def measure(catalex: Path, name: str, cache: Path, flags: list[str]) -> None:
    catalog = SETS[name](cache)
    models = Path(os.environ["CATALEX_MODELS"])
    arguments = ["--id", "id", "--text", catalog.text, "--text-encoder", str(models / "minilm")]
    arguments += ["--image", "image", "--image-encoder", str(ROOT / "fixtures" / "mobilenet_v2")]
    features = cache / f"{name}.parquet"
    table = embedded(catalex, catalog.path, features, arguments)
    model, tokens = cache / f"{name}-fused", cache / "tokens.parquet"
    subprocess.run([catalex, "train", features, "--out", model, "--force", *flags], check=True)
    inspect: list[str | Path] = [
        catalex,
        "inspect",
        model,
        "--features",
        features,
        "--catalog",
        catalog.path,
        "--id",
        "id",
    ]
    printed = subprocess.run([*inspect, "--label", catalog.label, "--json"], check=True, capture_output=True).stdout
    near = json.loads(printed)["labels"]["neighbours"]
    shares = ", ".join(f"{way['by']} {way['share']:.4f}" for way in near["shares"])
    print(f"{name}: {table.num_rows} items, nearest 10 with the same {catalog.label}: {shares}", end="")
    print(f", by chance {near['by_chance']:.4f}")
    tokens.unlink(missing_ok=True)
    whole = first_codes(catalex, features, model, tokens)
    half = np.random.default_rng(0).permutation(table.num_rows)[: table.num_rows // 2].tolist()
    for modality in ("image", "text"):
        gappy = cache / "gappy.parquet"
        pq.write_table(hidden(table, modality, half), gappy)
        tokens.unlink()
        codes = first_codes(catalex, gappy, model, tokens)
        kept = np.mean([codes[row] == whole[row] for row in half])
        print(f"{name}: {modality} of {len(half)} items hidden, {kept:.3f} keep their first code")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary", type=Path)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--set", choices=sorted(SETS), action="append")
    options, flags = parser.parse_known_args()
    options.cache.mkdir(parents=True, exist_ok=True)
    for name in options.set or SETS:
        measure(options.binary.resolve(), name, options.cache.resolve(), flags)


if __name__ == "__main__":
    main()
