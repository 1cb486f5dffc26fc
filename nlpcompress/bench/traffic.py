"""The bytes that one pass moves, and an estimate of the energy it takes."""

import math

from torch._ops import OpOverload
from torch.export import ExportedProgram
from torch.fx import Node

from nlpcompress.bench.nodes import is_view, tensors

LOOKUPS = frozenset({"embedding", "gather", "index", "index_select"})
"""Operations that read as much of their first input as they write, not all of it."""
PICOJOULE_A_MAC = 3.7 + 0.9
PICOJOULE_A_BYTE = 640 / 4


def bytes_moved(program: ExportedProgram) -> int:
    """Bytes that the operations of one pass read and write, weights and activations.

    Each operation reads all its inputs and writes its output once, a view moves nothing, and a
    lookup reads the rows it looks up. So it is when operations run one by one and nothing stays in
    a cache: what a runtime that fuses them moves is less.
    """
    return sum(_moved(node) for node in program.graph.nodes if node.op == "call_function")


def energy_estimate(macs: int, moved: int) -> float:
    """Millijoule of one pass in float32: an estimate to compare models by, not a measurement.

    4.6 pJ for each multiply-accumulate, 640 pJ for each four bytes moved: a 45 nm chip that fetches
    all it reads from DRAM. Source: Horowitz 2014 (ISSCC, Computing's energy problem), as tabled by
    Han et al. 2015 (arXiv 1506.02626, table 1).
    """
    return (macs * PICOJOULE_A_MAC + moved * PICOJOULE_A_BYTE) * 1e-9


def _moved(node: Node) -> int:
    if is_view(node):
        return 0
    sources, written = node.all_input_nodes, _bytes(node)
    if _name(node) in LOOKUPS:
        return sum(map(_bytes, sources[1:])) + 2 * written
    return sum(map(_bytes, sources)) + written


def _bytes(node: Node) -> int:
    return sum(math.prod(one.shape) * one.element_size() for one in tensors(node))


def _name(node: Node) -> str:
    target = node.target
    return target.overloadpacket.__name__ if isinstance(target, OpOverload) else ""
