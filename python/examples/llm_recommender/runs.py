"""The rows of the comparison: one function per kind of identifier, with one result per seed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoTokenizer

from catalex import TokenTable
from recommend.evaluation import Run, evaluate
from recommend.histories import Data, Histories, Rows, of_users
from recommend.scoring import figures, hits_of_items
from recommend.settings import SMALL
from recommend.settings import Settings as ScratchSettings

from . import generation
from .identifiers import Identifiers
from .models import DEFAULT, extend, load, trainable
from .records import TASKS, Encoder, read, some
from .settings import ALL, Settings
from .tuning import tune

OURS, DEFAULTS, RANDOM = "catalex IDs", "catalex IDs, default start values", "random IDs"
TITLES, SCRATCH = "titles (BIGRec)", "catalex IDs, from scratch"
START_VALUES = {OURS: "structured", DEFAULTS: DEFAULT, RANDOM: "grounded"}
"""Of the rows with IDs. Random IDs have no codebooks, so their start values come from the items' texts alone."""
NAMES = (*START_VALUES, TITLES, SCRATCH)
DEPTH = 10


@dataclass(frozen=True)
class Study:
    made: Identifiers
    llm: Path
    settings: Settings
    device: torch.device
    short: bool = False

    def histories(self) -> Histories:
        return of_users(len(self.made.catalog.rows), self.made.users())

    def result(self, name: str, seed: int) -> dict[str, Any]:
        """Figures of one row with one seed."""
        if name == SCRATCH:
            return self._scratch(seed)
        return self._titles(seed) if name == TITLES else self._ids(name, seed)

    def _ids(self, name: str, seed: int) -> dict[str, Any]:
        made, settings, method = self.made, self.settings, START_VALUES[name]
        tokens = made.random(seed) if name == RANDOM else made.index
        vocabulary = made.vocabulary(tokens, self.llm, START_VALUES[OURS] if method == DEFAULT else method)
        folder = made.export(tokens, "lc-rec", settings.history)
        records = {part: read(folder / "instructions" / f"seqrec.{part}.json") for part in ("valid", "test")}
        torch.manual_seed(seed)
        model = load(self.llm, settings, self.device)
        tokenizer, new = extend(model, vocabulary, method)
        encoder = Encoder(tokenizer)
        training = [one for task in TASKS for one in read(folder / "instructions" / f"{task}.train.json")]
        model = trainable(model, new, settings, seed)
        valid = [records["valid"][at] for at in some(records["valid"], settings.valid_users)]
        about = tune(model, encoder.examples(training), encoder.examples(valid), settings=settings, pad=encoder.pad,
                     seed=seed)  # fmt: skip
        asked = some(records["test"], settings.test_users)
        test = [records["test"][at] for at in asked]
        targets = self._targets(records["test"], -1)[asked]
        of_id = generation.items_by_id(tokens, encoder)
        expected = [of_id[tuple(ids)] for ids in encoder.answers([one["output"] for one in test])]
        if expected != targets.tolist():
            raise RuntimeError(f"{folder}: expected the last item of each user as the answer of its test record")
        merged = model if settings.tune == ALL else model.merge_and_unload()
        found = generation.items(merged, encoder.prompts(test), encoder, tokens=tokens, vocabulary=vocabulary,
                                 settings=settings)  # fmt: skip
        return {**about, **self._scores(found, targets), "real_constrained": float((found >= 0).mean())}

    def _titles(self, seed: int) -> dict[str, Any]:
        made, settings = self.made, self.settings
        folder = made.export(made.index, "bigrec", settings.history)
        records = {part: read(folder / f"{part}.json") for part in ("train", "valid", "test")}
        encoder = Encoder(AutoTokenizer.from_pretrained(self.llm))
        model = trainable(load(self.llm, settings, self.device), [], settings, seed)
        chosen = {"valid": some(records["valid"], settings.valid_users),
                  "test": some(records["test"], settings.test_users)}  # fmt: skip
        asked = {part: [records[part][at] for at in rows] for part, rows in chosen.items()}
        about = tune(model, encoder.examples(records["train"]), encoder.examples(asked["valid"]), settings=settings,
                     pad=encoder.pad, seed=seed)  # fmt: skip
        del about["nats"]  # of titles, which cannot be compared with those of IDs
        model = model if settings.tune == ALL else model.merge_and_unload()
        said = {part: generation.texts(model, encoder.prompts(rows), encoder, settings) for part, rows in asked.items()}
        model = load(self.llm, settings, self.device).eval()
        work = made.folder / f"titles-{seed}"
        work.mkdir(exist_ok=True)
        titles = [str(row.get("title") or "") for row in made.catalog.rows]
        for part, texts in {"items": titles, **said}.items():
            np.save(work / f"{part}.npy", generation.vectors(model, texts, encoder, settings.asked))
        targets = {
            part: self._targets(records[part], last)[chosen[part]] for part, last in (("valid", -2), ("test", -1))
        }
        (work / "valid.txt").write_text("".join(f"{item}\n" for item in targets["valid"]), encoding="utf-8")
        ranked = work / "ranked.jsonl"
        made.run("ground", work / "test.npy", "--items", work / "items.npy", "--interactions", made.events,
                 "--hold-out-last", "2", "--valid", work / "valid.npy", "--valid-targets", work / "valid.txt",
                 "--top", str(DEPTH), "--out", ranked, "--force")  # fmt: skip
        lines = [json.loads(line) for line in ranked.read_text(encoding="utf-8").splitlines()]
        found = np.array([[int(item) for item in line["items"]] for line in lines])
        return {**about, **self._scores(found, targets["test"])}

    def _scratch(self, seed: int) -> dict[str, Any]:
        """The decoder of the benchmarks, which is trained from scratch on the IDs of the index."""
        table = TokenTable.read(generation.table_of(self.made.index))
        codes = np.zeros((len(table.codes), len(table.codebook_sizes)), np.int64)
        codes[np.array([int(item) for item in table.item_ids])] = table.codes
        small = SMALL if self.short or self.device.type == "cpu" else {}
        settings = ScratchSettings(**{**small, "beam": self.settings.beams, "most_events": self.settings.test_users})  # type: ignore[arg-type]
        data = Data(self.made.catalog.name, "leave-one-out", self.histories(), {SCRATCH: codes})
        record = evaluate(Run(data, SCRATCH, seed, settings), self.device)
        # The settings of the row stay apart, so that all rows are in one table. Its nats are relative to valid codes.
        return {key: record[key] for key in ("figures", "segments", "real_constrained", "epochs", "train_seconds")} | {
            "own_settings": settings.record()
        }

    def _targets(self, records: list[dict[str, str]], last: int) -> Rows:
        """The item at this place from the end of each user's history."""
        users = self.made.users()
        if len(users) != len(records):
            raise RuntimeError(f"expected one record for each of {len(users)} users, got {len(records)}")
        return np.array([items[last] for items in users], np.int64)

    def _scores(self, found: Rows, targets: Rows) -> dict[str, Any]:
        return figures(hits_of_items(found[:, :DEPTH], targets), targets, self.histories(), DEPTH)
