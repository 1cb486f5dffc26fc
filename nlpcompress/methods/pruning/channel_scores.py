"""The criteria of `channels` that look once: what each is a function of."""

import math
from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from nlpcompress.axes import Axis
from nlpcompress.core.method import Context
from nlpcompress.errors import PlanError
from nlpcompress.scoring import (
    first_examples,
    magnitude_scores,
    map_rank_scores,
    scale_scores,
    scales_on,
    taylor_weight_scores,
    two_layer_scores,
)

Normalize = Literal["l2", "mean", "none"]
Criterion = Literal[
    "taylor", "taylor_weight", "l1", "l2", "batch_norm", "hrank", "two_layer", "random"
]


def channel_scores(
    model: nn.Module,
    axes: Sequence[Axis],
    ctx: Context,
    criterion: Criterion,
    *,
    num_samples: int | None,
    threshold: float,
) -> dict[str, Tensor]:
    """Axis name → `(size,)`, for any criterion but `taylor`; axes without a score are left out.

    Raises `PlanError` when no axis has one.
    """
    if criterion in ("l1", "l2"):
        found = magnitude_scores(model, axes, p=1 if criterion == "l1" else 2)
    elif criterion == "batch_norm":
        found = scale_scores(model, axes)
    elif criterion == "two_layer":
        found = two_layer_scores(model, axes, threshold=threshold)
    elif criterion == "random":
        found = random_scores(axes, ctx.seed)
    else:
        looks = map_rank_scores if criterion == "hrank" else taylor_weight_scores
        found = looks(model, axes, first_examples(ctx.batches(), num_samples))
    if not found:
        raise PlanError(f"channels: no axis of this model has a score by {criterion}")
    return found


def random_scores(axes: Sequence[Axis], seed: int) -> dict[str, Tensor]:
    """The control: between 0 and 1, the same for a seed."""
    draw = torch.Generator().manual_seed(seed)
    return {axis.name: torch.rand(axis.size, generator=draw) for axis in axes}


def penalised(model: nn.Module, axes: Sequence[Axis], criterion: Criterion) -> list[nn.Parameter]:
    """What a penalty makes sparse: batch norms' scales, or the axes' matrices and filters.

    Raises `PlanError` when there are none.
    """
    if criterion == "batch_norm":
        found = [scale for axis in axes for scale in scales_on(model, axis)]
    else:
        parameters: Mapping[str, nn.Parameter] = dict(model.named_parameters())
        names = {p.tensor for axis in axes for p in axis.slices if p.tensor in parameters}
        found = [parameters[name] for name in sorted(names) if parameters[name].dim() > 1]
    if not found:
        raise PlanError(f"channels: nothing on the axes can be penalised for {criterion}")
    return list({id(parameter): parameter for parameter in found}.values())


def normalized(scores: Sequence[float], how: Normalize) -> list[float]:
    """One layer's scores by their norm or mean; what was dropped is below 0 and stays there."""
    counted = [max(score, 0.0) for score in scores]
    by = {"l2": math.hypot(*counted), "mean": math.fsum(counted) / len(counted), "none": 1.0}[how]
    return [score / by if by else score for score in scores]
