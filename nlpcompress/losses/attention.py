"""Losses between the attention of student and teacher, head by head."""

import torch
import torch.nn.functional as F
from torch import Tensor

from nlpcompress.losses.reduction import as_pair, at_least_float32, masked_mean


def attention_mse(student: Tensor, teacher: Tensor, *, mask: Tensor | None = None) -> Tensor:
    """Mean squared difference of attention scores before the softmax, a scalar.

    Both are `(B, H, T, T)`, queries by keys, already divided by √d, without any mask added. With
    `mask` `(B, T)` a pair of tokens counts when both do.

    Source: Jiao et al. 2020 (TinyBERT), equation 7.
    Differs: its code sets padded pairs to 0 and averages over them, too; here padding more changes
    nothing.
    """
    own, target = as_pair(student, teacher, "attention scores")
    squares = (own - target).square().mean(1)
    return masked_mean(squares, None if mask is None else _pairs(mask))


def attention_kl(student: Tensor, teacher: Tensor, *, mask: Tensor | None = None) -> Tensor:
    """KL(teacher ‖ student) of attention distributions, summed over the keys, a scalar.

    Both are scores `(B, H, T, T)` before the softmax, whatever has been added for positions. With
    `mask` `(B, T)` padded keys get nothing, and padded queries do not count. Averaged over heads
    and queries.

    Source: Wang et al. 2020 (MiniLM), equation 2.
    """
    own, target = as_pair(student, teacher, "attention scores")
    return _divergence(own, target, mask)


def value_relation_kl(
    student: Tensor, teacher: Tensor, *, mask: Tensor | None = None, heads: int | None = None
) -> Tensor:
    """KL(teacher ‖ student) of how values look at each other: softmax(V Vᵀ / √d), a scalar.

    Both are values of all heads, `(B, T, H·d)`; widths and numbers of heads may differ: each is
    split anew into `heads` relation heads (by default one). Averaged over them and the queries that
    `mask` `(B, T)` lets through; padded keys get nothing.

    Source: Wang et al. 2020 (MiniLM), equations 3 to 5; Wang et al. 2021 (MiniLMv2), section 3.2,
    for relation heads. Queries' and keys' relations are the same function of other projections.
    Raises `ValueError` when a width cannot be split into `heads`.
    """
    own, target = (_relations(at_least_float32(v), heads or 1) for v in (student, teacher))
    return _divergence(*as_pair(own, target, "relations"), mask)


def _divergence(student: Tensor, teacher: Tensor, mask: Tensor | None) -> Tensor:
    """Of scores `(B, H, T, T)`."""
    if mask is not None:
        hidden = ~mask.bool()[:, None, None, :]
        lowest = torch.finfo(student.dtype).min
        student, teacher = student.masked_fill(hidden, lowest), teacher.masked_fill(hidden, lowest)
    own, target = F.log_softmax(student, -1), F.log_softmax(teacher, -1)
    divergence = F.kl_div(own, target, reduction="none", log_target=True).sum(-1).mean(1)
    return masked_mean(divergence, mask)


def _relations(values: Tensor, heads: int) -> Tensor:
    if values.shape[-1] % heads:
        raise ValueError(
            f"a width of {values.shape[-1]} cannot be split into {heads} relation heads; choose a "
            "divisor of the student's and the teacher's width"
        )
    split = values.unflatten(-1, (heads, -1)).transpose(1, 2)
    return split @ split.transpose(-1, -2) / split.shape[-1] ** 0.5


def _pairs(mask: Tensor) -> Tensor:
    """`(B, T)` → `(B, T, T)`, true where both tokens count."""
    counts = mask.bool()
    return counts[:, :, None] & counts[:, None, :]
