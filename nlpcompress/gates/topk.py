"""Masks that keep exactly the largest values."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


def keep_largest(values: Tensor, count: int) -> Tensor:
    """Bool mask of the shape of `values`, true at exactly the `count` largest.

    Of equal values the one that comes first in row-major order stays. Nothing is sorted, and
    nothing waits for an accelerator.

    >>> keep_largest(torch.tensor([[1.0, 3.0], [3.0, 3.0]]), 2).int().tolist()
    [[0, 1], [1, 0]]
    """
    if count <= 0 or count >= values.numel():
        return torch.full_like(values, count > 0, dtype=torch.bool)
    flat = values.detach().reshape(-1)
    threshold = kth_largest(flat, count)
    if _for_numpy(flat):
        large = torch.from_numpy(flat.numpy() >= threshold.numpy())
        if int(large.count_nonzero()) == count:  # no ties, as nearly always
            return large.view(values.shape)
    above, equal = flat > threshold, flat == threshold
    first = equal.cumsum(0) <= count - above.sum()
    return (above | (equal & first)).view(values.shape)


def keep_largest_of_all(values: Sequence[Tensor], count: int) -> list[Tensor]:
    """One mask for each tensor, true at the `count` largest of all of them together."""
    flat = torch.cat([tensor.detach().reshape(-1) for tensor in values])
    parts = keep_largest(flat, count).split([tensor.numel() for tensor in values])
    return [part.view(tensor.shape) for part, tensor in zip(parts, values, strict=True)]


def kth_largest(flat: Tensor, k: int) -> Tensor:
    """The k-th largest of the values `(n,)`, k from 1, as a tensor of no dimensions.

    On the CPU by NumPy's partition, which is about ten times faster there than `torch.kthvalue`.
    """
    position = flat.numel() - k
    if _for_numpy(flat):
        return flat.new_tensor(np.partition(flat.numpy(), position)[position])
    return flat.kthvalue(position + 1).values


def _for_numpy(flat: Tensor) -> bool:
    """On the CPU, where NumPy partitions and compares several times faster than torch."""
    return flat.device.type == "cpu" and flat.dtype in (torch.float32, torch.float64)
