"""The edit `keep`: some positions of an axis stay, in every tensor that shares it."""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.modules.conv import _ConvNd

from nlpcompress.axes import Axes
from nlpcompress.core.edits import Keep
from nlpcompress.core.nearest import nearest
from nlpcompress.errors import AxisError, NlpCompressError, PlanError
from nlpcompress.models.heads import head_widths, scale_heads
from nlpcompress.models.structure import fit_module, named_tensors, replace_tensors
from nlpcompress.surgery.verify import Forward

Masks = dict[tuple[str, int], Tensor]


def check_keeps(axes: Axes, edits: Sequence[Keep]) -> None:
    """Raises `AxisError` (unknown, frozen) or `PlanError` (no such index), all problems at once."""
    problems = [problem for edit in edits for problem in _problems(axes, edit)]
    if problems:
        raise type(problems[0])("\n".join(str(problem) for problem in problems))


def _problems(axes: Axes, edit: Keep) -> list[NlpCompressError]:
    if edit.axis not in axes:
        return [
            AxisError(
                f"unknown axis '{edit.axis}'{nearest(edit.axis, [axis.name for axis in axes])}"
            )
        ]
    axis = axes[edit.axis]
    if axis.frozen:
        return [AxisError(f"the axis '{axis.name}' cannot be cut: {axis.frozen}")]
    if edit.indices[-1] >= axis.size:
        return [
            PlanError(
                f"the axis '{axis.name}' has {axis.size} positions (0 to {axis.size - 1}) at this "
                f"point of the plan, got {edit.indices[-1]}"
            )
        ]
    return []


def kept_masks(model: nn.Module, axes: Axes, edits: Sequence[Keep]) -> Masks:
    """(tensor, dim) → bool mask over that dimension, true where every edit keeps.

    A dimension of 8 = 1 × 4 heads × 2, heads 0 and 3 kept → `[1, 1, 0, 0, 0, 0, 1, 1]`.
    """
    tensors = named_tensors(model)
    masks: Masks = {}
    for edit in edits:
        axis = axes[edit.axis]
        keep = torch.zeros(axis.size, dtype=torch.bool)
        keep[list(edit.indices)] = True
        for name, dim, before, after in axis.slices:
            mask = keep.repeat_interleave(after).repeat(before)
            assert len(mask) == tensors[name].shape[dim], (
                f"{axis.name} does not span {name}, dim {dim}"
            )
            masks[name, dim] = masks.get((name, dim), torch.ones_like(mask)) & mask
    return masks


def zeroed(model: nn.Module, masks: Masks) -> Forward:
    """A forward pass with the dropped positions set to zero: what the cut model must compute."""

    def forward(inputs: Mapping[str, Tensor]) -> Any:
        tensors = named_tensors(model)
        masked: dict[str, Tensor] = {}
        for (name, dim), mask in masks.items():
            tensor = masked.get(name, tensors[name])
            shape = [-1 if d == dim else 1 for d in range(tensor.ndim)]
            masked[name] = tensor * mask.to(tensor.device, tensor.dtype).reshape(shape)
        return functional_call(model, masked, (), dict(inputs))

    return forward


def cut(model: nn.Module, masks: Masks) -> None:
    """Select the kept positions and fit every static attribute that depends on them."""
    widths, groups = head_widths(model), _groups_left(model, masks)
    replace_tensors(model, _selected(named_tensors(model), masks))
    for convolution, number in groups:
        convolution.groups = number
    for module in model.modules():
        fit_module(module)
    for path, (query, key) in head_widths(model).items():
        old_query, old_key = widths[path]
        scale_heads(model.get_submodule(path), Fraction(query, old_query), Fraction(key, old_key))


def _selected(tensors: Mapping[str, Tensor], masks: Masks) -> dict[int, Tensor]:
    """`id` of each cut tensor → the smaller one, of the same dtype, device and `requires_grad`."""
    selected = {name: tensors[name].detach() for name, _ in masks}
    for (name, dim), mask in masks.items():
        kept = mask.nonzero().squeeze(1).to(selected[name].device)
        selected[name] = selected[name].index_select(dim, kept)
    return {id(tensors[name]): like(tensors[name], new) for name, new in selected.items()}


def like(old: Tensor, new: Tensor) -> Tensor:
    """The new tensor, as a parameter where the old one is."""
    return (
        nn.Parameter(new, requires_grad=old.requires_grad) if isinstance(old, nn.Parameter) else new
    )


def _groups_left(model: nn.Module, masks: Masks) -> list[tuple[_ConvNd, int]]:
    """Convolutions whose groups are cut as a whole, with the number of groups that stay."""
    left = []
    for path, module in model.named_modules():
        mask = masks.get((f"{path}.weight", 0))
        if isinstance(module, _ConvNd) and module.groups > 1 and mask is not None:
            left.append((module, int(mask.reshape(module.groups, -1).any(1).sum())))
    return left
