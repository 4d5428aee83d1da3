"""`catalex.LogitsProcessor` in transformers' generate, with a small random model: all generated IDs belong to items."""

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from made import random_codes

import catalex

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

SIZES = [16, 32, 32, 64]
LEVELS = len(SIZES)
WORDS = 50
EOS, PAD = 1, 0
ITEMS = 3_000
FIRST = WORDS
CODES = FIRST + sum(SIZES)
BEGIN, END = CODES, CODES + 1
VOCABULARY = CODES + 10


def made_trie(markers: bool = False) -> catalex.Trie:
    codes = random_codes(ITEMS, SIZES)
    begin, end = (BEGIN, END) if markers else (None, None)
    return catalex.Trie.from_codes(codes, catalex.TokenIds(FIRST, SIZES, begin=begin, end=end))


@pytest.fixture(scope="module")
def model() -> Any:
    torch.manual_seed(0)
    config = transformers.GPT2Config(
        vocab_size=VOCABULARY,
        n_positions=64,
        n_embd=32,
        n_layer=1,
        n_head=2,
        bos_token_id=EOS,
        eos_token_id=EOS,
        tie_word_embeddings=False,
    )
    model = transformers.GPT2LMHeadModel(config).eval()
    # Rescales the weights, so that answers depend on the prompt. With the initial weights, they are nearly the same.
    block = model.transformer.h[0].attn
    of = {
        block.c_attn.weight: 0.5,
        block.c_proj.weight: 0.5,
        model.transformer.wte.weight: 1.0,
        model.lm_head.weight: 0.1,
    }
    for weights, spread in of.items():
        torch.nn.init.normal_(weights, std=spread)
    return model


def prompts(batch: int, length: int = 6, seed: int = 0) -> Any:
    return torch.from_numpy(np.random.default_rng(seed).integers(2, WORDS, (batch, length)))


def generate(model: Any, said: Any, processor: catalex.LogitsProcessor, **settings: Any) -> npt.NDArray[np.int64]:
    torch.manual_seed(1)
    out = model.generate(
        said,
        attention_mask=torch.ones_like(said),
        logits_processor=[processor],
        pad_token_id=PAD,
        **{"do_sample": False, "num_beams": 1, **settings},
    )
    return np.asarray(out[:, said.shape[1] :])


def ids_in(answer: list[int]) -> Iterator[tuple[int, ...]]:
    """Runs of code tokens, split before each first-level code: complete IDs, parts of IDs, or invalid sequences."""
    run: list[int] = []
    for token in [*answer, EOS]:
        level = int(np.searchsorted(np.cumsum(SIZES), token - FIRST, side="right")) if FIRST <= token < CODES else None
        if run and (level is None or level == 0):
            yield tuple(run)
            run = []
        if level is not None:
            run.append(token)


class Judge:
    """Counts the IDs, and those that no item has, without the trie."""

    def __init__(self, rows: Any = None) -> None:
        codes = random_codes(ITEMS, SIZES)
        codes = codes if rows is None else codes[rows]
        ids = codes.astype(int) + FIRST + np.concatenate([[0], np.cumsum(SIZES)[:-1]])
        self.real = {tuple(row) for row in ids.tolist()}
        self.open = {tuple(row[:depth]) for row in ids.tolist() for depth in range(1, LEVELS)}
        self.said = self.illegal = 0

    def read(self, answers: npt.NDArray[np.int64], cut: bool = False) -> None:
        """Answers that were truncated at the maximum length can end inside an ID."""
        for answer in answers.tolist():
            found = list(ids_in(answer))
            for at, said in enumerate(found):
                last = cut and at == len(found) - 1 and answer[-1] == said[-1]
                self.said += 1
                self.illegal += said not in self.real and not (last and said in self.open)


WAYS: dict[str, dict[str, Any]] = {
    "greedy": {},
    "sampling": {"do_sample": True, "top_k": 0, "num_return_sequences": 4},
    "beams": {"num_beams": 20, "num_return_sequences": 20},
    "sampled beams": {"num_beams": 4, "num_return_sequences": 4, "do_sample": True},
}


