#!/usr/bin/env python3
"""Write all-MiniLM-L6-v2 as a float32 ONNX file from its `model.safetensors`; standard library only.

The graph is BERT as `transformers` computes it (embeddings, post-norm layers, GELU by erf, padding masked with the
lowest float), built operator by operator; sizes come from `config.json`. Batch and length are free.

    inputs   input_ids, attention_mask, token_type_ids: int64 (batch, length)
    output   last_hidden_state: float32 (batch, length, hidden)

Pooling stays with the reader, as `1_Pooling/config.json` declares it. Weights are copied byte for byte: a linear
layer's matrix lies transposed in the file, as PyTorch stores it, under a Transpose that ONNX Runtime folds at load.

    python -m catalex_cli.export_minilm FOLDER_WITH_SAFETENSORS model.onnx
"""

from __future__ import annotations

import argparse
import json
import struct
import sys
from pathlib import Path
from typing import Any

from .onnx_writer import FLOAT, INT64, Graph

LOWEST_FLOAT = -3.4028234663852886e38


class Weights:
    """A `.safetensors` file: 8 bytes of header length, a JSON header, the raw tensors."""

    def __init__(self, path: Path) -> None:
        data = path.read_bytes()
        (length,) = struct.unpack("<Q", data[:8])
        self._header: dict[str, Any] = json.loads(data[8 : 8 + length])
        self._data = memoryview(data)[8 + length :]

    def add(self, graph: Graph, name: str) -> str:
        entry = self._header[name]
        if entry["dtype"] != "F32":
            raise ValueError(f"weight {name!r} is {entry['dtype']}, expected F32")
        start, end = entry["data_offsets"]
        return graph.tensor(name, FLOAT, entry["shape"], bytes(self._data[start:end]))


