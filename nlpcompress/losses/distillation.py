"""Losses between the student's logits and the teacher's."""

import torch
import torch.nn.functional as F
from torch import Tensor


def soft_target_loss(
    student_logits: Tensor,
    teacher_logits: Tensor,
    *,
    temperature: float,
    mask: Tensor | None = None,
) -> Tensor:
    """`temperature² · KL(teacher ‖ student)` of the softened distributions, a scalar.

    Both logits have the shape `(…, C)`: `(B, C)` for a sequence, `(B, T, C)` for its tokens. The
    divergence is summed over the classes and averaged over the rows ("batchmean"): over the
    examples, or the tokens, that `mask` (`(…,)`, nonzero = counts) lets through; 0 when it lets
    none through. No gradient reaches the teacher. Half precision is computed in float32.

    Source: Hinton et al. 2015, section 2; the factor T² keeps the gradients of soft and hard
    targets in proportion when the temperature changes. Sanh et al. 2019 (DistilBERT), `L_ce`.
    """
    student = F.log_softmax(_at_least_float32(student_logits) / temperature, dim=-1)
    teacher = F.log_softmax(_at_least_float32(teacher_logits.detach()) / temperature, dim=-1)
    divergence = F.kl_div(student, teacher, reduction="none", log_target=True).sum(-1)
    return temperature**2 * _mean(divergence, mask)


def logits_mse(
    student_logits: Tensor, teacher_logits: Tensor, *, mask: Tensor | None = None
) -> Tensor:
    """Mean squared difference of the logits `(…, C)`, over the classes and the rows of `mask`.

    Source: Ba and Caruana 2014, equation 1 ("logit matching").
    Differs: the paper sums over the classes and halves; the mean does not grow with their number.
    """
    difference = _at_least_float32(student_logits) - _at_least_float32(teacher_logits.detach())
    return _mean(difference.square().mean(-1), mask)


def _at_least_float32(values: Tensor) -> Tensor:
    return values.to(torch.promote_types(values.dtype, torch.float32))


def _mean(rows: Tensor, mask: Tensor | None) -> Tensor:
    if mask is None:
        return rows.mean()
    counts = mask.bool()
    # `where`, not a product: a padded row may hold an infinity, and 0 · inf is nan.
    total = torch.where(counts, rows, torch.zeros_like(rows)).sum()
    return total / counts.sum().clamp(min=1)
