"""Tuning with a time limit, and the state with the lowest validation loss."""

from __future__ import annotations

import math
import sys
import time
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from recommend.training import mixed

from .models import trained_parameters
from .records import Example, batches, padded
from .settings import Settings


def nats(model: Any, batch: list[Example], pad: int) -> Tensor:
    """`-log p` of the tokens of the expected answers, `(rows,)`. Logits of prompts are not computed."""
    device = next(model.parameters()).device
    ids, mask = padded([prompt + answer for prompt, answer in batch], pad, device)
    longest = max(len(answer) for _, answer in batch)
    places = (mask.cumsum(1) - 1).clamp_min(0)
    with mixed(device):
        said = model(input_ids=ids, attention_mask=mask, position_ids=places, logits_to_keep=longest + 1)
    logits = said.logits[:, :-1].float()
    counted = padded([[1] * len(answer) for _, answer in batch], 0, device)[0]
    each = functional.cross_entropy(logits.flatten(0, 1), ids[:, -longest:].flatten(), reduction="none")
    return (each.view_as(counted) * counted).sum(1)


def mean_nats(model: Any, examples: list[Example], pad: int, size: int) -> float:
    """Mean `-log p` of the answers."""
    model.eval()
    ordered = sorted(examples, key=lambda one: len(one[0]) + len(one[1]))
    total = 0.0
    with torch.no_grad():
        for at in range(0, len(ordered), size):
            total += float(nats(model, ordered[at : at + size], pad).sum())
    model.train()
    return total / len(ordered)


def tune(
    model: Any, training: list[Example], validation: list[Example], *, settings: Settings, pad: int, seed: int
) -> dict[str, Any]:
    """Trains with AdamW, then restores the state with the lowest validation loss. Returns the curve of that loss."""
    torch.manual_seed(seed)
    parameters = trained_parameters(model)
    optimizer = torch.optim.AdamW(parameters.values(), lr=settings.learning_rate, weight_decay=0.0)
    began, done, step, due = time.monotonic(), 0.0, 0, 0
    curve: dict[str, Any] = {"step": [], "nats": []}
    best, state = math.inf, {}
    order = batches(training, settings.batch, seed)
    while True:
        if done >= due / settings.measurements:
            found = mean_nats(model, validation, pad, settings.batch)
            curve["step"].append(step)
            curve["nats"].append(found)
            print(f"llm_recommender: step {step}: {found:.3f} nats", file=sys.stderr, flush=True)
            if not math.isfinite(found):
                raise RuntimeError(f"step {step}: the validation loss is {found}; use a lower --learning-rate")
            if found < best:
                best, state = found, {name: value.detach().cpu().clone() for name, value in parameters.items()}
            due = int(done * settings.measurements) + 1
        if done >= 1:
            break
        rate = settings.learning_rate * min(1.0, (step + 1) / max(1, settings.steps // 20))
        for group in optimizer.param_groups:
            group["lr"] = rate * (0.5 + 0.5 * math.cos(math.pi * done))
        batch = next(order)
        loss = nats(model, batch, pad).sum() / sum(len(answer) for _, answer in batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters.values(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        step += 1
        done = min(1.0, max(step / settings.steps, (time.monotonic() - began) / (60 * settings.minutes)))
    with torch.no_grad():
        for name, value in parameters.items():
            value.copy_(state[name])
    model.eval()
    return {
        "nats": best,
        "steps": step,
        "curve": curve,
        "trained_parameters": sum(value.numel() for value in parameters.values()),
        "train_seconds": round(time.monotonic() - began, 1),
    }
