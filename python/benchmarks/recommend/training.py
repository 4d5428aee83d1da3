"""Training of the model on one ID set, with the state that the validation events choose."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from .histories import VALID, Histories, Rows
from .model import Decoder
from .settings import Settings
from .tree import Tree

LOGITS = 2**27
"""Most logits of one level in memory at a time: 512 MiB of float32."""


@dataclass(frozen=True)
class Trained:
    model: Decoder
    nats: float
    """Mean `-log p` of the items of the validation events. Items that share an ID have equal probabilities."""
    epochs: int
    kept_epoch: int


def losses(model: Decoder, tree: Tree, items: Tensor, *, every_code: bool = False, last: bool = False) -> Tensor:
    """`-log p` of the ID of each item given the items before it, `(rows, items)`, 0 for padding; or only of the last
    item of each row, `(rows, 1)`.

    A code is predicted among the codes that continue the ID of an item, or with `every_code` among all of its level.
    """
    there, known = items >= 0, items.clamp_min(0)
    text = model.text(tree.tokens[known], there)[:, :-1]
    state = model(text)[0].view(*items.shape, tree.levels, -1)
    if last:
        at = there.sum(1, keepdim=True) - 1
        state = state.gather(1, at[:, :, None, None].expand(-1, -1, *state.shape[2:]))
        known, there = known.gather(1, at), torch.ones_like(at, dtype=torch.bool)
    total = state.new_zeros(known.shape, dtype=torch.float32)
    for level, allowed in enumerate(tree.known):
        logits = model.scores(state[:, :, level], level)
        if not every_code:
            prefixes = allowed[0] if level == 0 else allowed[tree.nodes[level][known]]
            logits = logits.masked_fill(~prefixes, -torch.inf)
        code = tree.codes[known, level].flatten()
        total = total + functional.cross_entropy(logits.flatten(0, 1), code, reduction="none").view_as(total)
    return total * there


def train(
    histories: Histories, codes: Rows, settings: Settings, seed: int, device: torch.device
) -> tuple[Trained, Tree]:
    """Trains on the training events and keeps the state with the lowest validation loss."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    tree = Tree(codes, device)
    model = new_model(tree, settings, device)
    starts, ends = histories.training()
    kept = ends - starts >= 2
    starts, ends = starts[kept], ends[kept]
    valid = histories.events(VALID, settings.most_events)
    if len(starts) == 0 or len(valid) == 0:
        raise ValueError(
            f"expected training and validation events, got {len(starts)} histories and {len(valid)} events"
        )
    asked = histories.windows(histories.starts()[valid], valid + 1, settings.history + 1)
    shared = float(tree.shared[tree.leaf[torch.from_numpy(histories.items[valid]).to(device)]].log().mean())
    optimizer = new_optimizer(model, settings)
    steps, step = settings.epochs * math.ceil(len(starts) / settings.batch), 0
    best, state, best_epoch, epoch = math.inf, model.state_dict(), 0, 0
    for epoch in range(1, settings.epochs + 1):
        model.train()
        windows = _windows(histories, starts, ends, settings, rng)[rng.permutation(len(starts))]
        for at in range(0, len(windows), settings.batch):
            set_rate(optimizer, settings.learning_rate, step, steps)
            gradient(model, tree, windows[at : at + settings.batch], settings)
            advance(model, optimizer)
            step += 1
        if epoch % settings.every == 0 or epoch == settings.epochs:
            found = validation(model, tree, asked, settings, device) + shared
            if found < best - 1e-4:
                best, best_epoch = found, epoch
                state = {name: value.clone() for name, value in model.state_dict().items()}
            elif epoch - best_epoch >= settings.patience * settings.every:
                break
    model.load_state_dict(state)
    return Trained(model.eval(), best, epoch, best_epoch), tree


def validation(model: Decoder, tree: Tree, windows: Rows, settings: Settings, device: torch.device) -> float:
    """Mean `-log p` of the IDs of the last items of windows."""
    model.eval()
    total = 0.0
    with torch.no_grad():
        for rows, length in pieces(windows, 2048 if device.type == "cuda" else 256, max(tree.sizes), per_row=1):
            items = torch.from_numpy(windows[rows, :length]).to(device)
            with mixed(device):
                found = losses(model, tree, items, every_code=settings.softmax == "all", last=True)
            total += float(found.double().sum())
    return total / len(windows)


def mixed(device: torch.device) -> torch.autocast:
    """bfloat16 for matrix products on a GPU; float32 on a CPU."""
    return torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda")


def new_model(tree: Tree, settings: Settings, device: torch.device) -> Decoder:
    shape = {name: getattr(settings, name) for name in ("dim", "layers", "heads", "dropout")}
    model: Decoder = Decoder(tree.offsets, settings.history, **shape).to(device)
    return model


def new_optimizer(model: Decoder, settings: Settings) -> torch.optim.Optimizer:
    return torch.optim.AdamW(
        model.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay, betas=(0.9, 0.98),
        fused=model.tokens.weight.device.type == "cuda",
    )  # fmt: skip


def advance(model: Decoder, optimizer: torch.optim.Optimizer) -> None:
    """A step with the gradient, whose length is at most 1. Sets the gradient to zero."""
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)


def gradient(model: Decoder, tree: Tree, windows: Rows, settings: Settings, first: Rows | None = None) -> None:
    """Adds the gradient of the mean loss of a batch, from the position `first` of each window on. Histories of similar
    length are computed together: this is less padding on a CPU, and bounds the memory on a GPU."""
    device = model.tokens.weight.device
    counted = windows >= 0
    if first is not None:
        counted &= np.arange(windows.shape[1]) >= first[:, None]
    most = len(windows) if device.type == "cuda" else max(1, len(windows) // 4)
    for rows, length in pieces(windows, most, max(tree.sizes), per_row=windows.shape[1]):
        items, here = (torch.from_numpy(of[rows, :length]).to(device, non_blocking=True) for of in (windows, counted))
        with mixed(device):
            found = losses(model, tree, items, every_code=settings.softmax == "all")
        (found * here).sum().div(int(counted.sum())).backward()


def pieces(windows: Rows, most: int, codes: int, *, per_row: int) -> Iterator[tuple[Rows, int]]:
    """Windows ordered by length, at most `most` at a time, and the longest length of each piece."""
    lengths = (windows >= 0).sum(axis=1)
    order = np.argsort(lengths, kind="stable")
    most = max(1, min(most, LOGITS // (codes * per_row)))
    for at in range(0, len(order), most):
        rows = order[at : at + most]
        yield rows, int(lengths[rows[-1]])


def _windows(histories: Histories, starts: Rows, ends: Rows, settings: Settings, rng: np.random.Generator) -> Rows:
    length = settings.history + 1
    if settings.windows == "random":
        ends = rng.integers(np.minimum(starts + length, ends), ends, endpoint=True)
    return histories.windows(starts, ends, length)


def set_rate(optimizer: torch.optim.Optimizer, highest: float, step: int, steps: int) -> None:
    """A warm-up over a twentieth of all steps, and a cosine over all."""
    warm = max(1, steps // 20)
    rate = highest * min(1.0, (step + 1) / warm) * (0.5 + 0.5 * math.cos(math.pi * step / steps))
    for group in optimizer.param_groups:
        group["lr"] = rate
