"""The most activation elements that are alive at once, by liveness over a traced graph."""

from dataclasses import dataclass, field

import torch
from torch._ops import OpOverload
from torch.export import ExportedProgram
from torch.fx import Node

from nlpcompress.bench.nodes import elements, is_view

OVERWRITING = frozenset({"batch_norm", "layer_norm", "softmax"})
"""Operations, besides the element-wise ones, that can write each value where they read it."""


@dataclass(eq=False)
class Buffer:
    """One piece of memory: how many elements, and the nodes whose values lie in it."""

    size: int
    nodes: list[Node] = field(default_factory=list)


class Memory:
    """The buffers alive while a graph runs, node by node, and the most they ever held."""

    def __init__(self, order: dict[Node, int]) -> None:
        self.order = order
        self.peak = 0
        self._buffer_of: dict[Node, Buffer] = {}
        self._live: list[Buffer] = []

    def run(self, node: Node) -> None:
        """Give the node's value its place, note the peak, and free what is not needed any more."""
        buffer = self._shared(node) or self._overwritten(node) or self._new(node)
        buffer.nodes.append(node)
        self._buffer_of[node] = buffer
        held = sum(other.size for other in self._live)
        self.peak = max(self.peak, held - (buffer.size if self._slides(node) else 0))
        self._live = [other for other in self._live if self._needed(other, after=node)]

    def _sources(self, node: Node) -> list[Buffer]:
        return [self._buffer_of[s] for s in node.all_input_nodes if s in self._buffer_of]

    def _shared(self, node: Node) -> Buffer | None:
        """The source's buffer when the node is a view of it."""
        sources = self._sources(node)
        return sources[0] if sources and is_view(node) else None

    def _overwritten(self, node: Node) -> Buffer | None:
        """An input's buffer of the same size, when the node may write over it."""
        if not _overwrites(node):
            return None
        size = elements(node)
        free = (
            s for s in self._sources(node) if s.size == size and not self._needed(s, after=node)
        )
        return next(free, None)

    def _new(self, node: Node) -> Buffer:
        buffer = Buffer(elements(node))
        self._live.append(buffer)
        return buffer

    def _slides(self, node: Node) -> bool:
        """Whether a depthwise convolution may write into its own input, channel by channel."""
        return _is_depthwise(node) and not any(
            self._needed(source, after=node) for source in self._sources(node)
        )

    def _needed(self, buffer: Buffer, *, after: Node) -> bool:
        now = self.order[after]
        return any(self.order[user] > now for node in buffer.nodes for user in node.users)


def peak_activations(program: ExportedProgram) -> int:
    """Largest number of elements of inputs and intermediate results alive at the same time.

    Weights do not count. A view lies in its source's memory. An element-wise operation, a norm and
    a softmax write over an input of their size that nothing needs any more; a depthwise convolution
    too, channel by channel. Every other operation holds its inputs and its output.

    So counted, MobileNetV2 at 224 × 224 needs its published 1372 K (× 1024) elements.
    Source: Lin et al., MCUNetV2 (arXiv 2110.15352), figure 1: 1372 kB at one byte an element.
    """
    nodes = list(program.graph.nodes)
    memory = Memory({node: position for position, node in enumerate(nodes)})
    inputs = set(program.graph_signature.user_inputs)
    for node in nodes:
        if node.op == "call_function" or node.name in inputs:
            memory.run(node)
    return memory.peak


def _overwrites(node: Node) -> bool:
    return isinstance(node.target, OpOverload) and (
        torch.Tag.pointwise in node.target.tags
        or node.target.overloadpacket.__name__ in OVERWRITING
    )


def _is_depthwise(node: Node) -> bool:
    """A convolution with as many groups as input and output channels."""
    if not isinstance(node.target, OpOverload) or "conv" not in str(node.target):
        return False
    arguments = node.target._schema.arguments
    names = [argument.name for argument in arguments]
    given = dict(zip(names, node.args, strict=False)) | node.kwargs
    channels = node.meta["val"].shape[1]
    return 1 < given.get("groups", 1) == channels == given["input"].meta["val"].shape[1]
