"""Quantizers that make ID sets from the same vectors: catalex with any settings, and peers."""

from __future__ import annotations

import hashlib
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .histories import Rows
from .vectors import Encoder, Matrix, file_hash, fused

LEVELS, CODES = 4, 256
TEXT, BEHAVIOUR = "text", "text+behaviour"
TOKENIZE = ("--collisions", "--max-far")
"""Flags of `catalex tokenize`. Each has a value."""

Peer = Callable[[Matrix, int], Rows]


@dataclass(frozen=True)
class CatalexSet:
    """`catalex train` and `catalex tokenize` with some flags. `embed` are flags of `catalex embed` for behaviour."""

    features: str
    embed: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()


@dataclass(frozen=True)
class PeerSet:
    features: str
    peer: Peer
    weight: float | None = None
    """Of behaviour; that of catalex if absent."""


def parse(text: str) -> tuple[str, CatalexSet]:
    """`NAME=[text|text+behaviour] [EMBED FLAGS --] [TRAIN AND TOKENIZE FLAGS]`; with text and behaviour by default."""
    name, sign, rest = text.partition("=")
    words = shlex.split(rest)
    if not name or not sign:
        raise ValueError(f"expected --set NAME=FLAGS, got {text!r}")
    features = words.pop(0) if words and words[0] in (TEXT, BEHAVIOUR) else BEHAVIOUR
    at = words.index("--") if "--" in words else -1
    return name, CatalexSet(features, tuple(words[: max(0, at)]), tuple(words[at + 1 :]))


def known_sets(lc_rec_epochs: int) -> dict[str, CatalexSet | PeerSet]:
    """The ID sets that are made by default. FAISS takes behaviour with the default weight of catalex, and with 1."""
    lc_rec = ("--recipe", "lc-rec", "--epochs", str(lc_rec_epochs), "--collisions", "lc-rec")
    return {
        "catalex text": CatalexSet(TEXT),
        "catalex text+behaviour": CatalexSet(BEHAVIOUR),
        "FAISS text": PeerSet(TEXT, faiss_residual(refined=False)),
        "FAISS text+behaviour": PeerSet(BEHAVIOUR, faiss_residual(refined=False)),
        "FAISS text+behaviour, weight 1": PeerSet(BEHAVIOUR, faiss_residual(refined=False), 1.0),
        "FAISS refined text": PeerSet(TEXT, faiss_residual(refined=True)),
        "FAISS refined text+behaviour": PeerSet(BEHAVIOUR, faiss_residual(refined=True)),
        "residual k-means text": PeerSet(TEXT, residual_k_means),
        "residual k-means text+behaviour": PeerSet(BEHAVIOUR, residual_k_means),
        "residual k-means text+behaviour, weight 1": PeerSet(BEHAVIOUR, residual_k_means, 1.0),
        "GRID's default text": PeerSet(TEXT, numbered),
        "semantic-id text": PeerSet(TEXT, semantic_id_package),
        "vector-quantize-pytorch text": PeerSet(TEXT, residual_vq),
        f"LC-Rec's recipe text, {lc_rec_epochs} epochs": CatalexSet(TEXT, flags=lc_rec),
    }


def make(name: str, recipe: CatalexSet | PeerSet, encoder: Encoder, seeds: int) -> Rows | None:
    """Codes `(seeds, items, levels)`, kept in the encoder's folder; `None`, with a message, if a package is absent."""
    path = encoder.text() if recipe.features == TEXT else encoder.with_behaviour(getattr(recipe, "embed", ()))
    if isinstance(recipe, CatalexSet):
        about = f"{shlex.join(recipe.flags)} {file_hash(encoder.catalex)}"
    else:
        about = f"{recipe.weight} {getattr(recipe.peer, '__name__', name)}"
    made = []
    for seed in range(seeds):
        digest = hashlib.sha256(f"{path.name} {seed} {about}".encode()).hexdigest()[:16]
        kept = encoder.folder / f"codes-{digest}.npy"
        if not kept.is_file():
            print(f"recommend: {encoder.catalog.name}, {name}, seed {seed}", file=sys.stderr)
            try:
                if isinstance(recipe, CatalexSet):
                    codes = by_catalex(encoder.catalex, path, recipe.flags, seed)
                else:
                    codes = recipe.peer(fused(path, recipe.weight), seed)
            except ModuleNotFoundError as error:
                print(f"recommend: SKIPPED {name}: {error.name} is not installed: python/benchmarks/requirements.txt",
                      file=sys.stderr)  # fmt: skip
                return None
            np.save(kept, codes)
        made.append(np.load(kept))
    if len({codes.shape for codes in made}) > 1:
        widest = max(codes.shape[1] for codes in made)
        made = [np.pad(codes, ((0, 0), (0, widest - codes.shape[1]))) for codes in made]
    return np.stack(made)


