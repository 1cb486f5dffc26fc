"""How losses become one number: in float32 or wider, as a mean over the rows that count."""

import torch
from torch import Tensor


def masked_mean(rows: Tensor, mask: Tensor | None = None) -> Tensor:
    """Mean of `rows` over the places where `mask`, of the same shape, is not 0; all without one.

    0, with a gradient of 0, when no row counts. What does not count may be infinite or NaN.
    """
    if mask is None:
        return rows.mean()
    counts = mask.bool()
    # `where`, not a product: a padded row may hold an infinity, and 0 · inf is nan.
    total = torch.where(counts, rows, torch.zeros_like(rows)).sum()
    return total / counts.sum().clamp(min=1)


def at_least_float32(values: Tensor) -> Tensor:
    """Half precision as float32; float32 and float64 as they are."""
    return values.to(torch.promote_types(values.dtype, torch.float32))
