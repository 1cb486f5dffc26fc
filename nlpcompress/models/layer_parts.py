"""A layer's parameters by their part: its attention, its feed-forward network, the rest."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from nlpcompress.models.heads import PROJECTIONS, QUERIES, projection
from nlpcompress.models.layers import layers_of
from nlpcompress.models.quantized import schemes


def parameters_of(layer: nn.Module, part: str) -> dict[str, nn.Parameter]:
    """Name in the layer → parameter of `part`: all, attention or ffn; none if it has none.

    The attention is what holds queries, with all that lies in the same child of the layer; the FFN
    is every other child with linear layers. Norms of their own are in neither.
    """
    kinds = kinds_of(layer)
    return {
        name: parameter
        for name, parameter in layer.named_parameters(remove_duplicate=False)
        if part in ("all", kinds.get(name.partition(".")[0]))
    }


def quantized_in(layer: nn.Module, part: str) -> list[str]:
    """Paths in the layer of the quantized modules of `part`, as in `parameters_of`."""
    kinds = kinds_of(layer)
    return [path for path in schemes(layer) if part in ("all", kinds.get(path.partition(".")[0]))]


def shared_values(
    model: nn.Module, layers: Sequence[int], part: str, source: int | Literal["mean"]
) -> dict[str, Tensor]:
    """Name in the layer → what all `layers` are to have: the source's value, or their mean."""
    _, stack = layers_of(model)
    sources = layers if source == "mean" else (source,)
    first, *others = (parameters_of(stack[layer], part) for layer in sources)
    return {
        name: torch.stack([value, *(layer[name] for layer in others)]).detach().mean(0)
        for name, value in first.items()
    }


def kinds_of(layer: nn.Module) -> dict[str, str]:
    """Child of the layer → attention, ffn or rest."""
    return {child: _kind(module) for child, module in layer.named_children()}


def _kind(module: nn.Module) -> str:
    if any(projection(part, QUERIES) for part in module.modules()):
        return "attention"
    return "ffn" if any(isinstance(part, PROJECTIONS) for part in module.modules()) else "rest"
