"""Tucker-2: a filter bank as a smaller one between two matrices, by alternating eigenvectors."""

from typing import NamedTuple

import torch
from torch import Tensor


class Tucker(NamedTuple):
    """`last` `(out, r_out)` · `core` `(r_out, r_in, h, w)` · `first` `(r_in, in)`."""

    last: Tensor
    core: Tensor
    first: Tensor


def tucker2(
    filters: Tensor, ranks: tuple[int, int], *, steps: int = 50, tolerance: float = 1e-4
) -> Tucker:
    """Of filters `(out, in, h, w)`, with orthonormal `last` and `first`, in float64.

    Each step takes the best `last` for the present `first`, then the best `first`, so that the
    error never grows; it ends when a step gains less than `tolerance` of the filters' square.
    Exact at full ranks.

    Source: De Lathauwer et al. 2000 (HOOI), for two of four modes: Kim et al. 2016, section 3.1.
    """
    whole = filters.detach().double()
    first = leading(whole.transpose(0, 1), ranks[1])
    gained = -1.0
    for _ in range(steps):
        last = leading(_times(whole, first, 1), ranks[0])
        narrow = _times(whole, last, 0)
        first = leading(narrow.transpose(0, 1), ranks[1])
        core = _times(narrow, first, 1)
        held = float(core.square().sum())
        if held - gained <= tolerance * float(whole.square().sum()):
            break
        gained = held
    return Tucker(last, core, first.T)


def leading(tensor: Tensor, rank: int) -> Tensor:
    """`(size, rank)`: the left singular vectors of the unfolding along dimension 0."""
    flat = tensor.flatten(1)
    return torch.linalg.eigh(flat @ flat.T).eigenvectors[:, -rank:].flip(1)


def mode_energies(filters: Tensor) -> tuple[Tensor, Tensor]:
    """Squared singular values, descending, of the unfoldings by outputs and by inputs; float64."""
    whole = filters.detach().double()
    grams = (m.flatten(1) @ m.flatten(1).T for m in (whole, whole.transpose(0, 1)))
    out, into = (torch.linalg.eigvalsh(gram).flip(0).clamp(min=0) for gram in grams)
    return out, into


def _times(filters: Tensor, basis: Tensor, dim: int) -> Tensor:
    """The dimension, seen in a basis `(size, rank)`."""
    return torch.tensordot(filters, basis, dims=([dim], [0])).movedim(-1, dim)
