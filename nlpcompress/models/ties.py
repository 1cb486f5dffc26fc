"""Tensors that are one under several names: told from those that every model of a config ties.

This file needs torch only: a copy of it lies beside saved models.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor, nn


def added_ties(live: Mapping[str, Tensor], made: Mapping[str, Tensor]) -> dict[str, str]:
    """Name → the first name of the same tensor in `live`, where they are two in `made`."""
    now, stock = _firsts(live), _firsts(made)
    return {name: first for name, first in now.items() if stock[name] != stock[first]}


def tie(model: nn.Module, ties: Mapping[str, str]) -> None:
    """Have the model hold one tensor under both names of each pair: the second's."""
    for name, first in ties.items():
        table, own = _place(model, name)
        other, key = _place(model, first)
        table[own] = other[key]


def untie(model: nn.Module, names: Iterable[str]) -> None:
    """Have the model hold a stand-in under each of the names."""
    for name in names:
        table, own = _place(model, name)
        table[own] = stand_in(table[own])


def stand_in(tensor: Tensor) -> Tensor:
    """As many dimensions and no element: who takes it for the tensor fails on its shape."""
    empty = tensor.new_empty((0, *tensor.shape[1:]))
    if not isinstance(tensor, nn.Parameter):
        return empty
    return nn.Parameter(empty, requires_grad=tensor.requires_grad)


def tied_once(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Each tensor under its first name alone."""
    return {name: tensors[name] for name, first in _firsts(tensors).items() if name == first}


def _firsts(tensors: Mapping[str, Tensor]) -> dict[str, str]:
    seen: dict[int, str] = {}
    return {name: seen.setdefault(id(tensor), name) for name, tensor in tensors.items()}


def _place(model: nn.Module, name: str) -> tuple[dict[str, Any], str]:
    """The table of parameters or buffers that holds a tensor, and its name there."""
    path, _, own = name.rpartition(".")
    module = model.get_submodule(path)
    return (module._buffers if own in module._buffers else module._parameters), own
