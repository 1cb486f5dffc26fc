"""Hangs gates on a model's tensors, and takes them off again."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from nlpcompress.gates.cover import Cover
from nlpcompress.gates.gate import Gate

Order = dict[nn.Module, list[str]]
"""The modules under gates, with the names of their parameters in order."""


class GatedTensor(nn.Module):
    """The tensor times the factor of its gate; the gate belongs to the gate set, not to this."""

    def __init__(self, gate: Gate, cover: Cover) -> None:
        super().__init__()
        self._gate, self.cover = (gate,), cover

    def forward(self, tensor: Tensor) -> Tensor:
        """In the tensor's own shape and dtype."""
        return self.cover.times(tensor, self._gate[0]())


class GatedBias(GatedTensor):
    """A bias that goes when all of its row of blocks is shut; no gradient passes to the gate."""

    def forward(self, tensor: Tensor) -> Tensor:
        """In the tensor's own shape and dtype."""
        return self.cover.times(tensor, self._gate[0].mask.any(-1))


def attach(model: nn.Module, gates: Iterable[Gate]) -> Order:
    """Put every gate on its tensors; they then read as the tensor times the factor.

    Returns what `detach` needs.
    """
    gated = [
        *(GatedTensor(gate, cover) for gate in gates for cover in gate.places.covers),
        *(GatedBias(gate, cover) for gate in gates for cover in gate.places.rows),
    ]
    owners = {_owner(model, tensor.cover.tensor)[0] for tensor in gated}
    order = {module: list(module._parameters) for module in owners}
    for tensor in gated:
        module, key = _owner(model, tensor.cover.tensor)
        parametrize.register_parametrization(module, key, tensor)
    return order


def original(model: nn.Module, name: str) -> Tensor:
    """What is trained under the gate on the tensor `name`."""
    module, key = _owner(model, name)
    return module.parametrizations[key].original


@torch.no_grad()
def detach(order: Order) -> None:
    """Take all gates off: each tensor becomes its product, the same parameter at its old place."""
    for module, names in order.items():
        for key in list(module.parametrizations):
            parametrize.remove_parametrizations(module, key, leave_parametrized=True)
            tensor = getattr(module, key)
            tensor.masked_fill_(tensor == 0, 0)  # no -0.0
        for name in names:
            module._parameters[name] = module._parameters.pop(name)


def _owner(model: nn.Module, name: str) -> tuple[nn.Module, str]:
    path, _, key = name.rpartition(".")
    return model.get_submodule(path), key
