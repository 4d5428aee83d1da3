"""The vectors that all quantizers get: texts encoded once, and behaviour from the training events alone."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from .catalogs import Catalog
from .histories import Histories, training_lines

Matrix = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Encoder:
    """Encodes one catalog with `catalex embed`. Files are kept in a folder and named by what they were made from. Item
    ids in them are row numbers, since ids of catalogs can contain spaces."""

    catalex: Path
    models: Path
    folder: Path
    catalog: Catalog
    histories: Histories

    def text(self) -> Path:
        lines = "".join(json.dumps({**row, "id": at}) + "\n" for at, row in enumerate(self.catalog.rows))
        flags = ["--text", self.catalog.text, "--text-encoder", str(self.models / "minilm")]
        return self._embedded("text", lines, flags, lines)

    def with_behaviour(self, flags: Sequence[str] = ()) -> Path:
        """Text, and behaviour by `catalex embed` with these flags from the training events."""
        lines = "".join(json.dumps({"id": at}) + "\n" for at in range(len(self.catalog.rows)))
        histories, text = self.training_file(), self.text()
        arguments = ["--embedding", f"text={text}", "--interactions", str(histories), *flags]
        return self._embedded("behaviour", lines, arguments, text.name + histories.name + file_hash(self.catalex))

    def training_file(self) -> Path:
        """The training events as lines `user item item ...`."""
        text = training_lines(self.histories)
        path = self.folder / f"training-{_digest(text)}.txt"
        if not path.is_file():
            path.write_text(text, encoding="utf-8")
        return path

    def _embedded(self, name: str, catalog: str, flags: list[str], content: str) -> Path:
        out = self.folder / f"{name}-{_digest(content, *flags)}.parquet"
        if not out.is_file():
            lines = self.folder / f"{name}-{_digest(catalog)}.jsonl"
            lines.write_text(catalog, encoding="utf-8")
            command = [str(self.catalex), "embed", str(lines), "--id", "id", *flags, "--out", str(out)]
            subprocess.run([*command, "--progress", "none"], check=True)
        return out


def fused(features: Path, weight: float | None = None) -> Matrix:
    """The modalities side by side, each centred and scaled to a mean squared length of 1, as `catalex train` fuses
    them. The weight of behaviour is that of catalex, twice the root mean square length of its vectors (at most 1), if
    it is not given. Items without behaviour get zeros."""
    table, parts = pq.read_table(features), []
    for name in table.column_names:
        if name != "item_id":
            rows = table[name].to_pylist()
            dim = next(len(row) for row in rows if row is not None)
            part = np.array([np.full(dim, np.nan) if row is None else row for row in rows])
            length = float(np.sqrt(np.nanmean((part**2).sum(axis=1))))
            part -= np.nanmean(part, axis=0)
            part /= np.sqrt(np.nanmean((part**2).sum(axis=1)))
            of_default = 2 * min(1.0, length) if weight is None else weight
            parts.append((of_default if name == "behaviour" else 1.0) * np.nan_to_num(part))
    return np.ascontiguousarray(np.concatenate(parts, axis=1), np.float32)


def read_modality(features: Path, name: str) -> Matrix:
    """The vectors of a modality that every item has, in the order of the file."""
    return np.array(pq.read_table(features, columns=[name])[name].to_pylist(), np.float32)


def file_hash(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()[:12]


def _digest(*content: str) -> str:
    return hashlib.sha256("\0".join(content).encode()).hexdigest()[:12]
