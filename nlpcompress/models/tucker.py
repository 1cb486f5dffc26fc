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
    filters: Tensor, ranks: tuple[int, int], *, steps: int = 50, tolerance: float = 3e-4
) -> Tucker:
    """Of filters `(out, in, h, w)`, with orthonormal `last` and `first`, in float32 or wider.

    Each step takes the best `last` for the present `first`, then the best `first`, so that the
    error never grows; it ends when a step gains less than `tolerance` of the filters' square.
    Exact at full ranks.

    Source: De Lathauwer et al. 2000 (HOOI), for two of four modes: Kim et al. 2016, section 3.1.
    """
    whole = filters.detach().to(torch.promote_types(filters.dtype, torch.float32))
    by_outputs = whole.permute(0, 2, 3, 1).contiguous()  # (out, h, w, in)
    by_inputs = whole.permute(1, 2, 3, 0).contiguous()  # (in, h, w, out)
    first, _ = _leading(by_inputs, ranks[1])
    size, before = float(whole.square().sum()), -1.0
    for _ in range(steps):
        last, _ = _leading(by_outputs @ first, ranks[0])
        narrow = by_inputs @ last  # (in, h, w, r_out)
        first, held = _leading(narrow, ranks[1])
        if held - before <= tolerance * size:
            break
        before = held
    core = torch.einsum("ihwa,ib->abhw", narrow, first)
    return Tucker(last, core, first.T)


def _leading(tensor: Tensor, rank: int) -> tuple[Tensor, float]:
    """The left singular vectors `(size, rank)` of the unfolding by dimension 0, and the square that
    they hold.
    """
    flat = tensor.flatten(1)
    found = torch.linalg.eigh(flat @ flat.T)
    return found.eigenvectors[:, -rank:].flip(1), float(found.eigenvalues[-rank:].sum())


def mode_energies(filters: Tensor) -> tuple[Tensor, Tensor]:
    """Squared singular values, descending, of the unfoldings by outputs and by inputs; float64."""
    whole = filters.detach().double()
    grams = (m.flatten(1) @ m.flatten(1).T for m in (whole, whole.transpose(0, 1)))
    out, into = (torch.linalg.eigvalsh(gram).flip(0).clamp(min=0) for gram in grams)
    return out, into
