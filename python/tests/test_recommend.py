"""The recommender that compares ID sets: it learns, searches beams exactly, and credits items that share an ID."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip(
    "torch", reason="THE RECOMMENDER OF THE BENCHMARKS IS NOT TESTED: torch is not installed here"
)

from torch import Tensor  # noqa: E402  after the check for torch

from recommend.baselines import popularity, transitions  # noqa: E402  after the check for torch
from recommend.beam import search  # noqa: E402
from recommend.evaluation import Run, evaluate, recommend  # noqa: E402
from recommend.histories import TEST, TRAIN, VALID, Data, Histories, Rows, of_users  # noqa: E402
from recommend.model import Decoder, dropped  # noqa: E402
from recommend.scoring import Hits, credit, figures, hits_of_beams, hits_of_items, segments  # noqa: E402
from recommend.settings import Settings  # noqa: E402
from recommend.training import losses, train  # noqa: E402
from recommend.tree import Tree  # noqa: E402

CPU = torch.device("cpu")
GROUPS, EACH = 20, 10
SMALL = Settings(dim=32, layers=1, heads=2, dropout=0.1, history=5, epochs=24, batch=64, learning_rate=5e-3, beam=20)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """More threads only wait for each other in models of this size."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def walks(users: int = 400, seed: int = 0) -> Histories:
    """Histories of 4 to 8 items that go from group to group in a circle, to a random item of each group."""
    rng = np.random.default_rng(seed)
    groups = (rng.integers(GROUPS, size=(users, 1)) + np.arange(8)) % GROUPS
    items = groups * EACH + rng.integers(EACH, size=groups.shape)
    return of_users(GROUPS * EACH, [row[: 4 + user % 5] for user, row in enumerate(items)])


