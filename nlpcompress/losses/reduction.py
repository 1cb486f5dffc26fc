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


def mean_of_classes(values: Tensor, classes: Tensor | None) -> Tensor:
    """`(…, C)` → `(…,)`, over the classes that there are."""
    if classes is None:
        return values.mean(-1)
    return torch.where(classes, values, 0).sum(-1) / classes.sum(-1).clamp(min=1)


def at_least_float32(values: Tensor) -> Tensor:
    """Half precision as float32; float32 and float64 as they are."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def as_pair(student: Tensor, teacher: Tensor, what: str) -> tuple[Tensor, Tensor]:
    """Both in float32 or wider, the teacher's without gradients.

    Raises `ValueError` when their shapes differ: broadcasting would make some number of it.
    """
    if student.shape != teacher.shape:
        raise ValueError(
            f"the student's {what} have the shape {tuple(student.shape)}, the teacher's "
            f"{tuple(teacher.shape)}; they must be alike: the same labels and inputs, and a "
            "projection where widths differ"
        )
    return at_least_float32(student), at_least_float32(teacher.detach())
