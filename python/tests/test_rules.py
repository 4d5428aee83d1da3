"""Rules over attributes: subsets, updates, and generation with transformers that follows them."""

import datetime
import re
import subprocess
import sys
from collections import Counter
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import catalex

SIZES = [8, 16, 16]
WORDS = 20
EOS, PAD = 1, 0
ITEMS = 1_500
RULE = "stock > 0 and market in ('DE', 'AT') and age_rating <= user.age and not category under 'Alcohol'"


def made() -> tuple[catalex.Trie, catalex.Attributes, dict[str, list[Any]]]:
    polars = pytest.importorskip("polars")
    rng = np.random.default_rng(0)
    codes = rng.permutation(np.prod(SIZES))[:ITEMS]
    matrix = np.stack(np.unravel_index(codes, SIZES), axis=1).astype(np.uint16)
    trie = catalex.Trie.from_codes(np.ascontiguousarray(matrix), catalex.TokenIds(WORDS, SIZES))
    columns: dict[str, list[Any]] = {
        "stock": rng.integers(0, 4, ITEMS).tolist(),
        "market": rng.choice(np.array(["DE", "AT", "CH", None], dtype=object), ITEMS).tolist(),
        "age_rating": rng.choice([0, 12, 18], ITEMS).tolist(),
        "category": [[["Food"], ["Alcohol", "Beer"], ["Toys", "Cars"], None][i] for i in rng.integers(0, 4, ITEMS)],
        "released": [datetime.date(2026, 1, 1) + datetime.timedelta(int(day)) for day in rng.integers(0, 300, ITEMS)],
    }
    return trie, catalex.Attributes.from_table(polars.DataFrame(columns)), columns


def fits(columns: dict[str, list[Any]], row: int, age: int) -> bool:
    category = columns["category"][row]
    return bool(
        columns["stock"][row] > 0
        and columns["market"][row] in ("DE", "AT")
        and columns["age_rating"][row] <= age
        and category is not None
        and category[0] != "Alcohol"
    )


def rows_in(trie: catalex.Trie, subset: catalex.Subset) -> set[int]:
    """The rows of a subset, found with the prefixes that it allows."""
    found: set[int] = set()
    prefixes: list[list[int]] = [[]]
    while prefixes:
        prefix = prefixes.pop()
        if len(prefix) == trie.levels:
            row = trie.find(prefix)
            assert row is not None
            found.add(row)
        else:
            prefixes += [[*prefix, int(code)] for code in trie.allowed(prefix, subset)]
    return found


def test_a_rule_selects_the_items_for_which_it_is_true() -> None:
    trie, attributes, columns = made()
    subset = catalex.Subset.from_rules(trie, RULE, user={"age": 12}, attributes=attributes)
    assert rows_in(trie, subset) == {row for row in range(ITEMS) if fits(columns, row, 12)}
    assert attributes.schema["category"] == "list"
    since = datetime.date(2026, 9, 1)
    new = catalex.Subset.from_rules(trie, "released >= user.since", user={"since": since}, attributes=attributes)
    assert rows_in(trie, new) == {row for row in range(ITEMS) if columns["released"][row] >= since}
    assert rows_in(trie, subset & new) == rows_in(trie, subset) & rows_in(trie, new)
    assert rows_in(trie, subset - new) == rows_in(trie, subset) - rows_in(trie, new)
    assert len(subset | ~subset) == ITEMS


def test_a_subset_follows_updates() -> None:
    trie, attributes, columns = made()
    subset = catalex.Subset.from_rules(trie, RULE, user={"age": 18}, attributes=attributes)
    rows = np.arange(0, 300, 2)
    attributes.update({"stock": 0}, rows=rows)
    attributes.update({"stock": [5, 7], "market": "AT", "category": [["Food", "Tea"], None]}, items=[1, 3])
    before = len(subset)
    assert subset.refresh() == len(rows) + 2
    assert subset.refresh() == 0
    for row in rows.tolist():
        columns["stock"][row] = 0
    for row, stock, category in ((1, 5, ["Food", "Tea"]), (3, 7, None)):
        columns["stock"][row], columns["market"][row], columns["category"][row] = stock, "AT", category
    assert rows_in(trie, subset) == {row for row in range(ITEMS) if fits(columns, row, 18)}
    assert len(subset) < before
    assert attributes.values("category", items=[1, 3]) == [["Food", "Tea"], None]
    assert attributes.values("released", rows=[4])[0].date() == columns["released"][4]
    version = attributes.version
    with pytest.raises(catalex.InputError, match="item 5: expected integer, got a string"):
        attributes.update({"stock": [1, "many"]}, rows=[4, 5])
    assert attributes.version == version


