"""A catalog that grows: which items and events a first index and a first recommender have, and which come later.

- Catalogs with times: the old block is the first fifth of all events, and an item is new if its first event is later.
- Other catalogs: an item is new if it is among the fifth with the latest mean relative position in the histories. The
  old block of a user is the first half of the history, without its events of new items.

In both, the next block is the rest of a history except its last two events, and the last event is the test event.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .catalogs import Catalog
from .histories import Histories, Rows, of_users

GROWTH = "growth"
"""Name of the split."""

OLD_EVENTS, NEW_ITEMS, LEAST = 0.2, 0.2, 5
"""Share of the old block of timed events; share of new items without times; fewest events of a user."""

Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Growth:
    """`cuts`: the number of events of the old block of each user. `new`: whether an item is new."""

    histories: Histories
    cuts: Rows
    new: Flags


def grown(catalog: Catalog) -> Growth:
    users = [user for user, items in enumerate(catalog.users) if len(items) >= LEAST]
    if catalog.times is None:
        new = _latest(catalog)
        old = [items[: len(items) // 2] for items in (catalog.users[user] for user in users)]
        old = [items[~new[items]] for items in old]
        whole = [np.concatenate([of_old, catalog.users[user][len(catalog.users[user]) // 2 :]])
                 for user, of_old in zip(users, old, strict=True)]  # fmt: skip
        cuts = [len(items) for items in old]
    else:
        times = np.concatenate(catalog.times)
        end = np.quantile(times, OLD_EVENTS, method="lower")
        first = np.full(len(catalog.rows), np.inf)
        np.minimum.at(first, np.concatenate(catalog.users), times)
        new = first > end
        whole = [catalog.users[user] for user in users]
        cuts = [int((catalog.times[user] <= end).sum()) for user in users]
    kept = [(items, cut) for items, cut in zip(whole, cuts, strict=True) if len(items) >= 3]
    histories = of_users(len(catalog.rows), [items for items, _ in kept])
    # The last two events validate and test, also where they are in the old block.
    sizes = np.diff(histories.offsets)
    return Growth(histories, np.minimum(np.array([cut for _, cut in kept], np.int64), sizes - 2), new)


def _latest(catalog: Catalog) -> Flags:
    total, count = np.zeros(len(catalog.rows)), np.zeros(len(catalog.rows))
    for items in catalog.users:
        if len(items) >= LEAST:
            np.add.at(total, items, np.arange(len(items)) / (len(items) - 1))
            np.add.at(count, items, 1)
    position = np.where(count > 0, total / np.maximum(count, 1), 2.0)
    return np.asarray(position >= np.quantile(position, 1 - NEW_ITEMS), np.bool_)
