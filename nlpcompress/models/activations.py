"""Inputs of quantized layers, rounded as a kernel for integers would round them.

The grid has 2^bits steps from the least input to the greatest, zero among them: those of the call
itself (dynamic, ONNX Runtime's DynamicQuantizeLinear), or of two ends that were found before on
some data (static).

This file needs torch only: a copy of it lies beside saved models.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle


class RoundedInputs(nn.Module):
    """`(…)` → the nearest numbers of the grid, in the same type; gradients pass as they are.

    `ends` are the bits of two float32 as int32 `(2,)`, which no cast of a model changes; None: the
    inputs' own.
    """

    ends: Tensor | None

    def __init__(self, bits: int, ends: Tensor | None = None) -> None:
        super().__init__()
        self.bits = bits
        self.register_buffer("ends", ends)

    def forward(self, values: Tensor) -> Tensor:
        """Any shape of floats."""
        if self.ends is None:
            return rounded_between(values, *ends_of(values), self.bits)
        return rounded_between(values, *self.ends.view(torch.float32), self.bits)


def rounds_inputs(model: nn.Module) -> bool:
    """Whether any layer is given rounded inputs."""
    return any(isinstance(module, RoundedInputs) for module in model.modules())


@contextmanager
def inputs_rounded(module: nn.Module, inputs: nn.Module) -> Iterator[None]:
    """For a while the module is given what `inputs` makes of its first argument."""
    hook = round_inputs(module, inputs)
    try:
        yield
    finally:
        hook.remove()


def round_inputs(module: nn.Module, inputs: nn.Module) -> RemovableHandle:
    """The same until the hook is removed."""
    return module.register_forward_pre_hook(lambda _, given: (inputs(given[0]), *given[1:]))


def ends_of(values: Tensor) -> tuple[Tensor, Tensor]:
    """The least and the greatest, float32 scalars."""
    flat = values.detach().flatten()
    return flat.amin(0).float(), flat.amax(0).float()


def rounded_between(values: Tensor, low: Tensor, high: Tensor, bits: int) -> Tensor:
    """What lies beyond the ends becomes the end."""
    scale, zero = steps_between(low, high, bits)
    codes = (values.detach().float() / scale).round_().add_(zero).clamp_(0, 2**bits - 1)
    return straight_through(values, codes.sub_(zero).mul_(scale).to(values.dtype))


def steps_between(low: Tensor, high: Tensor, bits: int) -> tuple[Tensor, Tensor]:
    """The step and the code of zero of a grid between the ends, float32 scalars."""
    low, high = low.clamp(max=0), high.clamp(min=0)
    scale = ((high - low) / (2**bits - 1)).clamp(min=torch.finfo(torch.float32).tiny)
    return scale, (-low / scale).round()


def straight_through(values: Tensor, instead: Tensor) -> Tensor:
    """`instead`, with gradients that go to `values` as they are."""
    return _StraightThrough.apply(values, instead) if values.requires_grad else instead


class _StraightThrough(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, instead: Tensor) -> Tensor:
        return instead

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0], None
