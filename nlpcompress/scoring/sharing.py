"""Which layer's weights others can have at the least cost, told by what layers put out."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call

from nlpcompress.errors import DataError
from nlpcompress.models.layer_parts import shared_values
from nlpcompress.models.layers import layers_of
from nlpcompress.scoring.examples import on_device_of
from nlpcompress.scoring.trace import no_trace

Batch = Mapping[str, Tensor]


class Call(NamedTuple):
    """One run of a layer inside of the whole model."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    output: Tensor

    @property
    def added(self) -> Tensor:
        """What the layer adds to the states that it is given."""
        return self.output - (self.args[0] if self.args else self.kwargs["hidden_states"])


def best_sources(
    model: nn.Module, groups: Sequence[Sequence[int]], part: str, batches: Iterable[Batch]
) -> list[int]:
    """Of each group of layers the one whose weights, given to all, change their outputs least.

    Each layer runs on the states that the whole model gives it. Its change is the sum of squared
    differences of its output as a share of the sum of squares of what it adds to its input, padding
    left out; changes of a group's layers add up. A forward pass of a layer for each pair of a group
    and batch. Raises `DataError` without batches.

    Differences of the model's answer say less: with all layers changed at once it is far off for
    every choice, and the nearest by chance.
    """
    changes: dict[tuple[int, int], float] = defaultdict(float)
    sizes: dict[int, float] = defaultdict(float)
    seen = False
    with no_trace(model), torch.no_grad():
        for batch in batches:
            seen = True
            calls, counts = _calls(model, batch), batch.get("attention_mask")
            for layers in groups:
                for layer in layers:
                    sizes[layer] += _squares(calls[layer].added, counts)
                for source, layer, change in _changes(model, layers, part, calls):
                    changes[source, layer] += _squares(change, counts)
    if not seen:
        raise DataError("no batches to compare outputs on; give at least one")

    def cost(layers: Sequence[int], source: int) -> float:
        return sum(changes[source, layer] / max(sizes[layer], 1e-30) for layer in layers)

    return [min(layers, key=partial(cost, layers)) for layers in groups]


def _calls(model: nn.Module, batch: Batch) -> dict[int, Call]:
    """Number of each layer → its run in a pass of the model."""
    found: dict[int, Call] = {}

    def note(number: int, _: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
        found[number] = Call(args, kwargs, _states(output))

    _, stack = layers_of(model)
    with ExitStack() as hooks:
        for number, layer in enumerate(stack):
            handle = layer.register_forward_hook(partial(note, number), with_kwargs=True)
            hooks.callback(handle.remove)
        model(**{k: v for k, v in on_device_of(model, batch).items() if k != "labels"})
    return found


def _changes(
    model: nn.Module, layers: Sequence[int], part: str, calls: Mapping[int, Call]
) -> Iterator[tuple[int, int, Tensor]]:
    """Source, layer, and how far the layer's output is off with the source's weights."""
    _, stack = layers_of(model)
    for source in layers:
        values = shared_values(model, layers, part, source)
        for layer in layers:
            if layer != source:
                args, kwargs, output = calls[layer]
                states = _states(functional_call(stack[layer], values, args, kwargs))
                yield source, layer, states - output


def _states(output: Any) -> Tensor:
    return output[0] if isinstance(output, tuple) else output


def _squares(values: Tensor, counts: Tensor | None) -> float:
    """Their sum, over the tokens that count `(B, T)` where it is known which."""
    if counts is not None and counts.shape == values.shape[:2]:
        values = values[counts.to(values.device).bool()]
    return float(values.double().square().sum())
