"""`catalex.serving`: masks of batches on the CPU and on devices of torch, and generations replaced under load."""

import json
import os
import random
import shutil
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made import done, random_codes
from serving_made import EOS, SIZES, Shelf, shelf, tokens_of

import catalex
from catalex.serving import Answer, Generation, LiveTrie, mask

torch = pytest.importorskip("torch")

FIRST, LOGITS = 20, 100
CODES = FIRST + sum(SIZES)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    return shelf(tmp_path_factory.mktemp("serving"))


def generation(markers: bool, items: int = 300, **rules: Any) -> Generation:
    begin, end = (CODES, CODES + 1) if markers else (None, None)
    trie = catalex.Trie.from_codes(random_codes(items, SIZES), catalex.TokenIds(FIRST, SIZES, begin=begin, end=end))
    subsets = {"few": trie.subset([3, 4, 5]), "half": trie.subset(range(0, items, 2))}
    return Generation(trie, subsets=subsets, eos_token_id=[EOS, 5], **rules)


def some_answers(of: Generation, rows: int, rng: random.Random) -> list[Answer | None]:
    """Answers at all positions: valid and invalid prefixes, markers, other text, nothing."""
    begin, end = of.tokens.begin, of.tokens.end
    codes = random_codes(300, SIZES).tolist()
    answers: list[Answer | None] = []
    for _ in range(rows):
        tokens = [rng.randrange(1, FIRST) for _ in range(rng.randrange(4))]
        for _ in range(rng.randrange(3)):
            one = tokens_of(of.trie, rng.choice(codes))[: rng.choice([1, 2, 3, 4, 4])]
            if rng.random() < 0.3:
                one[rng.randrange(len(one))] = rng.randrange(FIRST, CODES)
            tokens += [begin, *one] if begin is not None and rng.random() < 0.7 else one
            if end is not None and rng.random() < 0.5:
                tokens.append(end)
            if rng.random() < 0.2:
                tokens.append(rng.randrange(1, FIRST))
        cut = rng.randrange(len(tokens) + 1)
        subset = rng.choice(["all", "all", "few", "half"])
        answers.append(None if rng.random() < 0.1 else Answer(of, tokens[:cut], tokens[cut:], subset))
    return answers


@pytest.mark.parametrize("markers", [False, True])
@pytest.mark.parametrize("start", ["always", "free"])
@pytest.mark.parametrize("after", ["any", "eos", "id"])
def test_masks_on_devices_equal_the_native_ones(markers: bool, start: Any, after: Any) -> None:
    of = generation(markers, start=start, after=after)
    rng = random.Random(f"{markers}{start}{after}")
    for dtype in (torch.float32, torch.bfloat16, torch.float32):
        answers = some_answers(of, 200, rng)
        logits = torch.randn(len(answers), LOGITS, generator=torch.Generator().manual_seed(1)).to(dtype)
        native = mask(logits.clone(), answers)
        # A tensor that is not contiguous takes the path of devices.
        on_device = mask(torch.empty(LOGITS, len(answers), dtype=dtype).t().copy_(logits), answers)
        assert torch.equal(native, on_device)
        free = [row for row, answer in enumerate(answers) if answer is None]
        assert torch.equal(native[free], logits[free])
        assert bool((native > float("-inf")).any(1).all()), "every request can go on or end"


@pytest.mark.parametrize("markers", [False, True])
def test_masks_equal_those_of_the_logits_processor(markers: bool) -> None:
    of = generation(markers)
    processor = catalex.LogitsProcessor(of.trie, eos_token_id=[EOS, 5], prompt_length=2)
    codes = random_codes(300, SIZES)
    marked = [CODES] if markers else []
    for depth in range(5):
        rows = [[7, 8, *marked, *tokens_of(of.trie, code)[:depth]] for code in codes[:50].tolist()]
        scores = np.random.default_rng(0).normal(size=(50, LOGITS)).astype(np.float32)
        expected = processor(np.array(rows), scores.copy())
        got = mask(scores, [Answer(of, row[:2], row[2:]) for row in rows])
        assert np.array_equal(expected, got)