@pytest.mark.parametrize("way", WAYS)
def test_ten_thousand_generated_ids_are_all_valid(model: Any, way: str) -> None:
    """One ID per answer, then the end: 2,500 answers per decoding method."""
    settings, judge = WAYS[way], Judge()
    processor = catalex.LogitsProcessor(made_trie(), after="eos", eos_token_id=EOS)
    a_prompt = settings.get("num_return_sequences", 1)
    distinct = set()
    for seed in range(10):
        said = prompts(-(-250 // a_prompt), seed=seed)
        answers = generate(model, said, processor, max_new_tokens=LEVELS + 1, **settings)
        assert (answers[:, LEVELS] == EOS).all()
        judge.read(answers)
        distinct |= {tuple(answer) for answer in answers.tolist()}
    assert judge.said >= 2_500
    assert judge.illegal == 0
    assert len(distinct) > 50, "the model says too few different IDs for this to mean anything"


def test_without_the_processor_the_model_generates_invalid_ids(model: Any) -> None:
    """Shows that the test above can fail."""

    def nothing(_said: Any, scores: Any) -> Any:
        scores[:, : FIRST - 1] = -torch.inf
        return scores

    judge = Judge()
    judge.read(generate(model, prompts(50), nothing, max_new_tokens=LEVELS, do_sample=True))  # type: ignore[arg-type]
    assert judge.illegal > 50


@pytest.mark.parametrize("markers", [False, True])
@pytest.mark.parametrize("start", ["always", "free"])
@pytest.mark.parametrize("after", ["any", "id"])
def test_any_number_of_ids_in_an_answer(model: Any, markers: bool, start: Any, after: Any) -> None:
    judge = Judge()
    processor = catalex.LogitsProcessor(made_trie(markers), start=start, after=after, eos_token_id=EOS)
    for settings in (WAYS["sampling"], {"num_beams": 4}):
        answers = generate(model, prompts(25), processor, max_new_tokens=30, **settings)
        judge.read(answers, cut=True)
        if start == "always":
            assert (answers[:, 0] == BEGIN if markers else answers[:, 0] < FIRST + SIZES[0]).all()
        if markers:
            check_markers(answers)
    assert judge.said > (100 if start == "always" and after == "id" else 10)
    assert judge.illegal == 0


def check_markers(answers: npt.NDArray[np.int64]) -> None:
    """Codes occur only between markers, and only codes occur between markers."""
    for answer in answers.tolist():
        inside = False
        for token in answer:
            assert token not in ({BEGIN} if inside else {END})
            assert inside == (FIRST <= token < CODES or token == END) or token == BEGIN
            inside = token == BEGIN or (inside and token != END)


def test_each_user_has_a_separate_subset_of_items(model: Any) -> None:
    """Items that a user has already seen are not generated again."""
    trie, batch, beams = made_trie(), 8, 5
    rng = np.random.default_rng(3)
    unseen = [rng.random(ITEMS) < 0.02 for _ in range(batch)]
    subsets: list[catalex.Subset | None] = [trie.subset(mask) for mask in unseen]
    subsets[2] = None
    processor = catalex.LogitsProcessor(trie, after="eos", eos_token_id=EOS, subsets=subsets)
    for settings in ({"num_beams": beams, "num_return_sequences": beams}, WAYS["sampling"]):
        answers = generate(model, prompts(batch), processor, max_new_tokens=LEVELS + 1, **settings)
        for user, of_user in enumerate(answers.reshape(batch, -1, answers.shape[1])):
            judge = Judge(None if subsets[user] is None else unseen[user])
            judge.read(of_user)
            assert (judge.said, judge.illegal) == (len(of_user), 0)
    # One subset for all prompts, and one with a single item.
    (only,) = rng.integers(0, ITEMS, 1)
    processor = catalex.LogitsProcessor(trie, after="eos", eos_token_id=EOS, subsets=trie.subset([only]))
    answers = generate(model, prompts(3), processor, max_new_tokens=LEVELS + 1, num_beams=4)
    judge = Judge([only])
    judge.read(answers)
    assert (judge.said, judge.illegal) == (3, 0)


def test_one_processor_serves_one_generation_after_another(model: Any) -> None:
    """Each generation detects the end of its prompt: the answers equal those of a new processor."""
    trie = made_trie()
    served = catalex.LogitsProcessor(trie, after="eos", eos_token_id=EOS)
    # The second prompt is as long as the first prompt with its answer. The third equals the first.
    for length in (6, 11, 6, 6, 7):
        said = prompts(3, length, seed=length)
        expected = generate(model, said, catalex.LogitsProcessor(trie, after="eos", eos_token_id=EOS), max_new_tokens=5)
        np.testing.assert_array_equal(generate(model, said, served, max_new_tokens=5), expected)


def test_prompts_with_ids(model: Any) -> None:
    """Complete IDs in the prompt are ignored. An unfinished ID is completed."""
    trie = made_trie()
    codes = random_codes(ITEMS, SIZES).astype(int) + FIRST + np.concatenate([[0], np.cumsum(SIZES)[:-1]])
    processor = catalex.LogitsProcessor(trie, after="eos", eos_token_id=EOS)
    history = torch.from_numpy(np.concatenate([np.full((4, 1), 5), codes[:4], codes[4:8]], 1))
    judge = Judge()
    judge.read(generate(model, history, processor, max_new_tokens=LEVELS + 1))
    assert (judge.said, judge.illegal) == (4, 0)
    open_id = torch.from_numpy(np.concatenate([np.full((4, 1), 5), codes[:4, :2]], 1))
    answers = generate(model, open_id, processor, max_new_tokens=LEVELS)
    judge.read(np.concatenate([codes[:4, :2], answers], 1))
    assert (judge.said, judge.illegal) == (8, 0)
    nowhere = torch.tensor([[5, FIRST + 15, FIRST + SIZES[0] + 31, FIRST + sum(SIZES[:2]) + 31]])
    assert not trie.allowed([15, 31, 31]).size
    with pytest.raises(catalex.InputError, match="row 0 of the batch"):
        generate(model, nowhere, processor, max_new_tokens=LEVELS)


def expected_scores(trie: catalex.Trie, said: Any, scores: Any) -> Any:
    """A reference implementation of the scores inside IDs, as a Python loop."""
    masked = np.full(scores.shape, -np.inf, np.float32)
    for row, tokens in enumerate(said):
        allowed = trie.allowed_tokens(tokens)
        masked[row, allowed] = scores[row, allowed]
    return masked


@pytest.mark.parametrize("kind", ["float32", "float64", "float16", "bfloat16"])
@pytest.mark.parametrize("in_place", [True, False])
def test_scores_of_any_kind(kind: str, in_place: bool) -> None:
    trie = made_trie()
    codes = random_codes(ITEMS, SIZES)[:6, :2].astype(int) + np.array([FIRST, FIRST + SIZES[0]])
    scores = torch.randn(6, VOCABULARY).to(getattr(torch, kind))
    expected = torch.from_numpy(expected_scores(trie, codes.tolist(), scores.float().numpy())).to(scores.dtype)
    processor = catalex.LogitsProcessor(trie, in_place=in_place, prompt_length=0)
    said = torch.from_numpy(codes)
    before = scores.clone()
    # Simulates scores on a device that only torch can access.
    assert torch.equal(processor._on_device(codes, 0, scores), expected)
    assert torch.equal(scores, before)
    masked = processor(said, scores)
    assert torch.equal(masked, expected)
    assert torch.equal(scores, expected if in_place else before)
    # A matrix that is not contiguous.
    columns = torch.stack([before, before], 2)[:, :, 0]
    assert torch.equal(processor(said, columns), expected)
    if kind != "bfloat16":
        array = before.numpy().copy()
        np.testing.assert_array_equal(processor(codes, array), expected.numpy())
        np.testing.assert_array_equal(array, expected.numpy() if in_place else before.numpy())


def test_free_rows_keep_the_scores_of_words() -> None:
    trie = made_trie(markers=True)
    scores = torch.randn(2, VOCABULARY)
    said = np.array([[5, 6], [5, BEGIN]])
    ways = []
    for in_place in (True, False):
        processor = catalex.LogitsProcessor(trie, start="free", in_place=in_place)
        ways += [processor(said, scores.clone()), processor._on_device(said, 2, scores)]
    expected = scores.clone()
    expected[0, FIRST : END + 1] = -torch.inf
    expected[0, BEGIN] = scores[0, BEGIN]
    expected[1] = -torch.inf
    expected[1, FIRST : FIRST + SIZES[0]][trie.allowed([]).astype(int)] = scores[1, FIRST:][
        trie.allowed([]).astype(int)
    ]
    for masked in ways:
        assert torch.equal(masked, expected)


def test_an_answer_ends_after_its_id_by_default() -> None:
    trie = made_trie()
    assert trie.tokens is not None
    row = [trie.tokens.id(level, code) for level, code in enumerate(random_codes(300, SIZES)[0].tolist())]
    said = np.array([[5, *row]])

    def allowed(**settings: Any) -> list[int]:
        processor = catalex.LogitsProcessor(trie, prompt_length=1, **settings)
        return np.flatnonzero(np.isfinite(processor(said, np.zeros((1, VOCABULARY), np.float32))[0])).tolist()

    assert allowed(eos_token_id=EOS) == [EOS] == allowed(eos_token_id=[EOS], after="eos")
    assert len(allowed()) > 1 and len(allowed(eos_token_id=EOS, after="any")) > 1
    assert len(allowed(eos_token_id=EOS, start="free")) > 1


def test_invalid_settings_are_refused() -> None:
    trie = made_trie()
    with pytest.raises(catalex.ConfigError, match="eos_token_id"):
        catalex.LogitsProcessor(trie, after="eos")
    with pytest.raises(catalex.ConfigError, match="always or free"):
        catalex.LogitsProcessor(trie, start="never")  # type: ignore[arg-type]
    with pytest.raises(catalex.InputError, match="token ids"):
        catalex.LogitsProcessor(catalex.Trie.from_codes(random_codes(9, SIZES)))
    said = np.full((6, 2), 5)
    scores = np.zeros((6, VOCABULARY), np.float32)
    with pytest.raises(catalex.InputError, match="per prompt of the batch"):
        catalex.LogitsProcessor(trie, subsets=[None] * 4)(said, scores)
    with pytest.raises(catalex.InputError, match="resize_token_embeddings"):
        catalex.LogitsProcessor(trie)(said, scores[:, : CODES - 1].copy())
    with pytest.raises(catalex.InputError, match="subset is empty"):
        catalex.LogitsProcessor(trie, subsets=trie.subset([]))(said, scores)
    with pytest.raises(catalex.InputError, match="another trie"):
        catalex.LogitsProcessor(trie, subsets=made_trie().subset([1]))(said, scores)
    with pytest.raises(catalex.InputError, match="6 rows"):
        catalex.LogitsProcessor(trie)(said, scores[:5])


def test_importing_catalex_does_not_import_torch() -> None:
    code = "import sys, catalex; assert not {'torch', 'transformers', 'pyarrow'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
