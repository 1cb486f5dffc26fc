"""Which layer's weights others can have at the least cost, told by the model's output."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from nlpcompress.errors import DataError
from nlpcompress.models.layer_parts import shared_values
from nlpcompress.models.layers import layers_of
from nlpcompress.scoring.examples import on_device_of
from nlpcompress.scoring.trace import no_trace

Batch = Mapping[str, Tensor]


def best_sources(
    model: nn.Module, groups: Sequence[Sequence[int]], part: str, batches: Iterable[Batch]
) -> list[int]:
    """Of each group of layers the one whose weights, given to all, change the output least.

    The change is the sum of squared differences of the first output, over all batches. Groups are
    decided in their order, each with those before it shared already: a forward pass a layer and
    batch. Raises `DataError` without batches.
    """
    held = [on_device_of(model, batch) for batch in batches]
    if not held:
        raise DataError("no batches to compare outputs on; give at least one")
    chosen: list[int] = []
    shared: dict[str, Tensor] = {}
    with no_trace(model), torch.no_grad():
        whole = [_output(model, {}, batch) for batch in held]
        for layers in groups:
            options = {
                source: shared | _given_to_all(model, layers, part, source) for source in layers
            }
            changes = {
                source: sum(
                    float((_output(model, values, batch) - output).square().sum())
                    for batch, output in zip(held, whole, strict=True)
                )
                for source, values in options.items()
            }
            chosen.append(min(changes, key=changes.__getitem__))
            shared = options[chosen[-1]]
    return chosen


def _given_to_all(
    model: nn.Module, layers: Sequence[int], part: str, source: int
) -> dict[str, Tensor]:
    """Name in the model → value of every layer's parameters."""
    path, _ = layers_of(model)
    values = shared_values(model, layers, part, source)
    return {f"{path}.{layer}.{name}": value for name, value in values.items() for layer in layers}


def _output(model: nn.Module, values: Mapping[str, Tensor], batch: Batch) -> Tensor:
    inputs = {name: value for name, value in batch.items() if name != "labels"}
    outputs: Any = functional_call(model, dict(values), (), inputs, tie_weights=False)
    return outputs[0].float()
