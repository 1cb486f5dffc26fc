"""How a gate lies over a tensor: a value for each weight, each block, or each place of an axis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from torch import Tensor

from nlpcompress.errors import ConfigError

if TYPE_CHECKING:
    from nlpcompress.axes import Slice


class Cover(NamedTuple):
    """The tensor, split into `view` dimensions, and the gate's shape, that broadcasts over them.

    32 × 32 blocks of a 64 × 96 matrix: view `(2, 32, 3, 32)`, gate `(2, 1, 3, 1)`.
    """

    tensor: str
    view: tuple[int, ...]
    gate: tuple[int, ...]

    def times(self, tensor: Tensor, gate: Tensor) -> Tensor:
        """The tensor times the gate, in the tensor's shape and dtype."""
        values = gate.to(tensor.dtype).reshape(self.gate)
        return (tensor.reshape(self.view) * values).reshape(tensor.shape)

    def mean(self, tensor: Tensor) -> Tensor:
        """Mean of the tensor under each value of the gate, in the gate's broadcast shape."""
        inner = [dim for dim, size in enumerate(self.gate) if size == 1]
        return tensor.reshape(self.view).mean(inner, keepdim=True) if inner else tensor


class GatePlaces(NamedTuple):
    """All tensors that one gate multiplies, and what kind of thing it decides on.

    `rows` are biases that go when every block of their row of blocks is shut.
    """

    kind: str
    covers: tuple[Cover, ...]
    rows: tuple[Cover, ...] = ()

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the gate's mask and scores."""
        return tuple(size for size in self.covers[0].gate if size > 1) or (1,)


def over_weights(name: str, shape: Sequence[int]) -> Cover:
    """One value for each weight."""
    return Cover(name, tuple(shape), tuple(shape))


def over_blocks(name: str, shape: Sequence[int], block: Sequence[int]) -> Cover:
    """One value for each block of a matrix. Raises `ConfigError` when blocks do not tile it."""
    if len(shape) != len(block) or any(size % b for size, b in zip(shape, block, strict=True)):
        raise ConfigError(
            f"blocks of {' × '.join(map(str, block))} do not tile '{name}' of "
            f"{' × '.join(map(str, shape))}; choose divisors of its sizes, such as the head size"
        )
    (rows, columns), (height, width) = shape, block
    down, across = rows // height, columns // width
    return Cover(name, (down, height, across, width), (down, 1, across, 1))


def over_block_rows(name: str, rows: int, height: int) -> Cover:
    """For the bias of a matrix under blocks: one value for each row of blocks."""
    return Cover(name, (rows // height, height), (rows // height, 1))


def over_positions(part: Slice, shape: Sequence[int], size: int) -> Cover:
    """One value for each of an axis' `size` positions, along the dimension where it lies."""
    dim = part.dim % len(shape)
    before, after = shape[:dim], shape[dim + 1 :]
    view = (*before, part.before, size, part.after, *after)
    gate = (*(1 for _ in before), 1, size, 1, *(1 for _ in after))
    return Cover(part.tensor, view, gate)