def test_wrong_uses_are_refused_and_dead_ends_end_the_request() -> None:
    of = generation(False)
    with pytest.raises(catalex.InputError, match="expected one of all, few, half, got an unknown name"):
        Answer(of, [], [], "in stock")
    with pytest.raises(catalex.InputError, match="got 99"):
        mask(np.zeros((1, LOGITS), np.float32), [None] * 99)
    with pytest.raises(catalex.InputError, match="at least 92 per row"):
        mask(np.zeros((1, 91), np.float32), [Answer(of, [], [])])
    with pytest.raises(catalex.InputError, match="at least 92 per row"):
        of.on("cpu").mask(torch.zeros(1, 91), torch.zeros(1, 6).long(), torch.zeros(1).bool())
    late = Generation(of.trie, eos_token_id=LOGITS)
    for logits in (np.zeros((1, LOGITS), np.float32), torch.zeros(LOGITS, 1).t()):
        with pytest.raises(catalex.InputError, match=f"at least {LOGITS + 1} per row"):
            mask(logits, [Answer(late, [], [])])
    with pytest.raises(RuntimeError, match="placeholder -1"):
        mask(np.zeros((1, LOGITS), np.float32), [Answer(of, [], [FIRST, -1])])
    with pytest.raises(catalex.InputError, match="token ids of a language model"):
        Generation(catalex.Trie.from_codes(random_codes(10, SIZES)))
    with pytest.raises(catalex.ConfigError, match="another name"):
        Generation(of.trie, subsets={"all": of.no_items})
    foreign = generation(False).trie.subset([1])
    with pytest.raises(catalex.InputError, match="one of another trie"):
        mask(np.zeros((1, LOGITS), np.float32), [Answer(of, [], [], foreign)])
    with pytest.raises(catalex.InputError, match="named subset"):
        mask(torch.zeros(LOGITS, 2).t(), [Answer(of, [], [], of.trie.subset([1])), None])
    dead = [Answer(of, [FIRST + 7, CODES - 1], []), Answer(of, [], [], of.no_items), Answer(of, [3], [])]
    for logits in (torch.zeros(3, LOGITS), torch.zeros(LOGITS, 3).t()):
        allowed = [set(row.isfinite().nonzero()[:, 0].tolist()) for row in mask(logits, [dead[1], dead[1], dead[2]])]
        assert allowed[0] == allowed[1] == {EOS, 5}
        assert allowed[2] == set(of.trie.allowed_tokens([]).tolist())


def drawn(of: Generation, answers: list[Answer], outputs: list[list[int]], rng: np.random.Generator) -> None:
    """One step: masks random logits, and appends the most probable token to each answer."""
    logits = mask(rng.normal(size=(len(answers), 1 + of.tokens.vocabulary_size)).astype(np.float32), answers)
    for output, token in zip(outputs, logits.argmax(1).tolist(), strict=True):
        output.append(token)


def is_item(trie: catalex.Trie, tokens: list[int]) -> bool:
    ids = trie.tokens
    assert ids is not None
    found = [ids.code_of(token) for token in tokens]
    return all(at is not None and at[0] == level for level, at in enumerate(found)) and trie.contains(
        [at[1] for at in found if at is not None]
    )


def test_100_000_generated_ids_are_items_of_their_subset() -> None:
    of = generation(False, items=1_000)
    rng = np.random.default_rng(3)
    generated = 0
    while generated < 100_000:
        outputs: list[list[int]] = [[] for _ in range(5_000)]
        answers = [Answer(of, [3], output, ["all", "half"][row % 2]) for row, output in enumerate(outputs)]
        for _ in SIZES:
            drawn(of, answers, outputs, rng)
        codes = np.array(outputs) - FIRST - np.cumsum([0, *SIZES[:-1]])
        for row, code in enumerate(codes.tolist()):
            found = of.trie.find(code)
            assert found is not None and (row % 2 == 0 or found % 2 == 0)
        generated += len(outputs)


