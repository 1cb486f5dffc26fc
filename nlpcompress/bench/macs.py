"""Multiply-accumulates of a traced graph, by PyTorch's own formulas."""

from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensor
from torch.export import ExportedProgram
from torch.utils import flop_counter

ATTENTION_ON_CPU = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu


def count_macs(program: ExportedProgram) -> int:
    """Multiply-accumulates of matrix products, convolutions and attention's two products.

    One is two of the floating-point operations that `torch.utils.flop_counter` counts; norms,
    softmax and element-wise operations count nothing. The graph is run on shapes alone.
    """
    values = [node.meta["val"] for node in program.graph.nodes if node.op == "placeholder"]
    shapes_only = next(value.fake_mode for value in values if isinstance(value, FakeTensor))
    counter = flop_counter.FlopCounterMode(
        display=False, custom_mapping={ATTENTION_ON_CPU: _attention}
    )
    with shapes_only, counter, torch.no_grad():
        torch.fx.Interpreter(program.graph_module).run(*values)
    return counter.get_total_flops() // 2


def _attention(query: Any, key: Any, value: Any, *_: Any, out_shape: Any = None, **__: Any) -> int:
    """PyTorch has formulas for attention on GPUs only; the signature is its protocol's."""
    return flop_counter.sdpa_flop_count(query, key, value)
