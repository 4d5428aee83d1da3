"""Write an ONNX file with the standard library alone.

ONNX is a protobuf schema, and a file of it needs three wire types only: variable-length integers, 32-bit floats and
length-prefixed bytes. This module writes them without the package `onnx`, so downloaded weights can be converted to a
model without installing further packages. Tests check the files with `onnx.checker`.

    graph = Graph("double")
    x = graph.input("x", FLOAT, ["batch", 3])
    two = graph.floats("two", [1], [2.0])
    graph.node("Mul", [x, two], name="y")
    graph.output("y", FLOAT, ["batch", 3])
    Path("double.onnx").write_bytes(graph.model(producer="example"))

Field numbers are those of `onnx.proto` (IR version 8, operator set 17: what ONNX Runtime 1.13 and later reads).
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

FLOAT, INT64, FLOAT16 = 1, 7, 10
IR_VERSION = 8
OPSET = 17

Attribute = int | float | str | Sequence[int]


def _varint(value: int) -> bytes:
    value &= (1 << 64) - 1  # negative integers are written as 64-bit two's complement
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _int(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _float(field: int, value: float) -> bytes:
    return _varint(field << 3 | 5) + struct.pack("<f", value)


def _bytes(field: int, value: bytes | str) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    return _varint(field << 3 | 2) + _varint(len(data)) + data


def _attribute(name: str, value: Attribute) -> bytes:
    kinds = {"float": 1, "int": 2, "str": 3}
    out = _bytes(1, name)
    if isinstance(value, float):
        return out + _float(2, value) + _int(20, kinds["float"])
    if isinstance(value, int):
        return out + _int(3, value) + _int(20, kinds["int"])
    if isinstance(value, str):
        return out + _bytes(4, value) + _int(20, kinds["str"])
    return out + b"".join(_int(8, item) for item in value) + _int(20, 7)


def _value_info(name: str, element: int, shape: Sequence[int | str]) -> bytes:
    """An input or output: its name, element type, and sizes (a string is the name of a size known at run time)."""
    dims = b"".join(_bytes(1, _int(1, size) if isinstance(size, int) else _bytes(2, size)) for size in shape)
    tensor = _int(1, element) + _bytes(2, dims)
    return _bytes(1, name) + _bytes(2, _bytes(1, tensor))


class Graph:
    """A graph under construction. Every method gives back the name of the value it adds."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._nodes: list[bytes] = []
        self._tensors: list[bytes] = []
        self._inputs: list[bytes] = []
        self._outputs: list[bytes] = []
        self._used: set[str] = set()

    def _claim(self, name: str) -> str:
        if name in self._used:
            raise ValueError(f"two values of the graph are named {name!r}")
        self._used.add(name)
        return name

    def input(self, name: str, element: int, shape: Sequence[int | str]) -> str:
        self._inputs.append(_value_info(name, element, shape))
        return self._claim(name)

    def output(self, name: str, element: int, shape: Sequence[int | str]) -> None:
        self._outputs.append(_value_info(name, element, shape))

    def tensor(self, name: str, element: int, shape: Sequence[int], raw: bytes) -> str:
        """A constant from its little-endian bytes in row-major order."""
        width = {FLOAT: 4, INT64: 8, FLOAT16: 2}[element]
        count = 1
        for size in shape:
            count *= size
        if len(raw) != width * count:
            raise ValueError(f"tensor {name!r}: {len(raw)} bytes, expected {width * count} for shape {list(shape)}")
        dims = b"".join(_int(1, size) for size in shape)
        self._tensors.append(dims + _int(2, element) + _bytes(8, name) + _bytes(9, raw))
        return self._claim(name)

    def floats(self, name: str, shape: Sequence[int], values: Sequence[float]) -> str:
        return self.tensor(name, FLOAT, shape, struct.pack(f"<{len(values)}f", *values))

    def ints(self, name: str, values: Sequence[int]) -> str:
        """A one-dimensional constant of 64-bit integers."""
        return self.tensor(name, INT64, [len(values)], struct.pack(f"<{len(values)}q", *values))

    def node(self, operator: str, inputs: Sequence[str], *, name: str, **attributes: Attribute) -> str:
        """An operator with one output, which takes the node's name."""
        body = b"".join(_bytes(1, value) for value in inputs) + _bytes(2, name) + _bytes(3, name) + _bytes(4, operator)
        body += b"".join(_bytes(5, _attribute(key, value)) for key, value in attributes.items())
        self._nodes.append(body)
        return self._claim(name)

    def model(self, producer: str) -> bytes:
        """The finished file."""
        graph = b"".join(
            [
                *(_bytes(1, node) for node in self._nodes),
                _bytes(2, self._name),
                *(_bytes(5, tensor) for tensor in self._tensors),
                *(_bytes(11, value) for value in self._inputs),
                *(_bytes(12, value) for value in self._outputs),
            ]
        )
        opset = _bytes(1, "") + _int(2, OPSET)
        return _int(1, IR_VERSION) + _bytes(2, producer) + _bytes(7, graph) + _bytes(8, opset)
