"""The cost of constraints in a server: time per step at a beam of 256, in the native path and on a device of torch.

`python benchmarks/serving.py --items 1000000 10000000 --device cpu` in `python/`; `--device cuda` on a GPU. IDs have 4
levels of 256 codes. Prefixes are those of random items.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch

import catalex
from catalex.serving import Answer, Generation, mask

BEAM, LEVELS, FIRST, LOGITS = 256, 4, 1_000, 32_000


def codes_of(items: int, size: int, seed: int = 0) -> np.ndarray[tuple[int, int], np.dtype[np.uint16]]:
    """Distinct IDs in random order. Low codes are frequent, so that prefixes are shared."""
    rng = np.random.default_rng(seed)
    found = np.empty(0, np.uint64)
    while len(found) < items:
        drawn = np.zeros(items, np.uint64)
        for _ in range(LEVELS):
            drawn = drawn * np.uint64(size) + (rng.random(items) ** 2 * size).astype(np.uint64)
        found = np.unique(np.concatenate([found, drawn]))
    found = rng.permutation(found)[:items]
    powers = [np.uint64(size ** (LEVELS - 1 - level)) for level in range(LEVELS)]
    return np.stack([(found // power % np.uint64(size)).astype(np.uint16) for power in powers], 1)


def milliseconds(step: Callable[[], object], device: str, rounds: int) -> float:
    """The median time of a step."""
    times = []
    for _ in range(rounds):
        if device != "cpu":
            torch.cuda.synchronize()
        began = time.perf_counter()
        step()
        if device != "cpu":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - began)
    return 1e3 * float(np.median(times[1:]))


def measure(items: int, device: str, rounds: int) -> None:
    size = 256
    codes = codes_of(items, size)
    began = time.perf_counter()
    tokens = catalex.TokenIds(FIRST, [size] * LEVELS, vocabulary_size=LOGITS)
    trie = catalex.Trie.from_codes(codes, tokens)
    built = time.perf_counter() - began
    of = Generation(trie, eos_token_id=2, subsets={"half": trie.subset(np.arange(items) % 2 == 0)})
    on_device = of.on(device)
    sizes = f"{trie.nbytes / 1e6:.0f} MB, on the device {on_device.nbytes / 1e6:.0f} MB"
    print(f"{items:,} items: built in {built:.1f} s; {sizes}")
    rng = np.random.default_rng(1)
    chosen = codes[rng.integers(items, size=BEAM)].astype(np.int64)
    path = chosen + FIRST + size * np.arange(LEVELS)
    logits = torch.from_numpy(rng.normal(size=(BEAM, LOGITS)).astype(np.float32)).to(device)
    begun = torch.ones(BEAM, dtype=torch.bool, device=device)
    half = torch.full((BEAM,), on_device.row_of["half"], device=device)
    names = ["native, CPU", f"CSR, {device}", f"CSR, {device}, subset", f"fill, {device}"]
    print(f"{'':>24}" + "".join(f"{f'after {depth}':>10}" for depth in range(LEVELS)) + f"{'mean':>10}")
    table = np.zeros((len(names), LEVELS))
    host = logits.cpu()
    for depth in range(LEVELS):
        outputs = [row[:depth] for row in path.tolist()]
        answers = [Answer(of, [1], output) for output in outputs]
        tails = torch.full((BEAM, of.width), 1)
        if depth:
            tails[:, -depth:] = torch.from_numpy(path[:, :depth])
        tails, started = tails.to(device), begun if depth else ~begun

        def native(answers: list[Answer] = answers) -> object:
            return mask(host, answers)

        def masks(subset: bool, tails: torch.Tensor = tails, started: torch.Tensor = started) -> Callable[[], object]:
            return lambda: on_device.mask(logits, tails, started, subsets=half if subset else None)

        table[0, depth] = milliseconds(native, "cpu", rounds)
        table[1, depth] = milliseconds(masks(False), device, rounds)
        table[2, depth] = milliseconds(masks(True), device, rounds)
        table[3, depth] = milliseconds(lambda: logits.fill_(0.0), device, rounds)
    for name, row in zip(names, table, strict=True):
        print(f"{name:>24}" + "".join(f"{cell:>10.2f}" for cell in [*row, row.mean()]))


def illegal(items: int, generated: int) -> int:
    """The number of IDs of no item among generated ones."""
    codes = codes_of(items, 256)
    trie = catalex.Trie.from_codes(codes, catalex.TokenIds(FIRST, [256] * LEVELS, vocabulary_size=LOGITS))
    of, wrong = Generation(trie, eos_token_id=2), 0
    for batch in range(0, generated, BEAM):
        outputs: list[list[int]] = [[] for _ in range(min(BEAM, generated - batch))]
        answers = [Answer(of, [1], output) for output in outputs]
        for _ in range(LEVELS):
            logits = mask(torch.rand(len(outputs), LOGITS), answers)
            for output, token in zip(outputs, logits.argmax(1).tolist(), strict=True):
                output.append(token)
        wrong += sum((np.array(row) - FIRST - 256 * np.arange(LEVELS)).tolist() not in trie for row in outputs)
    return wrong


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, nargs="+", default=[1_000_000])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--generated", type=int, default=100_000, help="IDs to generate and check; 0 for none")
    arguments = parser.parse_args()
    print(f"beam {BEAM}, {LOGITS:,} logits, {torch.get_num_threads()} threads of torch; milliseconds per step, median")
    for items in arguments.items:
        measure(items, arguments.device, arguments.rounds)
    if arguments.generated:
        found = illegal(arguments.items[0], arguments.generated)
        print(f"{found} illegal IDs of {arguments.generated:,} generated, {arguments.items[0]:,} items")


if __name__ == "__main__":
    main()
