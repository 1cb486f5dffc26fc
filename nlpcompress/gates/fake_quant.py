"""Weights that are rounded to a grid in every forward pass, and trained as if they were not.

Source: Shen et al. 2020 (Q-BERT), section 3: straight-through estimator, ranges as moving averages;
Esser et al. 2020 (LSQ), equations 2, 3 and section 2.2, for learned step sizes.
Differs: ranges move once an optimizer step, whatever the number of micro-batches, and never in an
evaluation (Q-BERT's code moves them there too).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from nlpcompress.models.activations import straight_through
from nlpcompress.models.grid import Grid, Scheme, rounded
from nlpcompress.models.ranges import Ends, Range, fitted_grid, grid_of, range_ends

LEAST_STEP = 2.0**-24
"""The least float16 number above zero."""


class FakeQuant(nn.Module):
    """The grid of one weight while it trains."""

    scale: Tensor
    zero: Tensor

    def __init__(self, matrix: Tensor, scheme: Scheme, kind: Range) -> None:
        super().__init__()
        self.scheme = scheme
        grid = fitted_grid(matrix, scheme, kind)
        self.register_buffer("scale", grid.scale)
        self.register_buffer("zero", grid.zero)

    @property
    def grid(self) -> Grid:
        """As it stands now."""
        return Grid(self.scale, self.zero)

    def forward(self, matrix: Tensor) -> Tensor:
        """`(rows, columns)` → rounded, with gradients that pass on as they are."""
        return straight_through(matrix, rounded(matrix, self.scheme, self.grid))

    def follow(self, matrix: Tensor) -> None:
        """Before an optimizer step; this one's grid stays where it is."""


class MovingFakeQuant(FakeQuant):
    """Its ends are moving averages of the weight's own."""

    low: Tensor
    high: Tensor

    def __init__(self, matrix: Tensor, scheme: Scheme, kind: Ends, *, momentum: float) -> None:
        super().__init__(matrix, scheme, kind)
        self.kind, self.momentum = kind, momentum
        for name, end in zip(("low", "high"), range_ends(matrix, scheme, kind), strict=True):
            self.register_buffer(name, end)

    def follow(self, matrix: Tensor) -> None:
        """Move by one step towards the ends that the weight has now."""
        for end, new in zip(
            (self.low, self.high), range_ends(matrix, self.scheme, self.kind), strict=True
        ):
            end.lerp_(new, 1 - self.momentum)
        grid = grid_of(self.low, self.high, self.scheme)
        self.scale.copy_(grid.scale)
        self.zero.copy_(grid.zero)


class LearnedFakeQuant(FakeQuant):
    """Its steps are trained with the weights; zero points stay.

    The gradient of a step is divided by √(numbers in its group · levels), as LSQ does, and weights
    beyond the range have none.
    """

    def __init__(self, matrix: Tensor, scheme: Scheme, kind: Range) -> None:
        super().__init__(matrix, scheme, kind)
        scale = self._buffers.pop("scale")
        self.scale = nn.Parameter(scale)
        self.gain = (scheme.group_rows * scheme.group_size * scheme.levels) ** -0.5

    @property
    def grid(self) -> Grid:
        """As it stands now, in steps of float16."""
        return Grid(_half(self.scale.detach()), self.zero)

    def forward(self, matrix: Tensor) -> Tensor:
        """`(rows, columns)` → rounded, with gradients for the matrix and the steps."""
        scheme = self.scheme
        scale = _ScaledGradient.apply(straight_through(self.scale, _half(self.scale)), self.gain)
        steps, zero = scheme.spread(scale), scheme.spread(self.zero).to(matrix.dtype)
        codes = (scheme.tiled(matrix) / steps + zero).clamp(0, scheme.levels)
        values = (straight_through(codes, codes.round()) - zero) * steps
        return values.view(scheme.rows, scheme.columns)


class _ScaledGradient(torch.autograd.Function):
    """The argument itself; its gradient times a number."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, gain: float) -> Tensor:
        ctx.gain = gain
        return values.view_as(values)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0] * ctx.gain, None


def _half(scale: Tensor) -> Tensor:
    """The nearest float16 number above zero, as float32."""
    return scale.clamp(LEAST_STEP, torch.finfo(torch.float16).max).half().float()
