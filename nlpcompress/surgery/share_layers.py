"""The edit `share_layers`: some layers have one set of weights."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn
from torch.func import functional_call

from nlpcompress.core.edits import ShareLayers
from nlpcompress.errors import PlanError
from nlpcompress.models.layer_parts import parameters_of, quantized_in, shared_values
from nlpcompress.models.layers import layers_of
from nlpcompress.models.structure import replace_tensors
from nlpcompress.models.ties import tie
from nlpcompress.surgery.verify import Forward


def check_shared(model: nn.Module, edit: ShareLayers) -> None:
    """Raises `PlanError` when there are no such layers, they differ in shape or are quantized."""
    path, stack = layers_of(model)
    if edit.layers[-1] >= len(stack):
        raise PlanError(
            f"'{path}' has layers 0 to {len(stack) - 1} at this point of the plan, got "
            f"{edit.layers[-1]}"
        )
    packed = [path for layer in edit.layers for path in quantized_in(stack[layer], edit.part)]
    if packed:
        raise PlanError(
            f"share_layers: '{packed[0]}' of the layers is quantized; share first, then quantize"
        )
    first, *others = (_shapes(stack[layer], edit.part) for layer in edit.layers)
    if not first:
        raise PlanError(f"share_layers: no {edit.part} is known in {type(stack[0]).__name__}")
    for layer, shapes in zip(edit.layers[1:], others, strict=True):
        odd = sorted(first.items() ^ shapes.items())
        if odd:
            raise PlanError(
                f"share_layers: layers {edit.layers[0]} and {layer} differ in {odd[0][0]} "
                f"{odd[0][1]}; share layers that were cut alike, or share before cutting"
            )


def with_shared_values(model: nn.Module, edit: ShareLayers) -> Forward:
    """A forward pass in which the layers have equal weights, each its own."""

    def forward(inputs: Mapping[str, Tensor]) -> Any:
        path, _ = layers_of(model)
        values = {
            f"{path}.{layer}.{name}": value
            for name, value in shared_values(model, edit.layers, edit.part, edit.source).items()
            for layer in edit.layers
        }
        return functional_call(model, values, (), dict(inputs), tie_weights=False)

    return forward


def share(model: nn.Module, edit: ShareLayers) -> None:
    """The first layer gets new parameters with the shared values, and the others get these."""
    path, stack = layers_of(model)
    first, *others = edit.layers
    parameters = parameters_of(stack[first], edit.part)
    new = {
        id(parameters[name]): nn.Parameter(value, requires_grad=parameters[name].requires_grad)
        for name, value in shared_values(model, edit.layers, edit.part, edit.source).items()
    }
    replace_tensors(model, new)
    tie(model, {f"{path}.{i}.{n}": f"{path}.{first}.{n}" for i in others for n in parameters})


def _shapes(layer: nn.Module, part: str) -> dict[str, tuple[int, ...]]:
    return {name: tuple(value.shape) for name, value in parameters_of(layer, part).items()}
