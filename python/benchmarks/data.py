"""The data sets: the same vectors for every quantizer, with their names."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from measures import Matrix, Rows

ROOT = Path(__file__).resolve().parents[2]
EMOJI = ROOT / "fixtures" / "emoji" / "catalog.parquet"
WORDNET = Path("/usr/share/wordnet/data.noun")
HELD_OUT = 10
"""One of this many items is held out of training."""


@dataclass(frozen=True)
class Data:
    """Items with one fused vector each: every modality centred, and scaled to a mean squared length of 1."""

    name: str
    vectors: Matrix
    dims: list[int]
    """Names of the modalities in `vectors`."""
    raw: pa.Table
    """The raw vectors of the encoders."""
    labels: list[str] | None
    training: Rows
    held_out: Rows

    def weighed(self) -> list[str]:
        """The settings with which `catalex train` fuses the modalities as in `vectors`."""
        names = [name for name in self.raw.column_names if name != "item_id"]
        if len(names) == 1:
            return []
        weights = ",".join(f"{name}=1" for name in names)
        return ["--weight", weights, "--agreement", "0", "--modality-dropout", "0"]

    def features(self, rows: Rows, path: Path) -> Path:
        """The raw vectors of some items as a features file."""
        pq.write_table(self.raw.take(pa.array(rows)), path)
        return path


def fused(raw: pa.Table) -> tuple[Matrix, list[int]]:
    parts = []
    for name in raw.column_names:
        if name != "item_id":
            part = np.array(raw[name].to_pylist(), np.float32)
            part -= part.mean(axis=0)
            parts.append(part / np.sqrt((part**2).sum(axis=1).mean()))
    return np.concatenate(parts, axis=1), [part.shape[1] for part in parts]


def data(name: str, raw: pa.Table, labels: list[str] | None) -> Data:
    vectors, dims = fused(raw)
    order = np.random.default_rng(0).permutation(len(vectors))
    kept = len(vectors) // HELD_OUT
    return Data(name, vectors, dims, raw, labels, np.sort(order[kept:]), np.sort(order[:kept]))


def embedded(catalex: Path, catalog: Path, cache: Path, arguments: list[str]) -> pa.Table:
    """The vectors of a catalog from catalex's encoders, cached between runs."""
    if not cache.is_file():
        print(f"benchmark: encoding {catalog.name}", file=sys.stderr)
        subprocess.run([catalex, "embed", catalog, "--out", cache, *arguments], check=True)
    return pq.read_table(cache)


def emoji(catalex: Path, models: Path, cache: Path) -> Data:
    """1,852 emoji with text and image; labels are the 97 subgroups."""
    arguments = ["--id", "id", "--text", "label,tags", "--text-encoder", str(models / "minilm")]
    arguments += ["--image", "image", "--image-encoder", str(ROOT / "fixtures" / "mobilenet_v2")]
    raw = embedded(catalex, EMOJI, cache / "emoji.parquet", arguments)
    return data("emoji", raw, pq.read_table(EMOJI)["subgroup"].to_pylist())


def products(catalex: Path, models: Path, cache: Path, catalog: Path) -> Data:
    """Products of a JSON Lines catalog by title, brand, categories and description."""
    arguments = ["--id", "item_id", "--text", "title,brand,categories,description"]
    arguments += ["--text-encoder", str(models / "minilm")]
    return data("products", embedded(catalex, catalog, cache / "products.parquet", arguments), None)


def wordnet(catalex: Path, models: Path, cache: Path) -> Data:
    """82,115 nouns by words and gloss; labels are the 26 lexicographer files."""
    catalog, labels = cache / "wordnet.jsonl", []
    with catalog.open("w", encoding="utf-8") as out:
        for line in WORDNET.read_text(encoding="latin-1").splitlines():
            if line.startswith("  "):
                continue
            head, _, gloss = line.partition("|")
            fields = head.split()
            words = [fields[4 + 2 * at].replace("_", " ") for at in range(int(fields[3], 16))]
            out.write(json.dumps({"id": fields[0], "text": f"{', '.join(words)}: {gloss.strip()}"}) + "\n")
            labels.append(fields[1])
    arguments = ["--id", "id", "--text", "text", "--text-encoder", str(models / "minilm")]
    return data("wordnet", embedded(catalex, catalog, cache / "wordnet.parquet", arguments), labels)
