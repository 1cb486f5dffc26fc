"""CP: a filter bank as a sum of products of four vectors, by regularised least squares."""

from typing import NamedTuple

import torch
from torch import Tensor

NAMES = "oihw"


class Cp(NamedTuple):
    """`out` `(out, r)`, `into` `(in, r)`, `rows` `(h, r)`, `columns` `(w, r)`."""

    out: Tensor
    into: Tensor
    rows: Tensor
    columns: Tensor


def cp(
    filters: Tensor,
    rank: int,
    *,
    steps: int = 200,
    tolerance: float = 1e-6,
    ridge: float = 1e-4,
    seed: int = 0,
) -> Cp:
    """Σ_r out ⊗ into ⊗ rows ⊗ columns near to filters `(out, in, h, w)`; in float64.

    One factor after the other is the least-squares solution for the others, with `ridge` times the
    mean diagonal of its normal equations added to that diagonal; it ends when the error falls by
    less than `tolerance` of the filters' size in a step. Each term's size is spread evenly over its
    four vectors.

    Source: Lebedev et al. 2015, section 3.1. Without a ridge, terms may grow without bounds and
    cancel each other (Phan et al. 2020), which no training recovers from.
    """
    whole = filters.detach().double()
    factors = [_start(whole, dim, rank, seed) for dim in range(4)]
    size, last = float(whole.norm()), float("inf")
    for _ in range(steps):
        for dim in range(4):
            factors[dim] = _solved(whole, factors, dim, ridge)
            if dim != 3:
                factors[dim] = _unit(factors[dim])
        error = float((whole - product(factors)).norm())
        if last - error <= tolerance * size:
            break
        last = error
    return Cp(*_even(factors))


def product(factors: list[Tensor]) -> Tensor:
    """The filters `(out, in, h, w)` that four factors stand for."""
    return torch.einsum("or,ir,hr,wr->oihw", *factors)


def _start(whole: Tensor, dim: int, rank: int, seed: int) -> Tensor:
    """The leading singular vectors of the unfolding, then random ones."""
    flat = whole.movedim(dim, 0).flatten(1)
    vectors = torch.linalg.eigh(flat @ flat.T).eigenvectors.flip(1)[:, :rank]
    missing = (len(flat), rank - vectors.shape[1])
    draw = torch.Generator().manual_seed(seed + dim)
    drawn = torch.randn(missing, generator=draw, dtype=torch.float64).to(whole.device)
    return torch.cat([vectors, _unit(drawn)], 1)


def _solved(whole: Tensor, factors: list[Tensor], dim: int, ridge: float) -> Tensor:
    others = [d for d in range(4) if d != dim]
    gram = torch.stack([factors[d].T @ factors[d] for d in others]).prod(0)
    letters = ",".join([NAMES, *(f"{NAMES[d]}r" for d in others)])
    right = torch.einsum(f"{letters}->{NAMES[dim]}r", whole, *(factors[d] for d in others))
    gram = gram + ridge * gram.diagonal().mean() * torch.eye(len(gram)).to(gram)
    return torch.linalg.solve(gram, right.T).T


def _unit(factor: Tensor) -> Tensor:
    return factor / factor.norm(dim=0).clamp(min=torch.finfo(factor.dtype).tiny)


def _even(factors: list[Tensor]) -> list[Tensor]:
    sizes = torch.stack([factor.norm(dim=0) for factor in factors])
    even = sizes.prod(0) ** (1 / len(factors))
    return [_unit(factor) * even for factor in factors]
