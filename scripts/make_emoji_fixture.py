#!/usr/bin/env python3
"""Make `fixtures/emoji`: the 1,852 emoji that have both a text and a picture.

Text (label, tags, group, subgroup) comes from npm `emojibase-data`, pictures from npm `@lobehub/fluent-emoji-3d`; both
are MIT and both are fetched with `npm pack` at a pinned version and sha256. The two are matched on the emoji's code
points, leaving aside the variation selector U+FE0F, which the two packages place differently.

Run once, by hand, with Pillow 13.0.0 and pyarrow 26.0.1; the same versions give the same bytes:

    python scripts/make_emoji_fixture.py
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

TEXT_PACKAGE = "emojibase-data@17.0.0"
TEXT_SHA256 = "d01d0e2ca4e22cb402679532155342c71e2e871f25c32223c013b8b166ebdf5a"
PICTURE_PACKAGE = "@lobehub/fluent-emoji-3d@1.1.0"
PICTURE_SHA256 = "c1bb7eee7de090205a232518a9ab4adb3df458bfbe8a1f78232991194c8b2e58"

SIDE = 48
COLOURS = 256
EXPECTED_ITEMS = 1852

FLUENT_LICENSE = """\
The pictures are Microsoft's Fluent Emoji (3D), as packaged by LobeHub in npm `@lobehub/fluent-emoji-3d` 1.1.0.
Both are under the MIT License; they were scaled to 48 x 48 pixels and reduced to 256 colours.

MIT License

Copyright (c) Microsoft Corporation.
Copyright (c) 2023 LobeHub

Permission is hereby granted, free of charge, to any person obtaining a copy
of this software and associated documentation files (the "Software"), to deal
in the Software without restriction, including without limitation the rights
to use, copy, modify, merge, publish, distribute, sublicense, and/or sell
copies of the Software, and to permit persons to whom the Software is
furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all
copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR
IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY,
FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE
AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER
LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM,
OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE
SOFTWARE.
"""


def fetch(package: str, sha256: str, folder: Path) -> dict[str, bytes]:
    """`npm pack` one package and give its files by path, after checking the archive against its pin."""
    packed = subprocess.run(
        ["npm", "pack", "--silent", package], cwd=folder, check=True, capture_output=True, text=True
    )
    archive = folder / packed.stdout.strip().splitlines()[-1]
    got = hashlib.sha256(archive.read_bytes()).hexdigest()
    if got != sha256:
        sys.exit(f"{package}: sha256 {got}, expected {sha256}: the package changed; check it before moving the pin")
    files = {}
    with tarfile.open(archive) as tar:
        for member in tar:
            stream = tar.extractfile(member)
            if stream is not None:
                files[member.name.removeprefix("package/")] = stream.read()
    return files


def key(code_points: str) -> str:
    """The form in which both packages name an emoji alike."""
    return code_points.lower().replace("-fe0f", "")


def shrink(picture: bytes) -> bytes:
    """A 256 px WebP as a small palette PNG with alpha."""
    image = Image.open(io.BytesIO(picture)).convert("RGBA")
    image = image.resize((SIDE, SIDE), Image.Resampling.LANCZOS)
    image = image.quantize(COLOURS, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    out = io.BytesIO()
    image.save(out, "PNG", optimize=True)
    return out.getvalue()


def items(text: dict[str, bytes], pictures: dict[str, bytes]) -> list[tuple[dict[str, Any], bytes]]:
    """Catalog rows in Unicode's emoji order, each with its picture."""
    names = json.loads(text["meta/groups.json"])
    by_key: dict[str, str] = {}
    for path in sorted(pictures):
        if path.startswith("assets/") and path.endswith(".webp"):
            by_key.setdefault(key(Path(path).stem), path)
    rows = []
    for emoji in json.loads(text["en/data.json"]):
        picture = by_key.get(key(emoji["hexcode"]))
        if picture is None or "group" not in emoji:
            continue
        row = {
            "id": emoji["hexcode"],
            "label": emoji["label"],
            "tags": list(emoji["tags"]),
            "group": names["groups"][str(emoji["group"])],
            "subgroup": names["subgroups"][str(emoji["subgroup"])],
            "image": f"images/{emoji['hexcode']}.png",
        }
        rows.append((emoji["order"], row, pictures[picture]))
    rows.sort(key=lambda entry: entry[0])
    return [(row, picture) for _, row, picture in rows]


def write(out: Path, rows: list[tuple[dict[str, Any], bytes]]) -> None:
    images = out / "images"
    shutil.rmtree(images, ignore_errors=True)
    images.mkdir(parents=True)
    for row, picture in rows:
        (out / row["image"]).write_bytes(shrink(picture))
    schema = pa.schema(
        [pa.field(name, pa.string(), nullable=False) for name in ("id", "label")]
        + [pa.field("tags", pa.list_(pa.field("item", pa.string(), nullable=False)), nullable=False)]
        + [pa.field(name, pa.string(), nullable=False) for name in ("group", "subgroup", "image")]
    )
    table = pa.Table.from_pylist([row for row, _ in rows], schema=schema)
    pq.write_table(table, out / "catalog.parquet", compression="zstd", compression_level=19)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parent.parent / "fixtures" / "emoji")
    out: Path = parser.parse_args().out
    with tempfile.TemporaryDirectory() as folder:
        text = fetch(TEXT_PACKAGE, TEXT_SHA256, Path(folder))
        pictures = fetch(PICTURE_PACKAGE, PICTURE_SHA256, Path(folder))
    rows = items(text, pictures)
    if len(rows) != EXPECTED_ITEMS or len({row["id"] for row, _ in rows}) != EXPECTED_ITEMS:
        sys.exit(f"matched {len(rows)} emoji, expected {EXPECTED_ITEMS} distinct ones: the match by code points broke")
    write(out, rows)
    (out / "LICENSE-emojibase").write_bytes(text["LICENSE"])
    (out / "LICENSE-fluent-emoji").write_text(FLUENT_LICENSE, encoding="utf-8")
    size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    print(f"{len(rows)} items, {size / 1e6:.2f} MB in {out}", file=sys.stderr)


if __name__ == "__main__":
    main()