MEANINGFUL = np.stack([np.arange(GROUPS * EACH) // EACH, np.arange(GROUPS * EACH) % EACH], axis=1)


def made(codes: Rows, *, history: int = 4, seed: int = 1) -> tuple[Decoder, Tree]:
    """An untrained model whose probabilities are far from equal."""
    torch.manual_seed(seed)
    tree = Tree(codes, CPU)
    model = Decoder(tree.offsets, history, dim=16, layers=2, heads=2, dropout=0.1).eval()
    torch.nn.init.normal_(model.tokens.weight)
    return model, tree


def padded(histories: list[list[int]]) -> Tensor:
    longest = max(map(len, histories))
    return torch.tensor([[*items, *[-1] * (longest - len(items))] for items in histories])


def test_ids_with_meaning_recommend_far_better_than_random_ids() -> None:
    shuffled = MEANINGFUL[np.random.default_rng(1).permutation(len(MEANINGFUL))]
    data = Data("walks", "leave-one-out", walks(), {"meaningful": MEANINGFUL, "shuffled": shuffled})
    reached = {name: evaluate(Run(data, name, 0, SMALL), CPU) for name in data.sets}
    recall = {name: record["figures"]["recall@10"] for name, record in reached.items()}  # type: ignore[index]
    # The group of the next item is certain, so all 10 items of a group are the best recommendation.
    assert recall["meaningful"] > 0.9
    assert recall["meaningful"] > 2 * recall["shuffled"]
    # The item within its group is random, so the smallest loss is log(10) nats.
    assert np.log(EACH) - 0.05 < reached["meaningful"]["nats"] < np.log(EACH) + 0.3
    assert reached["meaningful"]["real_constrained"] == 1.0


def test_a_seed_gives_the_same_numbers_again_and_another_seed_others() -> None:
    data = Data("walks", "leave-one-out", walks(100), {"meaningful": MEANINGFUL})
    short = replace(SMALL, epochs=4)
    found = [evaluate(Run(data, "meaningful", seed, short), CPU) for seed in (0, 0, 1)]
    kept = [{key: of for key, of in record.items() if "seconds" not in key} for record in found]
    assert kept[0] == kept[1]
    assert kept[0]["nats"] != kept[2]["nats"]


def test_a_beam_as_large_as_the_catalog_equals_exhaustive_search() -> None:
    rng = np.random.default_rng(0)
    codes = np.unique(rng.integers([3, 5, 4], size=(40, 3)), axis=0)
    model, tree = made(codes)
    histories = [[3, 8], [1], [2, 9, 4, 0], [7, 7, 7]]
    beams = search(model, tree, padded(histories), len(codes))
    for row, history in enumerate(histories):
        wholes = torch.tensor([[*history, item] for item in range(len(codes))])
        with torch.no_grad():
            each = losses(model, tree, wholes, last=True)[:, 0]
        assert (-each).exp().sum().item() == pytest.approx(1, abs=1e-5)
        order = np.argsort(each.numpy(), kind="stable")
        assert beams.leaves[row].tolist() == tree.leaf[order].tolist()
        torch.testing.assert_close(beams.scores[row], -each[order], rtol=1e-4, atol=1e-4)


def test_losses_of_a_row_do_not_depend_on_padding_and_other_rows() -> None:
    model, tree = made(MEANINGFUL)
    histories = [[3, 8, 150], [1, 2], [5, 6, 7, 8]]
    with torch.no_grad():
        together = losses(model, tree, padded(histories))
        for row, history in enumerate(histories):
            alone = losses(model, tree, torch.tensor([history]))[0]
            torch.testing.assert_close(together[row, : len(history)], alone, rtol=1e-4, atol=1e-5)
            assert (together[row, len(history) :] == 0).all()
        last = losses(model, tree, padded(histories), last=True)[:, 0]
        torch.testing.assert_close(last, torch.stack([together[r, len(h) - 1] for r, h in enumerate(histories)]))


def test_dropout_keeps_the_mean_and_depends_on_the_seed_alone() -> None:
    x = torch.ones(300, 1001)
    torch.manual_seed(0)
    first = dropped(x, 0.2, training=True)
    torch.manual_seed(0)
    assert torch.equal(dropped(x, 0.2, training=True), first)
    assert not torch.equal(dropped(x, 0.2, training=True), first)
    zeros = first == 0
    assert abs(float(zeros.double().mean()) - 51 / 256) < 0.003
    assert abs(float(first.mean()) - 1) < 0.005
    # Elements are dropped independently: both of two neighbours, in a row or eight apart, as often as chance says.
    for apart in (1, 8):
        both = (zeros[:, apart:] & zeros[:, :-apart]).double().mean()
        assert abs(float(both) - (51 / 256) ** 2) < 0.002
    assert torch.equal(dropped(x, 0.2, training=False), x)
    assert torch.equal(dropped(x, 0.0, training=True), x)


def test_without_the_constraint_beams_end_in_any_codes() -> None:
    codes = np.array([[0, 0], [0, 2], [1, 1], [2, 0], [2, 2]])
    model, tree = made(codes)
    beams = search(model, tree, padded([[1, 2], [4]]), 9, constrained=False)
    assert (beams.leaves >= 0).sum(1).tolist() == [5, 5]
    assert beams.scores.exp().sum(1).tolist() == pytest.approx([1, 1], abs=1e-5)
    with torch.no_grad():
        every = losses(model, tree, torch.tensor([[4, 0]]), every_code=True, last=True)
    at = beams.leaves[1].tolist().index(int(tree.leaf[0]))
    assert beams.scores[1, at].item() == pytest.approx(-every.item(), abs=1e-4)


def test_ids_without_items_left_are_not_recommended() -> None:
    codes = np.array([[0, 0], [0, 0], [0, 1], [1, 0], [1, 1]])
    model, tree = made(codes)
    histories = padded([[0, 0, 3], [0, 1, 2]])
    left = tree.left(histories)
    assert left[:, tree.leaf].tolist() == [[1, 1, 1, 0, 1], [0, 0, 0, 1, 1]]
    beams, every = search(model, tree, histories, 4, left=left), search(model, tree, histories, 4)
    for row, items in enumerate([[0, 2, 4], [3, 4]]):
        kept = beams.leaves[row][beams.leaves[row] >= 0].tolist()
        wanted = {int(tree.leaf[item]) for item in items}
        # The order and the probabilities are those without the exclusion.
        assert kept == [leaf for leaf in every.leaves[row].tolist() if leaf in wanted]
        assert beams.scores[row, : len(kept)].tolist() == pytest.approx(
            [
                s
                for s, leaf in zip(every.scores[row].tolist(), every.leaves[row].tolist(), strict=True)
                if leaf in wanted
            ]
        )


def test_items_that_share_an_id_share_its_credit() -> None:
    # Position 0 and 1 of two items; position 9 to 12 of four; not found.
    hits = Hits(np.array([0, 9, 0]), np.array([2, 4, 0]))
    recall, ndcg = credit(hits, 10)
    assert recall.tolist() == [1, 0.25, 0]
    assert ndcg.tolist() == pytest.approx([(1 + 1 / np.log2(3)) / 2, 1 / np.log2(11) / 4, 0])
    # Beams: an ID of three items, no item's ID, an ID of two items, one of which is correct.
    found = hits_of_beams(np.array([[5, -1, 7]]), np.array([7]), np.array([[3, 9, 2]]))
    assert (found.before.tolist(), found.shared.tolist()) == ([3], [2])
    recall, ndcg = credit(found, 4)
    assert recall.tolist() == [0.5]
    assert ndcg.tolist() == pytest.approx([1 / np.log2(5) / 2])


def test_duplicate_ids_do_not_raise_recall() -> None:
    """All items share one ID: recall is that of a random order."""
    histories = walks(100)
    codes = np.zeros((histories.n_items, 2), np.int64)
    model, tree = made(codes, history=5)
    hits, real = recommend(model, tree, histories, histories.events(TEST, 1000), settings=SMALL, device=CPU)
    assert credit(hits, 10)[0].mean() == pytest.approx(10 / histories.n_items)
    assert real == 1 / SMALL.beam


def test_a_seen_item_is_no_hit_if_seen_items_are_excluded() -> None:
    # Items 0 and 1 share an ID. The first user has seen item 1, which comes again; the second user has not.
    histories = of_users(4, [np.array([1, 2, 3, 1]), np.array([2, 0, 3, 1]), np.array([2, 3, 3, 1])])
    model, tree = made(np.array([[0, 0], [0, 0], [1, 0], [1, 1]]))
    events = histories.events(TEST, 9)
    allowed, _ = recommend(model, tree, histories, events, settings=replace(SMALL, history=4), device=CPU)
    assert allowed.shared.tolist() == [2, 2, 2]
    # Of the second and third user, item 1 is alone left, or shares its ID with item 0.
    hits, _ = recommend(model, tree, histories, events, settings=replace(SMALL, seen="exclude", history=4), device=CPU)
    assert hits.shared.tolist() == [0, 1, 2]


def test_recall_and_segments_are_means_over_events() -> None:
    users = [np.array([0] * 6 + [1, 1]), np.array([1, 2, 2, 0, 0]), np.array([3, 2, 3]), np.array([1, 0, 4])]
    histories = of_users(5, users)
    assert histories.popularity().tolist() == [6, 2, 2, 1, 0]
    assert segments(histories).tolist() == [0, 1, 2, 2, 3]
    events = histories.events(TEST, 10)
    targets = histories.items[events]
    assert targets.tolist() == [1, 0, 3, 4]
    ranked = np.array([[1, 0, 2, 3, 4], [1, 2, 0, 3, 4], [0, 1, 2, 4, -1], [4, 3, 2, 1, 0]])
    found = figures(hits_of_items(ranked, targets), targets, histories, 5)
    assert found["figures"] == {"recall@5": 0.75, "ndcg@5": pytest.approx((1 + 0.5 + 0 + 1) / 4)}
    apart = found["segments"]
    assert [apart[name]["events"] for name in ("head", "middle", "tail", "cold")] == [1, 1, 1, 1]  # type: ignore[index]
    assert [apart[name]["recall@5"] for name in ("head", "tail", "cold")] == [1, 0, 1]  # type: ignore[index]


def test_baselines_count_training_events_within_users() -> None:
    users = [np.array([0, 1, 0, 1, 2, 2]), np.array([1, 2, 1, 0, 3])]
    histories = of_users(5, users)
    events = histories.events(TEST, 10)
    assert histories.items[events - 1].tolist() == [2, 0]
    # Training: 0 1 0 1, and 1 2 1. After 1 follow 0 and 2 once each. After 2 follows 1, and after 0 follows 1 twice.
    assert popularity(histories, events, 3, exclude_seen=False).tolist() == [[1, 0, 2], [1, 0, 2]]
    assert popularity(histories, events, 3, exclude_seen=True).tolist() == [[3, 4, -1], [3, 4, -1]]
    assert transitions(histories, events, 3, exclude_seen=False).tolist() == [[1, 0, 2], [1, 0, 2]]
    swapped = of_users(5, [np.array([0, 1, 0, 1, 1, 2]), users[1]])
    ranked = transitions(swapped, swapped.events(TEST, 10), 4, exclude_seen=False)
    assert ranked[0].tolist() == [0, 2, 1, 3]


def test_the_state_with_the_best_validation_loss_is_kept_and_training_stops() -> None:
    # Nothing can be learned, so the loss rises soon.
    rng = np.random.default_rng(0)
    histories = of_users(200, list(rng.integers(200, size=(60, 8))))
    settings = replace(SMALL, dim=64, dropout=0.0, epochs=60, every=1, patience=3)
    trained, _ = train(histories, MEANINGFUL, settings, 0, CPU)
    assert trained.kept_epoch < trained.epochs
    assert trained.epochs == trained.kept_epoch + 3
    parts = histories.parts.reshape(60, 8)
    assert parts.tolist() == [[TRAIN] * 6 + [VALID, TEST]] * 60
