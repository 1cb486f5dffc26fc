"""Which positions of an axis do nothing, because pruning left only zeros of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from nlpcompress.scoring.positions import by_position
from nlpcompress.scoring.trace import no_trace

if TYPE_CHECKING:
    from nlpcompress.axes import Axis, Slice, Tap


@torch.no_grad()
def empty_positions(
    model: nn.Module, axes: Sequence[Axis], inputs: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Axis name → bool `(size,)`, true where cutting the position changes no output of the model.

    That is so where all layers that read the position have zeros for it; or where some layer that
    makes it has only zeros, bias included, and what arrives at its readers on `inputs` is zero:
    a head whose value rows are gone, a neuron before GELU. A head without queries still averages
    over its values, and is not empty.
    """
    tensors = dict(model.named_parameters())
    arriving = _arriving(model, axes, inputs)
    return {axis.name: _empty(axis, tensors) | _silent(axis, tensors, arriving) for axis in axes}


def _empty(axis: Axis, tensors: Mapping[str, Tensor]) -> Tensor:
    """Where every reader's slice is zero."""
    readers = {f"{tap.module}.weight" for tap in axis.taps}
    parts = [part for part in axis.slices if part.tensor in readers]
    return _all([_zero(tensors[part.tensor], part, axis.size) for part in parts], axis.size)


def _silent(axis: Axis, tensors: Mapping[str, Tensor], arriving: Mapping[Tap, Tensor]) -> Tensor:
    """Where some maker's slices are zero and so is all that arrives."""
    readers = {tap.module for tap in axis.taps}
    makers: dict[str, list[Tensor]] = {}
    for part in axis.slices:
        module = part.tensor.rpartition(".")[0]
        if module not in readers and part.tensor in tensors:
            makers.setdefault(module, []).append(_zero(tensors[part.tensor], part, axis.size))
    nothing = torch.zeros(axis.size, dtype=torch.bool)
    made = torch.stack([_all(parts, axis.size) for parts in makers.values()] or [nothing]).any(0)
    return made & _all([~arriving[tap] for tap in axis.taps], axis.size)


def _all(conditions: Sequence[Tensor], size: int) -> Tensor:
    """False everywhere when there are none."""
    if not conditions:
        return torch.zeros(size, dtype=torch.bool)
    return torch.stack([condition.cpu() for condition in conditions]).all(0)


def _zero(tensor: Tensor, part: Slice | Tap, size: int) -> Tensor:
    """Bool `(size,)`: all of the position's values are zero."""
    return (by_position(tensor, part, size) == 0).all(1)


def _arriving(
    model: nn.Module, axes: Sequence[Axis], inputs: Mapping[str, Tensor]
) -> dict[Tap, Tensor]:
    """Bool `(size,)` of each tap: something else than zero arrives there."""
    seen: dict[Tap, Tensor] = {}

    def look(tap: Tap, size: int, module: nn.Module, args: tuple[Any, ...]) -> None:
        here = ~_zero(args[0], tap, size)
        seen[tap] = seen[tap] | here if tap in seen else here

    with no_trace(model), ExitStack() as hooks:
        for axis in axes:
            for tap in axis.taps:
                module = model.get_submodule(tap.module)
                handle = module.register_forward_pre_hook(partial(look, tap, axis.size))
                hooks.callback(handle.remove)
        model(**inputs)
    return seen
