"""Small rewrites of an exported graph that leave its results as they are."""

import re
from collections.abc import Mapping
from typing import Any


def spell_residuals_as_sums(graph: Any) -> int:
    """Write `Add → LayerNormalization` as `Sum → LayerNormalization`; return how many.

    ONNX Runtime fuses the former into `SkipLayerNormalization`, whose CPU kernel is many times
    slower than the two it replaces (1.2 ms against 0.25 ms for 512 × 384 floats, onnxruntime 1.32,
    AVX2). `Sum` is the same standard operator for two inputs, and is left alone.
    """
    rewritten = 0
    for node in graph:
        if node.op_type == "LayerNormalization":
            producer = node.inputs[0].producer()
            if producer is not None and producer.op_type == "Add":
                producer.op_type = "Sum"
                rewritten += 1
    return rewritten


def name_dimensions(graph: Any, free: Mapping[str, Mapping[int, str]]) -> None:
    """Call the free dimensions by their names (`batch`, `length`) wherever the graph has them."""
    names = {
        str(value.shape[dimension]): name
        for value in graph.inputs
        for dimension, name in free.get(value.name, {}).items()
    }
    word = re.compile(r"\b(" + "|".join(map(re.escape, names)) + r")\b")
    for value in _values(graph):
        for position, size in enumerate(value.shape or ()):
            if not isinstance(size, int) and word.search(str(size)):
                value.shape[position] = word.sub(lambda m: names[m[0]], str(size))


def _values(graph: Any) -> list[Any]:
    return [*graph.inputs, *(output for node in graph for output in node.outputs)]
