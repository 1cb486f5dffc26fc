"""Roundings that make up for each other: what one column loses, columns not rounded yet give back.

A matrix W that is given inputs x with the second moment C = E[x xᵀ] errs by the trace of
(W - Q) C (W - Q)ᵀ. With columns rounded one by one, the best that those left can do against the
error e of column j is to move by -e · [C⁻¹]_jk / [C⁻¹]_jj, C being of the columns left. All these
inverses are rows of one Cholesky factor.

Source: Frantar et al. 2023 (GPTQ, ICLR), algorithm 1 and section 3.3, with the damping of 1 % of
the mean moment; columns in descending order of their moments as in the released code's `act_order`.
Differs: grids are those of the weights as they were, in all groups; what a column never gets as an
input (moment 0) is rounded by itself.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from nlpcompress.methods.quantization.blocks import Blocks
from nlpcompress.methods.quantization.places import Place, matrix_at
from nlpcompress.models.grid import Grid, Scheme, rounded
from nlpcompress.models.noted import note_grid
from nlpcompress.models.ranges import Range, fitted_grid
from nlpcompress.scoring import input_moments

DAMPING = 0.01
WIDTH = 128
"""Columns between two updates of all that follow."""


class Found(NamedTuple):
    """A weight's name, the numbers to round in its place, float32 `(rows, columns)`, their grid."""

    name: str
    latent: Tensor
    grid: Grid


@dataclass(frozen=True)
class Compensation:
    """Of the weights of some blocks, on the inputs that `batches` give.

    Block by block: the inputs are those that the blocks before, already rounded, hand on. Filters
    that see different inputs each (grouped convolutions) or are padded by name are left alone.
    """

    blocks: Blocks
    places: Mapping[str, Place]
    schemes: Mapping[str, Scheme]
    kind: Range
    batches: Callable[[], Iterable[Mapping[str, Tensor]]]

    def round(self, model: nn.Module) -> None:
        """Put the weights on their grids, and note them."""
        for name, _, grid in self._rounded(model):
            for path in self.places[name].paths:
                note_grid(model.get_submodule(path), self.schemes[name], grid)

    def start(self, model: nn.Module) -> None:
        """Give the weights numbers that are rounded as `round` does it, to train from.

        They lie within the ends of their grids, so that ranges which move stay where they are.
        """
        for name, latent, grid in list(self._rounded(model)):
            self._write(model, name, _within(latent, self.schemes[name], grid))

    @torch.no_grad()
    def _rounded(self, model: nn.Module) -> Iterator[Found]:
        """Of one weight after the other, which is on its grid then."""
        for names in self.blocks.values():
            own = {n: paths for n in names if _sees_one_input(model, paths := self.places[n].paths)}
            moments = input_moments(model, own, self.batches()) if own else {}
            for name in own:
                matrix, scheme = matrix_at(model, self.places[name]), self.schemes[name]
                grid = fitted_grid(matrix, scheme, self.kind)
                latent = to_round(matrix, scheme, grid, moments[name])
                self._write(model, name, rounded(latent, scheme, grid))
                yield Found(name, latent, grid)

    @torch.no_grad()
    def _write(self, model: nn.Module, name: str, values: Tensor) -> None:
        matrix_at(model, self.places[name]).copy_(values)


def to_round(matrix: Tensor, scheme: Scheme, grid: Grid, moments: Tensor) -> Tensor:
    """What to round in place of `matrix`, float32 `(rows, columns)`: each column with what those
    rounded before it have lost.

    `moments` is C, `(columns, columns)` and positive semidefinite.
    """
    order = moments.diagonal().argsort(descending=True, stable=True)
    factor = _factor(moments[order][:, order]).to(matrix.device, torch.float32)
    order = order.to(matrix.device)
    left = matrix.detach().float()[:, order]
    steps = Grid(*(_of_columns(values, scheme)[:, order] for values in grid))
    for part in _parts(scheme.columns):
        errors = torch.empty_like(left[:, part])
        for column in range(part.start, part.stop):
            rest = slice(column + 1, part.stop)
            scale, zero = steps.scale[:, column], steps.zero[:, column]
            code = (left[:, column] / scale).round().add(zero).clamp(0, scheme.levels)
            error = (left[:, column] - (code - zero) * scale) / factor[column, column]
            left[:, rest] -= error.outer(factor[column, rest])
            errors[:, column - part.start] = error
        left[:, part.stop :] -= errors @ factor[part, part.stop :]
    return left[:, order.argsort()]


def _factor(moments: Tensor) -> Tensor:
    """The upper Cholesky factor U of the damped inverse, UᵀU = (C + λ)⁻¹, float64.

    Row j of U by its first number is what the columns after j move for an error there.
    """
    moments = moments.double()
    own = moments.diagonal()
    damping = torch.where(own == 0, 1.0, DAMPING * own.mean())
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(moments + damping.diag()))
    return torch.linalg.cholesky(inverse, upper=True)


def _within(matrix: Tensor, scheme: Scheme, grid: Grid) -> Tensor:
    """Numbers beyond the ends of their grid at the ends."""
    scale, zero = (_of_columns(values, scheme) for values in grid)
    return matrix.clamp(-zero * scale, (scheme.levels - zero) * scale)


def _of_columns(values: Tensor, scheme: Scheme) -> Tensor:
    """A value a group, `(below, beside)`, as one an element, float32 `(rows, columns)`."""
    tall = values.float().repeat_interleave(scheme.group_rows, 0)
    return tall.repeat_interleave(scheme.group_size, 1)


def _parts(columns: int) -> Iterator[slice]:
    for start in range(0, columns, WIDTH):
        yield slice(start, min(start + WIDTH, columns))


def _sees_one_input(model: nn.Module, paths: Sequence[str]) -> bool:
    module = model.get_submodule(paths[0])
    return not isinstance(module, nn.Conv2d) or module.groups == 1
