"""Scores of channels by the weights that make them and those that read them, after sparse training.

Source: Singh et al. 2019 (multi-layer pruning framework for compressing SSD), section 3: a filter
is important if it has many weights above its layer's threshold, and so have those that read it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from nlpcompress.scoring.positions import by_position

if TYPE_CHECKING:
    from nlpcompress.axes import Axis, Slice


def two_layer_scores(
    model: nn.Module, axes: Sequence[Axis], *, threshold: float = 1.0
) -> dict[str, Tensor]:
    """Axis name → float32 `(size,)`: share of large weights that make it times that of its readers.

    A weight is large beyond `threshold` times its layer's mean magnitude. Several makers, or
    readers, count together. Axes without a maker or a reader are left out.
    Differs: the two shares are multiplied; the paper does not say how they are weighed.
    """
    weights = {n: p.detach() for n, p in model.named_parameters() if p.dim() > 1}
    scores = {axis.name: _scores(axis, weights, threshold) for axis in axes}
    return {name: score for name, score in scores.items() if score is not None}


def _scores(axis: Axis, weights: Mapping[str, Tensor], threshold: float) -> Tensor | None:
    readers = {f"{tap.module}.weight" for tap in axis.taps}
    parts = [part for part in axis.slices if part.tensor in weights]
    made = [part for part in parts if part.tensor not in readers]
    read = [part for part in parts if part.tensor in readers]
    if not made or not read:
        return None
    return _share(made, axis, weights, threshold) * _share(read, axis, weights, threshold)


def _share(
    parts: Sequence[Slice], axis: Axis, weights: Mapping[str, Tensor], threshold: float
) -> Tensor:
    """Of the weights in `parts`, those that are large: `(size,)`."""
    large, counted = torch.zeros(axis.size), 0
    for part in parts:
        weight = weights[part.tensor].abs()
        found = by_position(weight > threshold * weight.mean(), part, axis.size)
        large += found.sum(1).cpu()
        counted += found.shape[1]
    return large / counted
