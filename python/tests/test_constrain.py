"""`catalex constrain`: each form in its real reader. All IDs are accepted, 1,000 other sequences are rejected, and
after every prefix the same tokens are allowed as in the trie."""

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from llama_support import LlamaGrammar
from made import Codes, done, random_codes, strangers, write_table, write_tokenizer
from tokenizers import Tokenizer

import catalex

SIZES = [8, 16, 16, 32]
ITEMS = 600
FORMS = ["trie", "static", "llguidance", "xgrammar", "gbnf", "regex", "choices"]
EOS = 0


@dataclass(frozen=True)
class Made:
    """The forms of a table, with and without token ids, and their references."""

    table: Path
    vocabulary: Path
    forms: Path
    texts: Path
    codes: Codes
    others: Codes
    trie: catalex.Trie

    def tokens(self, codes: Codes) -> list[list[int]]:
        ids = self.trie.tokens
        assert ids is not None
        return [[ids.id(level, code) for level, code in enumerate(row)] for row in codes.tolist()]

    def prefixes(self) -> Iterator[tuple[list[int], list[int]]]:
        """Prefixes in tokens, and the continuations that the trie allows."""
        seen = sorted({tuple(row[:depth]) for row in self.tokens(self.codes)[:100] for depth in range(len(SIZES))})
        for prefix in seen:
            yield list(prefix), self.trie.allowed_tokens(prefix).tolist()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("constrain")
    codes = random_codes(ITEMS, SIZES)
    table, vocabulary = folder / "tokens.parquet", folder / "vocabulary"
    write_table(table, codes, SIZES)
    write_tokenizer(folder / "tokenizer")
    done("vocab", table, "--tokenizer", folder / "tokenizer", "--out", vocabulary)
    done("constrain", table, "--form", ",".join(FORMS), "--vocabulary", vocabulary, "--out", folder / "forms")
    done("constrain", table, "--form", "trie,llguidance,xgrammar,gbnf,regex,choices", "--out", folder / "texts")
    trie = catalex.Trie.from_table(table, vocabulary)
    others = strangers(codes, SIZES, 1_000)
    return Made(table, vocabulary, folder / "forms", folder / "texts", codes, others, trie)


def text_of(codes: Codes) -> list[str]:
    return ["".join(f"<{level}_{code}>" for level, code in zip("abcd", row, strict=True)) for row in codes.tolist()]


def bits(mask: npt.NDArray[np.int32], tokens: int) -> npt.NDArray[np.intp]:
    """The tokens that a packed mask allows."""
    return np.flatnonzero(np.unpackbits(mask.view(np.uint8), bitorder="little")[:tokens])


