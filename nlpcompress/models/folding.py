"""Batch norms folded into the filters before them: values move, and what is computed stays."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from nlpcompress.models.structure import replace_tensors


@torch.no_grad()
def fold(model: nn.Module, norms: Mapping[str, str]) -> None:
    """Path of a convolution → path of the norm that alone reads it, in evaluation mode.

    The norms are left with a mean of 0, a scale of 1, and all of the bias. Tensors are replaced.
    """
    new: dict[int, Tensor] = {}
    for path, norm_path in norms.items():
        convolution, norm = model.get_submodule(path), model.get_submodule(norm_path)
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