def test_combinations_follow_their_subsets() -> None:
    polars = pytest.importorskip("polars")
    codes = np.stack(np.unravel_index(np.arange(0, 200, 2), SIZES), axis=1).astype(np.uint16)
    table = catalex.TokenTable.from_codes(
        np.ascontiguousarray(codes), SIZES, item_ids=[f"i{row}" for row in range(100)]
    )
    trie = catalex.Trie.from_table(table)
    attributes = catalex.Attributes.from_table(polars.DataFrame({"stock": list(range(100))}))
    subset = catalex.Subset.from_rules(trie, "stock > 9", attributes=attributes)
    half = trie.subset(np.arange(50))
    rest = trie.without(["i10", "i60"], subset)
    made = [rest, subset & half, subset | half, half - subset, ~subset, ~(rest & half)]
    assert [len(one) for one in made] == [88, 40, 100, 10, 10, 61]
    attributes.update({"stock": 0}, rows=np.arange(0, 40))
    assert made[-1].refresh() == 40
    assert [len(one) for one in made] == [59, 10, 100, 40, 40, 90]
    assert rows_in(trie, rest) == set(range(40, 100)) - {60}


def test_floats_of_32_bits_equal_the_decimal_numbers_of_rules() -> None:
    polars = pytest.importorskip("polars")
    prices = np.array([0.1, 19.99, 20.0, 1 / 3], np.float32)
    codes = np.arange(4, dtype=np.uint16)[:, None] * np.ones((1, 2), np.uint16)
    trie = catalex.Trie.from_codes(codes)
    attributes = catalex.Attributes.from_table(polars.DataFrame({"price": prices}))
    for rule, expected in (("price = 0.1", {0}), ("price <= 19.99", {0, 1, 3}), ("price in (0.1, 20)", {0, 2})):
        assert rows_in(trie, catalex.Subset.from_rules(trie, rule, attributes=attributes)) == expected, rule
    subset = catalex.Subset.from_rules(trie, "price = 19.99", attributes=attributes)
    given = catalex.Subset.from_rules(trie, "price = user.p", user={"p": np.float32(19.99)}, attributes=attributes)
    assert rows_in(trie, given) == {1}
    for values in (prices[[1]], prices[1], [prices[1]], 19.99, np.float64(19.99)):
        attributes.update({"price": 0.0}, rows=[3])
        attributes.update({"price": values}, rows=[3])
        subset.refresh()
        assert rows_in(trie, subset) == {1, 3}, repr(values)


def test_attributes_of_other_items_are_refused() -> None:
    polars = pytest.importorskip("polars")
    names = ["a", "b", "c", "d"]
    codes = np.arange(4, dtype=np.uint16)[:, None] * np.ones((1, 2), np.uint16)
    trie = catalex.Trie.from_table(catalex.TokenTable.from_codes(codes, [8, 8], item_ids=names))

    def attributes(ids: list[str], id: str | None = "item") -> catalex.Attributes:
        return catalex.Attributes.from_table(polars.DataFrame({"item": ids, "stock": range(len(ids))}), id=id)

    for _ in range(2):
        assert rows_in(trie, catalex.Subset.from_rules(trie, "stock > 1", attributes=attributes(names))) == {2, 3}
    assert len(catalex.Subset.from_rules(trie, "stock > 1", attributes=attributes(names, None))) == 2
    for wrong, told in (
        (attributes(["b", "a", "c", "d"]), 'expected item "a" in row 0, got "b"'),
        (attributes([*names, "e"]), "expected 4 items, got 5"),
        (attributes([*names, "e"], None), "expected 4 items, got 5"),
        (attributes(names[:3]), "expected 4 items, got 3"),
    ):
        with pytest.raises(catalex.InputError, match=re.escape(told)):
            catalex.Subset.from_rules(trie, "stock > 1", attributes=wrong)


def test_excluded_items_may_have_left_the_index() -> None:
    codes = np.arange(4, dtype=np.uint16)[:, None] * np.ones((1, 2), np.uint16)
    table = catalex.TokenTable.from_codes(codes, [8, 8], item_ids=[10, 11, 12, 13])
    trie = catalex.Trie.from_table(table)
    with pytest.raises(catalex.InputError, match="item 99"):
        trie.without([11, 99])
    for ids in ([11, 99], np.array([11, 99]), ["11", "sold out"]):
        assert rows_in(trie, trie.without(ids, ignore_missing=True)) == {0, 2, 3}
    with pytest.raises(catalex.InputError, match="a single string"):
        trie.without("11", ignore_missing=True)
    with_tokens = catalex.Trie.from_codes(codes, catalex.TokenIds(3, [8, 8]))
    with pytest.raises(catalex.InputError, match="the items' ids"):
        catalex.LogitsProcessor(with_tokens, eos_token_id=EOS, exclude=[[11]])
    subsets = catalex.logits_processor._without(trie, None, [[11, 99], None, []])
    assert [None if subset is None else rows_in(trie, subset) for subset in subsets] == [{0, 2, 3}, None, {0, 1, 2, 3}]


