"""Dense modules in the place of quantized ones: torch's own, under the same names."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from nlpcompress.models.activations import RoundedInputs, round_inputs
from nlpcompress.models.quantized import (
    CONVOLUTION,
    Quantized,
    QuantizedConv2d,
    QuantizedEmbedding,
)


@contextmanager
def stand_ins(model: nn.Module, make: Callable[[Quantized], nn.Module]) -> Iterator[None]:
    """For a while what `make` gives stands where quantized modules do."""
    places = _places(model)
    with _put_back(places):
        for parent, name, module in places:
            setattr(parent, name, make(module))
        yield


def put_dense(model: nn.Module, values: Callable[[Quantized], Tensor]) -> None:
    """Put torch's module in the place of each quantized one, with the `values` `(rows, columns)`.

    What has one packed weight gets one parameter.
    """
    weights: dict[int, nn.Parameter] = {}
    for parent, name, module in _places(model):
        key = id(module.weight)
        if key not in weights:
            weight = values(module).view(_shape(module))
            weights[key] = nn.Parameter(weight, requires_grad=False)
        setattr(parent, name, _dense(module, weights[key]).train(module.training))


@contextmanager
def decoded_stand_ins(model: nn.Module) -> Iterator[None]:
    """For a while dense modules with the decoded weights stand where quantized ones do.

    They are given rounded inputs where those are.
    """
    places = _places(model)
    with _put_back(places):
        put_dense(model, lambda module: module.decoded())
        for parent, name, module in places:
            if isinstance(module.inputs, RoundedInputs):
                round_inputs(getattr(parent, name), module.inputs)
        yield


@contextmanager
def dense_stand_ins(model: nn.Module) -> Iterator[None]:
    """For a while dense modules stand where quantized ones do, for readers of shapes.

    A stand-in's weight is one number, spread over the shape: it takes no memory.
    """
    places = _places(model)
    dtype = next((p.dtype for p in model.parameters() if p.is_floating_point()), torch.float32)

    def spread(module: Quantized) -> Tensor:
        number = torch.empty(1, 1, dtype=dtype, device=module.weight.device)
        return number.expand(module.scheme.rows, module.scheme.columns)

    with _put_back(places):
        put_dense(model, spread)
        yield


@contextmanager
def _put_back(places: Sequence[tuple[nn.Module, str, Quantized]]) -> Iterator[None]:
    try:
        yield
    finally:
        for parent, name, module in places:
            setattr(parent, name, module)


def _places(model: nn.Module) -> list[tuple[nn.Module, str, Quantized]]:
    return [
        (parent, name, module)
        for parent in model.modules()
        for name, module in parent._modules.items()
        if isinstance(module, Quantized)
    ]


def _shape(module: Quantized) -> tuple[int, ...]:
    """That of the dense weight; filters are `(out, in / groups, height, width)`."""
    scheme = module.scheme
    if isinstance(module, QuantizedConv2d):
        return (scheme.rows, -1, *module.kernel_size)
    return (scheme.rows, scheme.columns)


def _dense(module: Quantized, weight: nn.Parameter) -> nn.Module:
    rows, columns, *_ = weight.shape
    new: nn.Module
    if isinstance(module, QuantizedEmbedding):
        new = nn.Embedding(rows, columns, padding_idx=module.padding_idx, device="meta")
    elif isinstance(module, QuantizedConv2d):
        options = {name: getattr(module, name) for name in ("kernel_size", *CONVOLUTION)}
        new = nn.Conv2d(columns * module.groups, rows, **options, device="meta")
    else:
        new = nn.Linear(columns, rows, device="meta")
    new.weight = weight
    if hasattr(module, "bias"):
        new.bias = module.bias
    return new
