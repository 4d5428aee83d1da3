#!/usr/bin/env python3
"""Make `tests/golden/encoder/formats`: a small image in all common formats, and its pixels as decoded by Pillow.

`NAME.rgb` holds, row for row, the RGB bytes of the picture `NAME.*`: the first frame, upright, alpha laid on white. The
picture is a crop of an existing photograph in the repository. Run once, by hand, with Pillow 13.0.0:

    python scripts/make_picture_goldens.py
"""

from __future__ import annotations

from pathlib import Path

from PIL import Image, ImageOps

GOLDEN = Path(__file__).resolve().parent.parent / "tests" / "golden" / "encoder"
SIZE = (48, 32)


def upright_on_white(picture: Image.Image) -> Image.Image:
    picture = ImageOps.exif_transpose(picture)
    if "A" in picture.getbands() or "transparency" in picture.info:
        layer = picture.convert("RGBA")
        white = Image.new("RGBA", layer.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, layer).convert("RGB")
    return picture.convert("RGB")


def main() -> None:
    out = GOLDEN / "formats"
    out.mkdir(exist_ok=True)
    with Image.open(GOLDEN / "images" / "coffee.jpg") as photograph:
        base = photograph.convert("RGB").resize(SIZE, Image.Resampling.LANCZOS)
    faded = base.copy()
    faded.putalpha(Image.linear_gradient("L").resize(SIZE))
    turned = Image.Exif()
    turned[0x0112] = 8
    flipped = ImageOps.flip(base)
    base.save(out / "plain.png")
    base.save(out / "lossy.webp", quality=90)
    base.save(out / "lossless.webp", lossless=True)
    base.save(out / "bitmap.bmp")
    base.save(out / "packed.tiff", compression="tiff_lzw")
    base.convert("CMYK").save(out / "print.jpg", quality=95)
    base.convert("L").save(out / "grey.jpg", quality=95)
    base.save(out / "turned.jpg", quality=95, exif=turned)
    base.save(out / "progressive.jpg", quality=95, progressive=True)
    base.save(out / "restarts.jpg", quality=95, restart_marker_blocks=3)
    base.convert("P", palette=Image.Palette.ADAPTIVE).save(
        out / "moving.gif", save_all=True, append_images=[flipped.convert("P", palette=Image.Palette.ADAPTIVE)]
    )
    base.convert("P", palette=Image.Palette.ADAPTIVE).save(out / "palette.png")
    faded.convert("LA").save(out / "grey-alpha.png")
    faded.save(out / "alpha.webp", lossless=True)
    for path in sorted(out.iterdir()):
        if path.suffix != ".rgb":
            with Image.open(path) as picture:
                pixels = upright_on_white(picture)
            path.with_suffix(path.suffix + ".rgb").write_bytes(pixels.tobytes())
            print(path.name, pixels.size)


if __name__ == "__main__":
    main()
