"""Long calls: in parallel, after a fork, together with torch, and interrupted by Ctrl-C."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from shop import DIM, Shop

import catalex


def python(code: str, *arguments: str | Path, timeout: float = 120) -> str:
    """The output of a separate Python process."""
    command = [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)]
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=timeout)
    assert run.returncode == 0, run.stderr
    return run.stdout


def test_other_threads_run_meanwhile(shop: Shop) -> None:
    x = np.tile(shop.vectors, (200, 1))
    ticks, done = [], threading.Event()

    def tick() -> None:
        while not done.is_set():
            ticks.append(time.perf_counter())
            time.sleep(0.001)

    thread = threading.Thread(target=tick)
    thread.start()
    began = time.perf_counter()
    shop.tokenizer.encode(x)
    took = time.perf_counter() - began
    done.set()
    thread.join()
    # If the call held the lock, the other thread would not run at all.
    assert len([t for t in ticks if began < t < began + took]) >= 3, took


def test_threads_share_a_tokenizer(shop: Shop) -> None:
    expected = shop.tokenizer.encode(shop.vectors)
    with ThreadPoolExecutor(8) as pool:
        for codes in pool.map(lambda _: shop.tokenizer.encode(shop.vectors), range(40)):
            np.testing.assert_array_equal(codes, expected)


INTERRUPTED = """
    import os, signal, sys, threading, time
    import numpy as np
    import catalex

    tokenizer = catalex.Tokenizer.load(sys.argv[1])
    x = np.load(sys.argv[2])
    x = np.ascontiguousarray(np.broadcast_to(x, (500, *x.shape)).reshape(-1, x.shape[1]))
    rng = np.random.default_rng(0)
    work = {
        "encode": lambda: tokenizer.encode(x),
        "tokenize": lambda: tokenizer.tokenize(x, collisions="keep"),
        "evaluate": lambda: catalex.evaluate(
            catalex.TokenTable.from_codes(np.arange(300_000)[:, None] // [4096, 64, 1] % 64 + [0, 0, 0], [128, 64, 64],
                                          collisions="keep"),
            labels=None),
    }[sys.argv[3]]
    sent = []
    def interrupt():
        time.sleep(0.3)
        sent.append(time.perf_counter())
        os.kill(os.getpid(), signal.SIGINT)
    threading.Thread(target=interrupt).start()
    try:
        while True:
            work()
    except KeyboardInterrupt:
        print(time.perf_counter() - sent[0])
    # An interrupted call does not affect later ones.
    assert tokenizer.encode(x[:5000]).shape == (5000, 3)
"""


@pytest.mark.parametrize("call", ["encode", "tokenize", "evaluate"])
def test_ctrl_c_stops_a_long_call(shop: Shop, call: str) -> None:
    waited = float(python(INTERRUPTED, shop.folder / "model", shop.folder / "x.npy", call))
    assert waited < 1


@pytest.mark.parametrize("rows", [1, 1_500])
def test_a_fork_after_use_works(shop: Shop, rows: int) -> None:
    expected = shop.tokenizer.encode(shop.vectors)[:rows]
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        signal.alarm(60)
        same = (shop.tokenizer.encode(shop.vectors[:rows]) == expected).all()
        table = shop.tokenizer.tokenize(shop.vectors)
        os.write(write, b"1" if same and table == shop.table else b"0")
        os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as answer:
        assert answer.read() == b"1"
    os.waitpid(child, 0)
    np.testing.assert_array_equal(shop.tokenizer.encode(shop.vectors)[:rows], expected)


LOADER = """
    import sys
    import numpy as np
    import torch
    import catalex

    class Items(torch.utils.data.Dataset):
        def __init__(self, model, x):
            self.model, self.x = catalex.Tokenizer.load(model), np.load(x)
            self.model.encode(self.x)
        def __len__(self):
            return 3
        def __getitem__(self, i):
            return torch.from_numpy(self.model.encode(self.x[500 * i : 500 * (i + 1)]).astype("int64"))

    if __name__ == "__main__":
        items = Items(*sys.argv[1:])
        loader = torch.utils.data.DataLoader(items, num_workers=2, batch_size=1, multiprocessing_context="fork")
        codes = torch.cat([batch[0] for batch in loader])
        assert (codes.numpy() == items.model.encode(items.x)).all()
        print(len(codes))
"""


def test_workers_of_torchs_loader_encode(shop: Shop) -> None:
    assert python(LOADER, shop.folder / "model", shop.folder / "x.npy").strip() == "1500"


@pytest.mark.parametrize("order", ["torch, catalex", "catalex, torch"])
def test_catalex_and_torch_share_a_process(shop: Shop, order: str) -> None:
    code = f"""
    import sys
    import {order}
    import numpy as np
    x = np.load(sys.argv[2])
    tokenizer = catalex.Tokenizer.load(sys.argv[1])
    a = torch.randn(300, 300)
    codes = tokenizer.encode(torch.from_numpy(x))
    assert (a @ torch.linalg.inv(a) - torch.eye(300)).abs().max() < 0.5
    assert (tokenizer.encode(x) == codes).all()
    print(torch.__version__)
    """
    assert python(code, shop.folder / "model", shop.folder / "x.npy").startswith("2.13")


def test_importing_is_light() -> None:
    code = """
    import sys
    import catalex
    heavy = {"torch", "pyarrow", "pandas", "polars", "transformers", "sklearn", "IPython", "concurrent.futures.process"}
    print(sorted(heavy & set(sys.modules)))
    """
    assert python(code).strip() == "[]"


def test_one_row_is_quick(shop: Shop) -> None:
    one = shop.vectors[:1]
    times = []
    for _ in range(300):
        began = time.perf_counter()
        shop.tokenizer.encode(one)
        times.append(time.perf_counter() - began)
    # The minimum, because other work on the machine affects the other measurements.
    assert min(times) < 1e-4, min(times)
    assert one.shape == (1, DIM)
    assert catalex.Tokenizer.load(shop.folder / "model") == shop.tokenizer