class Bert:
    """Adds the parts of one BERT encoder to a graph."""

    def __init__(self, graph: Graph, weights: Weights, config: dict[str, Any]) -> None:
        self.graph = graph
        self.weights = weights
        self.heads = int(config["num_attention_heads"])
        self.hidden = int(config["hidden_size"])
        self.epsilon = float(config["layer_norm_eps"])
        size = self.hidden // self.heads
        self.split = graph.ints("split_heads", [0, 0, self.heads, size])
        self.merge = graph.ints("merge_heads", [0, 0, self.hidden])
        self.score_scale = graph.floats("score_scale", [1], [size**0.5])
        self.sqrt_two = graph.floats("sqrt_two", [1], [2**0.5])
        self.one = graph.floats("one", [1], [1.0])
        self.half = graph.floats("half", [1], [0.5])

    def linear(self, x: str, name: str) -> str:
        weight = self.weights.add(self.graph, f"{name}.weight")
        weight = self.graph.node("Transpose", [weight], name=f"{name}.weight_t", perm=[1, 0])
        product = self.graph.node("MatMul", [x, weight], name=f"{name}.product")
        return self.graph.node("Add", [product, self.weights.add(self.graph, f"{name}.bias")], name=f"{name}.out")

    def norm(self, x: str, name: str, out: str | None = None) -> str:
        scale = self.weights.add(self.graph, f"{name}.weight")
        shift = self.weights.add(self.graph, f"{name}.bias")
        return self.graph.node(
            "LayerNormalization", [x, scale, shift], name=out or f"{name}.out", axis=-1, epsilon=self.epsilon
        )

    def gelu(self, x: str, name: str) -> str:
        """x * (1 + erf(x / sqrt 2)) / 2, in the order of operators that ONNX Runtime fuses into one."""
        node = self.graph.node
        erf = node("Erf", [node("Div", [x, self.sqrt_two], name=f"{name}.div")], name=f"{name}.erf")
        product = node("Mul", [x, node("Add", [erf, self.one], name=f"{name}.add")], name=f"{name}.mul")
        return node("Mul", [product, self.half], name=f"{name}.gelu")

    def embeddings(self, input_ids: str, token_type_ids: str) -> str:
        node, ints = self.graph.node, self.graph.ints
        words = node(
            "Gather", [self.weights.add(self.graph, "embeddings.word_embeddings.weight"), input_ids], name="words"
        )
        kinds = self.weights.add(self.graph, "embeddings.token_type_embeddings.weight")
        kinds = node("Gather", [kinds, token_type_ids], name="kinds")
        length = node("Shape", [input_ids], name="length", start=1, end=2)
        places = self.weights.add(self.graph, "embeddings.position_embeddings.weight")
        places = node("Slice", [places, ints("zero", [0]), length], name="places")
        total = node("Add", [node("Add", [words, kinds], name="words_kinds"), places], name="embedded")
        return self.norm(total, "embeddings.LayerNorm")

    def mask(self, attention_mask: str) -> str:
        """0 where a token is, the lowest float where padding is; shape (batch, 1, 1, length)."""
        node = self.graph.node
        wide = node("Unsqueeze", [attention_mask, self.graph.ints("mask_axes", [1, 2])], name="mask.wide")
        kept = node("Cast", [wide], name="mask.float", to=FLOAT)
        away = node("Sub", [self.one, kept], name="mask.away")
        return node("Mul", [away, self.graph.floats("lowest", [1], [LOWEST_FLOAT])], name="mask.bias")

    def attention(self, x: str, mask: str, layer: str) -> str:
        node = self.graph.node

        def heads(part: str, perm: list[int]) -> str:
            name = f"{layer}.attention.self.{part}"
            rows = node("Reshape", [self.linear(x, name), self.split], name=f"{name}.split")
            return node("Transpose", [rows], name=f"{name}.heads", perm=perm)

        query, key, value = heads("query", [0, 2, 1, 3]), heads("key", [0, 2, 3, 1]), heads("value", [0, 2, 1, 3])
        scores = node("MatMul", [query, key], name=f"{layer}.scores")
        scores = node("Div", [scores, self.score_scale], name=f"{layer}.scaled")
        scores = node("Add", [scores, mask], name=f"{layer}.masked")
        share = node("Softmax", [scores], name=f"{layer}.share", axis=-1)
        mixed = node("MatMul", [share, value], name=f"{layer}.mixed")
        mixed = node("Transpose", [mixed], name=f"{layer}.rows", perm=[0, 2, 1, 3])
        mixed = node("Reshape", [mixed, self.merge], name=f"{layer}.merged")
        return self.linear(mixed, f"{layer}.attention.output.dense")

    def layer(self, x: str, mask: str, index: int, out: str | None) -> str:
        node, name = self.graph.node, f"encoder.layer.{index}"
        attended = node("Add", [self.attention(x, mask, name), x], name=f"{name}.attended")
        attended = self.norm(attended, f"{name}.attention.output.LayerNorm")
        inner = self.gelu(self.linear(attended, f"{name}.intermediate.dense"), f"{name}.intermediate")
        total = node("Add", [self.linear(inner, f"{name}.output.dense"), attended], name=f"{name}.total")
        return self.norm(total, f"{name}.output.LayerNorm", out)


def export(folder: Path) -> bytes:
    """The ONNX file of the BERT encoder whose `config.json` and `model.safetensors` lie in `folder`."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    expected = {"model_type": "bert", "hidden_act": "gelu", "position_embedding_type": "absolute"}
    for key, value in expected.items():
        if config.get(key) != value:
            raise ValueError(f"config.json has {key} = {config.get(key)!r}, this exporter knows {value!r} only")
    graph = Graph("bert")
    sizes = ["batch", "length"]
    input_ids, attention_mask, token_type_ids = (
        graph.input(name, INT64, sizes) for name in ("input_ids", "attention_mask", "token_type_ids")
    )
    bert = Bert(graph, Weights(folder / "model.safetensors"), config)
    x, mask = bert.embeddings(input_ids, token_type_ids), bert.mask(attention_mask)
    layers = int(config["num_hidden_layers"])
    for index in range(layers):
        x = bert.layer(x, mask, index, "last_hidden_state" if index == layers - 1 else None)
    graph.output("last_hidden_state", FLOAT, [*sizes, bert.hidden])
    return graph.model(producer="catalex scripts/export_minilm.py")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="holds config.json and model.safetensors")
    parser.add_argument("out", type=Path, help="the ONNX file to write")
    arguments = parser.parse_args()
    data = export(arguments.folder)
    arguments.out.write_bytes(data)
    print(f"{len(data) / 1e6:.1f} MB in {arguments.out}", file=sys.stderr)


if __name__ == "__main__":
    main()
