"""Reading a model's graph without changing the model."""

import inspect
from collections.abc import Iterator, Mapping
from itertools import chain

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram

from nlpcompress.axes.meta import on_fake_cpu
from nlpcompress.core.modes import eval_mode
from nlpcompress.errors import AxisError
from nlpcompress.models.dense import dense_stand_ins


def export_graph(model: nn.Module, example_inputs: Mapping[str, Tensor]) -> ExportedProgram:
    """The graph of one forward pass in eval mode, without a key-value cache.

    Quantized weights are matrices in it: their decoding is no part of the graph.

    Raises `AxisError` when the model cannot be exported on these inputs.
    """
    if not example_inputs:
        raise AxisError(
            "find_axes needs example inputs, got none; see nlpcompress.models.example_inputs"
        )
    with dense_stand_ins(model):
        return _exported(model, example_inputs)


def _exported(model: nn.Module, example_inputs: Mapping[str, Tensor]) -> ExportedProgram:
    device = _device(model)
    if device.type == "meta":
        model, inputs = on_fake_cpu(model, example_inputs)
    else:
        inputs = {name: tensor.to(device) for name, tensor in example_inputs.items()}
    cached = "use_cache" in inspect.signature(model.forward).parameters
    arguments = {**inputs, **({"use_cache": False} if cached else {})}
    with eval_mode(model), torch.no_grad():
        try:
            return torch.export.export(model, (), arguments, strict=False)
        except Exception as error:
            raise AxisError(_unreadable(model, example_inputs, error)) from error


def canonical_names(model: nn.Module) -> dict[str, str]:
    """Every name of a parameter or buffer → its first one: tied ones have several."""
    first: dict[int, str] = {}
    names = {}
    for name, tensor in _tensors(model):
        names[name] = first.setdefault(id(tensor), name)
    return names


def overlapping(model: nn.Module) -> set[str]:
    """First names of distinct tensors that lie in the same memory: cutting one is not possible."""
    names = canonical_names(model)
    owners: dict[int, set[str]] = {}
    for name, tensor in _tensors(model):
        if tensor.numel():
            owners.setdefault(tensor.untyped_storage()._cdata, set()).add(names[name])
    return set(chain.from_iterable(group for group in owners.values() if len(group) > 1))


def _tensors(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    yield from model.named_parameters(remove_duplicate=False)
    yield from model.named_buffers(remove_duplicate=False)


def _device(model: nn.Module) -> torch.device:
    return next((tensor.device for _, tensor in _tensors(model)), torch.device("cpu"))


def _unreadable(model: nn.Module, inputs: Mapping[str, Tensor], error: Exception) -> str:
    shapes = ", ".join(f"{name} {tuple(tensor.shape)}" for name, tensor in inputs.items())
    return (
        f"cannot read the graph of {type(model).__name__} on {shapes}: torch.export says "
        f"{type(error).__name__}: {_first_line(error)}; the forward pass must accept these inputs "
        "and must not branch on the values of tensors"
    )


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), "")[:500]
