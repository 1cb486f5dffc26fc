"""The elements of a tensor that belong to each position of an axis."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from nlpcompress.axes import Slice, Tap


def by_position(tensor: Tensor, part: Slice | Tap, size: int) -> Tensor:
    """`(size, others)`: a row for each position of an axis of that size, which lies at `part`."""
    dim = part.dim % tensor.dim()
    blocks = tensor.unflatten(dim, (part.before, size, part.after))
    return blocks.movedim(dim + 1, 0).flatten(1)
