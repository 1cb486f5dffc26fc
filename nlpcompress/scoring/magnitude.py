"""Scores by the size of the weights: no data, no gradients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from nlpcompress.errors import AxisError
from nlpcompress.scoring.positions import by_position

if TYPE_CHECKING:
    from nlpcompress.axes import Axis


def magnitude_scores(model: nn.Module, axes: Sequence[Axis], *, p: float = 2) -> dict[str, Tensor]:
    """The `p`-norm of all weights that leave the model with each position: axis name → `(size,)`.

    Every parameter slice of the axis counts (producers, consumers, biases, norms); buffers do not.
    Float32 on the CPU. Raises `AxisError` for an axis without a parameter.

    Source: Li et al. 2017, section 3.1 (L1 norm of a filter).
    Differs: the norm runs over everything that is cut together, not over the filter alone.

    A Linear of weight `[[3, 0], [0, 1]]` whose outputs feed one of weight `[[4, 0]]`, no biases:
    the two neurons between them score `sqrt(3² + 4²) = 5` and `sqrt(1² + 0²) = 1`.
    """
    parameters = {name: p.detach() for name, p in model.named_parameters()}
    return {axis.name: _norm(axis, parameters, p) for axis in axes}


def _norm(axis: Axis, parameters: Mapping[str, Tensor], p: float) -> Tensor:
    powers = [
        by_position(parameters[s.tensor].double(), s, axis.size).abs().pow(p).sum(1).cpu()
        for s in axis.slices
        if s.tensor in parameters
    ]
    if not powers:
        raise AxisError(
            f"axis '{axis.name}' holds no parameter, so its positions have no magnitude; "
            "score it with taylor_scores or leave it out"
        )
    return torch.stack(powers).sum(0).pow(1 / p).float()