def by_catalex(catalex: Path, features: Path, flags: tuple[str, ...], seed: int) -> Rows:
    """Codes of `catalex train` and `catalex tokenize`, in the order of the features."""
    import pyarrow.parquet as pq  # noqa: PLC0415

    of_tokenize = [at for at, flag in enumerate(flags) if flag in TOKENIZE]
    second = [word for at in of_tokenize for word in flags[at : at + 2]]
    first = [word for at, word in enumerate(flags) if at not in of_tokenize and at - 1 not in of_tokenize]
    with tempfile.TemporaryDirectory() as name:
        model, tokens = Path(name) / "model", Path(name) / "tokens.parquet"
        train: list[str | Path] = [catalex, "train", features, "--out", model, "--seed", str(seed), *first]
        tokenize: list[str | Path] = [catalex, "tokenize", features, "--model", model, "--out", tokens, *second]
        for command in (train, tokenize):
            subprocess.run([*command, "--progress", "none"], check=True)
        return np.array(pq.read_table(tokens)["codes"].to_pylist(), np.int64)


def numbered(x: Matrix, seed: int) -> Rows:
    """GRID's default (its README): residual k-means with three levels, and a last level that numbers the items of equal
    codes. GRID trains its k-means by mini-batches; this one reads all items."""
    codes = residual_k_means(x, seed, levels=LEVELS - 1)
    group = np.unique(codes, axis=0, return_inverse=True)[1].reshape(-1)
    order = np.argsort(group, kind="stable")
    first = np.concatenate([[0], np.cumsum(np.bincount(group))])[group]
    number = np.empty(len(codes), np.int64)
    number[order] = np.arange(len(codes)) - first[order]
    return np.column_stack([codes, number])


def residual_k_means(x: Matrix, seed: int, iterations: int = 50, levels: int = LEVELS) -> Rows:
    """Greedy residual k-means: k-means per level from random items. Empty clusters move to the items with the largest
    error."""
    import torch  # noqa: PLC0415  slow to import

    generator, rest, found = torch.Generator().manual_seed(seed), torch.from_numpy(x.copy()), []
    for _ in range(levels):
        centres = rest[torch.randperm(len(rest), generator=generator)[:CODES]].clone()
        for _ in range(iterations):
            error, nearest = torch.cdist(rest, centres).min(1)
            counts = torch.bincount(nearest, minlength=len(centres))
            sums = torch.zeros_like(centres).index_add_(0, nearest, rest)
            moved = torch.where(counts[:, None] > 0, sums / counts.clamp_min(1)[:, None], centres)
            empty = torch.nonzero(counts == 0)[:, 0]
            moved[empty] = rest[error.topk(len(empty)).indices]
            if torch.equal(moved, centres):
                break
            centres = moved
        nearest = torch.cdist(rest, centres).argmin(1)
        rest = rest - centres[nearest]
        found.append(nearest)
    return np.asarray(torch.stack(found, 1).numpy(), np.int64)


def faiss_residual(*, refined: bool) -> Peer:
    """FAISS' ResidualQuantizer: with its default training and beam, or with refined codebooks."""

    def peer(x: Matrix, seed: int) -> Rows:
        import faiss  # noqa: PLC0415  not in the test environment

        quantizer = faiss.ResidualQuantizer(x.shape[1], LEVELS, CODES.bit_length() - 1)
        quantizer.cp.seed = seed
        if refined:
            quantizer.train_type |= faiss.ResidualQuantizer.Train_refine_codebook
        quantizer.train(x)
        return np.array(quantizer.compute_codes(x), np.int64)

    peer.__name__ = f"faiss-{'refined' if refined else 'default'}"
    return peer


def semantic_id_package(x: Matrix, seed: int) -> Rows:
    """PyPI's semantic-id: its RQ-KMeans, with its default settings."""
    from semantic_id import RQKMeans  # noqa: PLC0415

    model = RQKMeans(n_levels=LEVELS, n_clusters=CODES, random_state=seed)
    model.fit(x)
    return np.asarray(model.encode(x), np.int64)


def residual_vq(x: Matrix, seed: int) -> Rows:
    """PyPI's vector-quantize-pytorch: ResidualVQ with k-means start and moving averages, 60 passes."""
    import torch  # noqa: PLC0415
    from vector_quantize_pytorch import ResidualVQ  # noqa: PLC0415

    torch.manual_seed(seed)
    model = ResidualVQ(dim=x.shape[1], num_quantizers=LEVELS, codebook_size=CODES, kmeans_init=True)
    vectors = torch.from_numpy(x)
    model.train()
    with torch.no_grad():
        model(vectors[None])
        for _ in range(60):
            for rows in torch.randperm(len(vectors)).split(2048):
                model(vectors[rows][None])
        model.eval()
        codes = torch.cat([model(block[None])[1][0] for block in vectors.split(8192)])
    return np.asarray(codes.numpy(), np.int64)
