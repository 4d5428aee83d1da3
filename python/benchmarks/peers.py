"""The quantizers that are compared: each learns from the training items and then gives every item codes and a decoded
vector. 4 levels of 256 codes throughout."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import faiss
import numpy as np
import torch

from data import Data
from frozen import FrozenModel
from measures import Codes, Matrix

LEVELS, CODES = 4, 256


@dataclass(frozen=True)
class Quantized:
    codes: Codes
    decoded: Matrix


Peer = Callable[[Data, int], Quantized]


def rq_kmeans(data: Data, seed: int) -> Quantized:
    """Residual k-means by FAISS, 50 iterations on all training items, greedy codes."""
    decoded = np.zeros_like(data.vectors)
    codes = np.zeros((len(decoded), LEVELS), np.int64)
    for level in range(LEVELS):
        rest = np.ascontiguousarray(data.vectors - decoded)
        k_means = faiss.Kmeans(
            rest.shape[1], CODES, niter=50, seed=seed + level, max_points_per_centroid=100_000,
            min_points_per_centroid=1,
        )  # fmt: skip
        k_means.train(rest[data.training])
        codes[:, level] = k_means.index.search(rest, 1)[1][:, 0]
        decoded += k_means.centroids[codes[:, level]]
    return Quantized(codes, decoded)


def faiss_residual(*, beam: int, refined: bool) -> Peer:
    """FAISS' ResidualQuantizer; its seed is its own."""

    def peer(data: Data, seed: int) -> Quantized:
        del seed
        quantizer = faiss.ResidualQuantizer(data.vectors.shape[1], LEVELS, 8)
        quantizer.max_beam_size = beam
        if refined:
            quantizer.train_type |= faiss.ResidualQuantizer.Train_refine_codebook
        quantizer.train(data.vectors[data.training])
        codes = quantizer.compute_codes(data.vectors)
        return Quantized(codes.astype(np.int64), quantizer.decode(codes))

    return peer


def semantic_id_package(data: Data, seed: int) -> Quantized:
    """PyPI's semantic-id: its RQ-KMeans, with the settings it comes with."""
    from semantic_id import RQKMeans  # noqa: PLC0415  (slow to import)

    model = RQKMeans(n_levels=LEVELS, n_clusters=CODES, random_state=seed)
    model.fit(data.vectors[data.training])
    codes = np.asarray(model.encode(data.vectors), np.int64)
    return Quantized(codes, np.asarray(model.decode(codes), np.float32))


def semantic_id_rq_vae(data: Data, seed: int) -> Quantized:
    """PyPI's semantic-id: its RQ-VAE, k-means start, 100 epochs, as it comes; on vectors of a mean square of 1 a
    dimension, which its learning rate is made for."""
    from semantic_id import RQVAE  # noqa: PLC0415

    torch.manual_seed(seed)
    np.random.seed(seed)
    model = RQVAE(in_dim=data.vectors.shape[1], num_emb_list=[CODES] * LEVELS, kmeans_init=True, lr=1e-3)
    scale = 1 / np.sqrt((data.vectors**2).mean())
    model.fit(data.vectors[data.training] * scale)
    codes = np.asarray(model.encode(data.vectors * scale), np.int64)
    return Quantized(codes, np.asarray(model.decode(codes), np.float32) / scale)


def residual_vq(data: Data, seed: int) -> Quantized:
    """PyPI's vector-quantize-pytorch: ResidualVQ with k-means start and moving averages, 60 passes."""
    from vector_quantize_pytorch import ResidualVQ  # noqa: PLC0415

    torch.manual_seed(seed)
    model = ResidualVQ(dim=data.vectors.shape[1], num_quantizers=LEVELS, codebook_size=CODES, kmeans_init=True)
    vectors = torch.from_numpy(data.vectors)
    training = vectors[data.training]
    model.train()
    with torch.no_grad():
        model(training[None])
        for _ in range(60):
            for rows in torch.randperm(len(training)).split(2048):
                model(training[rows][None])
        model.eval()
        parts = [model(block[None]) for block in vectors.split(8192)]
    decoded = torch.cat([part[0][0] for part in parts])
    codes = torch.cat([part[1][0] for part in parts])
    return Quantized(codes.numpy().astype(np.int64), decoded.numpy())


def catalex(binary: Path, arguments: list[str]) -> Peer:
    """catalex train on the training items' features; codes as the quantizer gives them."""

    def peer(data: Data, seed: int) -> Quantized:
        with tempfile.TemporaryDirectory() as folder:
            features = data.features(data.training, Path(folder) / "features.parquet")
            model = Path(folder) / "model"
            command: list[str | Path] = [
                binary,
                "train",
                features,
                "--out",
                model,
                "--seed",
                str(seed),
                "--threads",
                "2",
                *arguments,
                *([] if "lc-rec" in arguments else data.weighed()),
            ]
            subprocess.run([*command, "--progress", "none"], check=True)
            frozen = FrozenModel(model)
        raw = np.concatenate(
            [np.array(data.raw[name].to_pylist(), np.float32) for name in data.raw.column_names if name != "item_id"],
            axis=1,
        )
        codes = frozen.codes(raw)
        # Decoded vectors are of the encoders' scale: they are fused as the others' were.
        decoded, at = np.empty_like(data.vectors), 0
        for dim in data.dims:
            part, of = slice(at, at + dim), frozen.decode(codes)[:, at : at + dim]
            mean = raw[:, part].mean(axis=0)
            scale = np.sqrt(((raw[:, part] - mean) ** 2).sum(axis=1).mean())
            decoded[:, part], at = (of - mean) / scale, at + dim
        return Quantized(codes, decoded)

    return peer
