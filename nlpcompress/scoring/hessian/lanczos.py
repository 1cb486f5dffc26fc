"""Lanczos' method: the ends of a symmetric matrix's spectrum from a few products with vectors.

Source: Lanczos 1950; the error bounds as in Parlett, "The Symmetric Eigenvalue Problem" (Kato and
Temple's for a value that stands apart).
"""

from typing import NamedTuple

import torch
from torch import Tensor


class Ritz(NamedTuple):
    """What a run knows: float64 `(steps,)` each, the greatest absolute value first.

    An eigenvalue lies within `residuals` of each value, and if no other is near within `bounds`;
    `shares` are the parts of the start vector's square that the values hold.
    """

    values: Tensor
    residuals: Tensor
    bounds: Tensor
    shares: Tensor


class Lanczos:
    """One matrix's run: ask for `vector`, give its product to `take`, look at `ritz()`.

    Without `reorthogonalise` two vectors are held; values that have converged then come again as
    copies, which does no harm to the greatest one nor to a density. With it all are held, and
    values are each found once.
    """

    def __init__(self, start: Tensor, *, reorthogonalise: bool) -> None:
        self.vector = start / start.norm()
        self._before: Tensor | None = None
        self._basis: list[Tensor] | None = [self.vector] if reorthogonalise else None
        self._diagonal: list[float] = []
        self._beside: list[float] = []
        self.exhausted = False

    @property
    def steps(self) -> int:
        """Products taken."""
        return len(self._diagonal)

    def take(self, product: Tensor) -> None:
        """The matrix times `vector`."""
        rest = product
        if self._before is not None:
            rest = rest - self._beside[-1] * self._before
        self._diagonal.append(float(rest @ self.vector))
        rest = rest - self._diagonal[-1] * self.vector
        for other in self._basis or ():
            rest = rest - (rest @ other) * other
        length = float(rest.norm())
        scale = max(abs(value) for value in (*self._diagonal, *self._beside))
        self.exhausted = length <= 1e-6 * scale or self.steps == len(product)
        self._beside.append(length)
        self._before, self.vector = self.vector, rest / max(length, 1e-30)
        if self._basis is not None:
            self._basis.append(self.vector)

    def ritz(self) -> Ritz:
        """Approximations of eigenvalues after the products so far."""
        matrix = torch.diag(torch.tensor(self._diagonal, dtype=torch.float64))
        beside = torch.tensor(self._beside[:-1], dtype=torch.float64)
        matrix = matrix + torch.diag(beside, 1) + torch.diag(beside, -1)
        values, vectors = torch.linalg.eigh(matrix)
        residuals = abs(self._beside[-1]) * vectors[-1].abs()
        order = values.abs().argsort(descending=True)
        values, residuals, shares = values[order], residuals[order], vectors[0, order].square()
        return Ritz(values, residuals, _bounds(values, residuals), shares)


def _bounds(values: Tensor, residuals: Tensor) -> Tensor:
    """The residual, or its square over the gap to the next value, whichever is less."""
    apart = (values.unsqueeze(0) - values.unsqueeze(1)).abs()
    apart.fill_diagonal_(float("inf"))
    gaps = apart.min(dim=1).values - residuals
    squared = residuals.square() / gaps.clamp(min=torch.finfo(values.dtype).tiny)
    return torch.minimum(residuals, squared)
