"""The folder of `catalex constrain --form vllm` in both of vLLM's model runners, by their restated interfaces."""

import gc
import importlib
import os
import random
import shutil
import sys
import weakref
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from serving_made import EOS, SIZES, BatchUpdate, MoveDirectionality, Params, Shelf, config, servers, shelf, tokens_of

import catalex
from catalex.serving import Generation

torch = pytest.importorskip("torch")

LOGITS = 500


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    return shelf(tmp_path_factory.mktemp("vllm"))


@pytest.fixture
def loaded(made: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The processor's class, loaded as vLLM does, from a copy of the folder at another place."""
    made.constrain(tmp_path / "first", "--form", "vllm")
    shutil.copytree(tmp_path / "first", tmp_path / "elsewhere")
    shutil.rmtree(tmp_path / "first")
    monkeypatch.syspath_prepend(str(tmp_path / "elsewhere"))
    monkeypatch.setenv("CATALEX_SUBSETS", str(made.subsets()))
    with servers():
        yield importlib.import_module("catalex_vllm").CatalexLogitsProcessor


def constrained(subset: object = "all") -> Params:
    return Params({"catalex": subset})


def test_the_batch_follows_a_dictionary_of_requests(loaded: Any, made: Shelf) -> None:
    """Random sequences of removed, added and moved requests. In each step, each row gets the mask of its request."""
    processor = loaded(config(LOGITS), torch.device("cpu"), False)
    assert not processor.is_argmax_invariant()
    of = processor.live.current
    codes = made.codes.tolist()
    rng = random.Random(0)
    rows: dict[int, tuple[str | None, list[int]]] = {}
    for _ in range(300):
        removed = [row for row in rows if rng.random() < 0.2]
        for row in removed:
            del rows[row]
        added: list[Any] = []
        for _ in range(rng.randrange(4)):
            row = rng.choice(sorted(set(range(12)) - {row for row, *_ in added}))
            if row not in rows or rng.random() < 0.3:
                name = rng.choice([None, "all", "odd", "even"])
                output = tokens_of(of.trie, rng.choice(codes))[: rng.randrange(5)]
                added.append((row, Params() if name is None else constrained(name), [1, 2], output))
                rows[row] = (name, output)
        moved: list[Any] = []
        for _ in range(rng.randrange(3)):
            source, target = rng.sample(range(12), 2)
            if rng.random() < 0.5:
                moved.append((source, target, MoveDirectionality.SWAP))
                a, b = rows.pop(source, None), rows.pop(target, None)
                rows.update({at: it for at, it in ((target, a), (source, b)) if it is not None})
            elif source in rows:
                moved.append((source, target, MoveDirectionality.UNIDIRECTIONAL))
                rows[target] = rows.pop(source)
        change = BatchUpdate(12, removed, added, moved)
        processor.update_state(change if removed or added or moved else None)
        logits = processor.apply(torch.zeros(12, LOGITS))
        for row in range(12):
            allowed = set(logits[row].isfinite().nonzero()[:, 0].tolist())
            name, output = rows.get(row, (None, []))
            if name is None:
                assert len(allowed) == LOGITS, row
            else:
                next_ones = of.trie.allowed_tokens(output, of.subset(name)).tolist()
                ended = len(output) == len(SIZES) or not next_ones
                assert allowed == ({EOS} if ended else set(next_ones)), (row, name, output)
                # The list of a request grows in place.
                if not ended and rng.random() < 0.7:
                    output.append(rng.choice(next_ones))


def test_requests_keep_their_generation_even_if_preempted(loaded: Any, made: Shelf, tmp_path: Path) -> None:
    processor = loaded(config(LOGITS), torch.device("cpu"), False)
    output: list[int] = []
    add = BatchUpdate(1, [], [(0, constrained(), [1], output)], [])
    processor.update_state(add)
    before = processor.live.current
    (tmp_path / "only.txt").write_text("item 0\n", encoding="utf-8")
    made.constrain(Path(os.fspath(loaded.source)), "--form", "vllm", "--only", str(tmp_path / "only.txt"))
    processor.live.refresh()
    assert processor.live.status()["swaps"] == 1
    output.extend(tokens_of(before.trie, made.codes[5].tolist())[:2])
    expected = set(before.trie.allowed_tokens(output).tolist())
    for change in (None, BatchUpdate(0, [0], [], []), add):
        processor.update_state(change)
        if change is None or change.added:
            logits = processor.apply(torch.zeros(1, LOGITS))
            assert set(logits[0].isfinite().nonzero()[:, 0].tolist()) == expected
    new: list[int] = []
    processor.update_state(BatchUpdate(1, [0], [(0, constrained(), [1], new)], []))
    assert processor.apply(torch.zeros(1, LOGITS)).isfinite().sum() == 1


def test_few_generations_are_kept_for_requests_that_ended(loaded: Any) -> None:
    """A request per generation, and a slot or a removed row that remembers it."""
    trie = loaded(config(LOGITS), torch.device("cpu"), False).live.current.trie
    for state in (torch.device("cpu"), slots(64)):
        processor = loaded(config(LOGITS), state, *([False] if isinstance(state, torch.device) else []))
        live, before = processor.live, processor.live.current
        kept: list[weakref.ref[Generation]] = []
        lists: list[list[int]] = []
        for slot in range(40):
            live._current = Generation(trie, eos_token_id=EOS, subsets=before.subsets)
            kept.append(weakref.ref(live._current))
            lists.append([])
            if isinstance(state, torch.device):
                processor.update_state(BatchUpdate(1, [0], [(0, constrained("odd"), [1], lists[-1])], []))
                logits = processor.apply(torch.zeros(1, LOGITS))
            else:
                assert processor.add_request(slot, constrained("odd"))
                processor.apply_staged_writes()
                # Slot 0 goes on with the generation that it began with; the others end after one step.
                rows = np.array([0, slot] if slot else [0])
                state.prompt_len.gpu[rows] = 1
                ctx = SimpleNamespace(
                    idx_mapping=torch.from_numpy(rows),
                    idx_mapping_np=rows,
                    input_ids=torch.ones(len(rows)),
                    pos=torch.zeros(len(rows)),
                )
                logits = processor.apply(torch.zeros(len(rows), LOGITS), ctx)
                assert processor._batch.generations[0] is kept[0]()
            expected = trie.allowed_tokens([], before.subsets["odd"]).tolist()
            assert logits[-1].isfinite().nonzero()[:, 0].tolist() == expected
        live._current = before
        gc.collect()
        assert sum(generation() is not None for generation in kept) <= 4


def slots(requests: int, length: int = 32) -> Any:
    """vLLM's buffers per request slot, as far as processors read them."""
    return SimpleNamespace(
        device=torch.device("cpu"),
        max_num_reqs=requests,
        all_token_ids=SimpleNamespace(gpu=torch.full((requests, length), 77, dtype=torch.int32)),
        prompt_len=SimpleNamespace(gpu=torch.zeros(requests, dtype=torch.int32)),
    )


def test_slots_get_the_masks_of_their_requests(loaded: Any, made: Shelf) -> None:
    state = slots(16)
    processor = loaded(config(LOGITS), state)
    of = processor.live.current
    codes = made.codes.tolist()
    rng = np.random.default_rng(0)
    names: dict[int, str | None] = {}
    for _ in range(60):
        chosen = rng.choice(16, rng.integers(1, 12), replace=False)
        positions, last, expected = [], [], []
        for slot in chosen.tolist():
            if slot not in names or rng.random() < 0.3:
                names[slot] = [None, "all", "odd", "even"][rng.integers(4)]
                params = Params() if names[slot] is None else constrained({"subset": names[slot]})
                assert processor.add_request(slot, params) == (names[slot] is not None)
            prompt = [1] * int(rng.integers(1, 6))
            output = tokens_of(of.trie, codes[rng.integers(400)])[: rng.integers(5)]
            sequence = [*prompt, *output]
            state.all_token_ids.gpu[slot, : len(sequence)] = torch.tensor(sequence, dtype=torch.int32)
            state.prompt_len.gpu[slot] = len(prompt)
            positions.append(len(sequence) - 1)
            last.append(sequence[-1])
            expected.append((names[slot], output))
        processor.apply_staged_writes()
        mapping = torch.from_numpy(chosen).to(torch.int32)
        ctx = SimpleNamespace(
            idx_mapping=mapping,
            expanded_idx_mapping=mapping,
            idx_mapping_np=chosen,
            input_ids=torch.tensor(last, dtype=torch.int32),
            pos=torch.tensor(positions),
        )
        logits = processor.apply(torch.zeros(len(chosen), LOGITS), ctx)
        for row, (name, output) in zip(logits, expected, strict=True):
            allowed = set(row.isfinite().nonzero()[:, 0].tolist())
            if name is None:
                assert len(allowed) == LOGITS
            else:
                assert allowed == (set(of.trie.allowed_tokens(output, of.subset(name)).tolist()) or {EOS})


def test_wrong_requests_and_servers_are_refused(loaded: Any) -> None:
    for right in (Params(), Params({}), constrained(), constrained(1), constrained({}), constrained("odd")):
        loaded.validate_params(right)
    for wrong in ("in stock", "../odd", 7, ["odd"], {"subsets": "odd"}, {"subset": 3}):
        with pytest.raises(ValueError, match="setting catalex"):
            loaded.validate_params(constrained(wrong))
    with pytest.raises(catalex.InputError, match="at least"):
        loaded(config(300), torch.device("cpu"), False)
    with pytest.raises(catalex.ConfigError, match="eos_token_id"):
        loaded(config(LOGITS, eos=None), torch.device("cpu"), False)
    speculative = config(LOGITS)
    speculative.speculative_config = object()
    with pytest.raises(catalex.ConfigError, match="speculative decoding"):
        loaded(speculative, slots(1))
    # A subset whose file is gone when the request arrives in the worker: no item, and the batch goes on.
    state = slots(2)
    state.prompt_len.gpu[0] = 1
    for of in (torch.device("cpu"), state):
        processor = loaded(config(LOGITS), of, *([False] if of is not state else []))
        if of is state:
            assert processor.add_request(0, constrained("gone"))
            processor.apply_staged_writes()
            ctx = SimpleNamespace(
                idx_mapping=torch.tensor([0]),
                idx_mapping_np=np.array([0]),
                input_ids=torch.tensor([1]),
                pos=torch.tensor([0]),
            )
            logits = processor.apply(torch.zeros(1, LOGITS), ctx)
        else:
            processor.update_state(BatchUpdate(1, [], [(0, constrained("gone"), [1], [])], []))
            logits = processor.apply(torch.zeros(1, LOGITS))
        assert logits[0].isfinite().nonzero()[:, 0].tolist() == [EOS]


def test_every_request_is_constrained_where_asked(loaded: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CATALEX_EVERY_REQUEST", "1")
    sys.modules.pop("catalex_vllm")
    again = importlib.import_module("catalex_vllm").CatalexLogitsProcessor
    processor = again(config(LOGITS), torch.device("cpu"), False)
    processor.update_state(BatchUpdate(1, [], [(0, Params(), [1], [])], []))
    assert processor.apply(torch.zeros(1, LOGITS)).isfinite().sum() < LOGITS
