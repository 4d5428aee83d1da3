"""Compares the complete `catalex embed` command with a Python loop over the same ONNX Runtime, models and threads.

The loop tokenizes texts with the tokenizers library, sorts them by length and encodes them in batches. It opens,
resizes and crops images with Pillow, and encodes them in batches. Both are timed from start to exit, in alternation.

    python python/benchmarks/embedding.py target/release/catalex --texts products.jsonl --fields title,description

CATALEX_MODELS is the models folder of the set-up. The images are the repository's emoji.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
EMOJI, MOBILENET = ROOT / "fixtures" / "emoji", ROOT / "fixtures" / "mobilenet_v2"
TEXTS, PICTURES, BATCH = 2_000, 1_000, 32


def session(folder: Path, threads: int):  # type: ignore[no-untyped-def]
    import onnxruntime  # noqa: PLC0415  only the loop's process needs it

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(folder / "model.onnx", options, providers=["CPUExecutionProvider"])


def loop_texts(catalog: Path, fields: list[str], folder: Path, out: Path, threads: int) -> None:
    """Mean-pooled and normalised vectors, as MiniLM's folder specifies."""
    import numpy as np  # noqa: PLC0415
    from tokenizers import Tokenizer  # noqa: PLC0415

    items = [json.loads(line) for line in catalog.read_text(encoding="utf-8").splitlines()]
    texts = [" ".join(item[field] for field in fields if item[field]) for item in items]
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_truncation(256)
    tokenizer.no_padding()
    encodings = tokenizer.encode_batch(texts)
    order = np.argsort([-len(encoding.ids) for encoding in encodings], kind="stable")
    model = session(folder, threads)
    vectors = np.zeros((len(texts), 384), np.float32)
    for rows in np.split(order, range(BATCH, len(order), BATCH)):
        longest = max(len(encodings[row].ids) for row in rows)
        ids, mask = np.zeros((len(rows), longest), np.int64), np.zeros((len(rows), longest), np.int64)
        for at, row in enumerate(rows):
            ids[at, : len(encodings[row].ids)] = encodings[row].ids
            mask[at, : len(encodings[row].ids)] = 1
        inputs = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        wanted = [value.name for value in model.get_inputs()]
        (hidden,) = model.run(["last_hidden_state"], {name: inputs[name] for name in wanted})
        pooled = (hidden * mask[..., None]).sum(axis=1) / mask.sum(axis=1, keepdims=True)
        vectors[rows] = pooled / np.linalg.norm(pooled, axis=1, keepdims=True)
    np.save(out, vectors)


def loop_pictures(catalog: Path, folder: Path, out: Path, threads: int) -> None:
    import numpy as np  # noqa: PLC0415
    from PIL import Image  # noqa: PLC0415

    paths = [json.loads(line)["image"] for line in catalog.read_text(encoding="utf-8").splitlines()]
    model = session(folder, threads)
    name = model.get_inputs()[0].name
    mean, std = np.array([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]], np.float32)
    vectors = []
    for start in range(0, len(paths), BATCH):
        batch = []
        for path in paths[start : start + BATCH]:
            with Image.open(path) as opened:
                picture = Image.new("RGBA", opened.size, "white")
                picture.alpha_composite(opened.convert("RGBA"))
            scale = 256 / min(picture.size)
            size = (round(picture.width * scale), round(picture.height * scale))
            resized = picture.convert("RGB").resize(size, Image.Resampling.BILINEAR)
            left, top = (size[0] - 224) // 2, (size[1] - 224) // 2
            pixels = np.asarray(resized.crop((left, top, left + 224, top + 224)), np.float32) / 255
            batch.append(((pixels - mean) / std).transpose(2, 0, 1))
        vectors.append(model.run(None, {name: np.stack(batch)})[0].reshape(len(batch), -1))
    np.save(out, np.concatenate(vectors))


def plain(value: str | list[str]) -> str:
    return value if isinstance(value, str) else " ".join(value)


def timed(command: list[str | Path]) -> float:
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - started


def compare(what: str, items: int, ours: list[str | Path], loop: list[str | Path], rounds: int) -> None:
    """The loop's time divided by that of `catalex embed`, per round. Above 1, `catalex embed` is faster."""
    times = [(timed(ours), timed(loop)) for _ in range(rounds)]
    ratios = sorted(theirs / own for own, theirs in times)
    rates = " and ".join(f"{items / min(side):.0f}" for side in zip(*times, strict=True))
    median = statistics.median(ratios)
    print(f"{what}: {median:.2f} times the loop's throughput ({ratios[0]:.2f} to {ratios[-1]:.2f}; {rates} a second)")


def cosines(ours: Path, theirs: Path, column: str) -> None:
    """Both must have done the same work."""
    import numpy as np  # noqa: PLC0415
    import pyarrow.parquet as pq  # noqa: PLC0415

    a, b = np.array(pq.read_table(ours)[column].to_pylist()), np.load(theirs)
    cosine = (a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    print(f"  cosine of the two, item by item: {cosine.min():.4f} at least, {cosine.mean():.5f} on average")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary", type=Path)
    parser.add_argument("--texts", type=Path, required=True, help="JSON Lines of real texts")
    parser.add_argument("--fields", default="title,description", help="its columns")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--loop", nargs=2, metavar=("WHAT", "CATALOG"), help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    minilm, fields = Path(os.environ["CATALEX_MODELS"]) / "minilm", options.fields.split(",")
    if options.loop:
        what, catalog = options.loop[0], Path(options.loop[1])
        if what == "texts":
            loop_texts(catalog, fields, minilm, options.out, options.threads)
        else:
            loop_pictures(catalog, MOBILENET, options.out, options.threads)
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        lines = options.texts.read_text(encoding="utf-8").splitlines()
        items = [item for item in map(json.loads, lines) if any(item[field] for field in fields)]
        step = len(items) // TEXTS
        texts = [{"id": n, **{f: plain(item[f]) for f in fields}} for n, item in enumerate(items[::step][:TEXTS])]
        pictures = [
            {"id": n, "image": str(path)} for n, path in enumerate(sorted((EMOJI / "images").iterdir())[:PICTURES])
        ]
        for what, rows in (("texts", texts), ("pictures", pictures)):
            catalog = folder / f"{what}.jsonl"
            catalog.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
            ours, theirs = folder / f"{what}.parquet", folder / f"{what}.npy"
            threads = str(options.threads)
            embed: list[str | Path] = [options.binary, "embed", catalog, "--id", "id", "--out", ours, "--force"]
            if what == "texts":
                embed += ["--text", options.fields, "--raw-text", "--text-encoder", minilm]
            else:
                embed += ["--image", "image", "--image-encoder", MOBILENET]
            loop = [sys.executable, __file__, options.binary, "--texts", options.texts, "--fields", options.fields]
            loop += ["--threads", threads, "--loop", what, str(catalog), "--out", theirs]
            compare(f"{len(rows)} {what}", len(rows), [*embed, "--threads", threads], loop, options.rounds)
            cosines(ours, theirs, "text" if what == "texts" else "image")


if __name__ == "__main__":
    main()
