"""Losses between how the examples of a batch lie to each other, for student and teacher."""

import torch
import torch.nn.functional as F
from torch import Tensor

from nlpcompress.losses.reduction import at_least_float32, masked_mean


def relation_distance(student: Tensor, teacher: Tensor) -> Tensor:
    """Huber difference of the distances between the examples of a batch, a scalar.

    Embeddings are `(B, D)`; D may differ. Distances are divided by their mean over all pairs of the
    batch, so that scales do not count; the difference is averaged over the pairs. 0 for a batch of
    one, or of equal examples. Batches of a step that are split over devices have pairs within a
    device only.

    Source: Park et al. 2019 (RKD), equations 3 to 5.
    Differs: its code averages over the diagonal, too, which is always 0.
    """
    own, target = (_distances(at_least_float32(rows)) for rows in (student, teacher.detach()))
    return F.smooth_l1_loss(own, target) if len(own) else student.sum() * 0.0


def relation_angle(student: Tensor, teacher: Tensor) -> Tensor:
    """Huber difference of the angles between three examples of a batch, a scalar.

    Embeddings are `(B, D)`; D may differ. For each triple (i, j, k) of different examples the
    cosine at j. Takes memory for B³ numbers. 0 for a batch of less than three.

    Source: Park et al. 2019 (RKD), equations 6 and 7.
    Differs: its code averages over triples with equal members, too, whose cosine is always 0 or 1.
    """
    own, target = (_cosines(at_least_float32(rows)) for rows in (student, teacher.detach()))
    return masked_mean(F.smooth_l1_loss(own, target, reduction="none"), _different(own))


def _distances(rows: Tensor) -> Tensor:
    """Of the pairs i < j, `(B(B-1)/2,)`, 1 on average; safe where two rows are equal."""
    first, second = torch.triu_indices(len(rows), len(rows), 1, device=rows.device)
    squares = (rows[first] - rows[second]).square().sum(-1)
    apart = squares > 0
    distances = torch.where(apart, squares, 1.0).sqrt() * apart
    return distances / distances.mean().clamp_min(torch.finfo(rows.dtype).tiny)


def _cosines(rows: Tensor) -> Tensor:
    """At the middle j of each triple `(i, j, k)`, `(B, B, B)`."""
    edges = F.normalize(rows[:, None] - rows[None], dim=-1)  # [i, j]: from j to i
    return torch.einsum("ijd,kjd->ijk", edges, edges)


def _different(triples: Tensor) -> Tensor:
    """Bool `(B, B, B)`, true where all three are different; chosen by it, nothing waits."""
    place = torch.arange(len(triples), device=triples.device)
    i, j, k = place[:, None, None], place[None, :, None], place[None, None, :]
    return (i != j) & (j != k) & (i != k)
