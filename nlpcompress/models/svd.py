"""The best matrix of a rank, as two factors of equal size."""

import torch
from torch import Tensor


def truncated_svd(matrix: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """`first` `(rank, columns)` and `second` `(rows, rank)`, whose product is nearest to `matrix`.

    Nearest by the sum of squared differences (Eckart and Young 1936). Of each singular value both
    factors have the root. Computed in float64, given in the matrix's own type.
    """
    left, values, right = torch.linalg.svd(matrix.detach().double(), full_matrices=False)
    roots = values[:rank].sqrt()
    second, first = left[:, :rank] * roots, roots.unsqueeze(1) * right[:rank]
    return first.to(matrix.dtype).contiguous(), second.to(matrix.dtype).contiguous()
