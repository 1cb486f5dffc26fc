"""Scores of channels by what their batch norms multiply them with: no data, no gradients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

if TYPE_CHECKING:
    from nlpcompress.axes import Axis


def scales_on(model: nn.Module, axis: Axis) -> list[nn.Parameter]:
    """The scales γ of the batch norms that lie on the axis, each `(size,)`."""
    found = []
    for part in axis.slices:
        path, _, name = part.tensor.rpartition(".")
        module = model.get_submodule(path)
        if name == "weight" and isinstance(module, _BatchNorm) and len(module.weight) == axis.size:
            found.append(module.weight)
    return found


def scale_scores(model: nn.Module, axes: Sequence[Axis]) -> dict[str, Tensor]:
    """Axis name → |γ| of each position, float32 `(size,)`; axes without batch norms are left out.

    Source: Liu et al. 2017 (Network Slimming), section 3.
    Differs: where a residual sum ties several norms together, their mean; the released code leaves
    such channels alone.
    """
    with torch.no_grad():
        scales = {axis.name: scales_on(model, axis) for axis in axes}
        return {
            name: torch.stack([scale.abs().float().cpu() for scale in own]).mean(0)
            for name, own in scales.items()
            if own
        }
