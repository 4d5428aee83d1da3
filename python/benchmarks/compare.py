#!/usr/bin/env python3
"""Compares catalex with other quantizers: same vectors, same split, same threads, one run. Prints a table in Markdown.

    make benchmark                       the emoji, and WordNet's nouns where Debian's wordnet-base is installed
    make benchmark PRODUCTS=FILE.jsonl   a catalog of products (title, brand, categories, description) as well

The quantizers are trained on nine tenths of the items. The last tenth stands for new items. Collisions are not
resolved, so the codes are those of the quantizers.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import time
from pathlib import Path

import faiss
import numpy as np
import torch

from data import WORDNET, Data, emoji, products, wordnet
from measures import (
    decoded_recall,
    duplicates,
    label_agreement,
    met_by_new,
    neighbours,
    perplexity,
    prefix_recall,
    relative_error,
)
from peers import (
    Peer,
    catalex,
    faiss_residual,
    residual_vq,
    rq_kmeans,
    semantic_id_package,
    semantic_id_rq_vae,
)

THREADS = 2
QUERIES = 1500
LC_REC_EPOCHS = 200
LARGE = 20_000
"""Minimum number of items for which the peers that take hours are omitted."""


def row(data: Data, name: str, peer: Peer, seed: int) -> list[str]:
    began = time.perf_counter()
    found = peer(data, seed)
    seconds = time.perf_counter() - began
    rng = np.random.default_rng(1)
    everything = np.arange(len(data.vectors))
    asked = [np.sort(rng.choice(rows, min(QUERIES, len(rows)), False)) for rows in (everything, data.held_out)]
    truths = [neighbours(data.vectors, rows) for rows in asked]
    pair = " / ".join
    cells = [
        name,
        pair(f"{relative_error(data.vectors[r], found.decoded[r]):.3f}" for r in (data.training, data.held_out)),
        pair(f"{100 * duplicates(codes):.1f} %" for codes in (found.codes[data.training], found.codes)),
        f"{100 * met_by_new(found.codes, data.held_out):.1f} %",
        " ".join(f"{perplexity(found.codes[:, level]):.0f}" for level in range(found.codes.shape[1])),
        " ".join(f"{len(np.unique(found.codes[:, level]))}" for level in range(found.codes.shape[1])),
        pair(f"{prefix_recall(found.codes, truth, seed):.3f}" for truth in truths),
        pair(f"{decoded_recall(found.decoded, truth, seed):.3f}" for truth in truths),
    ]
    if data.labels is not None:
        cells.append(" ".join(f"{label_agreement(found.codes, data.labels, depth):.3f}" for depth in (1, 2, 3)))
    return [*cells, f"{seconds:.0f} s"]


def table(data: Data, peers: dict[str, Peer], seed: int) -> None:
    label = ["NMI with labels, depth 1 2 3"] if data.labels is not None else []
    head = ["quantizer", "error in-sample / held-out", "duplicates in-sample / all", "new items colliding"]
    head += ["perplexity per level", "codes used per level"]
    head += ["recall by prefix all / held-out", "recall by decoded vector all / held-out", *label, "time"]
    print(f"\n### {data.name}: {len(data.vectors):,} x {data.vectors.shape[1]:,}\n")
    print("| " + " | ".join(head) + " |\n|" + "---|" * len(head), flush=True)
    for name, peer in peers.items():
        if len(data.vectors) > LARGE and name.startswith(("semantic-id", "LC-Rec")):
            print(f"benchmark: {name} is left out of {data.name}: it takes hours", file=sys.stderr)
            continue
        print(f"benchmark: {data.name}, {name}", file=sys.stderr)
        print("| " + " | ".join(row(data, name, peer, seed)) + " |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("catalex", type=Path, help="the built binary")
    parser.add_argument("--cache", type=Path, required=True, help="folder of encoded vectors")
    parser.add_argument("--products", type=Path, help="a JSON Lines catalog of products")
    parser.add_argument("--sets", default="emoji,products,wordnet", help="which of the data sets")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(THREADS)
    faiss.omp_set_num_threads(THREADS)
    models = Path(os.environ["CATALEX_MODELS"])
    options.cache.mkdir(parents=True, exist_ok=True)
    peers = {
        "catalex": catalex(options.catalex, []),
        "catalex, no refinement": catalex(options.catalex, ["--refine-iterations", "0", "--epochs", "0"]),
        "RQ-KMeans, greedy": rq_kmeans,
        "FAISS, beam 1": faiss_residual(beam=1, refined=False),
        "FAISS, beam 5": faiss_residual(beam=5, refined=False),
        "FAISS, beam 5, refined": faiss_residual(beam=5, refined=True),
        "vector-quantize-pytorch": residual_vq,
        # The slow ones last.
        "semantic-id RQKMeans": semantic_id_package,
        "semantic-id RQVAE": semantic_id_rq_vae,
        f"LC-Rec's recipe, {LC_REC_EPOCHS} of its 10,000 epochs": catalex(
            options.catalex, ["--recipe", "lc-rec", "--epochs", str(LC_REC_EPOCHS)]
        ),
    }
    for name in options.sets.split(","):
        if name == "emoji":
            table(emoji(options.catalex, models, options.cache), peers, options.seed)
        elif name == "products" and options.products:
            table(products(options.catalex, models, options.cache, options.products), peers, options.seed)
        elif name == "wordnet" and WORDNET.is_file():
            table(wordnet(options.catalex, models, options.cache), peers, options.seed)
        else:
            print(f"benchmark: SKIPPED {name}: its data is not here", file=sys.stderr)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"\nseed {options.seed}, {THREADS} threads, {memory:.1f} GB at most in this process", flush=True)


if __name__ == "__main__":
    main()
