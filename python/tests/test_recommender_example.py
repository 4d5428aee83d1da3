"""The generative recommender of python/examples, on generated histories: it learns, and generates only valid IDs."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="THE RECOMMENDER EXAMPLE IS NOT TESTED: torch is not installed here")

from recommender.baselines import popularity, recall_and_ndcg, transitions  # noqa: E402  after the check for torch
from recommender.decoding import credited, recommend  # noqa: E402
from recommender.histories import Histories  # noqa: E402
from recommender.model import Decoder, Size  # noqa: E402
from recommender.training import nats, tokens_of, train  # noqa: E402
from recommender.tree import Tree  # noqa: E402

ITEMS, SIZES = 60, [8, 8]


def made(seed: int) -> Histories:
    """Histories on a ring of 60 items: with probability 0.9, the next item on the ring follows."""
    rng = np.random.default_rng(seed)
    users = []
    for _ in range(400):
        items = [int(rng.integers(ITEMS))]
        while len(items) < 12:
            items.append((items[-1] + 1) % ITEMS if rng.random() < 0.9 else int(rng.integers(ITEMS)))
        users.append(np.array(items))
    names = [str(item) for item in range(ITEMS)]
    return Histories(users, names, names)


CODES = np.stack([np.arange(ITEMS) // 8, np.arange(ITEMS) % 8], axis=1)


def test_the_model_learns_the_next_item() -> None:
    data = made(1)
    queries, targets = data.queries(1)
    training = [items[:-1] for items in data.users]
    popular = recall_and_ndcg(popularity(training, queries, ITEMS), targets)["NDCG@10"]
    counted = recall_and_ndcg(transitions(training, queries, ITEMS), targets)["NDCG@10"]
    found = train(data, CODES, SIZES, size=Size(width=32, heads=2, layers=1, dropout=0.0, history=6), epochs=25, seed=3)
    assert counted > 0.8
    assert found["NDCG@10"] > 3 * popular
    # The minimum loss on a ring that continues in 9 of 10 cases is 0.1 log(60 / 0.1) + 0.9 log(1 / 0.9).
    assert 0.7 < found["nats"] < 0.5 * np.log(ITEMS)


def test_only_unseen_items_are_recommended() -> None:
    torch.manual_seed(0)
    model = Decoder(Size(width=16, heads=2, layers=1, history=3), SIZES)
    # 17 items under three first codes. Without constraints, an untrained model would generate other IDs.
    codes = CODES[:17]
    seen = [np.arange(k) for k in (0, 1, 8, 16, 17)]
    leaves = recommend(model, Tree(codes, SIZES), torch.randint(0, 16, (5, 6)), seen)
    assert leaves.shape == (5, 20)
    for row, old in zip(leaves, seen, strict=True):
        assert sorted(row[row >= 0]) == list(range(len(old), 17))
        assert (row[17 - len(old) :] == -1).all()


def test_with_enough_beams_items_are_ranked_by_model_score() -> None:
    torch.manual_seed(1)
    model = Decoder(Size(width=16, heads=2, layers=1, history=4), SIZES).eval()
    torch.nn.init.normal_(model.tokens.weight)
    # Under its first code, 15 items use few of the second codes. The scores of the others must not count.
    codes = np.stack([np.arange(15) // 2, np.arange(15) % 2], axis=1)
    tree, offset = Tree(codes, SIZES), np.array([0, SIZES[0]])
    history, seen = torch.from_numpy(codes[[3, 8]] + offset).view(1, -1), np.array([3, 8])
    wholes = [torch.cat([history, torch.from_numpy(code + offset).view(1, -1)], 1) for code in codes]
    losses = [model.loss(whole, tree).item() for whole in wholes]
    order = [item for item in np.argsort(losses) if item not in seen]
    leaves = recommend(model, tree, history, [seen])[0]
    assert [tree.items[leaf][0] for leaf in leaves[leaves >= 0]] == order


def test_nats_are_the_loss_of_the_next_item_and_shared_ids_cost_more() -> None:
    torch.manual_seed(1)
    size = Size(width=16, heads=2, layers=1, history=4)
    model = Decoder(size, SIZES).eval()
    torch.nn.init.normal_(model.tokens.weight)
    codes = CODES[:20]
    tree, words = Tree(codes, SIZES), torch.from_numpy(codes + np.array([0, SIZES[0]]))
    data = Histories([np.array([3, 8, 17]), np.array([1, 2, 3, 4, 5, 6])], [""] * 20, [""] * 20)
    said = []
    for user in data.users:
        # One row per possible next item. The probabilities sum to 1.
        rows = tokens_of([np.append(user[:-1], item) for item in range(20)], words, 5, model.padding)
        each = model.nats(rows, tree)[0][:, -1].sum(1)
        assert (-each).exp().sum().item() == pytest.approx(1, abs=1e-5)
        said.append(each[user[-1]].item())
    assert nats(model, tree, data, words, held_out=1) == pytest.approx(np.mean(said), abs=1e-5)
    # The next item shares its ID with another item.
    shared = np.concatenate([codes, codes[[17]]])
    words = torch.cat([words, words[[17]]])
    found = nats(model, Tree(shared, SIZES), data, words, held_out=1)
    assert found == pytest.approx(np.mean(said) + np.log(2) / 2, abs=1e-5)


def test_parallel_beams_equal_separate_beams() -> None:
    torch.manual_seed(0)
    model = Decoder(Size(width=16, heads=2, layers=2, history=4), [8, 8, 8]).eval()
    history, beams = torch.randint(0, 8, (3, 9)), torch.randint(8, 24, (3, 5, 2))
    said = model.go_on(beams, 9, model(history)[1])
    for beam in range(5):
        alone, _ = model(torch.cat([history, beams[:, beam]], 1))
        torch.testing.assert_close(said[:, beam], alone[:, -1], rtol=1e-4, atol=1e-5)


def test_items_that_share_an_id_share_its_credit() -> None:
    codes = np.array([[0, 0], [0, 0], [0, 1]])
    tree = Tree(codes, SIZES)
    leaves = np.array([[0, 1]])
    drawn = [credited(leaves, tree, [np.array([], np.int64)], seed)[0] for seed in range(200)]
    assert all(row[1] == 2 for row in drawn)
    assert 60 < sum(int(row[0] == 0) for row in drawn) < 140
    # A user who has seen one of two items of an ID gets the other one. After both, the ID is excluded.
    assert all(credited(leaves, tree, [np.array([0])], seed)[0][0] == 1 for seed in range(20))
    assert [there.tolist() for there in tree.unseen([np.array([0]), np.array([0, 1])])] == [
        [[True], [True]],
        [[True, True], [False, True]],
    ]
