"""A matrix in whole numbers: each group of its elements has a scale and a zero point.

An element of a group is `scale · (code - zero)`, the code from 0 to 2^bits - 1. A group is a tile
of `group_rows × group_size` elements: 1 × 128 is the field's `group_size: 128`, and some rows of
all columns are Q-BERT's groups. Scales are float16 numbers, so that the product is exact in
float32: what was decoded is coded again to the same codes.

This file needs torch only: a copy of it lies beside saved models.
"""

from typing import NamedTuple

import torch
from torch import Tensor


class Scheme(NamedTuple):
    """How a matrix `(rows, columns)` is coded; groups divide it without a rest."""

    rows: int
    columns: int
    bits: int
    group_rows: int
    group_size: int
    sym: bool

    @property
    def groups(self) -> tuple[int, int]:
        """How many groups lie below and beside each other: the shape of scales and zero points."""
        return self.rows // self.group_rows, self.columns // self.group_size

    @property
    def levels(self) -> int:
        """The greatest code."""
        return 2**self.bits - 1

    @property
    def middle(self) -> int:
        """The zero point of symmetric groups, which store none."""
        return 2 ** (self.bits - 1)

    def tiled(self, matrix: Tensor) -> Tensor:
        """`(rows, columns)` → a view of the shape `(below, group_rows, beside, group_size)`."""
        below, beside = self.groups
        return matrix.view(below, self.group_rows, beside, self.group_size)

    def spread(self, values: Tensor) -> Tensor:
        """A value a group, `(below, beside)`, as broadcast over what `tiled` gives."""
        return values[:, None, :, None]


class Grid(NamedTuple):
    """The numbers that each group can say: `scale` float32 and `zero` uint8, `(below, beside)`."""

    scale: Tensor
    zero: Tensor


def encode(matrix: Tensor, scheme: Scheme, grid: Grid) -> Tensor:
    """The nearest codes, uint8 `(rows, columns)`; what is beyond the range gets its end."""
    return _codes(matrix, scheme, grid).to(torch.uint8).view(scheme.rows, scheme.columns)


def decode(codes: Tensor, scheme: Scheme, grid: Grid) -> Tensor:
    """The numbers that codes `(rows, columns)` stand for, float32 of the same shape."""
    return _numbers(scheme.tiled(codes.float()), scheme, grid)


def rounded(matrix: Tensor, scheme: Scheme, grid: Grid) -> Tensor:
    """Each element by the nearest number of its group's grid, in the type that it has."""
    return _numbers(_codes(matrix, scheme, grid), scheme, grid).to(matrix.dtype)


def _codes(matrix: Tensor, scheme: Scheme, grid: Grid) -> Tensor:
    """A new tensor of whole numbers, float32, as `tiled` has them."""
    zero = scheme.spread(grid.zero).float()
    codes = scheme.tiled(matrix.detach().float()) / scheme.spread(grid.scale)
    return codes.round_().add_(zero).clamp_(0, scheme.levels)


def _numbers(codes: Tensor, scheme: Scheme, grid: Grid) -> Tensor:
    """In place of the codes, which are tiled floats."""
    values = codes.sub_(scheme.spread(grid.zero.float())).mul_(scheme.spread(grid.scale))
    return values.view(scheme.rows, scheme.columns)
