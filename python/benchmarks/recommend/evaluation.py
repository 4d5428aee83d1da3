"""One run: train on an ID set, recommend for the test events, score."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from .baselines import BASELINES
from .beam import rows_at_once, search
from .fine_tune import GrowingRecommender
from .histories import TEST, Data, Histories, Rows, content_hash, of_seed
from .model import Decoder
from .scoring import CUTS, Hits, figures, hits_of_beams, hits_of_items
from .settings import Settings
from .training import mixed, train
from .tree import Tree

FREE_EVENTS = 1000
"""Test events for which beams are also searched without the constraint."""

RANDOM, ITEMS = "random", "item tokens"
WITHOUT_FILE = (*BASELINES, ITEMS, RANDOM)
"""Rows that need no ID set of the data file: recommendations without a model, one token per item, and random IDs of 4
levels of 256 codes, each item its own."""


@dataclass(frozen=True)
class Run:
    data: Data
    name: str
    seed: int
    settings: Settings

    def codes(self) -> Rows:
        items = self.data.histories.n_items
        if self.name in self.data.sets:
            return self.data.codes(self.name, self.seed)
        if self.name == ITEMS:
            return np.arange(items)[:, None]
        if self.name == RANDOM:
            drawn = np.random.default_rng(self.seed).choice(256**4, items, replace=False)
            return drawn[:, None] // 256 ** np.arange(4) % 256
        known = ", ".join([*self.data.sets, *WITHOUT_FILE])
        raise ValueError(f"{self.data.name}: expected a known ID set, got {self.name}; known are: {known}")

    def key(self) -> dict[str, object]:
        """What identifies the result of a run. Runs with equal keys on one device have equal results."""
        histories = self.data.histories
        arrays = [histories.items, histories.offsets, histories.parts]
        if self.name not in BASELINES:
            arrays.append(self.codes())
        if (blocks := self.data.blocks) is not None:
            arrays += [blocks.cuts, of_seed(blocks.old, self.seed)]
        return {
            "data": self.data.name,
            "split": self.data.split,
            "set": self.name,
            "seed": 0 if self.name in BASELINES else self.seed,
            "hash": content_hash(*arrays),
            "settings": self.settings.record(),
        }


def evaluate(run: Run, device: torch.device) -> dict[str, object]:
    """The result of a run as one JSON object: its key and its figures."""
    began = time.perf_counter()
    histories, settings = run.data.histories, run.settings
    events = histories.events(TEST, settings.most_events)
    if len(events) == 0:
        raise ValueError(f"{run.data.name}: expected test events after other events of their user, got none")
    targets = histories.items[events]
    counted = histories if run.data.blocks is None else run.data.blocks.histories(histories)
    record = {**run.key(), "items": histories.n_items, "test_events": len(events)}
    if run.name in BASELINES:
        ranked = BASELINES[run.name](histories, events, max(CUTS), exclude_seen=settings.seen == "exclude")
        record |= figures(hits_of_items(ranked, targets), targets, counted, max(CUTS))
        return record | {"seconds": round(time.perf_counter() - began, 1)}
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    codes = run.codes()
    if run.data.blocks is None:
        trained, tree = train(histories, codes, settings, run.seed, device)
        model = trained.model
        record |= {"nats": trained.nats, "epochs": trained.epochs, "kept_epoch": trained.kept_epoch}
    else:
        model, tree = GrowingRecommender(histories, run.data.blocks, settings, run.seed, device).fine_tuned(codes)
    seconds = time.perf_counter() - began
    hits, real = recommend(model, tree, histories, events, settings=settings, device=device)
    some = events[np.linspace(0, len(events) - 1, min(FREE_EVENTS, len(events))).round().astype(np.int64)]
    record |= figures(hits, targets, counted, settings.beam)
    return record | {
        "sizes": tree.sizes,
        "duplicates": 1 - len(tree.shared) / len(codes),
        "real_constrained": real,
        "real_free": free(model, tree, histories, some, settings=settings, device=device),
        "parameters": sum(tensor.numel() for tensor in model.parameters()),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else f"{torch.get_num_threads()} threads",
        "memory_gib": round(torch.cuda.max_memory_allocated(device) / 2**30, 2) if device.type == "cuda" else None,
        "train_seconds": round(seconds, 1),
        "seconds": round(time.perf_counter() - began, 1),
    }


def recommend(
    model: Decoder, tree: Tree, histories: Histories, events: Rows, *, settings: Settings, device: torch.device
) -> tuple[Hits, float]:
    """The hits of the test events, in their order, and the share of beams that end in an ID of items. If seen items are
    excluded, a next item that the user has seen is no hit."""
    before, shared = np.zeros(len(events), np.int64), np.zeros(len(events), np.int64)
    real = 0
    for rows, items in _batches(tree, histories, events, settings, device):
        left, target = None, histories.items[events[rows]]
        again = np.zeros(len(rows), bool)
        if settings.seen == "exclude":
            seen = _whole(histories, events[rows])
            left, again = tree.left(torch.from_numpy(seen).to(device)), (seen == target[:, None]).any(axis=1)
        with mixed(device):
            beams = search(model, tree, items, settings.beam, left=left)
        known = beams.leaves.clamp_min(0)
        counted = tree.shared[known] if left is None else left.gather(1, known)
        correct = np.where(again, -1, _numpy(tree.leaf[torch.from_numpy(target).to(device)]))
        hits = hits_of_beams(_numpy(beams.leaves), correct, _numpy(counted))
        before[rows], shared[rows] = hits.before, hits.shared
        real += int((beams.leaves >= 0).sum())
    return Hits(before, shared), real / (len(events) * settings.beam)


def free(
    model: Decoder, tree: Tree, histories: Histories, events: Rows, *, settings: Settings, device: torch.device
) -> float:
    """The share of beams that end in an ID of items if every code of a level can follow."""
    real = total = 0
    for _, items in _batches(tree, histories, events, settings, device):
        with mixed(device):
            beams = search(model, tree, items, settings.beam, constrained=False)
        real, total = real + int((beams.leaves >= 0).sum()), total + beams.leaves.numel()
    return real / total


def _batches(
    tree: Tree, histories: Histories, events: Rows, settings: Settings, device: torch.device
) -> list[tuple[Rows, torch.Tensor]]:
    """Rows of events with histories of similar length, and these histories."""
    windows = histories.windows(histories.starts()[events], events, settings.history)
    lengths = (windows >= 0).sum(axis=1)
    order = np.argsort(lengths, kind="stable")
    length = 1 + tree.levels * settings.history
    most = rows_at_once(tree, settings.beam, heads=settings.heads, length=length, device=device)
    parts = [order[at : at + most] for at in range(0, len(order), most)]
    return [(rows, torch.from_numpy(windows[rows, : lengths[rows[-1]]]).to(device)) for rows in parts]


def _whole(histories: Histories, events: Rows) -> Rows:
    starts = histories.starts()[events]
    return histories.windows(starts, events, int((events - starts).max()))


def _numpy(tensor: torch.Tensor) -> npt.NDArray[np.int64]:
    return np.asarray(tensor.cpu().numpy(), np.int64)
