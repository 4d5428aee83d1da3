"""The commands of catalex: build, random IDs, vocabulary, exports. Everything is written below one folder.

Item ids in these files are row numbers of the catalog. Behaviour is learned from the training events only: `build`
leaves out the last two events of each user, which validate and test.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from catalex import TokenTable
from recommend.catalogs import Catalog
from recommend.histories import Rows


@dataclass(frozen=True)
class Identifiers:
    program: Path
    folder: Path
    catalog: Catalog
    encoder: Path
    """Folder of the text encoder."""
    build_flags: tuple[str, ...] = ()

    @property
    def items(self) -> Path:
        return self.folder / "items.jsonl"

    @property
    def events(self) -> Path:
        return self.folder / "events.txt"

    @property
    def index(self) -> Path:
        return self.folder / "index"

    def prepare(self) -> None:
        """Writes the catalog and the histories of users with at least three events, and builds the index."""
        self.folder.mkdir(parents=True, exist_ok=True)
        lines = [json.dumps({**row, "id": at}) for at, row in enumerate(self.catalog.rows)]
        self.items.write_text("\n".join(lines) + "\n", encoding="utf-8")
        kept = [items.tolist() for items in self.users()]
        lines = [" ".join(map(str, [f"u{user}", *items])) for user, items in enumerate(kept)]
        self.events.write_text("\n".join(lines) + "\n", encoding="utf-8")
        about, made_of = self.folder / "inputs.json", self._inputs()
        if self.index.is_dir() and (not about.is_file() or json.loads(about.read_text(encoding="utf-8")) != made_of):
            raise FileExistsError(f"{self.index}: made from other items, histories or flags; use another --out")
        about.write_text(json.dumps(made_of), encoding="utf-8")
        if not self.index.is_dir():
            self.run("build", self.items, "--text", self.catalog.text, "--text-encoder", self.encoder,
                     "--interactions", self.events, "--hold-out-last", "2", "--out", self.index,
                     *self.build_flags)  # fmt: skip

    def _inputs(self) -> dict[str, object]:
        hashes = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (self.items, self.events)}
        return {**hashes, "text": self.catalog.text, "flags": list(self.build_flags)}

    def users(self) -> list[Rows]:
        """Histories that have an event to train, to validate and to test."""
        return [items for items in self.catalog.users if len(items) >= 3]

    def random(self, seed: int) -> Path:
        """A token table of the shape of the index, with random IDs, each item its own."""
        table = self.folder / f"random-{seed}.parquet"
        if not table.is_file():
            like = TokenTable.read(self.index)
            sizes = np.array(like.codebook_sizes)
            drawn = np.random.default_rng(seed).choice(int(sizes.prod()), len(like.codes), replace=False)
            codes = np.stack(np.unravel_index(drawn, sizes), axis=1).astype(np.uint16)
            np.save(self.folder / f"random-{seed}.npy", codes)
            self.run("import", self.folder / f"random-{seed}.npy", "--from", "codes", "--token-format",
                     like.token_format, "--codebook-size", ",".join(map(str, sizes)), "--out", table)  # fmt: skip
        return table

    def vocabulary(self, tokens: Path, llm: Path, method: str) -> Path:
        """The extended tokenizer and the start values of the new rows."""
        out = self.folder / f"vocabulary-{llm.name}-{tokens.stem}-{method}"
        if not out.is_dir():
            self.run("vocab", tokens, "--tokenizer", llm, "--llm", llm, "--start-values", method, "--catalog",
                     self.items, "--text", self.catalog.text, "--out", out)  # fmt: skip
        return out

    def export(self, tokens: Path, family: str, history: int) -> Path:
        """The records of a family of recommenders, with a leave-one-out split."""
        out = self.folder / f"{family}-{tokens.stem}-{history}"
        if not out.is_dir():
            self.run("export", tokens, "--for", family, "--catalog", self.items, "--title", "title", "--interactions",
                     self.events, "--min-interactions", "3", "--history", str(history), "--out", out)  # fmt: skip
        return out

    def run(self, *words: str | Path) -> None:
        """Runs the program, whose notes and progress go to stderr."""
        command = [str(self.program.resolve()), *map(str, words), "--progress", "none"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
