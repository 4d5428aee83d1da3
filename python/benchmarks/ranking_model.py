"""A small ranking model: embeddings of the user and of item features, factorization and a perceptron."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from ranking_data import Column, Floats, Ratings, Split


@dataclass(frozen=True)
class Settings:
    dim: int = 16
    hidden: int = 64
    batch: int = 4096
    learning_rate: float = 2e-3
    user_decay: float = 0.3
    item_decay: float = 0.3
    """AdamW's weight decay of embeddings. Each step applies it to all rows, so it keeps those of rare films small."""
    unknown: float = 0.1
    """Share of training examples with the unknown user instead of their own."""
    cut: float = 0.2
    """Share of training examples that keep only prefixes up to a random depth, and the unknown film as item id: these
    are the features that a new film has."""
    epochs: int = 20
    patience: int = 2


class Ranker(nn.Module):  # type: ignore[misc]
    """The logit is a sum: biases of user and item features, the product of the user's vector and the item's vector,
    and a perceptron of both vectors. The item's vector is the sum of the embeddings of its features. A value that no
    training example has is left out."""

    def __init__(self, split: Split, columns: list[Column], settings: Settings) -> None:
        super().__init__()
        self.columns, self.settings = columns, settings
        self.depth = max((of.depth for of in columns), default=0)
        dim = settings.dim
        self.user = nn.Embedding(split.users, dim + 1)
        self.features = nn.ModuleList(nn.Embedding(of.cardinality, dim + 1) for of in columns)
        self.tables = []
        for of in columns:
            seen = np.zeros(of.cardinality, bool)
            seen[of.values[split.train.items][of.weights[split.train.items] > 0]] = True
            seen[0] |= of.is_item_id
            weights = of.weights * seen[of.values]
            self.tables.append((torch.from_numpy(of.values), torch.from_numpy(weights)))
        for table in (self.user, *self.features):
            nn.init.normal_(table.weight, std=0.01)
        self.perceptron = nn.Sequential(nn.Linear(3 * dim, settings.hidden), nn.ReLU(), nn.Linear(settings.hidden, 1))

    def forward(self, users: Tensor, items: Tensor) -> Tensor:
        cut = torch.full((len(items), 1), self.depth + 1)
        if self.training:
            users = users * (torch.rand(len(users)) >= self.settings.unknown)
            is_cut = torch.rand(len(items), 1) < self.settings.cut
            cut = torch.where(is_cut, torch.randint(1, self.depth + 1, cut.shape) if self.depth else 0, cut)
        user = self.user(users)
        item = torch.zeros(len(items), user.shape[1])
        for of, (values, weights), table in zip(self.columns, self.tables, self.features, strict=True):
            rows, kept = values[items], weights[items]
            if of.is_item_id:
                rows = rows * (cut > self.depth)
            elif of.depth:
                kept = kept * (of.depth <= cut)
            item = item + (table(rows) * kept[..., None]).sum(1)
        product = user[:, 1:] * item[:, 1:]
        deep = self.perceptron(torch.cat([user[:, 1:], item[:, 1:], product], 1))[:, 0]
        return user[:, 0] + item[:, 0] + product.sum(1) + deep


def predicted(model: Ranker, ratings: Ratings) -> Floats:
    """The logits of some ratings."""
    model.eval()
    with torch.no_grad():
        pairs = zip(
            torch.from_numpy(ratings.users).split(65536), torch.from_numpy(ratings.items).split(65536), strict=True
        )
        parts = [model(users, items) for users, items in pairs]
    return np.asarray(torch.cat(parts).numpy(), np.float32)


def trained(split: Split, columns: list[Column], seed: int, settings: Settings) -> tuple[Ranker, int]:
    """The model with the best validation loss, and its number of epochs."""
    torch.manual_seed(seed)
    model = Ranker(split, columns, settings)
    groups = [
        {"params": model.user.parameters(), "weight_decay": settings.user_decay},
        {"params": model.features.parameters(), "weight_decay": settings.item_decay},
        {"params": model.perceptron.parameters(), "weight_decay": 0.01},
    ]
    optimizer = torch.optim.AdamW(groups, lr=settings.learning_rate)
    loss_of = nn.BCEWithLogitsLoss()
    users, items, liked = (torch.from_numpy(of) for of in (split.train.users, split.train.items, split.train.liked))
    best, best_epoch, state = float("inf"), 0, model.state_dict()
    for epoch in range(1, settings.epochs + 1):
        model.train()
        for rows in torch.randperm(len(users)).split(settings.batch):
            loss = loss_of(model(users[rows], items[rows]), liked[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        logits_of_valid = torch.from_numpy(predicted(model, split.valid))
        error = float(loss_of(logits_of_valid, torch.from_numpy(split.valid.liked)))
        if error < best:
            best, best_epoch = error, epoch
            state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        elif epoch - best_epoch >= settings.patience:
            break
    model.load_state_dict(state)
    return model, best_epoch