def test_a_folder_is_followed_and_bad_generations_are_refused(made: Shelf, tmp_path: Path) -> None:
    folder = made.constrain(tmp_path / "forms", "--form", "vllm")
    subsets = tmp_path / "subsets"
    shutil.copytree(made.subsets(), subsets)
    live = LiveTrie(folder, subsets=subsets, interval=None, eos_token_id=EOS)
    before = live.begin([], subset="odd")
    assert len(before.generation.subsets["odd"]) == 200 and not live.refresh()

    (subsets / "odd.txt").write_text("item 1\nitem 3\n", encoding="utf-8")
    assert live.refresh()
    now = live.current
    assert len(now.subsets["odd"]) == 2 and now.trie is before.generation.trie
    assert now.subsets["even"] is before.generation.subsets["even"], "unchanged files are not read again"

    (tmp_path / "only.txt").write_text("item 0\nitem 1\nitem 2\n", encoding="utf-8")
    made.constrain(folder, "--form", "vllm", "--only", str(tmp_path / "only.txt"))
    assert live.refresh() and len(live.current.trie) == 3
    assert len(live.current.subsets["odd"]) == 1 and len(before.generation.trie) == 400

    # A damaged file, and the token ids of another vocabulary: the current generation stays.
    for fault, message in (("damage", "ids.trie"), ("foreign", "token ids of the first generation")):
        if fault == "damage":
            path = folder / "ids.trie"
            path.write_bytes(path.read_bytes()[:-1] + b"!")
            (folder / "constraint.json").touch()
        else:
            shutil.rmtree(folder)
            done("constrain", made.table, "--vocabulary", other_vocabulary(made), "--form", "vllm", "--out", folder)
        swaps = live.status()["swaps"]
        assert not live.refresh()
        assert live.status()["swaps"] == swaps and message in str(live.status()["error"])
        assert len(live.current.trie) == 3
    made.constrain(folder, "--form", "vllm")
    assert live.refresh() and live.status()["error"] is None and len(live.current.trie) == 400
    # A generation that was refused leaves nothing behind: the subsets of the next one are of its own trie.
    (subsets / "odd.txt").touch()
    assert live.refresh()
    mask(np.zeros((1, 1_000), np.float32), [live.begin([], subset="even")])
    with pytest.raises(catalex.InputError, match="at least"):
        LiveTrie(folder, interval=None, logits=50)


def other_vocabulary(made: Shelf) -> Path:
    """A vocabulary of the same table whose codes have other token ids."""
    out = made.folder / "other-vocabulary"
    if not out.exists():
        tokenizer = made.folder / "longer-tokenizer"
        shutil.copytree(made.folder / "tokenizer", tokenizer)
        content = json.loads((tokenizer / "tokenizer.json").read_text(encoding="utf-8"))
        last = max(content["model"]["vocab"].values())
        content["model"]["vocab"]["<more>"] = last + 1
        (tokenizer / "tokenizer.json").write_text(json.dumps(content), encoding="utf-8")
        done("vocab", made.table, "--tokenizer", tokenizer, "--out", out)
    return out


def test_files_are_followed_whatever_their_times(made: Shelf, tmp_path: Path) -> None:
    """Copies that keep times or set them to a constant, and copies of single files."""
    (tmp_path / "only.txt").write_text("item 0\nitem 1\n", encoding="utf-8")
    few = made.constrain(tmp_path / "few", "--form", "vllm", "--only", str(tmp_path / "only.txt"))
    folder = made.constrain(tmp_path / "forms", "--form", "vllm")
    whole = shutil.copytree(folder, tmp_path / "whole")
    for path in [*few.iterdir(), *folder.iterdir(), *whole.iterdir()]:
        os.utime(path, ns=(0, 0))
    live = LiveTrie(folder, subsets=made.subsets(), interval=None, eos_token_id=EOS)
    before = live.current
    shutil.rmtree(folder)
    shutil.copytree(few, folder)
    assert live.refresh() and len(live.current.trie) == 2 and live.current is not before
    assert not live.refresh()

    # One file after the other: a mixture of two generations is never served.
    for name in ("constraint.json", "tokens.parquet", "ids.trie"):
        replaced = folder / f".{name}"
        shutil.copy2(whole / name, replaced)
        replaced.rename(folder / name)
        if name != "ids.trie":
            assert not live.refresh() and len(live.current.trie) == 2
            assert "ids.trie: expected SHA-256" in str(live.status()["error"])
    assert live.refresh() and len(live.current.trie) == 400 and live.status()["error"] is None

    (folder / "constraint.json").write_text("[1]", encoding="utf-8")
    assert not live.refresh() and "description of constraint forms" in str(live.status()["error"])
    with pytest.raises(catalex.ArtifactError, match="description of constraint forms"):
        LiveTrie(folder, interval=None)
    assert len(live.current.trie) == 400