def test_written_forms_are_described(made: Made) -> None:
    described = json.loads((made.forms / "constraint.json").read_text())
    ids = made.trie.tokens
    assert ids is not None
    assert (described["items"], described["codebook_sizes"]) == (ITEMS, SIZES)
    assert described["token_ids"]["first_id"] == ids.first_id
    assert list(described["forms"]) == FORMS
    assert {form["file"] for form in described["forms"].values()} | {"constraint.json"} == {
        path.name for path in made.forms.iterdir()
    }
    for form in described["forms"].values():
        content = (made.forms / form["file"]).read_bytes()
        assert (form["bytes"], form["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
    assert json.loads((made.texts / "constraint.json").read_text())["token_ids"] is None


def test_the_trie_is_mapped(made: Made) -> None:
    trie = catalex.Trie.load(made.forms / "ids.trie")
    assert trie.tokens == made.trie.tokens
    assert all(trie.find(row) == at for at, row in enumerate(made.codes.tolist()))
    assert not any(row in trie for row in made.others.tolist())
    assert catalex.Trie.load(made.texts / "ids.trie").tokens is None


def check_matcher(made: Made, matches: Any, allowed: Any) -> None:
    """`matches(tokens)` for whole IDs; `allowed(prefix)` as a set of tokens."""
    assert all(matches(tokens) for tokens in made.tokens(made.codes))
    assert not any(matches(tokens) for tokens in made.tokens(made.others))
    checked = 0
    for prefix, expected in made.prefixes():
        assert sorted(allowed(prefix)) == expected, prefix
        checked += 1
    assert checked > 150


def test_llguidance_reads_the_grammar(made: Made) -> None:
    llguidance = pytest.importorskip("llguidance")
    numpy_of = pytest.importorskip("llguidance.numpy")
    tokenizer_json = (made.vocabulary / "tokenizer" / "tokenizer.json").read_text()
    tokenizer = llguidance.LLTokenizer(tokenizer_json)
    for folder in (made.forms, made.texts):
        grammar = llguidance.LLMatcher.grammar_from_lark((folder / "ids.lark").read_text())
        matcher = llguidance.LLMatcher(tokenizer, grammar)
        assert not matcher.is_error(), matcher.get_error()
        mask = numpy_of.allocate_token_bitmask(1, tokenizer.vocab_size)

        def matches(tokens: list[int], matcher: Any = matcher) -> bool:
            matcher.reset()
            return matcher.try_consume_tokens(tokens) == len(tokens) and bool(matcher.is_accepting())

        def allowed(prefix: list[int], matcher: Any = matcher, mask: Any = mask) -> list[int]:
            matcher.reset()
            assert matcher.try_consume_tokens(prefix) == len(prefix)
            numpy_of.fill_next_token_bitmask(matcher, mask)
            tokens: list[int] = bits(mask[0], tokenizer.vocab_size).tolist()
            return tokens

        check_matcher(made, matches, allowed)


def test_xgrammar_reads_the_grammar(made: Made) -> None:
    pytest.importorskip("torch")
    xgrammar = pytest.importorskip("xgrammar")
    tokenizer = Tokenizer.from_file(str(made.vocabulary / "tokenizer" / "tokenizer.json"))
    words = sorted(tokenizer.get_vocab(), key=tokenizer.get_vocab().__getitem__)
    info = xgrammar.TokenizerInfo(words, vocab_type=xgrammar.VocabType.BYTE_LEVEL, stop_token_ids=[EOS])
    ids = made.trie.tokens
    assert ids is not None
    for folder in (made.forms, made.texts):
        compiled = xgrammar.GrammarCompiler(info, max_threads=2).compile_grammar((folder / "ids.ebnf").read_text())
        # A grammar of texts allows bytes of a token as well.
        first = ids.first_id if folder == made.texts else 0

        def matches(tokens: list[int], compiled: Any = compiled) -> bool:
            matcher = xgrammar.GrammarMatcher(compiled)
            return all(matcher.accept_token(token) for token in [*tokens, EOS]) and bool(matcher.is_terminated())

        def allowed(prefix: list[int], compiled: Any = compiled, first: int = first) -> list[int]:
            matcher = xgrammar.GrammarMatcher(compiled)
            assert all(matcher.accept_token(token) for token in prefix)
            mask = xgrammar.allocate_token_bitmask(1, info.vocab_size)
            matcher.fill_next_token_bitmask(mask)
            return [token for token in bits(mask.numpy()[0], info.vocab_size).tolist() if token >= first]

        check_matcher(made, matches, allowed)


def test_llama_cpp_reads_the_grammar(made: Made) -> None:
    ids = made.trie.tokens
    assert ids is not None
    for folder in (made.forms, made.texts):
        text, tokenizer = (folder / "ids.gbnf").read_text(), made.vocabulary / "tokenizer" / "tokenizer.json"
        grammar = LlamaGrammar(text, tokenizer)
        # A grammar of texts allows parts of a token as well.
        first = ids.first_id if folder == made.texts else 0

        def matches(tokens: list[int], grammar: LlamaGrammar = grammar) -> bool:
            grammar.begin()
            for token in tokens:
                if token not in grammar.allowed():
                    return False
                grammar.accept(token)
            return grammar.allowed() == [EOS]

        def allowed(prefix: list[int], grammar: LlamaGrammar = grammar, first: int = first) -> list[int]:
            grammar.begin()
            for token in prefix:
                grammar.accept(token)
            return [token for token in grammar.allowed() if token >= first]

        check_matcher(made, matches, allowed)
        grammar.close()


def test_outlines_core_reads_the_expression(made: Made) -> None:
    outlines = pytest.importorskip("outlines_core")
    expression = (made.forms / "ids.regex").read_text()
    assert expression == (made.texts / "ids.regex").read_text()
    ids = made.trie.tokens
    assert ids is not None
    tokens = {f"<{level}_{code}>": [ids.id(at, code)] for at, level in enumerate("abcd") for code in range(SIZES[at])}
    words = {character: [at] for at, character in enumerate("<abcd_0123456789>", 1)}
    index = outlines.Index(expression, outlines.Vocabulary(EOS, {**tokens, **words}))

    def walk(tokens: list[int]) -> Any:
        guide = outlines.Guide(index)
        for token in tokens:
            if token not in guide.get_tokens():
                return None
            guide.advance(token)
        return guide

    def matches(tokens: list[int]) -> bool:
        guide = walk(tokens)
        return guide is not None and bool(guide.is_finished())

    def allowed(prefix: list[int]) -> list[int]:
        return [token for token in walk(prefix).get_tokens() if token >= ids.first_id]

    check_matcher(made, matches, allowed)


def test_python_re_reads_the_expression(made: Made) -> None:
    expression = re.compile((made.forms / "ids.regex").read_text())
    assert all(expression.fullmatch(text) for text in text_of(made.codes))
    assert not any(expression.fullmatch(text) for text in text_of(made.others))


def test_choices_are_the_ids_in_table_order(made: Made) -> None:
    assert json.loads((made.forms / "choices.json").read_text()) == text_of(made.codes)


def test_static_arrays_equal_those_of_the_reference(made: Made) -> None:
    safetensors = pytest.importorskip("safetensors.numpy")
    arrays = safetensors.load_file(made.forms / "static.safetensors")
    ids = made.trie.tokens
    assert ids is not None
    expected = static_index(np.unique(np.array(made.tokens(made.codes)), axis=0), ids.vocabulary_size)
    assert set(arrays) == set(expected)
    for name, array in expected.items():
        assert arrays[name].dtype == array.dtype, name
        np.testing.assert_array_equal(arrays[name], array, err_msg=name)

    def allowed(prefix: list[int]) -> list[int]:
        """A step of STATIC's decoding: the start mask, then a range of the sparse rows."""
        if not prefix:
            return np.flatnonzero(arrays["start_mask"]).tolist()
        state = int(arrays["dense_states"][prefix[0]])
        for token in prefix[1:]:
            state = {int(token): int(next_state) for token, next_state in stretch(state)}[token]
        return sorted(int(token) for token, _ in stretch(state))

    def stretch(state: int) -> npt.NDArray[np.int32]:
        begin, end = arrays["indptr"][state : state + 2]
        return np.asarray(arrays["packed_csr"][begin:end])

    for prefix, expected_tokens in made.prefixes():
        assert allowed(prefix) == expected_tokens
        assert len(expected_tokens) <= arrays["layer_max_branches"][len(prefix)]


def static_index(sorted_ids: npt.NDArray[np.int64], vocabulary: int) -> dict[str, npt.NDArray[Any]]:
    """The arrays as in STATIC's paper and code, with one dense level. States are prefixes: those of one token have the
    number token + 1, longer ones follow by length in sorted order, and complete IDs are state 0."""
    levels = sorted_ids.shape[1]
    state_of: dict[tuple[int, ...], int] = {(token,): token + 1 for token in set(sorted_ids[:, 0].tolist())}
    following = vocabulary + 1
    for depth in range(2, levels):
        for prefix in sorted({tuple(row[:depth]) for row in sorted_ids.tolist()}):
            state_of[prefix] = following
            following += 1
    edges: list[tuple[int, int, int]] = []
    for depth in range(1, levels):
        for longer in sorted({tuple(row[: depth + 1]) for row in sorted_ids.tolist()}):
            edges.append((state_of[longer[:-1]], longer[-1], state_of.get(longer, 0)))
    counts = np.bincount([parent for parent, _, _ in edges], minlength=following)
    indptr = np.concatenate([[0], np.cumsum(counts), [len(edges) + vocabulary]]).astype(np.int32)
    start = np.zeros(vocabulary, bool)
    start[sorted_ids[:, 0]] = True
    most = [int(start.sum())]
    for depth in range(1, levels):
        most.append(max(int(counts[state]) for prefix, state in state_of.items() if len(prefix) == depth))
    packed = [(token, state) for _, token, state in edges] + [(vocabulary, 0)] * vocabulary
    dense_states = np.zeros(vocabulary, np.int32)
    dense_states[start] = np.flatnonzero(start) + 1
    return {
        "packed_csr": np.array(packed, np.int32),
        "indptr": indptr,
        "layer_max_branches": np.array(most, np.int32),
        "start_mask": start,
        "dense_mask": start,
        "dense_states": dense_states,
    }


@pytest.mark.parametrize("strings", [False, True])
def test_xllm_and_minionerec_forms_contain_every_item(tmp_path: Path, strings: bool) -> None:
    sizes = [8, 8, 16]
    codes = random_codes(200, sizes)
    ids: list[Any] = [f"item-{row}" if strings else 7 * row for row in range(200)]
    write_table(tmp_path / "t.parquet", codes, sizes, ids)
    write_tokenizer(tmp_path / "tokenizer")
    done("vocab", tmp_path / "t.parquet", "--tokenizer", tmp_path / "tokenizer", "--out", tmp_path / "v")
    # In another order than the table, with an additional item, and with line breaks in titles.
    rows = [f'{item},"Title\tof {item}\n!"' for item in [*reversed(ids), "other" if strings else -1]]
    (tmp_path / "catalog.csv").write_text("\n".join(["id,title", *rows]) + "\n")
    titled: list[str | Path] = ["--catalog", tmp_path / "catalog.csv", "--title", "title"]
    out: list[str | Path] = ["--form", "xllm,minionerec", "--vocabulary", tmp_path / "v", "--out", tmp_path / "forms"]
    done("constrain", tmp_path / "t.parquet", *titled, *out)

    tokens = catalex.TokenIds.read(tmp_path / "v")
    expected = [[tokens.id(level, code) for level, code in enumerate(row)] for row in codes.tolist()]
    assert list(xllm_records((tmp_path / "forms" / "xllm.bin").read_bytes(), strings)) == [
        (row if strings else item, item if strings else "", triple)
        for row, (item, triple) in enumerate(zip(ids, expected, strict=True))
    ]
    lines = (tmp_path / "forms" / "info.txt").read_text().splitlines()
    # As MiniOneRec reads them: three fields, and the ID first.
    assert [line.split("\t") for line in lines] == [
        ["".join(f"<{level}_{code}>" for level, code in zip("abc", row, strict=True)), f"Title of {item} !", str(item)]
        for item, row in zip(ids, codes.tolist(), strict=True)
    ]


def xllm_records(content: bytes, extended: bool) -> Iterator[tuple[int, str, list[int]]]:
    """The records as xLLM's RecVocabDict reads them, without and with its extended item info."""
    at = 0

    def take(size: int) -> bytes:
        nonlocal at
        at += size
        assert at <= len(content)
        return content[at - size : at]

    def number(size: int) -> int:
        return int.from_bytes(take(size), "little", signed=size == 8)

    while at < len(content):
        item = number(8)
        name = ""
        if extended:
            name = take(number(4)).decode()
            assert take(number(4)) == b""
        yield item, name, np.frombuffer(take(12), "<i4").tolist()


def test_forms_can_contain_some_items(made: Made, tmp_path: Path) -> None:
    (tmp_path / "only.txt").write_text("5\n3\n\n400\n")
    done(
        "constrain",
        made.table,
        "--form",
        "trie,choices,regex",
        "--only",
        tmp_path / "only.txt",
        "--out",
        tmp_path / "o",
    )
    some = made.codes[[3, 5, 400]]
    assert json.loads((tmp_path / "o" / "choices.json").read_text()) == text_of(some)
    trie = catalex.Trie.load(tmp_path / "o" / "ids.trie")
    assert [trie.find(row) for row in some.tolist()] == [3, 5, 400]
    assert len(trie) == 3
