"""What a node of a traced graph holds, and whether it costs memory when a model is run."""

import math
from collections.abc import Iterator

import torch
from torch._ops import OpOverload
from torch.fx import Node

SHARING = frozenset({"contiguous", "detach_", "dropout", "dropout_", "flatten", "reshape", "to"})
"""Operations that PyTorch does not mark as views, but that cost no memory when a model is run."""


def elements(node: Node) -> int:
    """Elements of a node's value; of several tensors together; 0 for what is no tensor."""
    return sum(math.prod(value.shape) for value in tensors(node))


def tensors(node: Node) -> Iterator[torch.Tensor]:
    """The node's value, or the tensors of it, without their data."""
    value = node.meta.get("val")
    values = value if isinstance(value, (list, tuple)) else [value]
    yield from (one for one in values if isinstance(one, torch.Tensor))


def is_view(node: Node) -> bool:
    """Whether the node's value lies where its first source lies."""
    if not isinstance(node.target, OpOverload):
        return node.op == "call_function"  # an item of a tuple
    return node.target.is_view or node.target.overloadpacket.__name__ in SHARING
