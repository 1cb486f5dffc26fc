"""How much of a matrix each of its ranks holds, by itself or for the inputs that it is given.

A matrix W `(rows, columns)` that is given inputs x with the second moment C = E[x xᵀ] errs by
E|W x - W' x|² = |(W - W') C^½|² in the Frobenius norm. By Eckart and Young that is least for a
rank when W' C^½ is W C^½ cut off after as many singular values, which W' = U Uᵀ W is, U the left
singular vectors: no inverse of C is needed. For a table of tokens that occur with counts f the same
holds of diag(f)^½ W, and W' = W V Vᵀ.

Source: Chen et al. 2021, "DRONE: Data-aware Low-rank Compression for Large NLP Models", NeurIPS:
the same minimum, there in a closed form with the singular values of the inputs.
"""

import torch
from torch import Tensor


def energies(
    matrix: Tensor, *, inputs: Tensor | None = None, counts: Tensor | None = None
) -> Tensor:
    """Squared singular values, descending, float64 `(min(rows, columns),)`: their sum is the whole
    output's square, and what follows the first r is the error of the best matrix of rank r.

    `inputs` `(columns, columns)` is C, `counts` `(rows,)` are f; without both all count alike.
    """
    return torch.linalg.svdvals(_weighed(matrix, inputs, counts)).square()


def rank_of_energy(values: Tensor, energy: float) -> int:
    """The least rank whose energies, of `values` descending, make up that share of all.

    >>> rank_of_energy(torch.tensor([6.0, 3.0, 1.0]), 0.9)
    2
    """
    return int((values.cumsum(0) < energy * values.sum()).sum()) + 1


def nearest_of_rank(
    matrix: Tensor, rank: int, *, inputs: Tensor | None = None, counts: Tensor | None = None
) -> Tensor:
    """The matrix of `rank` that errs least, in the type of `matrix`."""
    left, _, right = torch.linalg.svd(_weighed(matrix, inputs, counts), full_matrices=False)
    whole = matrix.detach().double().cpu()
    if counts is not None:
        best = whole @ right[:rank].T @ right[:rank]
    else:
        best = left[:, :rank] @ (left[:, :rank].T @ whole)
    return best.to(matrix.device, matrix.dtype)


def _weighed(matrix: Tensor, inputs: Tensor | None, counts: Tensor | None) -> Tensor:
    weighed = matrix.detach().double().cpu()
    if inputs is not None:
        values, vectors = torch.linalg.eigh(inputs.double())
        weighed = weighed @ (vectors * values.clamp(min=0).sqrt())
    if counts is not None:
        weighed = counts.double().sqrt().unsqueeze(1) * weighed
    return weighed
