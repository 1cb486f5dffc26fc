"""What codes take in an ONNX file."""

from collections.abc import Iterator
from pathlib import Path

import onnx

from nlpcompress.export.load import load_graph

CODES = {
    "MatMulNBits": (1, 2, 3),
    "GatherBlockQuantized": (0, 2, 3),
    "DequantizeLinear": (0, 1, 2),
    "MatMulInteger": (1, 3),
}
"""Operator → which of its inputs are codes, scales and zero points."""
ON_THE_WAY = ("Cast", "Reshape")
SCALES = ".scales"
"""How the scales of `MatMulInteger` end, which a product behind it reads."""


def code_bytes(path: str | Path) -> int:
    """Bytes of codes, scales and zero points in a file of `export_onnx(…, weights="codes")`.

    Raises `FormatError` when it is no readable ONNX file.
    """
    graph = load_graph(path).graph
    read = set(_read(graph))
    tensors = (t for t in graph.initializer if t.name in read or t.name.endswith(SCALES))
    return sum(len(tensor.raw_data) for tensor in tensors)


def _read(graph: onnx.GraphProto) -> Iterator[str]:
    sources = {
        output: node.input[0]
        for node in graph.node
        if node.op_type in ON_THE_WAY
        for output in node.output
    }
    for node in graph.node:
        for place in CODES.get(node.op_type, ()):
            if place < len(node.input):
                name = node.input[place]
                yield sources.get(name, name)
