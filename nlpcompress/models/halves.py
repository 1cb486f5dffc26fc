"""What stands for a model where the roundings of its own type would be in the way."""

import copy
from collections.abc import Mapping

import torch
from torch import Tensor, nn

HALVES = (torch.float16, torch.bfloat16)


def in_float32(model: nn.Module) -> nn.Module:
    """A float32 copy of a model that holds any half type; any other model itself."""
    halved = any(parameter.dtype in HALVES for parameter in model.parameters())
    return copy.deepcopy(model).float() if halved else model


def batch_in_float32(batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The batch with float32 in the place of half types."""
    return {name: t.float() if t.dtype in HALVES else t for name, t in batch.items()}


def in_double(model: nn.Module) -> nn.Module:
    """A float64 copy."""
    return copy.deepcopy(model).double()


def batch_in_double(batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The batch with float64 in the place of other floats."""
    return {name: t.double() if t.is_floating_point() else t for name, t in batch.items()}