def test_limits_are_numbers_from_1() -> None:
    trie, _, _ = made()
    for wrong in (0, -1, 1.5, "2", [2, 0], [2**32], [None, 0]):
        with pytest.raises(catalex.InputError, match="max_per_first_code: expected numbers from 1"):
            catalex.LogitsProcessor(trie, eos_token_id=EOS, max_per_first_code=wrong)  # type: ignore[arg-type]
    for limits, expected in ((2, [2]), (np.int64(2), [2]), ([1, None], [1, None]), (np.array([3, 4]), [3, 4])):
        processor = catalex.LogitsProcessor(trie, eos_token_id=EOS, max_per_first_code=limits)  # type: ignore[arg-type]
        assert processor._limits == expected


def test_deeply_nested_rules_are_refused() -> None:
    trie, attributes, _ = made()
    chain = "stock > 0" + " is true" * 480
    with pytest.raises(catalex.ConfigError, match="nesting of at most 100 levels"):
        catalex.Subset.from_rules(trie, f"({chain})", attributes=attributes)
    some = len(catalex.Subset.from_rules(trie, "stock > 0", attributes=attributes))
    for rule in ("(stock > 0)" + " is true" * 30, "(" * 15 + "stock > 0" + ") is true" * 15, "not " * 20 + "stock > 0"):
        assert len(catalex.Subset.from_rules(trie, rule, attributes=attributes)) == some, rule
    many = " or ".join(f"stock = {number}" for number in range(1, 240))
    assert len(catalex.Subset.from_rules(trie, many, attributes=attributes)) == some


THREADS = """
import threading
import numpy as np
import pyarrow as pa
import catalex

codes = np.stack(np.unravel_index(np.arange(100_000), (64, 64, 64)), 1).astype(np.uint16)
trie = catalex.Trie.from_codes(np.ascontiguousarray(codes))
attributes = catalex.Attributes.from_table(pa.table({"stock": np.zeros(len(codes), np.int64)}))
shuffled = np.random.default_rng(0).permutation(90_000)
subset = catalex.Subset.from_rules(trie, "stock > 0", attributes=attributes)

def update():
    for value in range(60):
        attributes.update({"stock": value % 2}, rows=shuffled)

def refresh():
    for _ in range(60):
        subset.refresh()
        catalex.Subset.from_rules(trie, "stock > 0 or stock is null", attributes=attributes)

threads = [threading.Thread(target=work) for work in (update, update, refresh, refresh)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
subset.refresh()
assert len(subset) == sum(value > 0 for value in attributes.values("stock"))
"""


def test_threads_that_update_and_refresh_do_not_wait_for_each_other_forever() -> None:
    pytest.importorskip("pyarrow")
    subprocess.run([sys.executable, "-c", THREADS], timeout=120, check=True)


def test_mistakes_are_told_with_their_place() -> None:
    trie, attributes, _ = made()
    for rule, user, told in (
        ("stokc > 0", {}, "did you mean stock"),
        ("stock > 'x'", {}, "line 1, column 9: expected a number"),
        ("stock > user.least", {}, "expected a value for user.least"),
        ("stock > user.least", {"least": "x"}, "expected a number as user.least, got a string"),
    ):
        with pytest.raises(catalex.ConfigError, match=told):
            catalex.Subset.from_rules(trie, rule, user=user, attributes=attributes)
    with pytest.raises(catalex.InputError, match="attributes"):
        catalex.Subset.from_rules(trie, "stock > 0")


@pytest.fixture(scope="module")
def model() -> Any:
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    size = WORDS + sum(SIZES)
    config = transformers.GPT2Config(vocab_size=size, n_positions=16, n_embd=16, n_layer=1, n_head=2, eos_token_id=EOS)
    model = transformers.GPT2LMHeadModel(config).eval()
    torch.nn.init.normal_(model.lm_head.weight, std=0.5)
    return model


