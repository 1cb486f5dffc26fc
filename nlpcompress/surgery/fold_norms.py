"""The edit `fold_norms`: what a batch norm multiplies by goes into the filters before it."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from nlpcompress.axes.norms import norms_after
from nlpcompress.errors import PlanError
from nlpcompress.models.structure import replace_tensors

Pairs = Mapping[nn.Conv2d, nn.BatchNorm2d]


def foldable(model: nn.Module, inputs: Mapping[str, Tensor]) -> Pairs:
    """Each convolution with its norm. Raises `PlanError` when there is none."""
    found = norms_after(model, inputs)
    if not found:
        raise PlanError(
            "fold_norms: no batch norm is the only one to read a convolution in floating point"
        )
    return {model.get_submodule(c): model.get_submodule(n) for c, n in found.items()}


@torch.no_grad()
def fold(model: nn.Module, pairs: Pairs) -> None:
    """The norms are left with a mean of 0, a scale of 1, and all of the bias."""
    new: dict[int, Tensor] = {}
    for convolution, norm in pairs.items():
        scale = norm.weight * (norm.running_var + norm.eps).rsqrt()
        shift = -norm.running_mean
        if convolution.bias is not None:
            shift = shift + convolution.bias
            new[id(convolution.bias)] = _like(convolution.bias, torch.zeros_like(scale))
        filters = convolution.weight * scale.view(-1, 1, 1, 1)
        new[id(convolution.weight)] = _like(convolution.weight, filters)
        new[id(norm.weight)] = _like(norm.weight, torch.ones_like(scale))
        new[id(norm.bias)] = _like(norm.bias, norm.bias + shift * scale)
        new[id(norm.running_mean)] = torch.zeros_like(norm.running_mean)
        new[id(norm.running_var)] = torch.full_like(norm.running_var, 1 - norm.eps)
    replace_tensors(model, new)


def _like(old: Tensor, values: Tensor) -> nn.Parameter:
    """With the strides of `old`, too: kernels are chosen by them."""
    return nn.Parameter(torch.empty_like(old).copy_(values), requires_grad=old.requires_grad)
