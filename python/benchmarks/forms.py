"""Sizes of the forms that `catalex constrain` writes, and their readers' times for loading and per step.

    PYTHONPATH=tests python benchmarks/forms.py [ITEMS ...]

in python/, with the binary in $CARGO_TARGET_DIR/release. IDs of 4 levels of 256 codes, low codes more often than high
ones. Needs llguidance, xgrammar, outlines-core, llama-cpp-python, gguf and torch. A form is omitted if catalex refuses
to write it. If a reader fails, the reason is printed.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import llguidance
import llguidance.numpy
import numpy as np
import outlines_core
import xgrammar
from llama_support import LlamaGrammar
from made import catalex, done, random_codes, write_table, write_tokenizer
from tokenizers import Tokenizer

SIZES = [256] * 4
FORMS = ["trie", "static", "llguidance", "xgrammar", "gbnf", "regex", "choices", "minionerec"]
IDS = 20
Matcher = Callable[[], Callable[[int], None]]


def llguidance_of(path: Path, tokenizer: Path) -> Matcher:
    words = llguidance.LLTokenizer(tokenizer.read_text())
    matcher = llguidance.LLMatcher(words, llguidance.LLMatcher.grammar_from_lark(path.read_text()))
    if matcher.is_error():
        raise RuntimeError(matcher.get_error().splitlines()[0][:120])
    mask = llguidance.numpy.allocate_token_bitmask(1, words.vocab_size)

    def begin() -> Callable[[int], None]:
        matcher.reset()

        def step(token: int) -> None:
            llguidance.numpy.fill_next_token_bitmask(matcher, mask)
            assert matcher.consume_token(token)

        return step

    return begin


def xgrammar_of(path: Path, tokenizer: Path) -> Matcher:
    vocabulary = Tokenizer.from_file(str(tokenizer)).get_vocab()
    words = sorted(vocabulary, key=vocabulary.__getitem__)
    info = xgrammar.TokenizerInfo(words, vocab_type=xgrammar.VocabType.BYTE_LEVEL, stop_token_ids=[0])
    compiled = xgrammar.GrammarCompiler(info, max_threads=2).compile_grammar(path.read_text())
    mask = xgrammar.allocate_token_bitmask(1, len(words))

    def begin() -> Callable[[int], None]:
        matcher = xgrammar.GrammarMatcher(compiled)

        def step(token: int) -> None:
            matcher.fill_next_token_bitmask(mask)
            assert matcher.accept_token(token)

        return step

    return begin


def outlines_of(path: Path, tokenizer: Path) -> Matcher:
    vocabulary = Tokenizer.from_file(str(tokenizer)).get_vocab()
    words: Any = {word: [token] for word, token in vocabulary.items() if token != 0}
    index = outlines_core.Index(path.read_text(), outlines_core.Vocabulary(0, words))

    def begin() -> Callable[[int], None]:
        guide = outlines_core.Guide(index)

        def step(token: int) -> None:
            assert token in guide.get_tokens()
            guide.advance(token)

        return step

    return begin


def llama_cpp_of(path: Path, tokenizer: Path) -> Matcher:
    grammar = LlamaGrammar(path.read_text(), tokenizer)

    def begin() -> Callable[[int], None]:
        grammar.begin()

        def step(token: int) -> None:
            assert token in grammar.allowed()
            grammar.accept(token)

        return step

    return begin


READERS = {"llguidance": llguidance_of, "xgrammar": xgrammar_of, "gbnf": llama_cpp_of, "regex": outlines_of}


def measure(items: int, folder: Path) -> None:
    codes = random_codes(items, SIZES)
    table, tokenizer = folder / "t.parquet", folder / "vocabulary" / "tokenizer" / "tokenizer.json"
    write_table(table, codes, SIZES)
    write_tokenizer(folder / "tokenizer")
    done("vocab", table, "--tokenizer", folder / "tokenizer", "--out", folder / "vocabulary")
    (folder / "titles.csv").write_text("id,title\n" + "".join(f"{row},Title of {row}\n" for row in range(items)))
    ids = Tokenizer.from_file(str(tokenizer))
    for form in FORMS:
        out = folder / form
        titles: list[str | Path] = ["--catalog", folder / "titles.csv", "--title", "title"]
        start = time.perf_counter()
        named: list[str | Path] = ["--form", form, "--vocabulary", folder / "vocabulary", "--out", out]
        if catalex("constrain", table, *named, *(titles if form == "minionerec" else [])).returncode != 0:
            continue
        wrote = time.perf_counter() - start
        (path,) = (path for path in out.iterdir() if path.name != "constraint.json")
        line = f"{items:>10,} {form:>11} {path.stat().st_size / items:>9.1f} bytes an item, written in {wrote:.1f} s"
        if form in READERS:
            try:
                line += read(READERS[form], path, tokenizer, codes[:IDS].tolist(), ids)
            except Exception as error:
                line += f"; its reader: {str(error)[:120]}"
        print(line, flush=True)


def read(reader: Callable[[Path, Path], Matcher], path: Path, tokenizer: Path, codes: Any, words: Any) -> str:
    start = time.perf_counter()
    begin = reader(path, tokenizer)
    loaded = time.perf_counter() - start
    texts = ["".join(f"<{level}_{code}>" for level, code in zip("abcd", row, strict=True)) for row in codes]
    encoded = [words.encode(text).ids for text in texts]
    start = time.perf_counter()
    for row in encoded:
        step = begin()
        for token in row:
            step(token)
    each = (time.perf_counter() - start) / np.size(encoded)
    return f"; loaded in {loaded:.1f} s, {each * 1e3:.2f} ms a step"


def main() -> None:
    for items in [int(number) for number in sys.argv[1:]] or [1_000, 10_000, 20_000, 50_000, 1_000_000]:
        with tempfile.TemporaryDirectory() as folder:
            measure(items, Path(folder))


if __name__ == "__main__":
    main()
