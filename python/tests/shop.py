"""A small trained model and its items, made once a session by the built binary."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from made import done

import catalex

ITEMS, DIM, LEVELS, SIZE = 1_500, 24, 3, 16


@dataclass(frozen=True)
class Shop:
    """Vectors in clusters, the model trained on them, and the table of the command line."""

    folder: Path
    vectors: npt.NDArray[np.float32]
    tokenizer: catalex.Tokenizer
    table: catalex.TokenTable


def make(folder: Path) -> Shop:
    rng = np.random.default_rng(0)
    vectors = (rng.normal(size=(40, DIM))[rng.integers(0, 40, ITEMS)] + 0.3 * rng.normal(size=(ITEMS, DIM))).astype(
        "f4"
    )
    np.save(folder / "x.npy", vectors)
    model, tokens = folder / "model", folder / "tokens.parquet"
    done(
        "train",
        folder / "x.npy",
        "--levels",
        str(LEVELS),
        "--codebook-size",
        str(SIZE),
        "--epochs",
        "2",
        "--out",
        model,
    )
    done("tokenize", folder / "x.npy", "--model", model, "--out", tokens)
    return Shop(folder, vectors, catalex.Tokenizer.load(model), catalex.TokenTable.read(tokens))
