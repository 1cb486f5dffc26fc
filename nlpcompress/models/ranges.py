"""Which range each group of a matrix gets: where its grid begins and ends.

Source: Shen et al. 2020 (Q-BERT), section 3: uniform grids, by minimum and maximum or percentiles.
Differs: zero is always a number of the grid, so that pruned weights stay pruned, and scales are
float16.
"""

from typing import Literal

import torch
from torch import Tensor

from nlpcompress.errors import PlanError
from nlpcompress.models.grid import Grid, Scheme, rounded

Ends = Literal["min_max", "percentile"]
Range = Ends | Literal["mse"]
PERCENTILE = 0.001
"""The share of a group's weights cut off at either end; Q-BERT's code has 0.1 of 100 as well."""
SHRINKS = tuple(1 - step / 40 for step in range(1, 33))
"""What `mse` tries besides the whole range: down to a fifth of it."""


def fitted_grid(matrix: Tensor, scheme: Scheme, kind: Range) -> Grid:
    """The grid of each group of `matrix` `(rows, columns)`.

    `min_max` reaches from the least to the greatest value, `percentile` leaves out 0.1 % at either
    end, `mse` is that shrunken range, of 33, whose squared error is least. Raises `PlanError` for
    values that float16 scales cannot hold, or that are not finite.
    """
    matrix = matrix.detach().float()
    if not bool(matrix.isfinite().all()):
        raise PlanError("quantize: the weight holds values that are not finite; mend it first")
    if kind == "mse":
        grid = _least_error(matrix, scheme)
    else:
        grid = grid_of(*range_ends(matrix, scheme, kind), scheme)
    check_steps(grid, matrix)
    return grid


def check_steps(grid: Grid, matrix: Tensor) -> None:
    """Raises `PlanError` where a step of the matrix's grid is no float16 number."""
    if not bool(grid.scale.isfinite().all()):
        most = float(matrix.detach().abs().max())
        raise PlanError(
            f"quantize: values up to {most:.3g} have steps beyond float16; more bits have smaller "
            "ones"
        )


def range_ends(matrix: Tensor, scheme: Scheme, kind: Ends) -> tuple[Tensor, Tensor]:
    """Where each group's range begins and ends, `(below, beside)` each."""
    tiles = scheme.tiled(matrix.detach().float())
    if kind == "min_max":
        return tiles.amin((1, 3)), tiles.amax((1, 3))
    flat = tiles.transpose(1, 2).flatten(2)
    cut = int(PERCENTILE * flat.shape[2])
    highest = flat.shape[2] - cut
    return flat.kthvalue(1 + cut, dim=2).values, flat.kthvalue(highest, dim=2).values


def grid_of(low: Tensor, high: Tensor, scheme: Scheme) -> Grid:
    """The grid from `low` to `high`, each `(below, beside)`; zero is always in between.

    Symmetric grids have as many steps below zero as above, and one more: they reach to the end that
    is farther away. Steps beyond float16 are infinite: nothing is checked here, in every step of a
    training.
    """
    low, high = low.clamp(max=0), high.clamp(min=0)
    if scheme.sym:
        scale = _scale(torch.maximum(-low / scheme.middle, high / (scheme.middle - 1)))
        return Grid(scale, torch.full_like(scale, scheme.middle, dtype=torch.uint8))
    scale = _scale((high - low) / scheme.levels)
    zero = (-low / scale).round().clamp(0, scheme.levels)
    return Grid(scale, zero.to(torch.uint8))


def _scale(step: Tensor) -> Tensor:
    """The next float16 number; 1 where all values of the group are zero, or nearly."""
    scale = step.half().float()
    return torch.where(scale == 0, 1, scale)


def _least_error(matrix: Tensor, scheme: Scheme) -> Grid:
    low, high = range_ends(matrix, scheme, "min_max")
    best = grid_of(low, high, scheme)
    least = _errors(matrix, scheme, best)
    for shrink in SHRINKS:
        grid = grid_of(low * shrink, high * shrink, scheme)
        errors = _errors(matrix, scheme, grid)
        better = errors < least
        best = Grid(*(torch.where(better, new, old) for new, old in zip(grid, best, strict=True)))
        least = torch.minimum(errors, least)
    return best


def _errors(matrix: Tensor, scheme: Scheme, grid: Grid) -> Tensor:
    """The sum of squares a group, `(below, beside)`."""
    return scheme.tiled(rounded(matrix, scheme, grid) - matrix).square().sum((1, 3))