def answers(model: Any, processor: catalex.LogitsProcessor, prompts: int, **settings: Any) -> npt.NDArray[np.int64]:
    """The rows of the answers' tokens `(prompts, answers, tokens)`."""
    torch = pytest.importorskip("torch")
    torch.manual_seed(1)
    said = torch.randint(2, WORDS, (prompts, 3))
    out = model.generate(
        said,
        attention_mask=torch.ones_like(said),
        logits_processor=[processor],
        pad_token_id=PAD,
        max_new_tokens=len(SIZES) + 1,
        **settings,
    )
    return np.asarray(out[:, 3:]).reshape(prompts, -1, out.shape[1] - 3)


def codes_of(answer: npt.NDArray[np.int64]) -> list[int]:
    first = WORDS + np.cumsum([0, *SIZES[:-1]])
    return [int(code) for code in answer[: len(SIZES)] - first]


@pytest.mark.parametrize("sampling", [False, True])
def test_generated_ids_follow_the_rules(model: Any, sampling: bool) -> None:
    trie, attributes, columns = made()
    ages = [0, 12, 18, 12]
    subsets = [catalex.Subset.from_rules(trie, RULE, user={"age": age}, attributes=attributes) for age in ages]
    processor = catalex.LogitsProcessor(trie, eos_token_id=EOS, subsets=subsets)
    how = {"do_sample": True, "num_return_sequences": 50} if sampling else {"num_beams": 10, "num_return_sequences": 10}
    for age, of_prompt in zip(ages, answers(model, processor, 4, **how), strict=True):
        for answer in of_prompt:
            row = trie.find(codes_of(answer))
            assert row is not None
            assert fits(columns, row, age)


def test_each_prompt_has_its_own_excluded_items_and_limit(model: Any, tmp_path: Any) -> None:
    from made import write_table  # noqa: PLC0415

    codes = np.stack(np.unravel_index(np.arange(0, 2048, 2), SIZES), axis=1).astype(np.uint16)
    names = [f"i{row}" for row in range(len(codes))]
    write_table(tmp_path / "tokens.parquet", np.ascontiguousarray(codes), SIZES, names)
    trie = catalex.Trie.from_table(tmp_path / "tokens.parquet")
    beams: dict[str, Any] = {"num_beams": 12, "num_return_sequences": 12}
    with_tokens = catalex.Trie.from_codes(np.ascontiguousarray(codes), catalex.TokenIds(WORDS, SIZES))
    free = answers(model, catalex.LogitsProcessor(with_tokens, eos_token_id=EOS), 2, **beams)
    most = [Counter(codes_of(answer)[0] for answer in of_prompt).most_common(1)[0][1] for of_prompt in free]
    assert max(most) > 2
    limits = [2, None]
    limited = answers(
        model, catalex.LogitsProcessor(with_tokens, eos_token_id=EOS, max_per_first_code=limits), 2, **beams
    )
    counts = Counter(codes_of(answer)[0] for answer in limited[0])
    assert sum(counts.values()) == 12
    assert max(counts.values()) <= 2
    assert np.array_equal(limited[1], free[1])
    rows = [trie.find(codes_of(answer)) for answer in free[0]]
    seen = [names[row] for row in rows if row is not None]
    without = trie.without(seen)
    assert len(without) == len(trie) - len(seen)
    assert rows_in(trie, without).isdisjoint({names.index(item) for item in seen})
    some = trie.subset([0, 1, 2, 3])
    assert rows_in(trie, trie.without([names[1]], some)) == {0, 2, 3}


def test_the_positions_for_other_devices_are_those_of_the_mask() -> None:
    torch = pytest.importorskip("torch")
    trie, _, _ = made()
    said = np.array([[2, 3], [2, 3], [2, 3], [2, 3]])
    first = trie.allowed([])
    tokens = np.concatenate([said, np.array([[WORDS + first[0]]] * 3 + [[WORDS + first[1]]])], axis=1)
    scores = torch.from_numpy(np.random.default_rng(0).normal(size=(4, WORDS + sum(SIZES))).astype(np.float32))
    made_by = [
        catalex.LogitsProcessor(trie, eos_token_id=EOS, prompt_length=2, max_per_first_code=limit, in_place=False)
        for limit in (2, [2], None, [4, 1])
    ]
    for processor, kept in zip(made_by, (3, 3, None, None), strict=True):
        masked = processor(tokens, scores)
        moved = processor._on_device(tokens, 2, scores)
        assert torch.equal(masked, moved)
        counts = torch.isfinite(masked).sum(1).tolist()
        if kept:
            assert counts[:3] == [1, 1, 0]
            assert counts[3] == 2