def test_sources_without_what_is_needed_are_refused(made: Shelf, tmp_path: Path) -> None:
    done("constrain", made.table, "--form", "trie", "--out", tmp_path / "texts")
    with pytest.raises(catalex.InputError, match="pass the folder that `catalex vocab --tokenizer` wrote"):
        LiveTrie(tmp_path / "texts", interval=None)
    made.constrain(tmp_path / "trie", "--form", "trie")
    assert LiveTrie(tmp_path / "trie", interval=None, eos_token_id=EOS).status()["items"] == 400
    with pytest.raises(catalex.ArtifactError, match="--form vllm"):
        LiveTrie(tmp_path / "trie", subsets=made.subsets(), interval=None)
    made.constrain(tmp_path / "static", "--form", "static")
    with pytest.raises(catalex.ArtifactError, match="form trie"):
        LiveTrie(tmp_path / "static", interval=None)
    foreign = shelf(tmp_path / "foreign", seed=5)
    folder = made.constrain(tmp_path / "vllm", "--form", "vllm")
    shutil.copy(foreign.table, folder / "tokens.parquet")
    with pytest.raises(catalex.ArtifactError, match=r"tokens.parquet: expected SHA-256 \w{64}, as in constraint.json"):
        LiveTrie(folder, subsets=made.subsets(), interval=None)


def test_generations_are_replaced_under_load(made: Shelf, tmp_path: Path) -> None:
    """Requests of many threads run while generations are replaced: none fails, and every ID is one of the generation
    that its request began with."""
    folder = made.constrain(tmp_path / "forms", "--form", "vllm")
    lists = [tmp_path / f"{number}.txt" for number in range(4)]
    for number, path in enumerate(lists):
        path.write_text("".join(f"item {row}\n" for row in range(number, 400, 4)), encoding="utf-8")
    live = LiveTrie(folder, subsets=made.subsets(), interval=0.01, eos_token_id=EOS)
    stop = threading.Event()
    failures: list[str] = []
    seen: set[str] = set()
    longest = [0.0] * 8
    finished = [0] * 8

    def serve(thread: int) -> None:
        rng = np.random.default_rng(thread)
        try:
            while not stop.is_set():
                outputs: list[list[int]] = [[] for _ in range(4)]
                answers = [live.begin([3], output, "odd" if thread % 2 else "all") for output in outputs]
                for _ in SIZES:
                    began = time.perf_counter()
                    drawn(answers[0].generation, answers, outputs, rng)
                    longest[thread] = max(longest[thread], time.perf_counter() - began)
                for answer, output in zip(answers, outputs, strict=True):
                    seen.add(answer.generation.name)
                    ended = output[0] == EOS and not len(answer.generation.subsets["odd"]) and thread % 2
                    if not ended and not is_item(answer.generation.trie, output):
                        failures.append(f"{output} of {answer.generation}")
                    finished[thread] += 1
        except Exception as error:
            failures.append(repr(error))

    threads = [threading.Thread(target=serve, args=(thread,)) for thread in range(8)]
    for thread in threads:
        thread.start()
    for number in range(6):
        made.constrain(folder, "--form", "vllm", "--only", str(lists[number % 4]))
        end = time.monotonic() + 30
        while live.status()["swaps"] <= number and time.monotonic() < end:
            time.sleep(0.005)
    stop.set()
    for thread in threads:
        thread.join()
    live.close()
    assert not failures, failures[:3]
    assert live.status()["swaps"] >= 6 and live.status()["error"] is None, live.status()
    assert len(seen) >= 5 and sum(finished) > 100
    print(f"{sum(finished)} requests, {live.status()['swaps']} swaps, longest step {1e3 * max(longest):.1f} ms")
    assert max(longest) < 2.0


def test_stores_are_followed(index: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    catalex.publish(index, store)
    subsets = tmp_path / "subsets"
    subsets.mkdir()
    items = [str(item) for item in catalex.TokenTable.read(index / "tokens.parquet").item_ids]
    (subsets / "three.txt").write_text("\n".join(items[:3]), encoding="utf-8")
    live = LiveTrie(store, subsets=subsets, interval=None, eos_token_id=EOS)
    before = live.current
    assert len(before.subsets["three"]) == 3
    (tmp_path / "gone.txt").write_text(items[0] + "\n", encoding="utf-8")
    done("delete", store, "--items", tmp_path / "gone.txt", "--store", store)
    assert live.refresh()
    assert (len(live.current.trie), len(before.trie)) == (len(items) - 1, len(items))
    assert len(live.current.subsets["three"]) == 2, "ids are looked up again in the new generation"
