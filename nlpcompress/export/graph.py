"""Small rewrites of an exported graph that leave its results as they are."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

SCALES = {"MatMulNBits": 2, "GatherBlockQuantized": 2, "DequantizeLinear": 1}
"""Operator → which of its inputs are the scales of codes."""


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


def turn_weights(graph: Any) -> int:
    """Write `Transpose(weight)` as the turned weight, and return how many weights were turned.

    The exporter turns the weights that one product reads, and leaves those that several do, such as
    shared layers'; quantization does not find products behind a `Transpose`. A weight that is also
    read as it lies (a table of tokens, tied to a decoder) is left alone: turned it would be two.
    """
    turned = 0
    for weight in list(graph.initializers.values()):
        users = [node for node in weight.consumers() if _turns(node)]
        axes = {tuple(node.attributes["perm"].as_ints()) for node in users}
        fixed = not (weight.is_graph_input() or weight.is_graph_output())
        if not fixed or len(users) < len(weight.uses()) or len(axes) != 1:
            continue
        value = _turned(weight, *axes)
        graph.initializers[value.name] = value
        for node in users:
            node.outputs[0].replace_all_uses_with(value)
            graph.remove(node, safe=True)
        del graph.initializers[weight.name]
        turned += 1
    return turned


def _turns(node: Any) -> bool:
    return node.op_type == "Transpose" and "perm" in node.attributes


def _turned(weight: Any, axes: Sequence[int]) -> Any:
    values = np.ascontiguousarray(weight.const_value.numpy().transpose(axes))
    return constant(f"{weight.name}_turned", values, weight.dtype)


def constant(name: str, values: Any, dtype: ir.DataType) -> Any:
    """A value of the graph that is known beforehand; the caller enters it as an initializer."""
    return ir.Value(
        name=name,
        shape=ir.Shape(values.shape),
        type=ir.TensorType(dtype),
        const_value=ir.tensor(values, name=name),
    )


def store_scales_as_halves(graph: Any) -> int:
    """Write scales of codes that are float16 numbers as such, and return how many tensors.

    Operators want them as float32: ONNX Runtime casts them once, when it opens the file.
    """
    stored = 0
    for node in list(graph):
        scales = node.inputs[SCALES[node.op_type]] if node.op_type in SCALES else None
        if scales is None or scales.const_value is None:
            continue
        values = scales.const_value.numpy()
        halves = values.astype(np.float16)
        if values.dtype == np.float32 and np.array_equal(halves, values):
            half = constant(f"{scales.name}_half", halves, ir.DataType.FLOAT16)
            cast = ir.node("Cast", [half], {"to": ir.DataType.FLOAT})
            cast.outputs[0].type, cast.outputs[0].shape = scales.type, scales.shape
            graph.initializers[half.name] = half
            graph.insert_before(graph[0], cast)
            scales.replace_all_uses_with(cast.outputs[0])
            del graph.initializers[scales.name]
            stored += 1
    return stored


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
