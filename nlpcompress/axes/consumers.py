"""Finding the module whose input a contraction sums over, so that it can be gated there."""

from torch import fx

from nlpcompress.axes.atoms import Dim
from nlpcompress.axes.call import Call, module_of, op_name
from nlpcompress.axes.notes import Consumer

RESHAPES = frozenset(
    {"view", "reshape", "flatten", "_unsafe_view", "contiguous", "to", "transpose"}
)


def consumer(call: Call, summed: Dim, node: fx.Node) -> Consumer:
    """`node` is what is summed, perhaps reshaped inside the module first (as `Conv1D` does)."""
    module = call.module
    while node.op == "call_function" and module_of(node) == module:
        if op_name(node) not in RESHAPES:
            return Consumer(summed, None)
        node = node.all_input_nodes[0]
    return Consumer(summed, module, call.value_of(node).dims)
