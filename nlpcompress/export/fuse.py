"""Attention as one operator of ONNX Runtime's, found by onnxscript's rules."""

from typing import Any

import numpy as np
import onnx_ir as ir
from onnx_ir.passes import Sequential
from onnx_ir.passes.common import (
    InlinePass,
    RemoveUnusedNodesPass,
    RemoveUnusedOpsetsPass,
    ShapeInferencePass,
)
from onnxscript.rewriter.ort_fusions.mha import fuse_mha1, fuse_mha2
from onnxscript.rewriter.ort_fusions.sdpa import fuse_sdpa
from onnxscript.rewriter.ort_fusions.sdpa_via_mha import replace_sdpa_by_mha
from onnxscript.rewriter.ort_fusions.shape_optimization import rules as shape_rules

from nlpcompress.export.graph import constant

OPERATOR = "MultiHeadAttention"


def fuse_attention(model: ir.Model) -> int:
    """Write attention as `com.microsoft.MultiHeadAttention`, in place; return how many there are.

    The exporter spells each with some twenty operators that slice, turn, scale and mask. Layers may
    have different numbers of heads; attention that the rules do not know stays as it was.

    Differs from onnxscript's `optimize_for_ort`: products stay apart from the operator (its
    `Attention` takes them in, and is slow in 8 bits), and so do residual sums and layer norms.
    """
    ShapeInferencePass()(model)
    _join_heads_first(model.graph)
    shape_rules.apply_to_model(model)
    fuse_sdpa(model, apply_shape_inference=True)
    for fuse in (fuse_mha1, fuse_mha2, replace_sdpa_by_mha):
        fuse(model)
    Sequential(InlinePass(), RemoveUnusedNodesPass(), RemoveUnusedOpsetsPass())(model)
    return sum(node.op_type == OPERATOR for node in model.graph)


def _join_heads_first(graph: Any) -> None:
    """Have `(batch, length, heads, size)` become a matrix in two steps, by three dimensions.

    The rules take any `Reshape` of what attention gives for one to three dimensions.
    """
    for node in list(graph):
        if node.op_type != "Reshape" or (_rank(node.inputs[0]), _rank(node.outputs[0])) != (4, 2):
            continue
        joined = ir.node("Reshape", [node.inputs[0], _kept_and_joined(graph)])
        joined.outputs[0].type = node.inputs[0].type
        graph.insert_before(node, joined)
        node.replace_input_with(0, joined.outputs[0])


def _rank(value: Any) -> int | None:
    return None if value is None or value.shape is None else len(value.shape)


def _kept_and_joined(graph: Any) -> Any:
    """The shape that keeps two dimensions and joins the others."""
    name = "nlpcompress.joined_heads"
    if name not in graph.initializers:
        graph.initializers[name] = constant(name, np.array([0, 0, -1]), ir.DataType.INT64)
    return graph.initializers[name]
