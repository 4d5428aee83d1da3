"""The cost of constraints per step of beam search: catalex compared with a trie of dictionaries in transformers.

    python benchmarks/decoding.py [--items 1000000] [--batch 32] [--beams 20] [--vocabulary 150000] [--rounds 5]

The baseline is the method of GENRE and LC-Rec: a dictionary per prefix, `prefix_allowed_tokens_fn` called for every
row, and transformers' `PrefixConstrainedLogitsProcessor`. Both get the same prefixes and scores, and their masks are
compared. A round is the four steps of an ID. Needs torch, transformers and the installed package.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from transformers.generation.logits_process import PrefixConstrainedLogitsProcessor

import catalex

LEVELS = 4
CODES = 256
PROMPT = 64


class DictTrie:
    """Nested dictionaries: the continuations of a token."""

    def __init__(self, sequences: Iterable[list[int]]) -> None:
        self.root: dict[int, Any] = {}
        for sequence in sequences:
            node = self.root
            for token in sequence:
                node = node.setdefault(token, {})

    def get(self, prefix: list[int]) -> list[int]:
        node = self.root
        for token in prefix:
            if token not in node:
                return []
            node = node[token]
        return list(node)


def distinct_codes(items: int, rng: np.random.Generator) -> npt.NDArray[np.uint16]:
    """Distinct random IDs in random order. Prefixes are shared only by chance."""
    numbers = np.unique(rng.integers(0, CODES**LEVELS, items + items // 100 + 100))
    rng.shuffle(numbers)
    return np.stack([numbers[:items] >> 8 * (LEVELS - 1 - at) & 255 for at in range(LEVELS)], 1).astype(np.uint16)


def timed(call: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    result = call()
    return time.perf_counter() - start, result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in [("items", 1_000_000), ("batch", 32), ("beams", 20), ("vocabulary", 150_000), ("rounds", 5)]:
        parser.add_argument(f"--{name}", type=int, default=default)
    args = parser.parse_args()
    rng = np.random.default_rng(0)
    codes = distinct_codes(args.items, rng)
    first = args.vocabulary - LEVELS * CODES
    tokens = catalex.TokenIds(first, [CODES] * LEVELS, vocabulary_size=args.vocabulary)
    sequences = codes.astype(np.int64) + first + CODES * np.arange(LEVELS)

    dict_trie: DictTrie
    trie: catalex.Trie
    built_dict, dict_trie = timed(lambda: DictTrie(sequences.tolist()))
    built_ours, trie = timed(lambda: catalex.Trie.from_codes(codes, tokens))
    rows = args.batch * args.beams
    print(f"{args.items:,} items, {args.batch} prompts x {args.beams} beams, {args.vocabulary:,} tokens, ", end="")
    print(f"{torch.get_num_threads()} threads")
    print(f"build: dictionaries {built_dict:.1f} s, catalex {built_ours:.2f} s", end="")
    print(f" and {trie.nbytes / len(trie):.1f} bytes an item")

    def prefix_allowed_tokens_fn(_batch: int, sentence: torch.Tensor) -> list[int]:
        said: list[int] = sentence.tolist()
        return dict_trie.get(said[PROMPT:])

    theirs: Any = PrefixConstrainedLogitsProcessor(prefix_allowed_tokens_fn, args.beams)
    prompt = np.repeat(rng.integers(0, first, (args.batch, PROMPT)), args.beams, 0)
    scores = torch.log_softmax(torch.randn(rows, args.vocabulary), -1)
    seconds: dict[str, list[list[float]]] = {"dictionaries": [], "catalex, in place": [], "catalex, copied": []}
    for _ in range(args.rounds):
        chosen = sequences[rng.integers(0, len(sequences), rows)]
        ours = {
            "catalex, in place": catalex.LogitsProcessor(trie),
            "catalex, copied": catalex.LogitsProcessor(trie, in_place=False),
        }
        for times in seconds.values():
            times.append([])
        for depth in range(LEVELS):
            said = torch.from_numpy(np.concatenate([prompt, chosen[:, :depth]], 1))
            took, expected = timed(partial(theirs, said, scores))
            seconds["dictionaries"][-1].append(took)
            for name, processor in ours.items():
                given = scores.clone()
                took, masked = timed(partial(processor, said, given))
                seconds[name][-1].append(took)
                assert torch.equal(masked, expected), f"{name} differs at depth {depth}"
                del masked, given
            del expected
    print(f"{'milliseconds a step at depth':>30}" + "".join(f"{depth:>9}" for depth in range(LEVELS)) + "     mean")
    # The best round, because other work on the machine only adds time.
    best = {name: np.array(times).min(0) * 1e3 for name, times in seconds.items()}
    for name, times in best.items():
        print(f"{name:>30}" + "".join(f"{time:9.1f}" for time in times) + f"{times.mean():9.1f}")
    for name in list(best)[1:]:
        print(f"{name}: {best['dictionaries'].mean() / best[name].mean():.1f} times as fast as dictionaries")


if __name__ == "__main__":
    main()
